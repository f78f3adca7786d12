// Loops over groups of elementwise operations, which gpubp/programs/cuda_loops.py writes, and the reductions at their ends.
#include "ahead.cuh"

#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#endif

typedef unsigned long long Word;
typedef long long Int;

#include "joins.cuh"

// ---- where the arrays of a call are

enum { WORDS = 256 };
struct Arguments {
    Word at[WORDS];
};

// *to[i] := at[from[i]] + add[i]: addresses of the arrays of a call for the groups that read them, and numbers
extern "C" __global__ void bind(const Arguments words, const Word* to, const Word* from, const Word* add, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        *(Word*)to[i] = words.at[from[i]] + add[i];
}

// ---- math functions that are not inlined, for groups of many operations: compilation takes 20 ms for each inlined one

namespace called {
#define ONE(name) template <class Value> __device__ __noinline__ Value name(Value x) { return ::name(x); }
#define TWO(name) template <class Value> __device__ __noinline__ Value name(Value x, Value y) { return ::name(x, y); }
ONE(exp) ONE(expm1) ONE(exp2) ONE(log) ONE(log1p) ONE(log2) ONE(log10) ONE(cbrt) ONE(sin) ONE(cos) ONE(tan) ONE(asin) ONE(acos)
ONE(atan) ONE(sinh) ONE(cosh) ONE(tanh) ONE(asinh) ONE(acosh) ONE(atanh)
TWO(pow) TWO(atan2) TWO(hypot) TWO(fmod) TWO(remainder_of) TWO(log_add_exp)
}

// The place of index k on an axis of n elements, which wraps at both ends as CuPy's does
__device__ inline Int place_of(Int k, Int n)
{
    const Int place = k % n;
    return place < 0 ? place + n : place;
}

// ---- loops over elements e

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
    warp ? __syncwarp() : __syncthreads();   // all threads have read the previous sums
    tile[here] = sums;
    for (unsigned half = count / 2; half > 0; half /= 2) {
        warp ? __syncwarp() : __syncthreads();
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
