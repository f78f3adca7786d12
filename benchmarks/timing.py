"""Comparable times: contenders take turns within one run, and medians are given with the lowest and the highest window.

Wall-clock time, read before the first call and after the device has finished the last.
"""

import statistics
import time
from math import ceil, gcd

import numpy as np


def wait(ops):
    """Wait until the device has finished its work."""
    stream = getattr(ops.device, "stream", None)
    if stream is not None:
        stream.synchronize()


def seconds(ops, call, count=1):
    """Seconds of one call, over `count` of them."""
    with ops.device:
        wait(ops)
        started = time.perf_counter()
        for _ in range(count):
            call()
        wait(ops)
        return (time.perf_counter() - started) / count


def window(ops, call, length=0.02):
    """A function that returns the seconds of one call, over a window of about `length` seconds, after warming up."""
    for _ in range(2):   # the second run of a program captures its graph
        seconds(ops, call)
    count = max(1, min(ceil(length / max(seconds(ops, call), 1e-7)), 10_000))
    return lambda: seconds(ops, call, count)


def alternating(contenders, rounds):
    """{name: figures} of functions that return seconds; each is called once a round."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            found[name].append(measure())
    return {name: {"median": statistics.median(times), "lowest": min(times), "highest": max(times)}
            for name, times in found.items()}


def filled(ops, shape, dtype, scale=1.0):
    """An array that repeats one block of random numbers; zeros would make some products faster."""
    out = ops.zeros(shape, dtype)
    block = gcd(out.size, 1 << 16)
    drawn = ops.asarray(scale * np.random.default_rng(1).standard_normal(block, dtype=np.float32))
    rounded = ops.zeros(block, dtype)
    ops.cast(drawn, rounded)()
    with ops.device:
        out.reshape(-1, block)[...] = rounded
    return out
