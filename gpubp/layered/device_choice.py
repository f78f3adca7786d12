"""The device that a network computes on, and why: "auto" takes a GPU unless a step is predicted to be faster on the CPU.

The prediction depends only on sizes and on whether CPU kernels can be compiled, so it is the same in every run. Figures of the
CPU were measured on two cores (benchmarks/results/devices.md); figures of a GPU are estimates, not measured on hardware.
"""

from dataclasses import dataclass
from itertools import pairwise

from ..devices import named_by_environment
from ..devices.cpu.numpy_ops import MIN_EPOCH_SECONDS_TO_COMPILE
from ..devices.inside_source import Form
from ..devices.ops import Ops

CALLS = {"numpy": 20e-6, "compiled": 3e-6}   # overhead of a step on the CPU in seconds
FLOPS = {"numpy": 2.5e11, "compiled": 3e11}  # additions and multiplications per second in float32; half as many in float64
UPDATE_SECONDS = 3e-10                       # per element of the optimizer's state
GRAPH_NODE_SECONDS = 2.5e-6                  # of a small kernel in a CUDA graph that waits for the previous one
GPU_FLOPS = {"exact": 3e13, "tf32": 1e14, "bfloat16": 2e14, "float16": 2e14}
GPU_FLOPS_64, GPU_BYTES = 1e12, 2e12         # in float64, and bytes moved per second
PASSES = 9                                   # over z, a and delta, by the kernels of a step that are not products
# NVRTC takes about 3 seconds to compile a program of many steps, once: CuPy caches it on disk. A fit of 30 epochs, the default,
# repays them if an epoch saves this much. That is predicted from sizes only, so that every run makes the same choice.
MIN_EPOCH_SECONDS_SAVED = 0.1


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


def choose(network, batch, steps, chain):
    """The DeviceChoice of a network on a GPU that trains on host arrays. steps: mini-batches of `batch` rows per epoch."""
    from ..devices.cpu import cxx  # it loads the compiler's tools
    sizes, state = tuple(network.sizes), len(chain.state)
    cpu = seconds_on_cpu(sizes, batch, steps, state, network.dtype.itemsize, cxx.why_not() is None)
    gpu = (seconds_on_gpu(sizes, batch, state, network.dtype.itemsize, network.precision)
           if why_not_inside(network, chain, batch, steps) else network.ops.inside.seconds(form_of(network, chain, batch)))
    name, verb = ("cpu", "more") if cpu <= gpu else (network.ops.name, "less")
    return DeviceChoice(name, f"a step is predicted to take {cpu * 1e6:.3g} us on the CPU, and {gpu * 1e6:.3g} us, {verb}, on "
                              f"{network.ops.name}")


def form_of(network, chain, rows):
    """The Form of a network's training in mini-batches of `rows` rows."""
    activations = tuple(gate.activation for gate in network.gates.values())
    return Form(tuple(network.sizes), rows, activations, network.cost_function, chain, tuple(network.parameters.starts),
                tuple(map(network.dropout_rates.get, range(network.depth))), network.dtype.name)


def why_not_inside(network, chain, rows, steps):
    """None if fit launches many of the `steps` mini-batches of an epoch together, see devices/cuda/inside.py; else the reason."""
    inside, form = network.ops.with_precision(network.precision).inside, form_of(network, chain, rows)
    if inside is None:
        return f"{network.ops.name} computes step by step"
    graphs = steps * seconds_on_gpu(network.sizes, rows, len(chain.state), network.dtype.itemsize, network.precision)
    if graphs < MIN_EPOCH_SECONDS_SAVED:
        return f"an epoch is predicted to take {graphs:.2g} s, too little to compile a program of many steps"
    if reason := inside.why_not(form):
        return reason
    saved = graphs - steps * inside.seconds(form)
    if saved < MIN_EPOCH_SECONDS_SAVED:
        return f"a program of many steps is predicted to save {saved:.2g} s per epoch, too little to compile it"
    return None


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
