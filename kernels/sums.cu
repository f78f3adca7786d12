// Sums without a formula: over columns (BP3 of the last layer), over a batch's costs, over a vector's squares.
#include "common.cuh"

// BP3  sums[chunk, j] := sum of delta's column j over a chunk of rows; over sums of chunks it adds up the chunks
extern "C" __global__ void __launch_bounds__(THREADS) column_sums(
    const T* __restrict__ delta, T* __restrict__ sums, int rows, int width)
{
    const unsigned j = COLUMN;
    T sum = 0;
    if (j < (unsigned)width) {
        DOWN_THE_ROWS(i, rows)
            sum += delta[i * width + j];
    }
    store_column_sum(sum, sums, width);
}

// partials[block] := sum of x_i^2 over the block's elements
extern "C" __global__ void __launch_bounds__(THREADS) squares(const T* __restrict__ x, T* __restrict__ partials, int n)
{
    T sum = 0;
    GRID_STRIDE(i, n)
        sum += x[i] * x[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        partials[blockIdx.x] = sum;
}

// norm := sqrt(sum of the partials), in one block
extern "C" __global__ void __launch_bounds__(THREADS) root(const T* __restrict__ partials, T* __restrict__ norm, int n)
{
    T sum = 0;
    GRID_STRIDE(i, n)
        sum += partials[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        *norm = sqrt(sum);
}

// log[place] := sum of the costs, in one block
extern "C" __global__ void __launch_bounds__(THREADS) total(const T* __restrict__ costs, T* log, int place, int n)
{
    T sum = 0;
    GRID_STRIDE(i, n)
        sum += costs[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        log[place] = sum;
}
