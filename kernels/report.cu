// Measurements at the end of an epoch: each row of a matrix holds the blocks' sums of one measurement; one kernel adds them.
#include "common.cuh"

// partials[block] := the number of the block's elements that are not finite
extern "C" __global__ void __launch_bounds__(THREADS) count_nonfinite(
    const T* __restrict__ x, T* __restrict__ partials, long long n)
{
    T sum = 0;
    GRID_STRIDE(i, n)
        sum += x[i] - x[i] == T(0) ? T(0) : T(1);
    sum = row_sum(sum);
    if (threadIdx.x == 0)
        partials[blockIdx.x] = sum;
}

// out[0] := the sum of the first row, out[k] := the root of the sum of row k: one block per row, in the order of `root`
extern "C" __global__ void __launch_bounds__(THREADS) finish(const T* __restrict__ partials, T* __restrict__ out, int width)
{
    T sum = 0;
    ALONG_THE_ROW(j, width)
        sum += partials[(size_t)blockIdx.x * width + j];
    sum = row_sum(sum);
    if (threadIdx.x == 0)
        out[blockIdx.x] = blockIdx.x == 0 ? sum : sqrt(sum);
}
