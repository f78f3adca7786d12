"""A program as native code: its groups as C++, its products by the BLAS, what is left by NumPy."""

import operator
from contextlib import suppress
from ctypes import c_void_p
from dataclasses import replace
from functools import partial
from math import inf, prod
from typing import Any

import numpy as np

from ..devices.cpu import arguments, blas, cxx
from ..devices.cpu.compiled_ops import CompiledOps
from ..devices.cpu.team import TEAM
from ..devices.kernel_source import source
from .loops import GroupText
from .lowering import Access, Call, Constant, Group, Lowered, Product, placed
from .memory import ALIGNMENT, plan
from .numpy_code import NumpyCode, copied
from .program import UFUNCS, Value, is_array

# NumPy's bits, and its integers, which overflow; sincos has no vector version
OPTIONS = *cxx.OPTIONS, "-ffp-contract=off", "-fwrapv", "-fno-builtin-sin", "-fno-builtin-cos"
# of Python's ints: which functions int64 or int32 computes for so many of them that are so large, without an overflow
BOUNDED, MOST_INTS = {operator.add, operator.sub, operator.neg, operator.pos, operator.abs}, 8
LARGE, LARGE_INT32 = 1 << 53, 1 << 22
NUMBER_BYTES = 16     # of a number among the arguments
OUTSIDE = "compile: expected indices from {} to {}, got one outside: call the function itself to see where"
UNTHREADED = 1 << 17   # multiply-adds of a product, up to which the BLAS takes one thread by itself


def compiler_is_ready():
    """Whether the kernels that every program needs are there, or have failed to compile; their compilation has begun."""
    if blas.find() is None:
        return True
    try:
        kernels = [cxx.library(cxx.program_source(dtype)) for dtype in ("float32", "float64")]
    except cxx.ProgramError:
        return True
    return all(one.done() for one in kernels)


def why_not(program):
    """None if a program can become native code, or the reason against it in a few words."""
    values = [*program.inputs, *(x for one in program.instructions for x in one.made())]
    if any(x.dtype.hasobject for x in values) or not all(
            issubclass(x.kind, np.ndarray | np.generic | float | int | complex) for x in values):
        return "it has values that are not NumPy's numbers"
    ints = [one for one in program.instructions for x in one.made() if x.kind is int]
    if len(ints) > MOST_INTS or any(one.function not in BOUNDED for one in ints):
        return "it computes with Python's ints, which have no limits"
    if any(is_array(x) and arguments.format_of(x.dtype) is None for x in values):
        return "it has arrays of unusual dtypes"
    return cxx.why_not()


