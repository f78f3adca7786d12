// Sums without a formula: over columns (BP3 of the last layer), over a batch's costs, over a vector's squares.
#include "common.cuh"

template <int N>
__device__ inline void sum_columns(const S* __restrict__ delta, T* __restrict__ sums, int rows, int width)
{
    const unsigned j = COLUMN(N);
    T sum[N] = {}, x[N];
    if (j < (unsigned)width) {
        DOWN_THE_ROWS(i, rows) {
            load(delta + (size_t)i * width + j, x);
            for (int n = 0; n < N; n++)
                sum[n] += x[n];
        }
    }
    store_column_sums(sum, sums, width);
}

// BP3  sums[chunk, j] := sum of delta's column j over a chunk of rows; over sums of chunks it adds up the chunks
extern "C" __global__ void __launch_bounds__(THREADS) column_sums(const S* delta, T* sums, int rows, int width)
{
    sum_columns<1>(delta, sums, rows, width);
}

extern "C" __global__ void __launch_bounds__(THREADS) column_sums_wide(const S* delta, T* sums, int rows, int width)
{
    sum_columns<WIDE>(delta, sums, rows, width);
}

// partials[block] := sum of x_i^2 over the block's elements
extern "C" __global__ void __launch_bounds__(THREADS) squares(
    const S* __restrict__ x, T* __restrict__ partials, long long n)
{
    T sum = 0;
    GRID_STRIDE(i, n)
        sum += T(x[i]) * T(x[i]);
    sum = row_sum(sum);
    if (threadIdx.x == 0)
        partials[blockIdx.x] = sum;
}

// norm := sqrt(sum of the partials), in one block
extern "C" __global__ void __launch_bounds__(THREADS) root(const T* __restrict__ partials, T* __restrict__ norm, long long n)
{
    T sum = 0;
    GRID_STRIDE(i, n)
        sum += partials[i];
    sum = row_sum(sum);
    if (threadIdx.x == 0)
        *norm = sqrt(sum);
}

// log[clock_0] := sum of the costs, in one block, and the next mini-batch is due
extern "C" __global__ void __launch_bounds__(THREADS) total(
    const T* __restrict__ costs, T* __restrict__ log, long long* __restrict__ clock, long long n)
{
    T sum = 0;
    GRID_STRIDE(i, n)
        sum += costs[i];
    sum = row_sum(sum);
    if (threadIdx.x == 0)
        log[clock[0]++] = sum;
}
