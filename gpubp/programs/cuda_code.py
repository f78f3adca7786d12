"""A program on CuPy's arrays: its groups as CUDA kernels, its products by cuBLAS, what is left by CuPy.

The steps between two calls of CuPy are captured as one CUDA graph. Its kernels find the arrays of a call by lists of addresses in
device memory, which one launch before it updates; so a call is two launches, whatever its arrays are.
"""

import operator
from dataclasses import replace
from functools import partial
from math import ceil

import numpy as np

from ..devices.cuda.cublas import first_line
from ..devices.cuda.graph import GraphProgram
from ..devices.cuda.launch import THREADS, grid
from ..devices.cuda.probe import cuda_ops, why_no_cuda
from ..devices.kernel_source import source
from .cuda_loops import CudaGroup
from .indices import picked
from .lowering import VIEWS, Access, Product
from .native_code import NativeCode
from .numpy_code import copied, number
from .program import UFUNCS, Instruction, Value, cast, is_array, replaced

OPTIONS = "-fmad=false",   # NumPy's bits
WORDS = 256                # addresses and numbers that a launch takes, as in kernels/group.cuh
PRODUCTS = np.matmul, np.dot


def compiler_is_ready():
    return True


def why_not(program):
    """None if a program can run as CUDA, or the reason against it; its kernels compile when they are first used."""
    if len(program.devices) > 1:
        return "its arrays are on several devices"
    values = [*program.inputs, *(x for one in program.instructions for x in one.made())]
    if not all(issubclass(x.kind, program.xp.ndarray | np.generic | float | int | complex) for x in values):
        return "it has values that are neither CuPy's arrays nor numbers"
    return why_no_cuda(*program.devices)


def prepared(program):
    """(the program for the device, the instructions that Python computes, {Value: constant array}).

    Python computes numbers of numbers; they and constant arrays become inputs. A product finds its arrays at the same place in
    each call, and an output is at another one: inputs that products read are copied, and so are outputs that a product or a view
    makes, that a product reads, or that occur twice.
    """
    numbers = program.new_numbers()
    constants: dict = {}   # by identity: the Value of an array, the array in C's order, and the array itself, so that it lives

    def lifted(array):
        if id(array) not in constants:
            value = Value(next(numbers), array.shape, array.dtype, program.xp.ndarray)
            constants[id(array)] = value, program.xp.asarray(array, order="C"), array
        return constants[id(array)][0]

    def index(part):
        array = np.asarray(part)
        return lifted(array) if array.shape and array.dtype.kind == "i" else part

    def copy(x):
        made = Value(next(numbers), x.shape, x.dtype, x.kind)
        return Instruction(cast, (x, x.dtype), {}, made, name="cast"), made

    host = {x for x in program.inputs if not is_array(x)}
    by_host: list = []
    steps: list = []
    for one in program.instructions:
        one = replace(one, **{name: replaced(getattr(one, name), lifted, program.xp.ndarray) for name in ("inputs", "options")})
        if one.function in (operator.getitem, np.take):   # whose indices may be NumPy's, or lists
            one = replace(one, inputs=replaced(replaced(one.inputs, index, list), index, np.ndarray))
        on_host = host.issuperset(one.values()) and not any(map(is_array, one.made()))
        (by_host if on_host else steps).append(one)
        host.update(one.made() if on_host else ())
    read = {x for one in steps for x in one.values()}
    multiplied: set = set()   # what products read, also by views of it
    for one in reversed(steps):
        if _is_product(one) or (_is_view(one) and not multiplied.isdisjoint(one.made())):
            multiplied.update(one.values())
    copies = {x: copy(x) for x in program.inputs if x in multiplied}
    same = {x: made for x, (_, made) in copies.items()}
    multiplied.update(same.values())
    swap = partial(replaced, of_value=lambda x: same.get(x, x))
    steps = [*(one for one, _ in copies.values()),
             *(replace(one, inputs=swap(one.inputs), options=swap(one.options)) for one in steps)]
    ends = [x for x in (*program.outputs, *program.guards) if type(x) is Value]
    own = {x for one in steps if not _is_product(one) and not _is_view(one) for x in one.made()} - multiplied
    outputs = []
    for x in swap(replaced(program.outputs, lifted, program.xp.ndarray)):
        if type(x) is Value and is_array(x) and x not in own:
            one, x = copy(x)
            steps.append(one)
        own.discard(x)
        outputs.append(x)
    arrays = {x: array for x, array, _ in constants.values()}
    inputs = [*program.inputs, *(x for one in by_host for x in one.made() if x in read or x in ends), *arrays]
    return replace(program, inputs=inputs, outputs=outputs, instructions=steps), by_host, arrays


