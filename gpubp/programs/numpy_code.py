"""A program as Python code: a call of NumPy or CuPy for each instruction, into memory that is planned once."""

import operator
from math import prod
from threading import get_ident

import numpy as np

from .memory import plan
from .program import UFUNCS, Value, is_array, replaced

# functions with out=, whose result is an array of its own
INTO: frozenset = frozenset((
    np.sum, np.mean, np.prod, np.max, np.min, np.amax, np.amin, np.any, np.all, np.cumsum, np.cumprod, np.var, np.std))
SCANS: frozenset = frozenset((np.cumsum, np.cumprod))         # CuPy's take no out= without an axis
WIDER: frozenset = frozenset((np.mean, np.var, np.std))   # compute halves in float32, but not into an array of halves

LANES = 32   # streams and threads of CuPy whose idle instances are kept


class NumpyCode:
    """The code of a program for arrays of its package. text shows it; instance() is the function of a list of inputs.

    Each instance has its own memory, so that several threads can run the program.
    """

    def __init__(self, program):
        self.program, self.xp = program, program.xp
        self.names: dict = {}
        self.lines: list = []
        self.idle: dict = {}   # the instances of each lane that no thread uses
        self.count = 0
        self._place()
        self._write()
        ends, given = [], set()   # type: ignore[var-annotated]
        for x in program.outputs:
            own = type(x) is Value and (not is_array(x) or (x in self.fresh and x not in given))
            ends.append(self._spelled(x) if own else f"copied({self._spelled(x)})")
            given.update([x] if type(x) is Value else ())
        inputs = "".join(f"v{x.number}, " for x in self._arguments())
        self.text = "\n    ".join([f"def program({inputs}outs=None):", *self._beginning(), *self.lines,
                                   f"return False, [{', '.join(ends)}]"]) + "\n"
        self.code = compile(self.text, "<gpubp.compile>", "exec")

    def run(self, given, **options):
        """(whether a guard does not hold, the outputs) for a list of inputs; None if they are not of the program's kind."""
        idle = self.idle.setdefault(None if self.xp is np else self._lane(), [])
        try:
            program = idle.pop()
        except IndexError:
            program = self.instance()
        try:
            return program(*given, **options)
        finally:
            idle.append(program)
            if len(self.idle) > LANES:   # streams and threads come and go
                for old in [*self.idle][:-LANES]:   # a copy, since other threads add theirs
                    self.idle.pop(old, None)

    def _lane(self):
        """Where an instance can be used again: a thread's calls on one stream of CuPy run one after the other."""
        return self.xp.cuda.Device().id, self.xp.cuda.get_current_stream(), get_ident()

    def summary(self):
        """A line on its memory."""
        return f"{self.size:,} bytes of memory beside the results"

    def instance(self):
        """The function with memory of its own."""
        memory = self.xp.empty(self.size, np.uint8)
        names = {**self.names, "copied": copied, "number": number}
        for value, start in self.places.items():
            part = memory[start:start + prod(value.shape) * value.dtype.itemsize]
            part = part.view(value.dtype).reshape([value.shape[axis] for axis in value.order] if value.order else value.shape)
            names[f"m{value.number}"] = part.transpose(np.argsort(value.order)) if value.order else part
        exec(self.code, names)   # the text that this class has written
        return names["program"]

    def _into(self, one):
        """Whether the instruction writes its result into an array that is made for it."""
        made = one.results
        if type(made) is not Value or not is_array(made) or made.dtype.hasobject:
            return False
        if one.function is operator.pow and np.shape(one.inputs[1]) == ():
            return False   # arrays have their own ways to powers of one number
        if (made.dtype == np.float16 and one.function in WIDER) or (self.xp is not np and one.function in SCANS):
            return False
        return isinstance(UFUNCS.get(one.function, one.function), np.ufunc) or (
            one.function in INTO and len(one.inputs) <= 2)   # others name out by place

    def _place(self):
        """Decide which values lie in planned memory, and where."""
        outputs = {x for x in (*self.program.outputs, *self.program.guards) if type(x) is Value}
        owned = {x for one in self.program.instructions if self._into(one) for x in one.made()}
        self.fresh = [x for x in owned if x in outputs]   # results of their own
        one_device = len(self.program.devices) < 2   # NumPy makes numbers of its arrays without axes
        self.planned = {x for x in owned - outputs if one_device and issubclass(x.kind, self.xp.ndarray) and (
            x.shape or self.xp is not np)}
        holds: dict = {}   # the planned values whose memory a value may be
        steps = []
        for one in self.program.instructions:
            read = [root for x in one.values() for root in ([x] if x in self.planned else holds.get(x, ()))]
            if not self._into(one):
                holds.update((x, read) for x in one.made())
            steps.append(([(x, prod(x.shape) * x.dtype.itemsize) for x in one.made() if x in self.planned], read))
        self.places, self.size = plan(steps, [root for x in outputs for root in holds.get(x, ())])

    def _arguments(self):
        """The Values that a call gives."""
        return self.program.inputs

    def _beginning(self):
        return ()

    def _write(self):
        """The lines of the instructions."""
        for one in self.program.instructions:
            self._write_one(one)
            if type(one.results) is Value and one.results in self.program.guards:
                # other numbers may be no inputs of what follows
                self.lines.append(f"if {self._spelled(one.results)}: return True, []")

    def _write_one(self, one):
        inputs = [self._spelled(x) for x in one.inputs]
        inputs += [f"{name}={self._spelled(x)}" for name, x in one.options.items()]
        function = one.function
        if self._into(one):
            function = UFUNCS.get(function, function)
            if one.results in self.planned:
                inputs.append(f"out=m{one.results.number}")
        results = ", ".join("_" if x is None else self._spelled(x)
                            for x in (one.results if isinstance(one.results, tuple) else (one.results,)))
        comma = "," if isinstance(one.results, tuple) else ""
        text = f"{self._named(function, one.name)}({', '.join(inputs)})"
        kind = one.results.kind if type(one.results) is Value and not isinstance(function, np.ufunc) else object
        self.lines.append(f"{results}{comma} = {f'number({text})' if issubclass(kind, np.generic) else text}")

    def _named(self, x, name):
        """A name for a function or a constant."""
        name = name if name.isidentifier() and name not in ("def", "lambda") else "function"
        while self.names.setdefault(name, x) is not x:
            self.count += 1
            name = f"{name.rstrip('0123456789').rstrip('_')}_{self.count}"
        return name

    def _spelled(self, x):
        if type(x) is Value:
            return f"v{x.number}"
        if type(x) in (int, bool, str, type(None)):
            return repr(x)
        if type(x) in (tuple, list):
            text = ", ".join(map(self._spelled, x))
            return f"[{text}]" if type(x) is list else f"({text}{',' * (len(x) == 1)})"
        if type(x) is dict:
            return "{" + ", ".join(f"{key!r}: {self._spelled(part)}" for key, part in x.items()) + "}"
        values: list = []
        replaced(x, values.append)
        if values:   # in a slice or a named tuple
            parts = (x.start, x.stop, x.step) if isinstance(x, slice) else x
            return f"{self._named(type(x), type(x).__name__)}({', '.join(map(self._spelled, parts))})"
        return self._named(x, f"c{len(self.names)}")


def number(x):
    """An array without axes as the number in it, as ufuncs return it."""
    return x[()] if isinstance(x, np.ndarray) else x


def copied(x):
    """A result of its own."""
    return x.copy() if hasattr(x, "copy") else x
