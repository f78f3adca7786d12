"""The source of kernels/inside.cu: the formulas and sizes of a network's training, and where its arrays are in shared memory."""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from math import ceil
from typing import Any

import numpy as np

from ..maths.costs import Cost
from ..maths.formula import device_function
from ..maths.gradient_transforms import Chain
from .kernel_source import output_formulas, source
from .ops import dropout_scale_and_threshold

MAX_PARTS = 8     # of the inputs; also the largest cluster, because CUDA guarantees no larger one
PART = 32         # a part is a multiple of that many columns, so that each lane of a warp has one
MAX_WARPS = {"float32": 12, "float64": 8}   # of a block; a thread then has up to 168 or 255 registers
LATENCY, EXCHANGE = 650, 550   # estimated cycles of a layer, whose phases wait for each other, and of a cluster's two barriers
SHARED_MEMORY = """__device__ inline T* shared_memory()
{
    extern __shared__ __align__(16) unsigned char memory[];
    return reinterpret_cast<T*>(memory);
}
"""


@dataclass(frozen=True)
class Form:
    """The training of a network, as far as a program of kernels/inside.cu depends on it.

    sizes: the neurons of each layer, the inputs first. rows: of a mini-batch. activations: of layers 1, 2, ... starts: where w_1,
    w_2, ..., then b_1, b_2, ... begin in the vector of parameters. rates: of dropout after layer 0, 1, ..., None without dropout.
    """

    sizes: tuple[int, ...]
    rows: int
    activations: tuple[Any, ...]
    cost: Cost
    chain: Chain
    starts: tuple[int, ...]
    rates: tuple[float | None, ...]
    dtype: str

    @property
    def depth(self):
        """The number of layers."""
        return len(self.sizes) - 1

    @cached_property
    def parts(self):
        """(number of parts of the inputs, columns of a part); blocks of a cluster share the parts, a power of two."""
        count = min(MAX_PARTS, 1 << (ceil(self.sizes[0] / PART) - 1).bit_length())
        return count, PART * ceil(self.sizes[0] / (PART * count))

    def shared_bytes(self, cluster):
        """The shared memory of a block, if `cluster` blocks train a network."""
        return self._layout(cluster)["SHARED"] * np.dtype(self.dtype).itemsize

    def threads(self, cluster):
        """The shape of a block: lanes and warps, no more of these than the largest number of tasks in a phase."""
        columns, rows = [self._columns(cluster), *self.sizes[1:-1]], ceil(self.rows / 4)
        tasks = (ceil(n / 8) * max(rows, ceil(k / 32)) for k, n in zip(columns, self.sizes[1:]))
        return 32, max(2, min(MAX_WARPS[self.dtype], max(*tasks, rows)))

    def cycles(self, cluster):
        """The clock cycles of a step: an estimate from the instructions of the machine code, not measured on hardware."""
        rows, widths = ceil(self.rows / 4), [self._columns(cluster), *self.sizes[1:]]
        issued, (parts, _) = 0, self.parts
        for l, (k, n) in enumerate(pairwise(widths)):
            down, across = ceil(n / 8), ceil(k / 32)
            forward = rows * down * (46 * across + 150 * (1 if l else parts // cluster))
            update = down * across * (60 + 13 * self.rows + 80 * len(self.chain.state))
            issued += forward + update * (1 + self.chain.uses_norm) + (9 * rows * across * n if l else 0)
        return issued / 4 + LATENCY * self.depth + (EXCHANGE if cluster > 1 else 0)

    def _columns(self, cluster):
        """The columns of x and w_1 that a block has."""
        count, part = self.parts
        return min(part * count // cluster, _padded(self.sizes[0]))

    def _layout(self, cluster):
        """{name: place in shared memory, or one per layer}, in elements; SHARED is their number."""
        depth, sizes, lead = self.depth, self.sizes[1:], [self._columns(cluster), *map(_padded, self.sizes[1:])]
        columns, batch = [lead[0], *sizes], [self.rows * width for width in lead]
        *starts, parameters = accumulate([*(n * k for n, k in zip(sizes, lead)), *lead[1:]], initial=0)
        tiles = [ceil(n / 8) * ceil(k / 32) for n, k in zip(sizes, columns)]
        *slots, count = accumulate((tile + ceil(n / 32) for tile, n in zip(tiles, sizes)), initial=0)   # then those of the biases
        drops = [l in range(1, depth) and self.rates[l] is not None for l in range(depth + 1)]
        end = 0

        def take(size):
            nonlocal end
            end += _padded(size)
            return end - _padded(size)
        w, x = take((1 + len(self.chain.state)) * parameters), take(2 * batch[0])
        a, delta = ([0, *map(take, batch[1:])] for _ in range(2))
        out = [take(size) if drop else place for size, drop, place in zip(batch, drops, a)]
        found: dict[str, Any] = {
            "LEAD": lead, "PARAMETERS": parameters, "P_AT": w, "W_AT": [0, *starts[:depth]], "B_AT": [0, *starts[depth:]],
            "X_AT": x, "A_AT": a, "DELTA_AT": delta, "OUT_AT": out,
            "FACTOR_AT": [take(size) if drop else 0 for size, drop in zip(batch, drops)],
            "Y_AT": take(batch[-1]), "WEIGHT_AT": take(self.rows), "COST_AT": take(self.rows),
            "SLOT_AT": [0, *(end + slot for slot in slots)], "SLOTS": count, "COMMON": tiles[0]}
        take(count)
        found |= {"NORM_AT": take(cluster + 1), "EXCHANGE_AT": take(batch[1] + cluster if cluster > 1 else 0),
                  "LENGTH_AT": take(0 if self.chain.max_norm is None else cluster * lead[1])}
        # a tile of 4 rows or 8 neurons may end behind its matrix
        tails = [x + batch[0] + max(4, self.rows) * lead[0],
                 *(w + start + max(8, n) * k for start, n, k in zip(starts, sizes, lead)),
                 *(place + 4 * ceil(self.rows / 4) * width + 4 for places in (out, delta) for place, width in zip(places, lead))]
        return found | {"SHARED": max(map(_padded, (end, *tails)))}

    def text(self, cluster):
        """The program in which `cluster` blocks train a network."""
        chain, activations, depth, (parts, part) = self.chain, self.activations, self.depth, self.parts
        drops = [(0.0, 0) if rate is None else dropout_scale_and_threshold(rate) for rate in self.rates]
        scalars, (_, warps) = len(chain.scalars(1, 0.1, 1)), self.threads(cluster)
        numbers = {"DEPTH": depth, "ROWS": self.rows, "CLUSTER": cluster, "PARTS": parts, "PART": part, "WARPS": warps,
                   "STATES": len(chain.state), "SCALARS": max(1, scalars), "USES_NORM": int(chain.uses_norm),
                   "DROPS": int(any(rate is not None for rate in self.rates)), "SIZE": self.sizes,
                   "VECTOR_W": [0, *self.starts[:depth]], "VECTOR_B": [0, *self.starts[depth:]], **self._layout(cluster)}
        return source("inside.cu", self.dtype, "".join((
            output_formulas(self.cost, activations[-1]), device_function("rule", chain.rule, chain.parameters()),
            *(device_function(f"{name}_{l}", formula) for l, one in enumerate(activations[:-1], 1)
              for name, formula in (("sigma", one.sigma), ("prime", one.prime))),
            _by_layer("activation", "T z", "sigma_{}(z)", depth),
            _by_layer("derivative", "T z, T a", "prime_{}(z, a)", depth),
            *map(_defined, numbers, numbers.values()),
            f"[[maybe_unused]] constexpr T DROP_SCALE[] = {{{', '.join(f'T({scale!r})' for scale, _ in drops)}, 0}};\n",
            f"constexpr unsigned long long DROP_LIMIT[] = {{{', '.join(f'{limit}ull' for _, limit in drops)}, 0}};\n",
            f"#define MAX_NORM T({float(chain.max_norm)!r})\n" if chain.max_norm is not None else "",
            _update(chain, scalars), SHARED_MEMORY)))


def _padded(size):
    """The size as a multiple of four, so that rows begin where loads of four numbers may."""
    return -(-size // 4) * 4


def _defined(name, value):
    if isinstance(value, int):
        return f"#define {name} {value}\n"
    return f"[[maybe_unused]] constexpr int {name}[] = {{{', '.join(map(str, value))}, 0}};\n"   # layers end at a 0


def _by_layer(name, parameters, formula, depth):
    """A function template over hidden layers."""
    cases = "".join(f"    if constexpr (L == {l})\n        return {formula.format(l)};\n" for l in range(1, depth))
    return f"template <int L>\n__device__ inline T {name}({parameters})\n{{\n{cases}    return T(0);\n}}\n"


def _update(chain, scalars):
    """A function that applies the rule to the parameter at w; its state follows, in vectors of PARAMETERS elements."""
    places = {f"new_{name}": f"w[{place} * PARAMETERS]" for place, name in enumerate(("w", *chain.state))}
    operands = [*places, "g", "is_weight", "norm", *(f"scalars[{place}]" for place in range(scalars))]
    lines = [*(f"T {name} = {place};" for name, place in places.items()), f"rule({', '.join(operands)});",
             *(f"{place} = {name};" for name, place in places.items())]
    body = "\n    ".join(lines)
    return f"__device__ inline void update(T* w, T g, T is_weight, T norm, const T* scalars)\n{{\n    {body}\n}}\n"
