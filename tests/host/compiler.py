"""HostCompiler: the kernels built by g++ and run on the host, for CudaOps on a machine without a GPU.

It is stricter than CuPy: an argument of another kind or size than the kernel declares is refused, as are a bad grid and arrays
that overlap although a parameter is declared __restrict__.
"""

import ctypes
import fcntl
import os
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks import kernel_programs
from gpubp.devices import kernel_source
from gpubp.devices.private_folder import private_folder

from ..cases import few
from .arrays import HostArray, work
from .programs import join, parameters
from .stream import launch

HEADER = Path(__file__).with_name("emulator.h")
COMMAND = ("g++", "-std=c++17", "-Og", "-ffp-contract=off", "-fno-math-errno", "-U_FORTIFY_SOURCE",
           "-fsanitize=alignment", "-w", "-fPIC")
CACHE = Path(tempfile.gettempdir()) / f"gpubp-host-{getattr(os, 'getuid', int)()}"
GROUP = 48   # programs per call of g++
MOST_ON_Y = 65535
SHARED_MEMORY = 227 << 10   # bytes of a block, at most
SEED = 1
# (dtype of the arithmetic, storage dtype if it differs) for which kernels are compiled
KINDS = *((dtype, None) for dtype in kernel_source.C_TYPES), *(("float32", storage) for storage in kernel_source.STORAGE)


class HostCompiler:
    """Compiles programs in groups, and caches them in a temporary folder for the next run."""

    def __init__(self):
        self._programs = {}   # text: (library, number)
        self._most = [2**32 - 1]

    def kernel(self, text, name):
        """The kernel of that name; call it as kernel(grid, block, arguments)."""
        if text not in self._programs:
            self._build(_groups().get(text, (text,)))
        library, number = self._programs[text]
        cluster = re.search(r"#define CLUSTER (\d+)", text)
        return HostKernel(library, name, number, self._most, parameters(text, name), int(cluster[1]) if cluster else 1)

    def seed(self, seed):
        """Restart the random order of warps in all programs."""
        for library, _ in self._programs.values():
            library.seed_schedule(seed)

    @contextmanager
    def last_blocks(self, most):
        """A context that runs only the last `most` blocks of each grid dimension, to test the end of a huge matrix."""
        self._most[0], before = most, self._most[0]
        yield
        self._most[0] = before

    def build_tables(self):
        """Compile all programs of the tables, with one call of g++ per core."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(self._build, dict.fromkeys(_groups().values())))

    def _build(self, texts):
        library = ctypes.PyDLL(str(_library(texts)))   # PyDLL holds the GIL: the emulator runs one kernel at a time
        library.seed_schedule(SEED)
        self._programs.update((text, (library, number)) for number, text in enumerate(texts))


class HostKernel:
    """One kernel of a library. cluster: the blocks of a cluster."""

    max_dynamic_shared_size_bytes = 48 << 10   # as in CUDA, unless it is set

    def __init__(self, library, name, number, most, declared, cluster=1):
        self.cluster = cluster
        self.name, self._most, self._launch, self._fault = name, most, library[f"launch_{name}_{number}"], library.fault
        self._launch.restype, self._fault.restype = ctypes.c_bool, ctypes.c_char_p
        pairs = combinations(enumerate(declared), 2)
        self._restricted = [(i, j) for (i, a), (j, b) in pairs if (a.restricted or b.restricted) and (a.written or b.written)]
        self._names = [one.name for one in declared]
        signature = library[f"signature_{name}_{number}"]
        signature.restype = ctypes.c_char_p
        self.signature = signature().decode().split()

    def __call__(self, grid, block, arguments, shared_mem=0):
        given = [_code(a) for a in arguments]
        if given != self.signature:
            raise TypeError(f"kernel {self.name} takes {self.signature}, got {given}: see kernel_source.arguments")
        shape = (*grid, 1, 1)[:3] + (*block, 1, 1)[:3]
        threads = shape[3] * shape[4] * shape[5]
        if (min(shape) < 1 or shape[1] > MOST_ON_Y or threads > 1024 or shape[0] % self.cluster
                or (self.cluster > 1 and threads % 32) or not shared_mem <= self.max_dynamic_shared_size_bytes <= SHARED_MEMORY):
            raise ValueError(f"kernel {self.name} cannot be launched with grid {grid}, block {block} and {shared_mem} bytes")
        for i, j in self._restricted:
            pair = arguments[i], arguments[j]
            if all(isinstance(a, HostArray) for a in pair) and np.may_share_memory(*(a.values for a in pair)):
                raise ValueError(f"kernel {self.name}: {self._names[i]} and {self._names[j]} overlap, one of them is written and "
                                 "one is declared __restrict__")
        values = [np.array(a.values.ctypes.data if isinstance(a, HostArray) else a) for a in arguments]   # as they are now
        launch(work(f"kernel {self.name}", partial(self._run, (ctypes.c_uint * 8)(*shape, self.cluster, shared_mem), values),
                    [a for a in arguments if isinstance(a, HostArray)]))

    def _run(self, shape, values):
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        if not self._launch(shape, pointers, ctypes.c_uint(self._most[0])):
            fault = self._fault().decode() or "some threads wait at a barrier that the others never reach"
            raise RuntimeError(f"kernel {self.name}: {fault}")


def _code(argument):
    """An argument's kind and size, encoded as in emulator::code; a Python number has neither."""
    if isinstance(argument, (HostArray, np.generic)):
        return "*" * isinstance(argument, HostArray) + argument.dtype.kind + str(argument.dtype.itemsize)
    return type(argument).__name__


@cache
def _groups():
    """{text of a program: the group of programs that it is compiled with}."""
    groups = {}
    for kind in KINDS:
        texts = list(dict.fromkeys(text for _, text in kernel_programs.sources(*kind, few=few("host", kind[0]))))
        for start in range(0, len(texts), GROUP):
            group = tuple(texts[start:start + GROUP])
            groups.update(dict.fromkeys(group, group))
    return groups


def _library(texts):
    """The path of the library with these programs, compiled unless it is cached."""
    program = f'#include "{HEADER.name}"\n' + join(texts, "LAUNCHER({0})")
    key = sha256(repr((program, HEADER.read_text(), COMMAND, kernel_source.folder())).encode()).hexdigest()
    folders = [f"-I{folder}" for folder in (_header().parent, HEADER.parent, kernel_source.folder())]
    return _built(f"{key}.so", program, "-x", "c++", "-", "-shared", *folders)


@cache
def _header():
    """The precompiled HEADER, which would otherwise take most of the compile time of a small program."""
    key = sha256(repr((HEADER.read_text(), COMMAND)).encode()).hexdigest()
    return _built(f"{key}/{HEADER.name}.gch", None, "-x", "c++-header", HEADER)


def _built(name, program, *options):
    """The path of g++'s output for a program, built unless it exists."""
    path = CACHE / name
    private_folder(path.parent)   # raises OSError if another user could have planted a library
    with open(path.with_suffix(".lock"), "w") as lock:   # one process builds it, the others wait
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:   # renamed at the end, so that an existing file is complete
                built = Path(folder) / path.name
                done = subprocess.run([*COMMAND, *options, "-o", built], input=program, text=True, capture_output=True)
                if done.returncode:
                    raise RuntimeError(f"g++ refuses a program: {done.stderr[:4000]}")
                built.replace(path)
    return path
