"""VJP rules of np.fft, and of functions from complex to real numbers; their cotangents follow ../complex_numbers.py.

The cotangent of a transform is transformed by its adjoint, the inverse with the other direction's norm.
"""

from math import inf, nan

import numpy as np

from ...devices.array_namespace import namespace
from ..complex_numbers import is_complex
from ..tape import Primitive, reads, unwrap
from ..wire import as_function

ADJOINT: dict = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}   # norm


def _resized(x, like, axis):
    """x cut, or padded with zeros, to another array's length along an axis: the adjoint of what n= does."""
    n, size, axis = np.shape(like)[axis], np.shape(x)[axis], axis % np.ndim(x)
    if size < n:
        return np.pad(x, [(0, n - size if i == axis else 0) for i in range(np.ndim(x))])
    return x[(slice(None),) * axis + (slice(n),)] if size > n else x


def _adjoint(inverse):
    return reads("a", "axis", "norm")(lambda cotangent, value, a, n=None, axis=-1, norm=None, out=None: _resized(
        inverse(cotangent, None, axis, ADJOINT[norm]), a, axis))


@reads("a", "n", "axis", "norm")
def _rfft(cotangent, value, a, n=None, axis=-1, norm=None, out=None):
    n = np.shape(a)[axis] if n is None else n
    return _resized(np.real(np.fft.ifft(cotangent, n, axis, ADJOINT[norm])), a, axis)


@reads("value", "a", "axis", "norm")
def _irfft(cotangent, value, a, n=None, axis=-1, norm=None, out=None):
    length = np.shape(value)[axis]
    times = [1.0 if 2 * k in (0, length) else 2.0 for k in range(length // 2 + 1)]   # the others stand for two
    times = namespace(unwrap(cotangent)).asarray(times, dtype=value.dtype)
    spectrum = np.fft.rfft(cotangent, None, axis, ADJOINT[norm])
    return _resized(spectrum * np.reshape(times, (-1,) + (1,) * (np.ndim(a) - axis % np.ndim(a) - 1)), a, axis)


def _of_axes(transform, default=None, first=None, last=None):
    """The transform along several axes from the last one on, which takes `first`, or `last` after all others."""
    def transformed(a, s=None, axes=default, norm=None, out=None):
        axes = range(-(np.ndim(a) if s is None else len(s)), 0) if axes is None else axes
        if s is not None and len(s) != len(axes):
            raise ValueError(f"fft: expected a length in s for each of {len(axes)} axes, got {len(s)}: pass as many")
        sizes = [None] * len(axes) if s is None else [np.shape(a)[axis] if n == -1 else n for n, axis in zip(s, axes)]
        steps = [(transform, n, axis) for n, axis in zip(sizes, axes)]
        if first or last:
            steps[-1] = (first or last, *steps[-1][1:])
        for run, n, axis in steps if last else steps[::-1]:
            a = run(a, n, axis, norm)
        return a
    return transformed


def _shifted(direction):
    def shift(x, axes=None):
        axes = range(np.ndim(x)) if axes is None else (axes,) if isinstance(axes, int) else axes
        return np.roll(x, tuple(direction * (np.shape(x)[axis] // 2) for axis in axes), tuple(axes))
    return shift


_length = as_function(Primitive(   # to divide by, without a derivative at 0
    "length", lambda x: np.where(x == 0, inf, x).astype(x.dtype),
    reads("x")(lambda cotangent, value, x: cotangent * np.where(x == 0, nan, 1.0)), opaque=True))
_imag = as_function(Primitive("imag", np.imag, reads()(lambda cotangent, value, z: cotangent * 1j)))


def angle(z, deg=False):
    if not is_complex(z):
        return np.angle(unwrap(z), deg)
    found = np.arctan2(np.imag(z), np.real(z))
    return found * (180 / np.pi) if deg else found


COMPLEX_RULES: dict = {
    "conjugate": reads()(lambda cotangent, value, z: np.conjugate(cotangent)),
    "real": reads()(lambda cotangent, value, z: cotangent),
    "absolute": reads("value", "z")(lambda cotangent, value, z, *, branch=None: cotangent * (z / _length(value))),   # one branch
    **dict.fromkeys(("imag", "fft", "ifft", "rfft", "irfft"))}
TRANSFORMS: dict = {
    np.fft.fft: (_adjoint(np.fft.ifft),), np.fft.ifft: (_adjoint(np.fft.fft),), np.fft.rfft: (_rfft,), np.fft.irfft: (_irfft,)}
FOURIER: dict = {
    np.fft.hfft: lambda a, n=None, axis=-1, norm=None, out=None: np.fft.irfft(
        np.conjugate(a), n, axis, ADJOINT.get(norm, norm)),
    np.fft.ihfft: lambda a, n=None, axis=-1, norm=None, out=None: np.conjugate(
        np.fft.rfft(a, n, axis, ADJOINT.get(norm, norm))),
    np.imag: lambda val: _imag(val) if is_complex(val) else np.zeros_like(val),
    np.angle: angle,
    np.fft.fftn: _of_axes(np.fft.fft), np.fft.fft2: _of_axes(np.fft.fft, (-2, -1)),
    np.fft.ifftn: _of_axes(np.fft.ifft), np.fft.ifft2: _of_axes(np.fft.ifft, (-2, -1)),
    np.fft.rfftn: _of_axes(np.fft.fft, first=np.fft.rfft), np.fft.rfft2: _of_axes(np.fft.fft, (-2, -1), first=np.fft.rfft),
    np.fft.irfftn: _of_axes(np.fft.ifft, last=np.fft.irfft), np.fft.irfft2: _of_axes(np.fft.ifft, (-2, -1), last=np.fft.irfft),
    np.fft.fftshift: _shifted(1), np.fft.ifftshift: _shifted(-1),
}