class NativeCode(NumpyCode):
    """The native code of a program; compilation has begun, and ready() says whether it has ended."""

    calls = "calls of NumPy"

    def __init__(self, program):
        self.lowered = Lowered(program)
        # whether an array can be written as a whole; CuPy's are aligned and writeable
        self.takes_results = operator.attrgetter("flags.c_contiguous" if program.devices else "flags.carray")
        self.slots: dict = {"team": 0}   # places in the table p of addresses
        self.functions: dict = {}        # {text of a group, or of a part of one: its name}
        self.views: dict = {}            # the Accesses of arrays that lie in the program's memory
        self.segments: list = []         # the statements of each function that Python calls
        self.products: list = []
        super().__init__(program)
        self._libraries()

    # ---- memory

    def _place(self):
        """Decide which values lie in memory, and where."""
        lowered, inputs = self.lowered, self.program.inputs
        limits = [x for pair in lowered.limits.values() for x in pair]
        kept = [lowered.accesses[x].root for x in (*self.program.outputs, *self.program.guards, *limits) if type(x) is Value]
        reads = [[one.root for one in lowered.reads(step)] for step in lowered.steps]
        self.stored = set(kept).union(*reads)
        self.texts = {step: self._group_text(step) for step in lowered.steps if isinstance(step, Group)}
        # values whose memory is a result
        self.fresh = [x for x in dict.fromkeys(x for x in self.program.outputs if type(x) is Value) if is_array(x)
                      and lowered.accesses[x].root is x and x not in inputs]
        elsewhere, steps = {*self.fresh, *inputs}, []
        for step, read in zip(lowered.steps, reads):
            sizes = [(x, prod(x.shape) * x.dtype.itemsize) for x in self._made(step) if x not in elsewhere]
            if isinstance(step, Group):
                sizes += [((step, name), nbytes) for name, nbytes in self.texts[step].memory.items() if nbytes]
            if isinstance(step, Group):   # parts of others, too
                read = [*read, *(lowered.accesses[x].root for x in self.texts[step].stored)]
            steps.append((sizes, [x for x in read if x not in elsewhere]))
        self.numbers = [x for x in inputs if not is_array(x)]
        self.places, self.size = plan(steps, [x for x in kept if x not in elsewhere])
        for x in self.numbers:
            self.places[x] = self.size
            self.size += NUMBER_BYTES

    def _group_text(self, group):
        return GroupText(group, self.lowered, self.stored, self.functions)

    def _made(self, step):
        """The Values that a step writes to memory."""
        if isinstance(step, Group):
            whole = (x for x in self.texts[step].stored if self.lowered.accesses[x].root is x)
            return [*whole, *(x for _, x, _ in self.texts[step].results)]
        return step.instruction.made()

    def donors(self, donated):
        """For each fresh value, the donated input in whose memory it may be written, or None.

        The input is not read after that, or only in the same loop, at the same places.
        """
        steps, free, found = self.lowered.steps, list(donated), []
        busy = {self.lowered.accesses[x].root for x in self.program.outputs if type(x) is Value and x not in self.fresh}
        for x in self.fresh:
            at = next(i for i, step in enumerate(steps) if x in self._made(step))
            own = replace(self.lowered.accesses[x], root=None)
            alike = isinstance(steps[at], Group) and x in self.texts[steps[at]].stored and self.texts[steps[at]].in_place

            def is_safe(given, at=at, own=own, alike=alike):
                reads = [(i, one) for i, step in enumerate(steps) for one in self.lowered.reads(step) if one.root is given]
                return all(i < at or (i == at and alike and replace(one, root=None) == own) for i, one in reads)
            donor = next((given for given in free if given not in busy and (given.shape, given.dtype) == (x.shape, x.dtype)
                          and is_safe(given)), None)
            found.append(donor)
            free = [given for given in free if given is not donor]
        return found if not self.program.guards else [None] * len(found)   # f would be called with them

    def into(self, outs, given):
        """For each fresh value, the array among outs in which it can be written directly, or None.

        None for all of them unless outs are one for each output, and like it.
        """
        xp, devices, outputs = self.xp, self.program.devices, self.program.outputs
        if len(outs) != len(outputs) or not all(
                type(own) is Value and isinstance(x, xp.ndarray) and (x.shape, x.dtype) == (own.shape, own.dtype) and (
                    self.takes_results(x)) and (not devices or x.device.id in devices) for x, own in zip(outs, outputs)):
            return None
        places = {x: i for i, x in reversed(list(enumerate(outputs)))}
        found, arrays = [outs[places[x]] for x in self.fresh], [x for x in given if isinstance(x, xp.ndarray)]
        return [None if any(xp.may_share_memory(x, other) for other in arrays) or sum(
            xp.may_share_memory(x, other) for other in outs) > 1 else x for x in found]

    def _address(self, access):
        """The address of an access, or of the memory for partial results, as C++."""
        if not isinstance(access, Access):
            return f"p[{self._slot('memory')}] + {self.places[access]}"
        root, offset = access.root, access.offset
        if root in self.places:
            offset += self.places[root]
            root = "memory"
        return f"p[{self._slot(root)}]" + f" + {offset}" * (offset != 0)

    def _slot(self, key):
        return self.slots.setdefault(key, len(self.slots))

    # ---- text

    def _write(self):
        """The lines of Python, and the statements of the functions that they call."""
        run: list = []
        self.unchecked: list = [((x,), "if {}: return True, []") for x in self.program.guards]   # the lines that check Values
        self.unchecked += [((low, high), f"if {{}} < {-n} or {{}} >= {n}: raise IndexError({OUTSIDE.format(-n, n - 1)!r})")
                           for low, high, n in dict.fromkeys(self.lowered.bounds)]
        for step in self.lowered.steps:
            if isinstance(step, Group):
                text = self.texts[step]
                name = self.functions.setdefault(text.text, f"group_{len(self.functions)}")
                run.append(text.call(name, [
                    self._address((step, one) if isinstance(one, str) else one) for one in text.accesses]))
            elif isinstance(step, Product):
                run.append(self._multiplied(step))
            else:
                self._end_segment(run, step.level)
                run = []
                self._called(step.instruction)
        self._end_segment(run, inf)

    def _end_segment(self, run, level):
        """The call of what is to be run, before a level, and the checks of guards: other numbers may be no inputs of a call."""
        if run:
            self.lines.append(f"run_{len(self.segments)}()")
            self.segments.append(run)
        known = [one for one in self.unchecked if max(self.lowered.ready[x] for x in one[0]) <= level]
        self.lines += [line.format(*map(self._spelled, values)) for values, line in known]
        self.unchecked = [one for one in self.unchecked if one not in known]

    def _multiplied(self, step):
        """The call of a kernel of the device; the addresses of its matrices are written into its words first."""
        arrays = [placed(access) for access in (step.a, step.b, step.out)]
        call, words = CompiledOps().matmul(*arrays), f"w{len(self.products)}"
        places = [next(i for i, x in enumerate(call.held) if x is array) for array in arrays]
        lines = [f"Word* const {words} = (Word*)p[{self._slot(('words', call))}];",
                 *(f"{words}[{i}] = {self._address(access)};" for i, access in zip(places, (step.a, step.b, step.out))),
                 f"((Kernel)p[{self._slot(('kernel', call))}])({words});"]
        self.products.append(step)
        return "    { " + "\n      ".join(lines) + " }"

    def _called(self, one):
        """The lines of an instruction that NumPy computes."""
        inputs = [self._spelled(x) for x in one.inputs] + [f"{name}={self._spelled(x)}" for name, x in one.options.items()]
        if self._into(one):
            function = self._named(UFUNCS.get(one.function, one.function), one.name)
            self.lines.append(f"{function}({', '.join([*inputs, f'out={self._memory(one.results)}'])})")
            return
        made = one.results if isinstance(one.results, tuple) else (one.results,)
        names = ", ".join("_" if x is None else f"r{x.number}" for x in made) + "," * isinstance(one.results, tuple)
        self.lines.append(f"{names} = {self._named(one.function, one.name)}({', '.join(inputs)})")
        self.lines += [f"copyto({self._memory(x)}, r{x.number})" for x in made if x in self.stored]

    def _memory(self, x):
        """The name of the array in which a value lies."""
        if x in self.fresh:
            return f"o{x.number}"
        self.views[x] = self.lowered.accesses[x]
        return f"m{x.number}"

    def _spelled(self, x):
        if type(x) is not Value:
            return super()._spelled(x)
        access = self.lowered.accesses[x]
        root, number = access.root, "" if is_array(x) else "[()]" if issubclass(x.kind, np.generic) else ".item()"
        if root in self.places:
            return self._memory(x) + number
        name = f"v{root.number}" if root in self.program.inputs else f"o{root.number}"
        if x is root:
            return name
        return f"ndarray({access.shape}, {self._named(access.dtype, 'dtype')}, {name}, {access.offset}, {access.strides}){number}"

    def _beginning(self):
        """The lines that put the arguments in place, and make the results."""
        arrays = list(filter(is_array, self.program.inputs))
        self.bound = [(self._slot(x), x.dtype, x.shape) for x in (*arrays, *self.fresh)]
        most = LARGE_INT32 if self.lowered.narrow() else LARGE
        lines = [f"if not {-most} < v{x.number} < {most}: return None" for x in self.numbers if x.kind is int]
        lines += [f"{self._memory(x)}[()] = v{x.number}" for x in self.numbers]
        lines += self._results()
        given, every = ("".join(f"{letter}{x.number}, " for x in values)
                        for letter, values in (("v", arrays), ("o", self.fresh)))
        if arrays:
            lines += [f"bound = bind(({given}{every}))", f"if bound == {arguments.NOT_CONTIGUOUS}:",
                      f"    {given} = map(in_c_order, ({given}))", f"    bound = bind(({given}{every}))",
                      "if bound:", "    return None"]
        elif self.fresh:
            lines.append(f"bind(({every}))")
        return lines

    def _results(self):
        """The lines that make the results, or take the arrays that are given for them."""
        for i, x in enumerate(self.fresh):
            new = f"empty({x.shape}, {self._named(x.dtype, 'dtype')})"
            yield f"o{x.number} = outs[{i}] if outs and outs[{i}] is not None else {new}"

    def _libraries(self):
        """The C++ library; its compilation begins."""
        groups = "\n".join(f"static __attribute__((noinline)) void {name}{text}" for text, name in self.functions.items())
        runs = "\n".join(f'extern "C" void run_{i}(const Word* p)\n{{\n' + "\n".join(run) + "\n}\n"
                         for i, run in enumerate(self.segments))
        self.cpp = source("group.h", "float64", "") + groups + runs
        self.library: Any = None
        with suppress(cxx.ProgramError):   # why_not() tries again
            self.library = cxx.library(self.cpp, OPTIONS)
        self.threads = any(text.tasks > 1 for text in self.texts.values()) or any(
            prod(one.out.shape) * one.a.shape[1] > UNTHREADED for one in self.products)

    def ready(self):
        """Whether the library is there, or has failed to compile."""
        return self.library is None or self.library.done()

    def why_not(self):
        """None if the program can run, else the reason in a few words; waits for the compiler."""
        try:
            self.library = self.library or cxx.library(self.cpp, OPTIONS)
            self.idle[None] = [self.instance()]
        except cxx.ProgramError as error:
            return error.why
        return None

    def summary(self):
        """Lines on the loops, products and calls, on memory and work, and the C++."""
        calls = sum(isinstance(step, Call) for step in self.lowered.steps)
        fused = sum(len(group.instructions) + len(group.reductions) for group in self.texts)
        moved = sum(prod(one.shape) * one.dtype.itemsize for text in self.texts.values()
                    for one in text.accesses if isinstance(one, Access))
        operations = sum(prod(group.shape) * (len(group.instructions) + len(group.reductions)) for group in self.texts) + sum(
            2 * prod(one.out.shape) * one.a.shape[1] for one in self.products)
        return (f"{fused} of them fused into {len(self.texts)} loops of {len(self.functions)} kinds, {len(self.products)} "
                f"products, {calls} {self.calls}; {self.size:,} bytes of memory beside the results;\n"
                f"about {moved:,} bytes that the loops read and write, and {operations:,} operations\n{self.cpp}")

    def instance(self):
        memory = np.empty(self.size + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        memory, table = memory[start:start + self.size], np.zeros(len(self.slots), np.uint64)
        held: list = [table, memory]   # for as long as the function lives
        for key, i in self.slots.items():
            if key == "team":
                table[i] = TEAM.memory.ctypes.data
            elif key == "memory":
                table[i] = memory.ctypes.data
            elif isinstance(key, Constant):
                table[i] = key.array.ctypes.data
            elif isinstance(key, tuple) and key[0] == "words":
                held.append(key[1].words.copy())
                table[i] = held[-1].ctypes.data
            elif isinstance(key, tuple):
                table[i] = key[1].kernel()
        names = {**self.names, "copied": copied, "copyto": np.copyto, "ndarray": np.ndarray, "empty": np.empty,
                 "in_c_order": partial(np.asarray, order="C"), "held": held, "bind": arguments.binder(table, self.bound)}
        for x, access in self.views.items():
            names[f"m{x.number}"] = np.ndarray(x.shape, x.dtype, memory, self.places[access.root] + access.offset, access.strides)
        if self.threads:
            TEAM.start(cxx.library(cxx.program_source("float32")).wait())
        limit = blas.find().single_threaded() if self.threads and self.products else None
        for i in range(len(self.segments)):
            names[f"run_{i}"] = _runner(self.library.function(f"run_{i}"), table.ctypes.data, limit)
        exec(self.code, names)
        return names["program"]


def _runner(function, address, limit):
    """The call of a compiled function with the address of its table; limit: None, or a context for the BLAS."""
    function.argtypes, function.restype = [c_void_p], None
    if limit is None:
        return partial(function, address)

    def run():
        with limit:
            function(address)
    return run
