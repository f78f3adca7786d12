// The last layer: activation, cost and BP1 in one pass over the rows, with one warp or one block per row.
// gpubp/devices/kernel_source.py generates sigma(z) and prime(z, a) unless SOFTMAX, value(a, y) and slope(a, y) = dC/da,
// outer(s) and outer_prime(s) if OUTER. If the activation is the cost's PARTNER, value(u, y) takes u = z or u = log softmax.
#include "common.cuh"

#if !OUTER
__device__ inline T outer(T s) { return s; }
__device__ inline T outer_prime(T s) { return 1; }
#endif
#if SOFTMAX
__device__ inline T prime(T z, T a) { return 1; }   // whole rows are multiplied by the Jacobian instead
#endif

// Minimum blocks per multiprocessor: by itself the compiler would make room for 8, and spill registers on sm_100. A number of
// 8 bytes takes two registers
#define ROOM int(16 / sizeof(T))

// if neither the row's cost nor its other outputs enter delta, cost and delta follow directly from z
#define AT_ONCE (!RELATIVE && (PARTNER || !(SOFTMAX || OUTER)))

// Returns the row's cost to each of its threads. weight is the weight of the row. delta may be stored in 16 bits, and includes the
// loss scale. If AT_ONCE, z and a are written only if `keep`.
template <bool learning, bool keep>
__device__ inline T output_row(T* z, const T* b, T* a, const T* y, T weight, T scale, S* delta, int width)
{
    T peak = 0, log_sum = 0, sum = 0, x[AHEAD], here[AHEAD], want[AHEAD];
#if SOFTMAX
    T powers;
    softmax_sums(z, b, width, peak, powers);
    log_sum = log(powers);
#define SIGMA(x) (exp(x - peak) / powers)
#else
#define SIGMA(x) sigma(x)
#endif
    const auto read_z = [&](int u, unsigned j) {
        x[u] = z[j];
        here[u] = b[j];
        want[u] = y[j];
    };
    along_the_row(width, read_z, [&](int u, unsigned j) {
        x[u] += here[u];
        here[u] = SIGMA(x[u]);
        if (keep || !AT_ONCE) {
            z[j] = x[u];
            a[j] = here[u];
        }
        if (AT_ONCE) {
            sum += value(PARTNER ? x[u] - peak - log_sum : here[u], want[u]);   // log a_j, without the rounding of a
            if (learning)
                delta[j] = S(scale * weight * (PARTNER ? here[u] - want[u] : slope(here[u], want[u]) * prime(x[u], here[u])));
        }
    });
    T truth = 0, slopes = 0, mean = 0;
    const auto read = [&](int u, unsigned j) {   // values that this thread has written
        x[u] = z[j];
        here[u] = a[j];
        want[u] = y[j];
    };
    if (RELATIVE) {   // the cost is a function of a_j - truth; truth is the output where y is 1
        along_the_row(width, read, [&](int u, unsigned) { truth += want[u] * here[u]; });
        truth = row_sum(truth);
    }
    if (!AT_ONCE)
        along_the_row(width, read, [&](int u, unsigned) {
            sum += value(PARTNER ? x[u] - peak - log_sum : here[u] - truth, want[u]);
            slopes += RELATIVE && learning ? slope(here[u] - truth, want[u]) : T(0);
        });
    sum = row_sum(sum);
    const T cost = weight * outer(sum);
    if (!learning || AT_ONCE)
        return cost;

    if (RELATIVE)
        slopes = row_sum(slopes);
    weight *= scale * (PARTNER ? T(1) : outer_prime(sum));
    // dC/da_j is recomputed each time, since delta would round it; the true output enters all differences
    const auto dcda = [&](int u) {
        return PARTNER ? here[u] - want[u] : slope(here[u] - truth, want[u]) - (RELATIVE ? want[u] * slopes : T(0));
    };
    if (SOFTMAX && !PARTNER) {
        along_the_row(width, read, [&](int u, unsigned) { mean += dcda(u) * here[u]; });
        mean = row_sum(mean);
    }
    along_the_row(width, read, [&](int u, unsigned j) {
        const T error = dcda(u);
        delta[j] = S(weight * (PARTNER ? error : SOFTMAX ? here[u] * (error - mean) : error * prime(x[u], here[u])));
    });
    return cost;
}

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
