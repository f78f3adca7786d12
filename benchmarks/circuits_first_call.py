"""First calls of compiled gradients, each in a fresh process, for benchmarks/circuits.py.

    python -m benchmarks.circuits_first_call CANDIDATE FUNCTION    runs as such a process: its seconds and its error, as JSON

A first call records, or traces, and computes; jax.jit compiles within it. Imports come before. The caches of compiled programs
are empty, or have been filled by a process before. The functions: 200 operations on a number; and a physics-informed loss, the
mean square of the residual of Poisson's equation at fixed points in a square, and of the values on its edge, for a network
2-16-16-1 with tanh. Its gradient by the parameters is compared with a complex-step derivative along one direction.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from tempfile import TemporaryDirectory

import numpy as np

import gpubp
from benchmarks import report
from benchmarks.circuits_workloads import COMPILED, JIT, STEP, chain, chain_by_hand, warmed
from benchmarks.gpu_peers import LeftOutError
from benchmarks.guard import ROOT
from gpubp.circuits.pytree import leaves

SIZES, POINTS = (2, 16, 16, 1), 64
TOLERANCE = 1e-10
PATIENCE = 300   # seconds


def source(xp, x):
    """The right side of Poisson's equation whose solution is sin(pi x) sin(pi y), with its sign changed."""
    return 2.0 * np.pi**2 * xp.sin(np.pi * x[:, 0]) * xp.sin(np.pi * x[:, 1])


def loss(xp, laplacian, at_edge, x):
    return xp.mean(xp.square(laplacian + source(xp, x))) + xp.mean(xp.square(at_edge))


def material():
    """[(weights, biases) of each layer], points within the square and on its edge, and a direction for the check."""
    random = np.random.default_rng(1)
    layers, direction = ([(random.standard_normal((k, j)) / k**0.5, random.standard_normal(j)) for k, j in pairwise(SIZES)]
                         for _ in range(2))
    x, edge = random.random((2, POINTS, 2))
    edge[np.arange(POINTS), np.arange(POINTS) % 2] = np.arange(POINTS) // 2 % 2
    return layers, x, edge, direction


def loss_by_hand(layers, x, edge):
    """The loss; a and its first and second derivatives along both axes pass forward through the layers."""
    def outputs(a, ways):
        for l, (w, b) in enumerate(layers):
            a, ways = a @ w + b, [(first @ w, second @ w) for first, second in ways]
            if l < len(layers) - 1:
                a = np.tanh(a)
                slope = 1.0 - a * a
                ways = [(slope * first, slope * second - 2.0 * a * slope * first**2) for first, second in ways]
        return a[:, 0], sum(second[:, 0] for _, second in ways)
    axes = [(np.tile(axis, (len(x), 1)), np.zeros_like(x)) for axis in np.eye(2)]
    return loss(np, outputs(x, axes)[1], outputs(edge, [])[0], x)


def physics_by_gpubp(layers, x, edge):
    """(gradient function, its argument, a function from the gradient to its parts in the order of the layers)."""
    net = gpubp.Network(list(SIZES), activation="tanh", output="identity", dtype="float64", device="cpu:numpy", seed=1)
    for l, (w, b) in enumerate(layers, 1):
        net.parameters.write(f"w{l}", w.T)
        net.parameters.write(f"b{l}", b)

    def cost(vector):
        total = lambda x: np.sum(net(x, vector))
        ways = [np.tile(axis, (len(x), 1)) for axis in np.eye(2)]
        laplacian = sum(np.sum(gpubp.hvp(total, (x,), (way,))[0] * way, axis=1) for way in ways)
        return loss(np, laplacian, net(edge, vector), x)

    def parts(gradient):
        views = net.parameters.views(gradient)
        return [(views[f"w{l}"].T, views[f"b{l}"]) for l in range(1, len(SIZES))]
    return gpubp.grad(cost), net.vector.copy(), parts


