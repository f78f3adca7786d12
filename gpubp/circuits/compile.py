"""gpubp.compile: a function of NumPy code, and its gradient, as one program that runs without recording."""

import inspect
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial, update_wrapper
from operator import attrgetter
from types import NoneType
from typing import Any

import numpy as np

from ..devices.array_namespace import namespace
from ..maths.validation import shown
from ..programs.cleaning import cleaned
from ..programs.numpy_code import NumpyCode, copied
from ..programs.program import Value
from ..programs.program import is_array as is_array_value
from ..streams import warn
from . import tape
from .calling_line import described
from .proxy import concrete
from .pytree import leaves, leaves_along, rebuilt
from .recording import DATA, Recording
from .refusals import is_array
from .signature import Flattener, difference, is_data, rebuilder, signature, with_inputs
from .values import describe

BASE = attrgetter("base")
MOST = 8      # signatures, above which a warning says what varies
CHECKED = 2   # calls of each program, by NumPy and as native code, that are compared with the function itself


def compile(f: Callable | None = None, *, static_argnums: int | Sequence[int] = (), donate_argnums: int | Sequence[int] = (),
            check: bool = True, native: bool = True) -> Any:
    """f as a program: recorded once for each signature, cleaned, fused, and run without recording from then on.

    f may call gpubp.grad and its family, and what they return can be compiled: compile(value_and_grad(cost)). The signature of a
    call is the structure of its arguments, the shapes and dtypes of their arrays, and the values of what is no number and no
    array. Numbers and arrays are traced: f must do the same whatever they are. Arrays that f reaches otherwise, and random
    numbers, are constants. With a C++ compiler, the program is compiled in the background; NumPy computes it until that is done.
    On CuPy arrays its second call compiles CUDA kernels, which later calls launch together with the products, as one graph.

    Parameters
    ----------
    f : function of numbers, NumPy or CuPy arrays, and pytrees of them; None makes a decorator: @gpubp.compile(static_argnums=1)
    static_argnums : int or sequence of int, default ()
        The positions of arguments whose values belong to the signature, such as a number of steps. They must be hashable.
    donate_argnums : int or sequence of int, default ()
        The positions of arguments that are not used after a call: results may take the memory of their arrays.
    check : bool, default True
        Compare the first two calls of each program with f itself. RuntimeError names the line whose result differs.
    native : bool, default True
        Compile native code. Its results may differ from NumPy's in the last bits, and it is taken when it is ready: for the same
        bits in each run call wait() before, or pass False, which leaves the program to NumPy and CuPy.

    Returns
    -------
    function(*args, **options) -> f's value, in arrays of its own; with out=, a pytree like the value, in the arrays of out
        explain(*args) says what was fused; wait() returns when all native code is ready; signatures is the number of recorded
        ones. Beside wires, and within gpubp.debug(), it is f.

    Raises TypeError with the line of f that asks a traced value for its truth or its number, or that changes an array in place.

    >>> import numpy as np, gpubp
    >>> step = gpubp.compile(gpubp.value_and_grad(lambda w, x: np.sum(np.tanh(x * w) ** 2)))
    >>> value, gradient = step(np.zeros(3), np.ones(3))
    >>> step.signatures
    1
    """
    if f is None:
        return partial(compile, static_argnums=static_argnums, donate_argnums=donate_argnums, check=check, native=native)
    if not callable(f):
        raise TypeError(f"compile: expected a function, got {describe(f)}: pass it without calling it")
    return CompiledFunction(f, static_argnums, donate_argnums, check, native)


