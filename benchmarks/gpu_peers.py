"""The peers: PyTorch eager, PyTorch with one step or sixteen in a CUDA graph, torch.compile, JAX jit and JAX scan.

Each trains the network of a Workload from the same initial weights, on the same mini-batches gathered on the device, with the
same SGD. Each reads the mean cost once at the end of an epoch, as gpubp does. Half precision is the peers' own: PyTorch's
autocast, and casts to bfloat16 from float32 weights in JAX.
"""

import os
import time
from abc import ABC, abstractmethod

import numpy as np

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")   # otherwise JAX reserves most of the device's memory


class LeftOutError(Exception):
    """A peer is not installed, or does not compute on the device."""


class Peer(ABC):
    """A contender on arrays that it gets through DLPack.

    cost is the mean cost of the second epoch, which shows that all contenders computed the same.
    """

    def begin(self, steps):
        self.steps = steps
        for _ in range(2):   # compile, warm, capture
            self.epoch()
        self.restart()
        self.epoch()
        self.cost = self.epoch()

    @abstractmethod
    def restart(self):
        """Restore the initial weights."""

    @abstractmethod
    def epoch(self):
        """Run the steps of an epoch; returns the mean cost."""

    def seconds(self, epochs):
        """Seconds of a step, averaged over whole epochs."""
        started = time.perf_counter()
        for _ in range(epochs):
            self.epoch()
        return (time.perf_counter() - started) / epochs / self.steps


class TorchEager(Peer):
    """The usual training loop, with PyTorch's fused SGD on a GPU; on a CPU the default SGD is faster."""

    name, at_once = "PyTorch eager", 0   # steps of a graph

    def __init__(self, work, x, y, weights, device):
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise LeftOutError("PyTorch is here without CUDA")
        if self.at_once and device != "cuda":
            raise LeftOutError("CUDA graphs need CUDA")
        self.torch, self.device = torch, device
        torch.backends.cuda.matmul.allow_tf32 = work.precision == "tf32"
        half = work.precision == "bfloat16"
        self.module = _module(work).to(device)
        self.module.register_buffer("x", torch.from_dlpack(x).to(device).to(torch.bfloat16 if half else torch.float32))
        targets = torch.from_dlpack(y).to(device)
        self.module.register_buffer("y", targets.argmax(1) if work.cost == "cross-entropy" else targets)
        self.initial = [torch.from_numpy(weight).to(device) for weight in weights]
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=work.rate, fused=device == "cuda")
        self.order = torch.arange(len(x), device=device).view(work.steps, work.batch)
        self.batches, self.total = list(self.order), torch.zeros((), device=device)
        self.forward = self.module
        self.prepare()
        self.begin(work.steps)

    def prepare(self):
        self.restart()

    def restart(self):
        with self.torch.no_grad():
            for parameter, value in zip(self.module.parameters(), self.initial, strict=True):
                parameter.copy_(value)

    def step(self, rows):
        cost = self.forward(rows)
        cost.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.total += cost.detach()

    def epoch(self):
        self.total.zero_()
        for rows in self.batches:
            self.step(rows)
        return self.total.item() / self.steps


class TorchGraph(TorchEager):
    """The whole step captured in a graph, with the counter and the gather of the mini-batch inside."""

    name, at_once = "PyTorch whole-step graph", 1

    def prepare(self):
        torch = self.torch
        self.restart()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for rows in self.batches[:3]:
                self.step(rows)
        torch.cuda.current_stream().wait_stream(stream)
        self.place = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.graphs = {count: self.captured(count) for count in {1, self.at_once}}
        self.restart()

    def captured(self, count):
        """A graph of this many steps."""
        graph = self.torch.cuda.CUDAGraph()
        with self.torch.cuda.graph(graph):
            for _ in range(count):
                self.step(self.order.index_select(0, self.place).view(-1))
                self.place += 1
        return graph

    def epoch(self):
        self.total.zero_()
        self.place.zero_()
        at_once, single = divmod(self.steps, self.at_once)
        for count, times in ((self.at_once, at_once), (1, single)):
            for _ in range(times):
                self.graphs[count].replay()
        return self.total.item() / self.steps


class TorchGraphOf16(TorchGraph):
    """Sixteen steps in one graph, to amortize Python and the launch of a graph."""

    name, at_once = "PyTorch graph of 16 steps", 16


