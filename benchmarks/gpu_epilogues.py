"""cuBLASLt's epilogues against cuBLAS with our kernels: times, differences of the results, and relu' at exactly 0.

gpubp would use an epilogue that is faster, agrees with our kernels, and follows their convention relu'(0) = 0.
"""

from functools import partial
from math import ceil

import numpy as np

from benchmarks import cublaslt
from benchmarks.cublaslt import MASK_LINE, Lt
from benchmarks.guard import failure
from benchmarks.timing import alternating
from gpubp.gates import BiasActivation, linear
from gpubp.maths.activations import ACTIVATIONS

MASKED = {"RELU_AUX_BIAS": "forward", "DRELU_BGRAD": "backward"}
FACTORS = {   # out := first second, row-major
    "forward": lambda a, w, delta: (a, w.T), "backward": lambda a, w, delta: (delta, w),
    "weights": lambda a, w, delta: (delta.T, a)}
OPERATIONS = 2e11   # of a captured program, enough to make its launch negligible
WRONG = 0.1         # relative error; emulated, bfloat16's is below 0.03, a missing bias's about 0.2, a wrong layout's about 1


class Layer:
    """The arrays of a hidden ReLU layer, our calls, and the epilogues that could replace them, which are bound on request.

    ours, bare (only the products) and results ([out, sums]) have the names of FACTORS as keys. offered is {name: {epilogue:
    bind}}; bind(dtype) returns (call, vector, algorithm), where the vector, a bias or sums, has that dtype.
    """

    def __init__(self, ops, lt, batch, width):
        T, S, rows = np.dtype(np.float32), ops.storage_dtype(np.float32), (batch, width)
        self.ops, self.operations, activate = ops, 2 * batch * width**2, BiasActivation(ACTIVATIONS.find("relu"))
        draw = partial(drawn, ops, np.random.default_rng(1))
        self.a, self.delta, self.w = draw(rows, S), draw(rows, S), draw((width, width), S, width**-0.5)
        self.b = draw(width, T, 0.25)   # our bfloat16 rounds z before adding the bias, which changes the sign of some z near 0
        z, a, da = (ops.zeros(rows, S) for _ in range(3))
        sums, dw = ops.zeros(width, T), ops.zeros(self.w.shape, T)
        self.mask = ops.zeros((batch, ceil(width / MASK_LINE) * MASK_LINE // 8), np.uint8)
        forward = linear.forward(ops, self.a, self.w, z)
        backward, weights = linear.backward(ops, self.delta, self.a, self.w, dw, da)
        self.bare = {"forward": forward, "backward": [backward], "weights": [weights]}
        self.ours = {"forward": forward + activate.forward(ops, z, self.b, a),
                     "backward": [backward, *activate.backward(ops, da, z, a, sums)],
                     "weights": [weights, ops._bound(*ops._column_sums(self.delta, sums))]}
        self.results = {"forward": [a], "backward": [da, sums], "weights": [dw, sums]}
        self.out = {name: ops.zeros(results[0].shape, results[0].dtype) for name, results in self.results.items()}

        def bind(name, epilogue, mask, dtype):
            vector = ops.zeros(width, dtype)
            ops.cast(self.b, vector)()
            first, second = FACTORS[name](self.a, self.w, self.delta)
            call, algorithm = lt.product(first, second, self.out[name], epilogue, vector, mask)
            return call, vector, algorithm

        self.offered = {"forward": {"RELU_BIAS": partial(bind, "forward", "RELU_BIAS", None),
                                    "RELU_AUX_BIAS": partial(bind, "forward", "RELU_AUX_BIAS", self.mask)},
                        "backward": {"DRELU_BGRAD": partial(bind, "backward", "DRELU_BGRAD", self.mask)},
                        "weights": {"BGRADB": partial(bind, "weights", "BGRADB", None)}}

    def run(self, *calls):
        with self.ops.device:
            for call in calls:
                call()


def epilogues(ops, **options):
    """Yield the figures of figures(ops, ...), or why cuBLASLt could not be used."""
    reason = None if ops.name.startswith("cuda") else f"{ops.name} has no cuBLASLt"
    try:
        cublaslt.load()
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        reason = reason or f"{type(error).__name__}: {error}"
    if reason:
        yield "cuBLASLt", {"left out": reason}
    else:
        yield from figures(ops, **options)


def figures(ops, batch=16384, widths=(512, 1024, 4096), dtypes=("float32", "bfloat16"), rounds=5, length=0.02):
    """Yield (dtype and width, {product: figures}); the dtype names a precision, float32 the exact one."""
    for dtype in dtypes:
        at = ops.with_precision("exact" if dtype == "float32" else dtype)
        for width in widths:
            try:
                with Lt(at) as lt:
                    found = compared(Layer(at, lt, batch, width), rounds, length)
            except Exception as error:
                found = failure(error)
            yield f"{dtype} {width}", found


def compared(layer, rounds, length):
    """{product: {contender: figures}}, and the behaviour at exact zero; an epilogue with wrong results has no times."""
    found = {}
    for name, offered in layer.offered.items():
        contenders, found[name] = {"the product alone": layer.bare[name], "our kernels": layer.ours[name]}, {}
        for epilogue, bind in offered.items():
            try:
                contenders[epilogue], found[name][epilogue] = checked(layer, name, bind)
            except Exception as error:
                found[name][epilogue] = failure(error)
        times = alternating({one: window(layer, calls, length) for one, calls in contenders.items()}, rounds)
        for one, seconds in times.items():
            ratio = times["our kernels"]["median"] / seconds["median"]
            found[name].setdefault(one, {}).update(seconds=seconds, times_faster=ratio)
    try:
        zero = found["at zero"] = at_zero(layer, found)
    except Exception as error:
        zero = found["at zero"] = failure(error)
    for name, offered in layer.offered.items():
        for epilogue in offered:
            of = found[name][epilogue]
            of["use"] = (of.get("times_faster", 0.0) > 1.0 and of["vector"] == "float32"   # like our biases and sums
                         and (epilogue not in MASKED or zero.get("holds", False)))
    return found


def checked(layer, name, bind):
    """([call], figures) of an epilogue whose results agree with ours, with a vector of float32, else of its result's dtype."""
    refused = {}
    for dtype in dict.fromkeys(("float32", layer.out[name].dtype.name)):
        try:
            call, vector, algorithm = bind(dtype)
            layer.run(*layer.ours["forward"], *layer.ours[name], call)   # restores z with its bias after earlier timing
            errors = [relative_error(layer.ops, theirs, ours)
                      for theirs, ours in zip((layer.out[name], vector), layer.results[name])]
            if not all(error < WRONG for error in errors):
                raise ValueError(f"expected relative errors below {WRONG} of our kernels, got {errors}: the results are wrong")
        except (RuntimeError, ValueError) as error:
            refused[dtype] = str(error)
        else:
            return [call], {"relative_error": errors[0], **dict(zip(["relative_error_of_sums"], errors[1:])), "vector": dtype,
                            "refused": refused, "workspace_bytes": algorithm.workspaceSize}
    raise RuntimeError(f"expected an epilogue that agrees with our kernels, got for each dtype of its vector: {refused}")


def at_zero(layer, found):
    """Whether the derivative is 0 in a row of z that is exactly 0, because its inputs and the bias are 0; changes a and b."""
    ops = layer.ops
    with ops.device:
        layer.a[:1] = 0
        layer.b.fill(0)
    bound = [layer.offered[name][epilogue](found[name][epilogue]["vector"])[0] for epilogue, name in MASKED.items()]
    layer.run(*layer.ours["forward"], *layer.ours["backward"], *bound)
    theirs, ours = (not ops.to_numpy(widened(ops, array[:1])).any() for array in
                    (layer.out["backward"], layer.results["backward"][0]))
    return {"holds": theirs, "holds_in_our_kernels": ours,
            "bits_set_in_the_mask": int(np.unpackbits(ops.to_numpy(layer.mask[:1])).sum())}


def drawn(ops, random, shape, dtype, scale=1.0):
    """Random numbers whose rows all differ, so that a wrong layout is noticed."""
    out = ops.zeros(shape, dtype)
    ops.cast(ops.asarray(np.float32(scale) * random.standard_normal(shape, dtype=np.float32)), out)()
    return out


def relative_error(ops, theirs, ours):
    theirs, ours = widened(ops, theirs), widened(ops, ours)
    with ops.device:
        difference = theirs - ours
    return ops.norm(difference) / ops.norm(ours)


def widened(ops, array):
    """The array as float32."""
    out = ops.zeros(array.shape, np.float32)
    ops.cast(array, out)()
    return out


def window(layer, calls, length):
    """A function that returns the seconds of the calls by the device's clock, over a window of about `length` seconds."""
    ops, repeats = layer.ops, max(1, min(32, round(OPERATIONS / layer.operations)))
    program, cuda, stream = ops.program(calls * repeats), ops.xp.cuda, ops.device.stream
    with ops.device:
        first, last = cuda.Event(), cuda.Event()

    def seconds(count):
        with ops.device:
            stream.record(first)
            for _ in range(count):
                program()
            stream.record(last)
            last.synchronize()
            return cuda.get_elapsed_time(first, last) / 1e3 / count

    for _ in range(2):   # the second run captures the graph
        seconds(1)
    count = max(1, min(ceil(length / max(seconds(1), 1e-6)), 1000))
    return lambda: seconds(count) / repeats
