// Sums of columns (BP3, the bias gradient, of the last layer and of softmax layers), of a batch's costs, and of a vector's squares.
#include "common.cuh"

template <int N>
__device__ inline void sum_columns(const S* delta, T* sums, int rows, int width)
{
    const unsigned j = COLUMN(N);
    Pack<S, N> ahead[AHEAD];
    T sum[N] = {}, x[N];
    const auto read = [&](int u, unsigned i) { ahead[u] = fetch<N>(delta + ((size_t)i * width + j)); };
    const auto use = [&](int u, unsigned) {
        widen(ahead[u], x);
        for (int n = 0; n < N; n++)
            sum[n] += x[n];
    };
    if (j < (unsigned)width)
        down_the_rows<AHEAD>(rows, read, use);
    store_column_sums(sum, sums, width);
}

// BP3  sums[chunk, j] := sum of delta's column j over a chunk of rows; applied to the sums of chunks, it adds these
extern "C" __global__ void __launch_bounds__(THREADS) column_sums(
    const S* __restrict__ delta, T* __restrict__ sums, int rows, int width)
{
    sum_columns<1>(delta, sums, rows, width);
}

extern "C" __global__ void __launch_bounds__(THREADS) column_sums_wide(
    const S* __restrict__ delta, T* __restrict__ sums, int rows, int width)
{
    sum_columns<WIDE>(delta, sums, rows, width);
}

// partials[block] := sum of x_i^2 over the block's elements
extern "C" __global__ void __launch_bounds__(THREADS) squares(
    const S* __restrict__ x, T* __restrict__ partials, long long n)
{
    T sum = 0, ahead[AHEAD];
    grid_stride<AHEAD>(n, [&](int u, size_t i) { ahead[u] = T(x[i]); }, [&](int u, size_t) { sum += ahead[u] * ahead[u]; });
    sum = row_sum(sum);
    if (threadIdx.x == 0)
        partials[blockIdx.x] = sum;
}

// the sum of a vector, in one block
__device__ inline T sum_of(const T* x, long long n)
{
    T sum = 0, ahead[AHEAD_IN_ONE_BLOCK];
    grid_stride<AHEAD_IN_ONE_BLOCK>(n, [&](int u, size_t i) { ahead[u] = x[i]; }, [&](int u, size_t) { sum += ahead[u]; });
    return row_sum(sum);
}

// norm := sqrt(sum of the partials), in one block
extern "C" __global__ void __launch_bounds__(THREADS) root(const T* __restrict__ partials, T* __restrict__ norm, long long n)
{
    const T sum = sum_of(partials, n);
    if (threadIdx.x == 0)
        *norm = sqrt(sum);
}

// log[clock_0] := sum of the costs and clock_0 := clock_0 + 1, in one block
extern "C" __global__ void __launch_bounds__(THREADS) total(
    const T* __restrict__ costs, T* __restrict__ log, long long* __restrict__ clock, long long n)
{
    const T sum = sum_of(costs, n);
    if (threadIdx.x == 0)
        log[clock[0]++] = sum;
}