def _is_product(one):
    return UFUNCS.get(one.function, one.function) in PRODUCTS and type(one.results) is Value and (
        one.results.dtype.kind == "f" and [len(x.shape) for x in one.inputs] == [2, 2])


def _is_view(one):
    return one.function in VIEWS or (one.function is operator.getitem and picked(one) is None)


class CudaCode(NativeCode):
    """The code of a program on one GPU. Each instance has a block of device memory, and belongs to one thread's stream."""

    calls = "calls of CuPy"

    def __init__(self, program):
        self.ops, self.given = cuda_ops(*program.devices), program.inputs
        program, by_host, self.constants = prepared(program)
        self.by_host = by_host
        self.of_host = {x for x in self.given if not is_array(x)}.union(*(one.made() for one in by_host))   # Python's numbers
        super().__init__(program)

    def _lane(self):
        return self.ops.lane

    def _arguments(self):
        return self.given

    def _group_text(self, group):
        return CudaGroup(group, self.lowered, self.stored, self.functions, self.ops.processors)

    def _address(self, access):
        """(the Value in whose memory it is, or "memory", the offset)."""
        root, offset = (access.root, access.offset) if isinstance(access, Access) else (access, 0)
        return ("memory", offset + self.places[root]) if root in self.places else (root, offset)

    def _beginning(self):
        arrays, (device,) = list(filter(is_array, self.given)), self.program.devices
        names = "".join(f"v{x.number}, " for x in arrays)
        lines = [f"if v{x.number}.shape != {x.shape} or v{x.number}.dtype != {self._named(x.dtype, 'dtype')} or "
                 f"v{x.number}.device.id != {device}: return None" for x in arrays]
        return [*lines, f"{names} = map(in_c_order, ({names}))"] if arrays else lines

    def _write(self):
        for one in self.by_host:
            self._write_one(one)
        read = {access.root for text in self.texts.values() for access in text.reads}   # Python's ints may be larger than C's
        self.words = [x for x in (*self.program.inputs, *self.fresh) if x not in self.constants and (is_array(x) or x in read)]
        words = [self._spelled(x) + ".data.ptr" * is_array(x) for x in self.words]
        most = 1 << 31 if self.lowered.narrow() else 1 << 63
        for x in self.words:
            if x.kind in (int, float) and x not in self.given:   # 2 ** -1 is no int
                self.lines.append(f"if type(v{x.number}) is not {self._named(x.kind, x.kind.__name__)}: return None")
            if x.kind is int:
                self.lines.append(f"if not {-most} <= v{x.number} < {most}: return None")
        if self.fresh:
            self.lines += ["with caller():", *(f"    {line}" for line in self._results())]   # as Session.empty, once for all
        self.lines.append(f"bind({', '.join(words)})")
        super()._write()

    def _spelled(self, x):
        if type(x) is Value and x in self.of_host:
            return f"v{x.number}"
        text = super()._spelled(x)
        return text.replace("[()]", ".get()[()]") if type(x) is Value else text   # a number of NumPy's

    def _multiplied(self, step):
        self.products.append(step)
        return [step]

    def _libraries(self):
        """The text of the kernels."""
        self.cpp = source("group.cuh", "float64") + "".join(
            text.replace("#", name) for text, name in self.functions.items())

    def ready(self):
        return True

    def why_not(self):
        try:
            self.idle[self._lane()] = [self.instance()]
        except (self.xp.cuda.compiler.CompileException, self.xp.cuda.driver.CUDADriverError) as error:
            return f"its kernels cannot be compiled and loaded ({first_line(error)})"
        return None

    def instance(self):
        with self.ops.device as session:
            run = self._function(session)

        def program(*given, **options):
            with session:
                return run(*given, **options)
        return program

    def _function(self, session):
        """The function of a call, within the session."""
        xp = self.xp
        memory = xp.empty(self.size, np.uint8)
        held = {"memory": memory, **self.constants}
        kernel = partial(self.ops.compiler.kernel, self.cpp, options=OPTIONS)

        def placed(access):
            key, offset = self._address(access)
            return xp.ndarray(access.shape, access.dtype, held[key].data + offset, access.strides)

        places, starts = [], {}   # type: ignore[var-annotated]
        runs = [[part for step in run for part in step] for run in self.segments]
        for launch in (part for run in runs for part in run if not isinstance(part, Product)):
            starts[id(launch)] = len(places)
            places += launch[3]
        lists, bound = xp.empty(len(places), np.uint64), {x: i for i, x in enumerate(self.words)}
        lists.set(np.array([held[key].data.ptr + offset if key in held else 0 for key, offset in places], np.uint64))
        moves = [(lists.data.ptr + 8 * i, bound[key], offset) for i, (key, offset) in enumerate(places) if key not in held]
        moves += [(memory.data.ptr + self.places[x], bound[x], 0) for x in self.numbers if x in bound]
        names = {**self.names, "copied": copied, "number": number, "copyto": xp.copyto, "ndarray": _viewed,
                 "empty": xp.empty, "caller": session.caller, "in_c_order": partial(xp.asarray, order="C"),
                 "bind": self._binder(kernel("bind"), moves), "held": memory}   # of which kernels know only the address
        names.update((f"v{x.number}", array) for x, array in self.constants.items())
        names.update((f"m{x.number}", placed(access)) for x, access in self.views.items())
        for i, run in enumerate(runs):
            names[f"run_{i}"] = GraphProgram(session, [
                self.ops.products.gemm(placed(part.a), placed(part.b), placed(part.out)) if isinstance(part, Product) else
                partial(kernel(part[0]), *part[1:3], (lists[starts[id(part)]:],)) for part in run])
        exec(self.code, names)   # the text that this class has written
        return names["program"]

    def _binder(self, kernel, moves):
        """A function of the addresses and numbers of a call that makes the moves: (address of the target, number of the word,
        what is added to it)."""
        parts = max(1, ceil(len(self.words) / WORDS))
        words = np.zeros((parts, WORDS), np.uint64)
        flat, launches = words.reshape(-1), []
        views = [(flat.view(np.uint64 if is_array(x) else x.dtype), i * 8 // (8 if is_array(x) else x.dtype.itemsize))
                 for i, x in enumerate(self.words)]
        for part, own in enumerate(words):
            chosen = [(to, word % WORDS, add) for to, word, add in moves if word // WORDS == part]
            if chosen:
                given = own.view([("at", np.uint64, (WORDS,))]).reshape(())   # passed by value
                columns = map(self.xp.asarray, np.array(chosen, np.uint64).T.copy())
                launches.append(partial(kernel, grid(len(chosen)), (THREADS,), (given, *columns, np.int32(len(chosen)))))

        def bind(*values):
            for (view, place), value in zip(views, values):
                view[place] = value
            for launch in launches:
                launch()
        return bind


def _viewed(shape, dtype, array, offset, strides):
    return type(array)(shape, dtype, array.data + offset, strides)
