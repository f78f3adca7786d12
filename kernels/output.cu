// The last layer: activation, cost and BP1 in one pass over the rows, one warp a row.
// gpubp/devices/compiler.py writes in sigma(z) and prime(z, a) unless SOFTMAX, value(a, y) and slope(a, y) = dC/da,
// outer(s) and outer_prime(s); where the activation is the cost's PARTNER, value(u, y) takes u = z or u = log softmax.
#include "common.cuh"

template <bool learning>
__device__ inline void output_row(T* z, const T* b, T* a, const T* y, T weight, T* delta, T* cost, int width)
{
    T peak = 0, log_sum = 0, truth = 0, sum = 0, slopes = 0;
#if SOFTMAX
    softmax_row(z, b, a, width, peak, log_sum);
#else
    ALONG_THE_ROW(j, width) {
        z[j] += b[j];
        a[j] = sigma(z[j]);
    }
#endif
    if (RELATIVE) {   // the cost sees a_j - truth, where y is 1 at the true output
        ALONG_THE_ROW(j, width)
            truth += y[j] * a[j];
        truth = warp_sum(truth);
    }
    ALONG_THE_ROW(j, width) {
        sum += value(PARTNER ? z[j] - peak - log_sum : a[j] - truth, y[j]);
        if (learning)
            slopes += delta[j] = PARTNER ? a[j] - y[j] : slope(a[j] - truth, y[j]);
    }
    sum = warp_sum(sum);
    if (threadIdx.x == 0)
        *cost = weight * outer(sum);
    if (!learning)
        return;

    if (RELATIVE)
        slopes = warp_sum(slopes);
    const T scale = PARTNER ? weight : weight * outer_prime(sum);
    ALONG_THE_ROW(j, width) {
        T error = RELATIVE ? delta[j] - y[j] * slopes : delta[j];   // the true output moves all the differences
#if !SOFTMAX
        if (!PARTNER)
            error *= prime(z[j], a[j]);
#endif
        delta[j] = scale * error;
    }
    if (SOFTMAX && !PARTNER)
        softmax_hadamard_row(delta, a, width);
}

// z := z + b,  a := sigma(z),  costs_i := weights_i C_i,  and BP1  delta := weights_i dC_i/da * sigma'(z)
extern "C" __global__ void __launch_bounds__(THREADS) output(
    T* z, const T* b, T* a, const T* y, const T* weights, T* delta, T* costs, int rows, int width)
{
    const unsigned i = ROW, k = i * width;
    if (i < (unsigned)rows)
        output_row<true>(z + k, b, a + k, y + k, weights[i], delta + k, costs + i, width);
}

// The same without BP1, to evaluate
extern "C" __global__ void __launch_bounds__(THREADS) cost(
    T* z, const T* b, T* a, const T* y, const T* weights, T* costs, int rows, int width)
{
    const unsigned i = ROW, k = i * width;
    if (i < (unsigned)rows)
        output_row<false>(z + k, b, a + k, y + k, weights[i], 0, costs + i, width);
}
