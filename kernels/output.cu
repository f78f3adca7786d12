// The last layer: activation, cost and BP1 in one pass over the rows, a warp or a block to a row.
// gpubp/devices/compiler.py writes in sigma(z) and prime(z, a) unless SOFTMAX, value(a, y) and slope(a, y) = dC/da,
// outer(s) and outer_prime(s) if OUTER; where the activation is the cost's PARTNER, value(u, y) takes u = z or u = log softmax.
#include "common.cuh"

#if !OUTER
__device__ inline T outer(T s) { return s; }
__device__ inline T outer_prime(T s) { return 1; }
#endif
#if SOFTMAX
__device__ inline T prime(T z, T a) { return 1; }   // its rows are multiplied by the Jacobian as a whole
#endif

// where neither the row's cost nor its other outputs enter delta, cost and delta follow at once from z
#define AT_ONCE (!RELATIVE && (PARTNER || !(SOFTMAX || OUTER)))

// weight is that of the row; delta alone, which may be stored in 16 bits, carries the loss scale too
template <bool learning>
__device__ inline void output_row(
    T* z, const T* b, T* a, const T* y, T weight, T scale, S* delta, T* cost, int width)
{
    T peak = 0, log_sum = 0, sum = 0;
#if SOFTMAX
    T powers;
    softmax_sums(z, b, width, peak, powers);
    log_sum = log(powers);
#define SIGMA(x) (exp(x - peak) / powers)
#else
#define SIGMA(x) sigma(x)
#endif
    ALONG_THE_ROW(j, width) {
        const T x = z[j] + b[j], here = SIGMA(x);
        z[j] = x;
        a[j] = here;
        if (AT_ONCE) {
            sum += value(PARTNER ? x - peak - log_sum : here, y[j]);   // log a_j without rounding a first
            if (learning)
                delta[j] = S(scale * weight * (PARTNER ? here - y[j] : slope(here, y[j]) * prime(x, here)));
        }
    }
    T truth = 0, slopes = 0, mean = 0;
    if (RELATIVE) {   // the cost sees a_j - truth, where y is 1 at the true output
        ALONG_THE_ROW(j, width)
            truth += y[j] * a[j];
        truth = row_sum(truth);
    }
    if (!AT_ONCE) {
        ALONG_THE_ROW(j, width) {
            sum += value(PARTNER ? z[j] - peak - log_sum : a[j] - truth, y[j]);
            slopes += RELATIVE && learning ? slope(a[j] - truth, y[j]) : T(0);
        }
    }
    sum = row_sum(sum);
    if (threadIdx.x == 0)
        *cost = weight * outer(sum);
    if (!learning || AT_ONCE)
        return;

    if (RELATIVE)
        slopes = row_sum(slopes);
    weight *= scale * (PARTNER ? T(1) : outer_prime(sum));
    // dC/da_j is computed again each time, since delta would round it; the true output moves all the differences
#define SLOPE(j) (PARTNER ? a[j] - y[j] : slope(a[j] - truth, y[j]) - (RELATIVE ? y[j] * slopes : T(0)))
    if (SOFTMAX && !PARTNER) {
        ALONG_THE_ROW(j, width)
            mean += SLOPE(j) * a[j];
        mean = row_sum(mean);
    }
    ALONG_THE_ROW(j, width) {
        const T error = SLOPE(j);
        delta[j] = S(weight * (PARTNER ? error : SOFTMAX ? a[j] * (error - mean) : error * prime(z[j], a[j])));
    }
}

// z := z + b,  a := sigma(z),  costs_i := weights_i C_i,  and BP1  delta := scaling_0 weights_i dC_i/da * sigma'(z).
// At least 4 blocks to a multiprocessor: of its own the compiler would make room for 8, by spilling a register on sm_100.
extern "C" __global__ void __launch_bounds__(THREADS, 4) output(
    T* __restrict__ z, const T* __restrict__ b, T* __restrict__ a, const T* __restrict__ y, const T* __restrict__ weights,
    S* __restrict__ delta, T* __restrict__ costs, const T* __restrict__ scaling, int rows, int width)
{
    const size_t i = ROW, k = i * width;
    if (i < (size_t)rows)
        output_row<true>(z + k, b, a + k, y + k, weights[i], *scaling, delta + k, costs + i, width);
}

// The same for a few rows, in one block, which then has all rows of delta and adds up its columns: BP3
extern "C" __global__ void __launch_bounds__(THREADS, 4) output_of_few(
    T* __restrict__ z, const T* __restrict__ b, T* __restrict__ a, const T* __restrict__ y, const T* __restrict__ weights,
    S* delta, T* __restrict__ costs, const T* __restrict__ scaling, T* __restrict__ sums, int rows, int width)
{
    for (size_t i = threadIdx.y; i < (size_t)rows; i += blockDim.y) {
        const size_t k = i * width;
        output_row<true>(z + k, b, a + k, y + k, weights[i], *scaling, delta + k, costs + i, width);
    }
    __syncthreads();
    for (unsigned j = threadIdx.y * blockDim.x + threadIdx.x; j < (unsigned)width; j += THREADS) {
        T sum = 0;
        for (size_t i = 0; i < (size_t)rows; i++)
            sum += T(delta[i * width + j]);
        sums[j] = sum;
    }
}

// The same without BP1, to evaluate
extern "C" __global__ void __launch_bounds__(THREADS) cost(
    T* __restrict__ z, const T* __restrict__ b, T* __restrict__ a, const T* __restrict__ y, const T* __restrict__ weights,
    T* __restrict__ costs, int rows, int width)
{
    const size_t i = ROW, k = i * width;
    if (i < (size_t)rows)
        output_row<false>(z + k, b, a + k, y + k, weights[i], 1, 0, costs + i, width);
}
