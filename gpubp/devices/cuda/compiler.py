"""Compile kernel text with NVRTC through CuPy."""

from functools import cache

from .. import kernel_source


class CupyCompiler:
    """Compiles a kernel at its first use; CuPy keeps the machine code, per device and on disk."""

    @staticmethod
    @cache
    def kernel(text, name):
        """The kernel of that name; call it as kernel(grid, block, arguments)."""
        return _module(text).get_function(name)


@cache
def _module(text):
    import cupy

    return cupy.RawModule(code=text, options=kernel_source.options())
