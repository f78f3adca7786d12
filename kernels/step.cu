// One optimizer step over the whole vector. gpubp/devices/compiler.py writes in the rule with its STATE vectors and SCALARS:
// RULE(i) is rule(w[i], state[i]..., g[i], weight, norm, scalars...), weight being 1 for weights and 0 for biases.
#include "common.cuh"

// w, state := rule(w, state, g)
extern "C" __global__ void __launch_bounds__(THREADS) step(
    T* __restrict__ w, STATE const T* __restrict__ g, const T* __restrict__ norm, int weights, int n SCALARS)
{
    GRID_STRIDE(i, n)
        RULE(i, T(i < (unsigned)weights), *norm);
}

// w_j := w_j limit / |w_j| where the weights w_j into neuron j, a row, are longer than the limit
extern "C" __global__ void __launch_bounds__(THREADS) max_norm(T* w, T limit, int rows, int width)
{
    if (ROW >= (unsigned)rows)
        return;
    w += ROW * width;
    T sum = 0;
    ALONG_THE_ROW(k, width)
        sum += w[k] * w[k];
    const T length = sqrt(warp_sum(sum));
    if (length <= limit)   // a NaN goes on into every weight of its neuron, as under NumPy
        return;
    ALONG_THE_ROW(k, width)
        w[k] *= limit / length;
}
