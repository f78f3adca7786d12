// The last layer: activation, cost and BP1 in one pass over the rows, with one warp or one block per row.
#include "output_row.cuh"

// Minimum blocks per multiprocessor: by itself the compiler would make room for 8, and spill registers on sm_100. A number of
// 8 bytes takes two registers
#define ROOM int(16 / sizeof(T))

// The sum of the costs of this thread's rows; z and a are not kept
__device__ inline T cost_and_delta_rows(
    T* z, const T* b, T* a, const T* y, const T* sample_weights, S* delta, T scale, int rows, int width)
{
    T cost = 0;
    for (size_t i = ROW; i < (size_t)rows; i += (size_t)gridDim.x * blockDim.y) {
        const size_t k = i * width;
        cost += output_row<true, false>(z + k, b, a + k, y + k, sample_weights[i], scale, delta + k, width);
    }
    return cost;
}

// BP1  delta := scaling_0 s_i dC_i/da * sigma'(z),  and costs[block] := the sum of s_i C_i over the block's rows. Before
// the call z lacks b; after it z and a are undefined.
extern "C" __global__ void __launch_bounds__(THREADS, ROOM) cost_and_delta(
    T* __restrict__ z, const T* __restrict__ b, T* __restrict__ a, const T* __restrict__ y, const T* __restrict__ sample_weights,
    S* __restrict__ delta, T* __restrict__ costs, const T* __restrict__ scaling, int rows, int width)
{
    store_block_sum(cost_and_delta_rows(z, b, a, y, sample_weights, delta, *scaling, rows, width), costs);
}

// The same for few rows in a single block, which then has all rows of delta and sums its columns: BP3, the bias gradient
extern "C" __global__ void __launch_bounds__(THREADS, ROOM) cost_and_delta_one_block(
    T* __restrict__ z, const T* __restrict__ b, T* __restrict__ a, const T* __restrict__ y, const T* __restrict__ sample_weights,
    S* delta, T* __restrict__ costs, const T* __restrict__ scaling, T* __restrict__ sums, int rows, int width)
{
    const T cost = cost_and_delta_rows(z, b, a, y, sample_weights, delta, *scaling, rows, width);
    store_block_sum(cost, costs);   // after its barrier all of delta is written
    for (unsigned j = threadIdx.y * blockDim.x + threadIdx.x; j < (unsigned)width; j += THREADS) {
        T sum = 0, ahead[AHEAD_IN_ONE_BLOCK];
        read_ahead<AHEAD_IN_ONE_BLOCK>(0u, 1u, (unsigned)rows, [&](int u, unsigned i) { ahead[u] = delta[(size_t)i * width + j]; },
                                       [&](int u, unsigned) { sum += ahead[u]; });
        sums[j] = sum;
    }
}

// z := z + b,  a := sigma(z),  costs_i := s_i C_i,  and BP1
extern "C" __global__ void __launch_bounds__(THREADS, ROOM) output(
    T* __restrict__ z, const T* __restrict__ b, T* __restrict__ a, const T* __restrict__ y, const T* __restrict__ sample_weights,
    S* __restrict__ delta, T* __restrict__ costs, const T* __restrict__ scaling, int rows, int width)
{
    const size_t i = ROW, k = i * width;
    if (i >= (size_t)rows)
        return;
    const T cost = output_row<true, true>(z + k, b, a + k, y + k, sample_weights[i], *scaling, delta + k, width);
    if (threadIdx.x == 0)
        costs[i] = cost;
}

// The same without BP1, for evaluation
extern "C" __global__ void __launch_bounds__(THREADS) cost(
    T* __restrict__ z, const T* __restrict__ b, T* __restrict__ a, const T* __restrict__ y, const T* __restrict__ sample_weights,
    T* __restrict__ costs, int rows, int width)
{
    const size_t i = ROW, k = i * width;
    if (i >= (size_t)rows)
        return;
    const T cost = output_row<false, true>(z + k, b, a + k, y + k, sample_weights[i], 1, 0, width);
    if (threadIdx.x == 0)
        costs[i] = cost;
}
