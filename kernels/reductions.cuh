// Loops over the elements e of groups, and the reductions at their ends. Sums is a struct of the sums of a thread, with first() and
// join().
#include "ahead.cuh"

template <int U, class Index, class Read, class Use>
__device__ inline void each(Index n, Read read, Use use)
{
    read_ahead<U>(Index(blockIdx.x * blockDim.x + threadIdx.x), Index(gridDim.x * blockDim.x), n, read, use);
}

// The Sums of `count` threads that are `apart` threads from each other, joined in a tree; the first of them gets the result
template <class Sums>
__device__ inline Sums joined(Sums sums, unsigned place, unsigned apart, unsigned count)
{
    __shared__ Sums tile[THREADS];
    const unsigned here = threadIdx.y * blockDim.x + threadIdx.x;
    const bool warp = apart == 1 && count <= 32;   // the threads of a warp need no barrier of the block
    __syncwarp();   // the previous sums, in a loop over rows, were read last by the first thread of this warp
    tile[here] = sums;
    for (unsigned half = count / 2; half > 0; half /= 2) {
        if (warp)
            __syncwarp();
        else
            __syncthreads();
        if (place < half)
            tile[here].join(tile[here + half * apart]);
    }
    return tile[here];
}

// blockDim.x threads share a row: a warp, or the whole block; blockIdx.y is the chunk of a row
template <int U, class Sums, class Index, class Read, class Use, class Store>
__device__ inline void reduce_rows(Index rows, Index width, Read read, Use use, Store store)
{
    for (Index row = blockIdx.x * blockDim.y + threadIdx.y; row < rows; row += gridDim.x * blockDim.y) {
        Sums sums = Sums::first();
        read_ahead<U>(Index(blockIdx.y * blockDim.x + threadIdx.x), Index(gridDim.y * blockDim.x), width,
                      [&](int u, Index j) { read(u, row * width + j); },
                      [&](int u, Index j) { use(u, row * width + j, sums); });
        sums = joined(sums, threadIdx.x, 1, blockDim.x);
        if (threadIdx.x == 0)
            store(row, sums);
    }
}

// x indexes columns, y rows; blockIdx.y is the chunk of a column
template <int U, class Sums, class Index, class Read, class Use, class Store>
__device__ inline void reduce_columns(Index rows, Index width, Read read, Use use, Store store)
{
    const Index column = Index(blockIdx.x) * blockDim.x + threadIdx.x;
    Sums sums = Sums::first();
    if (column < width)
        read_ahead<U>(Index(blockIdx.y * blockDim.y + threadIdx.y), Index(gridDim.y * blockDim.y), rows,
                      [&](int u, Index i) { read(u, i * width + column); },
                      [&](int u, Index i) { use(u, i * width + column, sums); });
    sums = joined(sums, threadIdx.y, blockDim.x, blockDim.y);
    if (threadIdx.y == 0 && column < width)
        store(column, sums);
}
