"""Compiled functions on device arrays beside the functions themselves, and beside jax.jit: three workloads, in float32."""

import time
from functools import partial

import numpy as np

import gpubp
from benchmarks.circuits_workloads import BIG, ELEMENTS, SINGLE, WORKLOADS
from benchmarks.gpu_peers import LeftOutError
from benchmarks.guard import failure
from benchmarks.timing import alternating, wait, window
from gpubp.circuits.pytree import leaves, mapped
from gpubp.devices import open_device

NAMES = BIG, SINGLE, ELEMENTS
CALLS = 20   # that the host enqueues before it waits


def compiled(ops, names=NAMES, rounds=3, length=0.1):
    """Yield (workload: the seconds of a call as it is and compiled, of its first calls, and how far their results differ)."""
    for name in names:
        call, args = work(name, gpubp.value_and_grad, np, ops.asarray)
        program = gpubp.compile(call)
        started = time.perf_counter()
        for _ in range(4):   # recorded; compiled and compared; captured and compared; launched
            found = program(*args)
        wait(ops)
        first = time.perf_counter() - started
        pairs = [[np.asarray(ops.to_numpy(x)) if hasattr(x, "get") else np.asarray(x) for x in leaves(tree)]
                 for tree in (found, call(*args))]
        error = max(float(np.max(np.abs(x - y)) / np.max(np.abs(y))) for x, y in zip(*pairs, strict=True))
        stream = ops.xp.cuda.get_current_stream() if ops.name.startswith("cuda") else None   # the user's
        done = lambda found, stream=stream: stream and stream.synchronize()
        times = alternating({"function": per_call(partial(call, *args), done, length),
                             "compiled": per_call(partial(program, *args), done, length)}, rounds)
        yield name, {**times, "first_calls": first, "relative_error": error, "total": float(np.sum(pairs[0][0]))}


def by_jax(device, names=NAMES, rounds=3, length=0.1):
    """Yield (workload: the seconds of a call of jax.jit)."""
    for name in names:
        try:
            found = _by_jax(name, "gpu" if device.startswith("cuda") else "cpu", rounds, length)
        except (ModuleNotFoundError, LeftOutError) as error:
            found = {"left out": str(error)}
        except Exception as error:
            found = failure(error)
        yield name, found


def _by_jax(name, kind, rounds, length):
    import jax

    if jax.default_backend() != kind:
        raise LeftOutError(f"JAX computes on {jax.default_backend()!r} here, not on {kind!r}")
    call, args = work(name, jax.value_and_grad, jax.numpy, jax.numpy.asarray)
    run = partial(jax.jit(call), *args)
    with jax.default_matmul_precision("highest"):   # JAX's default on a GPU is TF32
        total = float(np.sum(np.asarray(leaves(run())[0])))
        return {**alternating({"JAX jit": per_call(run, jax.block_until_ready, length)}, rounds), "total": total}


def per_call(call, done, length):
    """A function that returns the seconds of a call; done(result) waits for the device."""
    def calls():
        for _ in range(CALLS):
            found = call()
        done(found)
    measure = window(open_device("cpu:numpy"), calls, length)
    return lambda: measure() / CALLS


def work(name, slope, xp, asarray):
    """(the function that is measured, its arguments) of a workload."""
    at, data = WORKLOADS[name].material()
    f = partial(WORKLOADS[name].function, xp)
    return f if WORKLOADS[name].forward else slope(f), mapped(lambda x: asarray(np.asarray(x, np.float32)), (at, *data))