class TorchCompiled(TorchEager):
    """Forward and backward compiled by Inductor and replayed as graphs; the fused SGD is one launch already."""

    name, at_once = "torch.compile reduce-overhead", 1

    def prepare(self):
        self.restart()
        self.forward = self.torch.compile(self.module, mode="reduce-overhead")

    def step(self, rows):
        self.torch.compiler.cudagraph_mark_step_begin()
        super().step(rows)


class Jax(Peer):
    """One jitted step with donated weights."""

    name = "JAX jit"

    def __init__(self, work, x, y, weights, device):
        import jax
        import jax.numpy as jnp

        if jax.default_backend() != {"cuda": "gpu"}.get(device, device):
            raise LeftOutError(f"JAX computes on {jax.default_backend()!r} here, not on {device!r}")
        self.jax, self.jnp, self.initial = jax, jnp, weights
        half = work.precision == "bfloat16"
        self.data = jax.device_put(x).astype(jnp.bfloat16 if half else jnp.float32), jax.device_put(y)
        slope = jax.value_and_grad(lambda weights, x, y: _jax_cost(jax, work, weights, x, y))

        def step(weights, total, rows, x, y):
            cost, gradient = slope(weights, *(data.take(rows, 0, mode="clip") for data in (x, y)))
            return [weight - work.rate * g for weight, g in zip(weights, gradient)], total + cost
        self.prepare(step, np.arange(len(x)).reshape(work.steps, work.batch))
        self.restart()
        self.begin(work.steps)

    def prepare(self, step, order):
        self.step = self.jax.jit(step, donate_argnums=(0, 1))
        self.batches = [self.jnp.asarray(rows) for rows in order]

    def restart(self):
        self.weights = [self.jnp.array(weight) for weight in self.initial]

    def epoch(self):
        total = self.jnp.zeros(())
        for rows in self.batches:
            self.weights, total = self.step(self.weights, total, rows, *self.data)
        return float(total) / self.steps


class JaxScan(Jax):
    """A whole epoch in one call."""

    name = "JAX scan"

    def prepare(self, step, order):
        scan = self.jax.lax.scan

        def steps(weights, total, order, x, y):
            return scan(lambda carry, rows: (step(*carry, rows, x, y), None), (weights, total), order)[0]
        self.step, self.batches = self.jax.jit(steps, donate_argnums=(0, 1)), [self.jnp.asarray(order)]


def _module(work):
    """The network with its cost: returns the mean cost of the rows of a mini-batch."""
    import torch

    F = torch.nn.functional
    activate = {"sigmoid": torch.sigmoid, "relu": torch.relu}[work.activation]
    finish = torch.sigmoid if work.output == "sigmoid" else lambda z: z   # cross_entropy includes the softmax

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(k, j) for k, j in zip(work.sizes, work.sizes[1:]))

        def forward(self, rows):
            a, y = self.x.index_select(0, rows), self.y.index_select(0, rows)
            with torch.autocast(a.device.type, torch.bfloat16, enabled=work.precision == "bfloat16", cache_enabled=False):
                for layer in self.layers[:-1]:
                    a = activate(layer(a))
                a = finish(self.layers[-1](a))
                if work.cost == "cross-entropy":
                    return F.cross_entropy(a, y)
                return F.mse_loss(a, y, reduction="sum") * (0.5 / work.batch)
    return Module()


def _jax_cost(jax, work, weights, a, y):
    """The mean cost of a mini-batch; weights are w and b of each layer in turn."""
    jnp, dtype = jax.numpy, a.dtype
    precision = "highest" if work.precision == "exact" else None   # JAX's default on a GPU is TF32
    pairs = list(zip(weights[::2], weights[1::2]))
    for l, (w, b) in enumerate(pairs, 1):
        kept = jnp.float32 if l == len(pairs) else dtype
        z = jnp.dot(a, w.astype(dtype).T, precision=precision, preferred_element_type=kept) + b.astype(kept)
        name = work.output if l == len(pairs) else work.activation
        a = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}.get(name, lambda z: z)(z)
    if work.cost == "cross-entropy":
        return -(y * jax.nn.log_softmax(a)).sum(1).mean()
    return 0.5 * ((a - y) ** 2).sum(1).mean()
