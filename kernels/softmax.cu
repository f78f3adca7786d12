// Softmax layers, with one warp or one block per row.
#include "common.cuh"

// z := z + b,  a_j := exp(z_j) / sum_k exp(z_k);  a may be z itself
extern "C" __global__ void __launch_bounds__(THREADS) softmax(S* z, const T* __restrict__ b, S* a, int rows, int width)
{
    const size_t i = ROW;
    if (i >= (size_t)rows)
        return;
    z += i * width;
    a += i * width;
    T peak, sum, x[AHEAD];
    softmax_sums(z, b, width, peak, sum);
    along_the_row(width, [&](int u, unsigned j) { x[u] = T(z[j]) + b[j]; }, [&](int u, unsigned j) {
        z[j] = S(x[u]);   // rounded to S only here, since the exponential would magnify the rounding
        a[j] = S(exp(x[u] - peak) / sum);
    });
}

// BP2  delta_j := a_j (delta_j - sum_k delta_k a_k)
extern "C" __global__ void __launch_bounds__(THREADS) softmax_backward(
    S* __restrict__ delta, const S* __restrict__ a, int rows, int width)
{
    const size_t i = ROW;
    if (i >= (size_t)rows)
        return;
    delta += i * width;
    a += i * width;
    T mean = 0, error[AHEAD], here[AHEAD];
    const auto read = [&](int u, unsigned j) {
        error[u] = T(delta[j]);
        here[u] = T(a[j]);
    };
    along_the_row(width, read, [&](int u, unsigned) { mean += error[u] * here[u]; });
    mean = row_sum(mean);
    along_the_row(width, read, [&](int u, unsigned j) { delta[j] = S(here[u] * (error[u] - mean)); });
}
