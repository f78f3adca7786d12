"""Compile kernel text with NVRTC through CuPy, which keeps the machine code, per device and on disk."""

import os
from functools import cache

from .. import kernel_source
from ..private_folder import private_folder, reason


@cache
def kernel(text, name, options=()):
    """The kernel of that name, compiled at its first use; call it as kernel(grid, block, arguments)."""
    return _module(text, options).get_function(name)


@cache
def _module(text, options):
    import cupy

    return cupy.RawModule(code=text, options=(*kernel_source.options(), *options))


def cache_fault():
    """Why other users could change the kernels that CuPy keeps on disk and loads without a check, or None."""
    if os.environ.get("CUPY_CACHE_IN_MEMORY") == "1":
        return None
    try:
        private_folder(os.environ.get("CUPY_CACHE_DIR") or os.path.expanduser("~/.cupy/kernel_cache"), create=False)
    except OSError as error:
        return reason(error)
    return None