class CompiledFunction:
    """What compile returns."""

    def __init__(self, f, static_argnums, donate_argnums, check, native):
        self.f, self.checks = f, CHECKED if check else 0
        self.why_not = None if native else "native=False"
        self.static_argnums, self.donate_argnums = _places("static", static_argnums), _places("donate", donate_argnums)
        self.takes_out = "out" in _parameters(f)
        self.__name__ = self.__qualname__ = getattr(f, "__name__", type(f).__name__)
        self.entries: dict = {}
        self.latest: Any = None   # the entry of the last call
        self.warned = False
        update_wrapper(self, f, updated=())

    signatures = property(lambda self: len(self.entries), doc="The number of signatures that have been recorded.")

    def __get__(self, instance, owner=None):
        return self if instance is None else partial(self, instance)   # a method

    def __reduce__(self):   # by name if it is a decorated function of a module
        known = getattr(sys.modules.get(self.__module__), self.__qualname__, None)
        made = self.f, tuple(self.static_argnums), tuple(self.donate_argnums), self.checks > 0, self.why_not is None
        return self.__qualname__ if known is self else (CompiledFunction, made)

    def __call__(self, *args, **options):
        if "out" in options and not self.takes_out:
            return self._into(options.pop("out"), args, options)
        latest = self.latest
        if latest is not None and latest.native is not None and tape.nan_checker is None:
            given = latest.flatten(args, options)
            if given is not None:
                answer = latest.run(latest.native, self, args, options, given, latest.donated(given))
                if answer is not None:
                    return answer[0]
        return self._call(args, options)

    def _into(self, out, args, options):
        """The call with its results in the arrays of out, a pytree like f's value."""
        latest, outs = self.latest, leaves(out)
        if foreign := [x for x in outs if not is_array(x)]:
            raise TypeError(f"compile: expected a pytree of arrays as out=, got {describe(foreign[0])}: pass arrays")
        answer = None
        if latest is not None and latest.native is not None and tape.nan_checker is None:
            given = latest.flatten(args, options)
            direct = latest.native.into(outs, given) if given is not None and latest.is_sure else None
            if direct is not None:
                leaves_along("compile", latest.rebuild(outs), out)   # another structure raises before anything is written
                answer = latest.run(latest.native, self, args, options, given, direct)
        found = self._call(args, options, donate=False) if answer is None else answer[0]
        pairs = list(zip(leaves_along("compile", found, out), leaves(found)))
        for x, one in pairs:
            if is_array(one) and namespace(x) is not namespace(one):
                raise TypeError(f"compile: expected out= of the package of the results, here {namespace(one).__name__}, got "
                                f"{namespace(x).__name__}: take np.empty_like of them")
            if is_array(one) and x.device != one.device:
                raise ValueError(f"compile: expected out= on the device of the results, here {one.device}, got {x.device}: take "
                                 f"np.empty_like of them")
            if np.shape(one) != x.shape or not np.can_cast(np.result_type(one), x.dtype, "same_kind") or not _is_writeable(x):
                raise ValueError(f"compile: expected out= like the results, here {describe(one)}, got {describe(x)}: take "
                                 f"np.empty_like of them")
        for x, one in pairs:
            if x is not one:
                x[...] = one
        return out

    def _call(self, args, options, donate=True):
        key, given = signature(_chosen(self.static_argnums, args), args, options)
        if key is None or tape.nan_checker is not None:
            return self.f(*args, **options)
        entry = self.entries.get(key)
        if entry is None:
            return self._recorded(key, args, options)
        self.latest = entry
        return entry.call(self, args, options, given, donate)

    def wait(self) -> None:
        """Return when the native code of all signatures is ready, or has failed to compile."""
        for entry in list(self.entries.values()):
            entry.prepare(wait=True)

    def explain(self, *args: Any, **options: Any) -> str:
        """What the program of these arguments does: what was fused, its memory and its code. It is recorded if needed."""
        key, _ = signature(_chosen(self.static_argnums, args), args, options)
        if key is None:
            raise TypeError("explain: expected numbers and arrays, got wires, for which the function itself runs: pass their "
                            "values")
        if key not in self.entries:
            self._recorded(key, args, options)
        return f"{self.__name__}: {self.signatures} signature{'s' * (self.signatures > 1)}\n{self.entries[key].explain()}"

    def _recorded(self, key, args, options):
        """The value of a call that is recorded; its program is kept."""
        if len(self.entries) >= MOST and not self.warned:
            self.warned = True
            warn(f"compile: expected few signatures of {self.__name__}, got {len(self.entries) + 1}, each of which is recorded: "
                 f"{difference(key, next(reversed(self.entries)))}; pad arrays to few shapes, or pass what varies as a number",
                 RuntimeWarning, stacklevel=4)
        program, value = self.record(args, options)
        static, donated = (_chosen(places, args) for places in (self.static_argnums, self.donate_argnums))
        flatten = Flattener(static, args, options).function
        counts = [0 if i in static else sum(map(is_data, leaves(x))) for i, x in enumerate(args)]
        ends = {i: sum(counts[:i]) for i in donated}
        donated = [x for i, start in ends.items() for x in program.inputs[start:start + counts[i]]]
        self.entries[key] = self.latest = Entry(program, value, self.checks, flatten, donated, self.why_not)
        return rebuilt(value, (copied(concrete(leaf)) for leaf in leaves(value)))

    def record(self, args, options):
        """(the program of a call, f's value with proxies in it)."""
        recording, static = Recording(), _chosen(self.static_argnums, args)
        args = [x if i in static else with_inputs(x, recording) for i, x in enumerate(args)]
        value = recording.run(self.f, args, with_inputs(options, recording))
        return recording.end(leaves(value)), value