def physics_by_jax(layers, x, edge):
    import jax
    import jax.numpy as xp

    def output(layers, point):
        for w, b in layers[:-1]:
            point = xp.tanh(point @ w + b)
        return (point @ layers[-1][0] + layers[-1][1])[0]

    def cost(layers):
        laplacian = jax.vmap(lambda point: xp.trace(jax.hessian(output, 1)(layers, point)))(x)
        return loss(xp, laplacian, jax.vmap(partial(output, layers))(edge), x)
    return jax.grad(cost), layers, lambda gradient: gradient


def physics(name):
    """(gradient function, its argument, a function from the gradient to its error) of the physics-informed loss."""
    *data, direction = material()
    gradient, at, parts = (physics_by_jax if name == JIT else physics_by_gpubp)(*data)
    moved = [tuple(part + STEP * 1j * way for part, way in zip(*pair)) for pair in zip(data[0], direction)]
    right = loss_by_hand(moved, *data[1:]).imag / STEP
    return gradient, at, lambda found: abs(1.0 - sum(
        float(np.sum(np.asarray(part) * way)) for part, way in zip(leaves(parts(found)), leaves(direction))) / right)


def operations(name):
    """The same of 200 operations on a number."""
    if name == JIT:
        import jax
        import jax.numpy as xp
        gradient = jax.grad(partial(chain, xp))
    else:
        gradient = gpubp.grad(partial(chain, np))
    return gradient, 0.9, lambda found: abs(1.0 - float(found) / chain_by_hand(0.9))


FUNCTIONS = {"200 operations on a number": operations, "a physics-informed loss": physics}


def first_call(name, function):
    """{"seconds", "error"} of a first call in this process; returns when all programs are compiled."""
    gradient, at, error = FUNCTIONS[function](name)
    wait = lambda value: value
    if name == JIT:
        import jax
        compiled, wait = jax.jit(gradient), jax.block_until_ready
        wait(jax.numpy.ones(3) * 2.0)   # JAX starts before
    else:
        compiled = gpubp.compile(gradient)
    started = time.perf_counter()
    found = wait(compiled(at))
    seconds = time.perf_counter() - started
    warmed(compiled, at)
    return {"seconds": seconds, "error": max(error(found), error(compiled(at)))}


@dataclass(frozen=True)
class FirstCall:
    """The first call of a function; as a Workload of circuits_workloads, but with candidates of its own."""

    function: str
    cached: bool = False
    words = staticmethod(report.seconds)

    def names(self, quick=False):
        return [COMPILED] + [JIT] * (not quick)

    def prepare(self, name, length):
        """What a process serves: the error of the gradient, and the seconds of first calls, whatever the length of a window."""
        kept = TemporaryDirectory()
        error = self.run(name, kept.name)["error"]

        def measure():
            with TemporaryDirectory() as empty:
                return self.run(name, kept.name if self.cached else empty)["seconds"]
        return {"error": error, "agrees": error < TOLERANCE}, measure

    def run(self, name, folder):
        """What a fresh process says, with its caches in a folder."""
        caches = {"GPUBP_CACHE": folder}
        if self.cached:   # without these variables, JAX has no cache
            caches |= {"JAX_COMPILATION_CACHE_DIR": folder, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                       "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
        done = subprocess.run([sys.executable, "-m", "benchmarks.circuits_first_call", name, self.function], cwd=ROOT,
                              env={**os.environ, **caches}, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode:
            raise LeftOutError(done.stderr.strip().splitlines()[-1])
        return json.loads(done.stdout.splitlines()[-1])


WORKLOADS = {f"first call: {function}{', filled cache' * cached}": FirstCall(function, cached)
             for function in FUNCTIONS for cached in (False, True)}
GOALS = dict(zip(WORKLOADS, (1.0, 1.0, 3.0, 3.0)))   # seconds at most


if __name__ == "__main__":
    print(json.dumps(first_call(*sys.argv[1:])))
