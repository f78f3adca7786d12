"""Launch configurations: how work is divided into blocks and threads, and launches with all arguments bound.

The block shapes, and with them the order of every sum, depend only on the shapes of the arrays, on whether these are aligned to
16 bytes, and on the number of multiprocessors. On one device the same work therefore gives the same bits.
"""

from functools import partial
from math import ceil

import numpy as np

from .. import kernel_source

THREADS = 256          # threads of a block: THREADS in kernels/ahead.cuh
WARP = 32
VECTOR_BYTES = 16      # the widest load or store of a thread
LONG = 1024            # rows with more elements take a whole block instead of a warp
LONG_OF_FEW = 256      # the same limit if there are too few rows to give each multiprocessor 32 warps
MAX_ROWS_ONE_BLOCK = 32         # a single block processes at most n rows, and then also sums their columns,
MAX_ELEMENTS_ONE_BLOCK = 2048   # if they have at most n elements
ROWS_AHEAD = 4         # rows that a thread loads before it computes: AHEAD in kernels/common.cuh, or 2 in places of layer.cu
NARROW = 8             # minimum columns of a block: 8 vectors of 16 bytes fill a 128-byte cache line
ROWS_OF_A_SUM = 32     # maximum rows that a thread sums; more are divided into chunks, which a second kernel adds
ROWS_OF_A_CHUNK = 8    # minimum rows that a thread sums in a chunk
FULL = 4               # blocks per multiprocessor that saturate the memory bandwidth
SUMS = 2048            # numbers that one block adds in one round
BLOCKS = 4096          # enough blocks to fill any device
MOST_ON_Y = 65535      # CUDA's limit for the y dimension of a grid


def launch(kernel, grid, block, dtype, *values):
    """A bound launch, to be called without arguments; numbers are converted to the types that the kernel declares."""
    return partial(kernel, grid, block, kernel_source.arguments(dtype, *values))


def grid(n, most=BLOCKS):
    """The grid for n elements: one per thread, or several if that needs more than `most` blocks."""
    return max(1, min(ceil(n / THREADS), most)),


def full(processors):
    """The number of blocks that fill the multiprocessors; at most SUMS, which one block can add."""
    return min(FULL * processors, SUMS)


def pack(width, *arrays):
    """Elements per load: VECTOR_BYTES of them if all arrays are aligned and `width` is a multiple of their number, else 1."""
    most = VECTOR_BYTES // min(array.dtype.itemsize for array in arrays)
    return most if width % most == 0 and all(array.data.ptr % VECTOR_BYTES == 0 for array in arrays) else 1


def wide(name, elements):
    """The name of the kernel variant for this number of elements per load."""
    return name if elements == 1 else f"{name}_wide"


def tile(width, most=WARP):
    """(block, tiles): a block (columns, rows) no wider than the matrix needs, and the tiles that cover the columns."""
    columns = min(most, 1 << max(0, width - 1).bit_length())
    return (columns, THREADS // columns), max(1, ceil(width / columns))


def row_grid(rows, width, processors):
    """(grid, block) in which a thread takes ROWS_AHEAD rows, or fewer if multiprocessors would be idle otherwise."""
    block, tiles = tile(width)
    down = ceil(rows / block[1])
    return (tiles, max(1, min(max(ceil(down / ROWS_AHEAD), min(down, ceil(full(processors) / tiles))), MOST_ON_Y))), block


def chunked(rows, width, processors):
    """(grid, block) for column sums; chunks of rows are the y dimension of the grid."""
    block, tiles = tile(width)
    # if wide tiles would leave multiprocessors idle, narrower ones let more threads share a column
    while block[0] > NARROW and tiles < processors and rows > block[1] * ROWS_AHEAD:
        block, tiles = tile(width, block[0] // 2)
    down = ceil(rows / block[1])   # rows per thread
    chunks = 1 if down <= ROWS_OF_A_SUM else min(down // ROWS_OF_A_CHUNK, ceil(full(processors) / tiles))
    return (tiles, chunks), block


def fits_one_block(rows, width):
    """Whether one block processes all rows, one warp per row; it can then sum over rows, which saves a launch."""
    return rows <= MAX_ROWS_ONE_BLOCK and rows * width <= MAX_ELEMENTS_ONE_BLOCK


def block_for_rows(rows, width, processors):
    """(threads per row, rows) of a block: a warp per row, or the whole block if rows are long, or few and fairly long."""
    warps = fits_one_block(rows, width) or width < LONG_OF_FEW or rows >= full(processors) * THREADS // WARP
    return (WARP, THREADS // WARP) if width <= LONG and warps else (THREADS, 1)


def partial_count(rows, width, processors):
    """The number of blocks for the rows, each of which leaves one partial sum; at most as many as one block can add."""
    needed = 1 if fits_one_block(rows, width) else ceil(rows / block_for_rows(rows, width, processors)[1])
    return max(1, min(needed, full(processors)))


def on_rows(kernel, dtype, processors, *values, blocks=None):
    """A bound launch of a kernel that works row by row; the last two values are rows and width."""
    rows, width = values[-2:]
    block = block_for_rows(rows, width, processors)
    return launch(kernel, (blocks or max(1, ceil(rows / block[1])),), block, dtype, *values)


def reduction_grid(n, processors):
    """The grid for a sum over n elements, in which each block leaves a partial sum."""
    return grid(n, 2 * full(processors))


def on_vector(kernel, n, blocks, dtype, *values):
    """A bound launch of a kernel over the n elements of a vector; n is its last argument. One block can complete a sum."""
    return launch(kernel, blocks, (THREADS,), dtype, *values, np.int64(n))
