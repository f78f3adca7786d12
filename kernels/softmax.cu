// Softmax layers, one warp a row.
#include "common.cuh"

// z := z + b,  a_j := exp(z_j) / sum_k exp(z_k);  a may be z itself
extern "C" __global__ void __launch_bounds__(THREADS) softmax(T* z, const T* b, T* a, int rows, int width)
{
    if (ROW >= (unsigned)rows)
        return;
    T peak, log_sum;
    softmax_row(z + ROW * width, b, a + ROW * width, width, peak, log_sum);
}

// BP2  delta_j := a_j (delta_j - sum_k delta_k a_k)
extern "C" __global__ void __launch_bounds__(THREADS) softmax_hadamard(T* delta, const T* a, int rows, int width)
{
    if (ROW < (unsigned)rows)
        softmax_hadamard_row(delta + ROW * width, a + ROW * width, width);
}