def _places(name, places):
    """Positions of arguments, as a set."""
    places = places if isinstance(places, tuple | list) else (places,)
    if not all(isinstance(place, int) and not isinstance(place, bool) for place in places):
        raise TypeError(f"compile: expected {name}_argnums as positions of arguments, got {shown(places)}: count from 0")
    return frozenset(places)


def _chosen(places, args):
    return {place % len(args) for place in places if -len(args) <= place < len(args)} if args and places else ()


def _parameters(f):
    try:
        return inspect.signature(f).parameters
    except (TypeError, ValueError):   # some functions in C have no signature
        return ()


class Entry:
    """The program of one signature: its code, and its calls."""

    def __init__(self, program, value, checks, flatten, donated, why_not):
        self.recorded, self.program, self.flatten, self.fallbacks = len(program.instructions), cleaned(program), flatten, 0
        self.checks, self.to_check = checks, checks
        dtypes = {x.dtype for one in program.instructions for x in one.made() if x.dtype.kind in "fc"}
        self.precision = max((float(np.finfo(dtype).eps) for dtype in dtypes), default=0.0)
        self.original = program if checks else None   # to compare others with
        self.rebuild = rebuilder(value)
        self.code: Any = NumpyCode(self.program)
        self.native: Any = None      # the native code, when it is ready
        self.coming: Any = None      # the same, while it is compiled
        self.why_not = why_not       # why there is no native code, in a few words
        self.given_up = donated      # inputs whose memory results may take
        self.donors: list = []       # for each result the place of one of them, or None
        self.arrays = [i for i, x in enumerate(self.program.inputs) if is_array_value(x)]

    def call(self, owner, args, options, given, donate):
        """f's value: by the program, or by f itself where a guard of the program does not hold."""
        if self.native is None and self.why_not is None:
            self.prepare()
        outs = self.donated(given) if donate else None
        answer = None if self.native is None else self.run(self.native, owner, args, options, given, outs)
        return (self.run(self.code, owner, args, options, given) if answer is None else answer)[0]

    @property
    def is_sure(self):
        """Whether calls do not need their arguments again, or the arrays of results as they were."""
        return not self.to_check and not self.program.guards

    def donated(self, given):
        """The arrays for results, None for new ones, among the inputs of a call that share no memory."""
        if not self.donors or not self.is_sure:
            return None
        arrays, fits = [given[i] for i in self.arrays], self.native.takes_results
        found = [None if i is None else given[i] for i in self.donors]
        if self.program.xp is np and {*map(type, map(BASE, arrays))} == {NoneType} and len({*map(id, arrays)}) == len(arrays):
            return [x if x is not None and fits(x) else None for x in found]   # the usual case, in a third of the time
        owners = [id(_owner(x)) for x in arrays]
        return None if id(None) in owners else [
            x if x is not None and x.base is None and fits(x) and owners.count(id(_owner(x))) == 1 else None for x in found]

    def run(self, code, owner, args, options, given, outs=None):
        """The same by native code or NumPy, in a tuple; None if an array has another shape or dtype than this signature's."""
        answer = code.run(given) if outs is None else code.run(given, outs=outs)
        if answer is None:
            return None
        left, found = answer
        if left:
            self.fallbacks += 1
            return owner.f(*args, **options),
        if self.to_check:
            self._check(owner, args, options, found)
        return self.rebuild(found),

    def prepare(self, wait=False):
        """Take the native code if it is ready."""
        if self.native is not None or self.why_not is not None:
            return
        module, Code = _native(self.program)
        if self.coming is None and (wait or module.compiler_is_ready()):
            self.why_not = module.why_not(self.program)
            self.coming = Code(self.program) if self.why_not is None else None
        if (native := self.coming) is not None and (wait or native.ready()):
            self.coming, self.why_not = None, native.why_not()
            if self.why_not is None:
                places = {x: i for i, x in enumerate(self.program.inputs)}
                self.donors = [places.get(x) for x in native.donors(self.given_up)] if self.given_up else []
                self.native, self.to_check = native, self.checks
                self.code.idle.clear()   # their memory

    def explain(self):
        code: Any = self.native or self.code
        state = "native code" if self.native else f"NumPy code ({self.why_not or 'the native code is being compiled'})"
        return (f"{self.recorded} instructions recorded, {len(self.program.instructions)} left; {state}\n"
                f"{code.summary()}; {self.fallbacks} calls of the function itself\n{code.text}")

    def _check(self, owner, args, options, found):
        """RuntimeError if f does something else with these arguments than when it was recorded, or finds something else."""
        program, value = owner.record(args, options)
        self.to_check -= 1
        require_same(self.original, program)
        with suppress(ArithmeticError):   # of Python's numbers, such as a division by 0, which gives inf here
            value = owner.f(*args, **options)   # without proxies, since it may look at types, for instance
        for one, right in zip(map(_on_host, found), map(_on_host, map(concrete, leaves(value)))):
            if isinstance(right, DATA) and not _close(one, right, self.precision):
                raise RuntimeError(f"compile: expected {owner.__name__} to give the same as its program, got a difference: if it "
                                   f"does the same for all numbers, types and calls, report it, and leave it uncompiled")


