"""How a kernel's work is cut into blocks and threads, and launches with everything settled.

The shapes of blocks, and with them the order of every sum, depend on the shapes of arrays, on whether these lie on 16-byte lines,
and on how many multiprocessors the device has: on one device the same work has the same bits.
"""

from functools import partial
from math import ceil

import numpy as np

from .. import kernel_source

THREADS = 256          # of a block: THREADS in kernels/common.cuh
WARP = 32
LINE = 16              # bytes, the most that a thread moves at once
LONG = 1024            # elements of a row that a whole block takes instead of a warp,
LONG_OF_FEW = 256      # and where there are too few rows to give each multiprocessor 32 warps
FEW = 32               # rows that one block takes, to add up their columns too,
SMALL = 2048           # where they have no more elements than this
ROWS_AHEAD = 4         # that a thread reads before it computes: AHEAD in kernels/common.cuh, or 2 in places of layer.cu
NARROW = 8             # columns of a block at least: of 16 bytes each they are a line of 128
ROWS_OF_A_SUM = 32     # that a thread adds up at most before rows are cut into chunks, since a second kernel then adds those,
ROWS_OF_A_CHUNK = 8    # and that it adds up at least in a chunk
FULL = 4               # blocks to a multiprocessor, whose loads together use all of the memory's bandwidth
SUMS = 2048            # numbers that one block adds in one round
BLOCKS = 4096          # enough to fill any device
MOST_ON_Y = 65535      # blocks of a grid


def launch(kernel, grid, block, dtype, *values):
    """One launch, to be called without arguments; numbers become what the kernel declares."""
    return partial(kernel, grid, block, kernel_source.arguments(dtype, *values))


def grid(n, most=BLOCKS):
    """Blocks for n elements, each thread taking several where there are many."""
    return max(1, min(ceil(n / THREADS), most)),


def full(processors):
    """Blocks that fill a device with that number of multiprocessors; at most SUMS, which one block can add."""
    return min(FULL * processors, SUMS)


def pack(width, *arrays):
    """Elements that a thread moves at once: as many as fill LINE bytes, where rows and arrays are made of such lines, else 1."""
    most = LINE // min(array.dtype.itemsize for array in arrays)
    return most if width % most == 0 and all(array.data.ptr % LINE == 0 for array in arrays) else 1


def wide(name, elements):
    """The name of the kernel that moves so many elements at once."""
    return name if elements == 1 else f"{name}_wide"


def tile(width, most=WARP):
    """A block (columns, rows) no wider than the matrix needs, and how many such tiles its columns take."""
    columns = min(most, 1 << max(0, width - 1).bit_length())
    return (columns, THREADS // columns), max(1, ceil(width / columns))


def cover(rows, width, processors):
    """(grid, block) whose threads take a few rows of their columns each, or fewer where that leaves multiprocessors idle."""
    block, tiles = tile(width)
    down = ceil(rows / block[1])
    return (tiles, max(1, min(max(ceil(down / ROWS_AHEAD), min(down, ceil(full(processors) / tiles))), MOST_ON_Y))), block


def chunked(rows, width, processors):
    """(grid, block) for sums over columns: narrow tiles where wide ones leave multiprocessors idle, since more threads then share
    a column; many rows in chunks, which lie on y."""
    block, tiles = tile(width)
    while block[0] > NARROW and tiles < processors and rows > block[1] * ROWS_AHEAD:
        block, tiles = tile(width, block[0] // 2)
    down = ceil(rows / block[1])   # rows of a thread
    chunks = 1 if down <= ROWS_OF_A_SUM else min(down // ROWS_OF_A_CHUNK, ceil(full(processors) / tiles))
    return (tiles, chunks), block


def few(rows, width):
    """Whether one block takes all rows, a warp to a row: it has them all at its end, which saves a launch."""
    return rows <= FEW and rows * width <= SMALL


def row_block(rows, width, processors):
    """(threads, rows) of a block: a warp to a row, or the whole block where rows are long, or rather long and not many."""
    warps = few(rows, width) or width < LONG_OF_FEW or rows >= full(processors) * THREADS // WARP
    return (WARP, THREADS // WARP) if width <= LONG and warps else (THREADS, 1)


def summands(rows, width, processors):
    """Blocks that take the rows, each several where there are many, whose sums one block can add."""
    needed = 1 if few(rows, width) else ceil(rows / row_block(rows, width, processors)[1])
    return max(1, min(needed, full(processors)))


def on_rows(kernel, dtype, processors, *values, blocks=None):
    """A launch of a kernel that takes a row at a time; the last two values are rows and width."""
    rows, width = values[-2:]
    block = row_block(rows, width, processors)
    return launch(kernel, (blocks or max(1, ceil(rows / block[1])),), block, dtype, *values)


def summing(n, processors):
    """The grid of blocks that take the n elements of a vector and leave a sum each."""
    return grid(n, 2 * full(processors))


def on_vector(kernel, n, blocks, dtype, *values):
    """A launch of a kernel that takes the n elements of a vector, of which its last parameter tells."""
    return launch(kernel, blocks, (THREADS,), dtype, *values, np.int64(n))


def in_one_block(kernel, n, dtype, *values):
    """The same in one block: only one can finish a sum."""
    return launch(kernel, (1,), (THREADS,), dtype, *values, np.int64(n))
