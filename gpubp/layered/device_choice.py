"""Which device a network computes on, and why: "auto" takes a GPU unless a step is predicted to be faster on the CPU.

The prediction depends on sizes, and on whether the CPU's kernels can be compiled, so that it is the same in every run. Numbers
for the CPU were measured on two cores (benchmarks/results/devices.md); those for a GPU are estimates, not run on hardware.
"""

from dataclasses import dataclass
from itertools import pairwise

from ..devices import named_by_environment
from ..devices.cpu.numpy_ops import REPAYS
from ..devices.ops import Ops

CALLS = {"numpy": 20e-6, "compiled": 3e-6}   # seconds of a step on the CPU besides those of arithmetic
RATE = {"numpy": 2.5e11, "compiled": 3e11}   # additions and multiplications a second in float32, half of it in float64
CHANGE = 3e-10                               # seconds for each element of the optimizer's state
NODE = 2.5e-6                                # seconds of a small kernel in a graph, one that waits for another
GPU_RATE = {"exact": 3e13, "tf32": 1e14, "bfloat16": 2e14, "float16": 2e14}
GPU_RATE_64, GPU_BYTES = 1e12, 2e12          # in float64, and bytes moved a second
PASSES = 9                                   # over z, a and delta, by the kernels of a step between products


@dataclass(frozen=True)
class DeviceChoice:
    """The name of a device and the reason for it. open: whether the first fit may still choose the CPU instead."""

    name: str
    reason: str
    open: bool = False

    def __str__(self):
        return f"{self.name}: {self.reason}"

    @classmethod
    def of(cls, asked, ops):
        """Why a network that was asked to be on `asked` is on ops."""
        if isinstance(asked, Ops):
            return cls(ops.name, "it was handed in")
        if str(asked).strip().lower() != "auto":
            return cls(ops.name, "it was asked for")
        if named_by_environment():
            return cls(ops.name, "GPUBP_DEVICE says so")
        if ops.array_checks is None:
            from ..devices.cuda.probe import why_no_cuda  # loaded already

            return cls(ops.name, why_no_cuda(0) or "no GPU could be used")
        return cls(ops.name, "there is a GPU, and the first fit decides", open=True)

    def by_arrays(self):
        """The same, for good, since arrays of the GPU were handed in."""
        return DeviceChoice(self.name, "arrays on it were handed in")


def choose(network, batch, steps, state):
    """The DeviceChoice for a network on a GPU that is to learn from the host's arrays.

    batch: samples of a step; steps: of an epoch; state: how many vectors the optimizer has.
    """
    from ..devices.cpu import cxx  # it loads the compiler's tools

    sizes = tuple(network.sizes)
    cpu = seconds_on_cpu(sizes, batch, steps, state, network.dtype.itemsize, cxx.why_not() is None)
    gpu = seconds_on_gpu(sizes, batch, state, network.dtype.itemsize, network.precision)
    name, verb = ("cpu", "more") if cpu <= gpu else (network.ops.name, "less")
    return DeviceChoice(name, f"a step is predicted to take {cpu * 1e6:.3g} us on the CPU, and {gpu * 1e6:.3g} us, {verb}, on "
                              f"{network.ops.name}")


def seconds_on_cpu(sizes, batch, steps, state, itemsize, compiles):
    """Predicted seconds of a step on the CPU; training is compiled where an epoch is long enough."""
    seconds = {kind: CALLS[kind] + _operations(sizes, batch) * itemsize / 4 / RATE[kind] + CHANGE * state * _weights(sizes)
               for kind in CALLS}
    repaid = compiles and numpy_epoch_seconds(_weights(sizes), steps, steps * batch, state) > REPAYS
    return seconds["compiled" if repaid else "numpy"]


def numpy_epoch_seconds(parameters, steps, samples, state):
    """Seconds that NumPy takes for an epoch, rather too many: those of a step's calls, 25 us; of each number that the optimizer
    changes, 1 ns; and of the products, 2e-11 for an operation. Training is compiled where they are more than REPAYS."""
    return steps * (25e-6 + 1e-9 * parameters * (1 + state)) + 6.0 * parameters * samples * 2e-11


def seconds_on_gpu(sizes, batch, state, itemsize, precision):
    """Predicted seconds of a step on a GPU: launches in a graph, products, and memory between them."""
    rate = GPU_RATE[precision] if itemsize == 4 else GPU_RATE_64
    moved = itemsize * (PASSES * batch * sum(sizes[1:]) + (3 + 2 * state) * _weights(sizes))
    return NODE * (6 * (len(sizes) - 1) - 1) + _operations(sizes, batch) / rate + moved / GPU_BYTES


def _weights(sizes):
    return sum(inputs * outputs for inputs, outputs in pairwise(sizes))


def _operations(sizes, batch):
    """Of the products of a step: three for each layer, two for the first, which passes nothing back."""
    return batch * (6 * _weights(sizes) - 2 * sizes[0] * sizes[1])