def _native(program):
    """(the module, its class) of native code for a program; it loads much, which programs of few calls do without."""
    if program.devices:
        from ..programs import cuda_code

        return cuda_code, cuda_code.CudaCode
    from ..programs import native_code

    return native_code, native_code.NativeCode


def _owner(x):
    """What owns an array's memory; None if another package does, whose other arrays may share it."""
    if hasattr(x, "get"):   # CuPy's
        own = namespace(x).cuda.memory
        return x.data.mem if isinstance(x.data.mem, own.Memory | own.PooledMemory | own.MemoryAsync) else None
    while isinstance(x.base, np.ndarray):
        x = x.base
    return x if x.base is None else None


def _is_writeable(x):
    return getattr(x.flags, "writeable", True)   # as CuPy's arrays are


def _on_host(x):
    """x, or a copy of an array of CuPy."""
    return x.get() if is_array(x) and hasattr(x, "get") else x


def _close(x, y, eps):
    if np.result_type(x).kind not in "fc":
        return bool(np.all(x == y))
    with np.errstate(all="ignore"):
        size = np.max(np.abs(y), initial=0.0, where=np.isfinite(y))
        return bool(np.all((np.abs(x - y) <= eps ** 0.5 * size) | (x == y) | ((x != x) & (y != y))))


def require_same(first, second):
    """RuntimeError, with the line of source, at the first instruction in which two records of a function differ."""
    for one, other in zip(first.instructions, second.instructions):
        if one.name != other.name or not _same((one.inputs, one.options), (other.inputs, other.options)):
            raise RuntimeError(
                f"compile: expected a function that does the same in each call, got one with another "
                f"{'operation' if one.name != other.name else 'constant'} in {described(other.line)}: pass random numbers, and "
                f"arrays that change, as arguments")
    if len(first.instructions) != len(second.instructions) or not _same(first.outputs, second.outputs):
        raise RuntimeError("compile: expected a function that does the same in each call, got one with other results: pass what "
                           "changes as an argument")


def _same(x, y):
    if type(x) is not type(y):
        return False
    if isinstance(x, tuple | list):
        return len(x) == len(y) and all(map(_same, x, y))
    if isinstance(x, dict):
        return x.keys() == y.keys() and all(_same(x[name], y[name]) for name in x)
    if isinstance(x, slice):
        return _same((x.start, x.stop, x.step), (y.start, y.stop, y.step))
    if type(x) is Value:
        return x.number == y.number
    if is_array(x):
        return x.shape == y.shape and x.dtype == y.dtype and x.tobytes() == y.tobytes()
    return not isinstance(x, int | float | complex | str | np.generic) or x == y or x != x
