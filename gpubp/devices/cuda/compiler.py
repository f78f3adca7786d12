"""Compile kernel text with NVRTC through CuPy, which keeps the machine code, per device and on disk."""

from functools import cache

from .. import kernel_source


@cache
def kernel(text, name):
    """The kernel of that name, compiled at its first use; call it as kernel(grid, block, arguments)."""
    return _module(text).get_function(name)


@cache
def _module(text):
    import cupy

    return cupy.RawModule(code=text, options=kernel_source.options())
