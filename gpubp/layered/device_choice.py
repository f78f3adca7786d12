"""The device that a network computes on, and why: "auto" takes a GPU unless a step is predicted to be faster on the CPU.

The prediction depends only on sizes and on whether CPU kernels can be compiled, so it is the same in every run. Figures of the
CPU were measured on two cores (benchmarks/results/devices.md); figures of a GPU are estimates, not measured on hardware.
"""

from dataclasses import dataclass
from itertools import pairwise

from ..devices import named_by_environment
from ..devices.cpu.numpy_ops import MIN_EPOCH_SECONDS_TO_COMPILE
from ..devices.ops import Ops

CALLS = {"numpy": 20e-6, "compiled": 3e-6}   # overhead of a step on the CPU in seconds
FLOPS = {"numpy": 2.5e11, "compiled": 3e11}  # additions and multiplications per second in float32; half as many in float64
UPDATE_SECONDS = 3e-10                       # per element of the optimizer's state
GRAPH_NODE_SECONDS = 2.5e-6                  # of a small kernel in a CUDA graph that waits for the previous one
GPU_FLOPS = {"exact": 3e13, "tf32": 1e14, "bfloat16": 2e14, "float16": 2e14}
GPU_FLOPS_64, GPU_BYTES = 1e12, 2e12         # in float64, and bytes moved per second
PASSES = 9                                   # over z, a and delta, by the kernels of a step that are not products


@dataclass(frozen=True)
class DeviceChoice:
    """The name of a device and why it was chosen; open: the first fit may still choose the CPU."""

    name: str
    reason: str
    open: bool = False

    def __str__(self):
        return f"{self.name}: {self.reason}"

    @classmethod
    def of(cls, requested, ops):
        """The choice of ops for a network that was built with device=requested."""
        if isinstance(requested, Ops):
            return cls(ops.name, "an open device was given")
        if str(requested).strip().lower() != "auto":
            return cls(ops.name, "it was given by name")
        if named_by_environment():
            return cls(ops.name, "GPUBP_DEVICE says so")
        if ops.on_host:
            from ..devices.cuda.probe import why_no_cuda  # loaded already
            return cls(ops.name, why_no_cuda(0) or "no GPU could be used")
        return cls(ops.name, "there is a GPU, and the first fit decides", open=True)


def choose(network, batch, steps, state):
    """The DeviceChoice of a network on a GPU that trains on host arrays. steps: per epoch; state: number of state vectors."""
    from ..devices.cpu import cxx  # it loads the compiler's tools
    sizes = tuple(network.sizes)
    cpu = seconds_on_cpu(sizes, batch, steps, state, network.dtype.itemsize, cxx.why_not() is None)
    gpu = seconds_on_gpu(sizes, batch, state, network.dtype.itemsize, network.precision)
    name, verb = ("cpu", "more") if cpu <= gpu else (network.ops.name, "less")
    return DeviceChoice(name, f"a step is predicted to take {cpu * 1e6:.3g} us on the CPU, and {gpu * 1e6:.3g} us, {verb}, on "
                              f"{network.ops.name}")


def seconds_on_cpu(sizes, batch, steps, state, itemsize, compiles):
    """Predicted seconds of a step on the CPU; training is compiled if an epoch is long enough."""
    repaid = compiles and numpy_epoch_seconds(_weights(sizes), steps, steps * batch, state) > MIN_EPOCH_SECONDS_TO_COMPILE
    kind = "compiled" if repaid else "numpy"
    return CALLS[kind] + _operations(sizes, batch) * itemsize / 4 / FLOPS[kind] + UPDATE_SECONDS * state * _weights(sizes)


def numpy_epoch_seconds(parameters, steps, samples, state):
    """An upper estimate: 25 us of calls per step, 1 ns per number that the optimizer changes, 2e-11 s per product operation."""
    return steps * (25e-6 + 1e-9 * parameters * (1 + state)) + 6.0 * parameters * samples * 2e-11


def seconds_on_gpu(sizes, batch, state, itemsize, precision):
    """Predicted seconds of a step on a GPU: kernels in a graph, products, and memory traffic."""
    rate = GPU_FLOPS[precision] if itemsize == 4 else GPU_FLOPS_64
    moved = itemsize * (PASSES * batch * sum(sizes[1:]) + (3 + 2 * state) * _weights(sizes))
    return GRAPH_NODE_SECONDS * (6 * (len(sizes) - 1) - 1) + _operations(sizes, batch) / rate + moved / GPU_BYTES


def _weights(sizes):
    return sum(inputs * outputs for inputs, outputs in pairwise(sizes))


def _operations(sizes, batch):
    """Additions and multiplications of a step's products: three products per layer, two in the first."""
    return batch * (6 * _weights(sizes) - 2 * sizes[0] * sizes[1])
