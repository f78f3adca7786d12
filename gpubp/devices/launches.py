"""How a kernel's work is cut into blocks and threads, and launches with everything settled.

The shapes of blocks follow from the shapes of arrays (and from their lying on 16-byte lines) alone, and with them the order of
every sum.
"""

from functools import partial
from math import ceil

import numpy as np

from . import compiler

THREADS = 256          # of a block: THREADS in kernels/common.cuh
WARP = 32
LINE = 16              # bytes, the most that a thread moves at once
LONG = 1024            # elements of a row that a whole block takes instead of a warp
FEW = 32               # rows that one block takes, to add up their columns too
ROWS_OF_A_THREAD = 4   # that a thread of `layer` walks down with one bias in a register
ROWS_OF_A_SUM = 16     # that a thread adds up at least, before rows are cut into chunks
CHUNKS = 128           # at most, whose column sums a second kernel adds
BLOCKS = 4096          # enough to fill any device
MOST_ON_Y = 65535      # blocks of a grid


def launch(kernel, grid, block, dtype, *values):
    """One launch, to be called without arguments; numbers become what the kernel declares."""
    return partial(kernel, grid, block, compiler.arguments(dtype, *values))


def grid(n):
    """Blocks for n elements, each thread taking several where there are many."""
    return max(1, min(ceil(n / THREADS), BLOCKS)),


def pack(width, *arrays):
    """Elements that a thread moves at once: as many as fill LINE bytes, where rows and arrays are made of such lines, else 1."""
    most = LINE // min(array.dtype.itemsize for array in arrays)
    return most if width % most == 0 and all(array.data.ptr % LINE == 0 for array in arrays) else 1


def wide(name, elements):
    """The name of the kernel that moves so many elements at once."""
    return name if elements == 1 else f"{name}_wide"


def tile(width):
    """A block (columns, rows) no wider than the matrix needs, and how many such tiles its columns take."""
    columns = min(WARP, 1 << max(0, width - 1).bit_length())
    return (columns, THREADS // columns), max(1, ceil(width / columns))


def cover(rows, width):
    """(grid, block) whose threads walk down a few rows of their columns each."""
    block, tiles = tile(width)
    return (tiles, max(1, min(ceil(rows / (block[1] * ROWS_OF_A_THREAD)), MOST_ON_Y))), block


def chunked(rows, width):
    """(grid, block) for sums over columns, many rows in chunks, which lie on y."""
    block, tiles = tile(width)
    return (tiles, max(1, min(rows // (block[1] * ROWS_OF_A_SUM), BLOCKS // tiles, CHUNKS))), block


def on_rows(kernel, dtype, *values, blocks=None):
    """A launch of a kernel that takes a row at a time; the last two values are rows and width."""
    rows, width = values[-2:]
    block = (WARP, THREADS // WARP) if width <= LONG else (THREADS, 1)
    return launch(kernel, (blocks or max(1, ceil(rows / block[1])),), block, dtype, *values)


def on_vector(kernel, n, dtype, *values):
    """A launch of a kernel that takes the n elements of a vector, of which its last parameter tells."""
    return launch(kernel, grid(n), (THREADS,), dtype, *values, np.int64(n))


def in_one_block(kernel, n, dtype, *values):
    """The same in one block, which alone can finish a sum."""
    return launch(kernel, (1,), (THREADS,), dtype, *values, np.int64(n))
