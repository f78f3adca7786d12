// Softmax layers, a warp or a block to a row.
#include "common.cuh"

// z := z + b,  a_j := exp(z_j) / sum_k exp(z_k);  a may be z itself
extern "C" __global__ void __launch_bounds__(THREADS) softmax(S* z, const T* b, S* a, int rows, int width)
{
    const size_t i = ROW;
    if (i >= (size_t)rows)
        return;
    z += i * width;
    a += i * width;
    T peak, sum;
    softmax_sums(z, b, width, peak, sum);
    ALONG_THE_ROW(j, width) {
        const T x = T(z[j]) + b[j];   // not rounded to S before the exponential, which would magnify it
        z[j] = S(x);
        a[j] = S(exp(x - peak) / sum);
    }
}

// BP2  delta_j := a_j (delta_j - sum_k delta_k a_k)
extern "C" __global__ void __launch_bounds__(THREADS) softmax_hadamard(S* delta, const S* a, int rows, int width)
{
    const size_t i = ROW;
    if (i >= (size_t)rows)
        return;
    delta += i * width;
    a += i * width;
    T mean = 0;
    ALONG_THE_ROW(j, width)
        mean += T(delta[j]) * T(a[j]);
    mean = row_sum(mean);
    ALONG_THE_ROW(j, width)
        delta[j] = S(T(a[j]) * (T(delta[j]) - mean));
}
