"""HostArray and its array module: NumPy arrays that do not convert to NumPy implicitly, as CuPy's do not.

A host array that slips into device code, or the reverse, then fails here as it would fail on a GPU.
"""

import weakref
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np

from . import stream

VIEWS = "reshape", "ravel", "transpose", "view", "squeeze", "swapaxes"   # methods that return a view


class HostArray(np.lib.mixins.NDArrayOperatorsMixin):
    """A NumPy array that is accessible only by get()."""

    __module__ = "cupy"   # whose arrays it stands for

    def __init__(self, values, device=None):
        self.values, self.device = values, device or stream.Device()

    def __del__(self):
        if isinstance(getattr(self, "values", None), np.ndarray) and stream is not None:   # None at interpreter exit
            stream.release(self.values)

    @property
    def data(self):
        """The address of the values, as CuPy's arrays have it."""
        return SimpleNamespace(ptr=self.values.ctypes.data)

    def __array_namespace__(self):
        return HostModule()

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        if any(map(_foreign, inputs)):
            return NotImplemented
        stream.settle("work of the array module")
        if out:
            options["out"] = tuple(map(_open, out))
        return _close(getattr(ufunc, method)(*map(_open, inputs), **options), out)

    def __array_function__(self, function, types, args, kwargs):
        if not all(issubclass(kind, HostArray | np.ndarray) for kind in types):
            return NotImplemented
        return _call(function, args, kwargs)

    def __getattr__(self, name):
        if name.startswith("__") or name == "values":
            raise AttributeError(name)
        found = getattr(self.values, name)
        if isinstance(found, np.ndarray):
            return HostArray(found, self.device)
        if not callable(found):
            return _close(found)

        def call(*args, **kwargs):
            with self.device if name in VIEWS else nullcontext():
                _open(self)
                return _call(found, args, kwargs)
        return call

    def __getitem__(self, index):
        with self.device:
            found = np.asarray(self.values[_open_index(index)])
            if not np.may_share_memory(found, self.values):   # a copy, of values that the stream may still have to write
                stream.settle("work of the array module")
                found = np.asarray(self.values[_open_index(index)])
            return HostArray(found)

    def __setitem__(self, index, value):
        stream.refuse_in_capture("work of the array module")
        values, index, value = _open(self), _open_index(index), np.asarray(_open(value))
        place = values[index]
        if np.may_share_memory(place, values):   # a view is written in the order of the stream
            value = np.broadcast_to(value, place.shape)
            stream.get_current_stream().give(lambda: np.copyto(place, value, "unsafe"))
        else:
            stream.settle("work of the array module")
            values[index] = value

    def __len__(self):
        return len(self.values)

    def __bool__(self):
        return bool(self.get())

    def __float__(self):
        return float(self.get())

    def __int__(self):
        return int(self.get())

    def __repr__(self):
        return f"host {self.values!r}"

    def get(self):
        """The values, copied into a NumPy array."""
        with self.device:
            stream.settle("copying to the host")
        return self.values.copy()

    def set(self, values):
        """Copy from a NumPy array."""
        stream.settle("copying from the host")
        self.values[...] = values


class _Ufunc:
    """A ufunc of the array module: called, or applied in place at some places of an array."""

    def __init__(self, ufunc):
        self.ufunc = ufunc

    def __call__(self, *args, **kwargs):
        return _call(self.ufunc, args, kwargs)

    def at(self, array, index, values):
        stream.settle("work of the array module")
        self.ufunc.at(_open(array), _open_index(index), _open(values))


class HostModule:
    """The array module of HostArray: NumPy's functions by their names."""

    ndarray = HostArray
    cuda = stream

    def get_default_memory_pool(self):
        """A pool without cached blocks or a limit."""
        return SimpleNamespace(free_bytes=lambda: 0, used_bytes=lambda: 0, get_limit=lambda: 0)

    def __getattr__(self, name):
        found = getattr(np, name)
        if isinstance(found, np.ufunc):
            return _Ufunc(found)
        if not callable(found) or isinstance(found, type):
            return found
        return lambda *args, **kwargs: _call(found, args, kwargs)

    def asarray(self, values, dtype=None, order=None):
        """The only conversion of NumPy arrays."""
        stream.settle("allocating")
        if isinstance(values, HostArray):
            if values.device != stream.Device():
                return HostArray(np.array(values.get(), dtype=dtype, order=order))
            made = np.asarray(values.values, dtype=dtype, order=order)
            return values if made is values.values else HostArray(made)
        return HostArray(np.array(values, dtype=dtype, order=order))

    array = asarray


def work(name, call, arrays):
    """A call on arrays, for stream.launch.

    A graph keeps only addresses. If an array has been freed, its launch raises, because a GPU would write into other data.
    """
    if not stream.get_current_stream().is_capturing():
        return call
    owners = [weakref.ref(_owner(array.values)) for array in arrays]

    def replay():
        if not all(owner() is not None for owner in owners):
            raise RuntimeError(f"{name}: a graph is launched after an array that it touches was freed")
        call()
    return replay


def _owner(values):
    """The array whose memory a view shares."""
    while isinstance(values.base, np.ndarray):
        values = values.base
    return values


def _foreign(value):
    """Whether an operand of another type handles the operation, by CuPy's rules."""
    return not isinstance(value, HostArray | np.ndarray | np.generic | int | float | complex)


def _open(value):
    """The values of a HostArray; numbers pass, NumPy arrays raise."""
    if isinstance(value, HostArray):
        if value.device != stream.Device():
            raise RuntimeError(f"an array of device {value.device.id} on device {stream.Device().id}, without peer access")
        return value.values
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"Unsupported type {type(value)}: a NumPy array among device arrays")
    return value


def _open_index(index):
    return tuple(map(_open, index)) if isinstance(index, tuple) else _open(index)


def _close(result, out=()):
    """The result as a HostArray; with out=, that array."""
    if out:
        return out[0] if len(out) == 1 else out
    if isinstance(result, (tuple, list)):
        if not any(isinstance(r, np.ndarray | np.generic) for r in result):
            return result
        return type(result)(*map(_close, result)) if hasattr(result, "_fields") else type(result)(map(_close, result))
    return HostArray(np.asarray(result)) if isinstance(result, (np.ndarray, np.generic)) else result


def _call(function, args, kwargs):
    stream.settle("work of the array module")
    out = kwargs.get("out")
    kwargs = {name: _open(value) for name, value in kwargs.items()}
    args = [[*map(_open, a)] if isinstance(a, (list, tuple)) else _open(a) for a in args]
    return _close(function(*args, **kwargs), () if out is None else (out,))
