// Bias, activation and its derivative. gpubp/devices/kernel_source.py generates sigma(z) and prime(z, a).
#include "common.cuh"

template <int N>
__device__ inline void layer_columns(S* z, const T* b, S* a, int rows, int width)
{
    const unsigned j = COLUMN(N);
    if (j >= (unsigned)width)
        return;
    constexpr int U = N > 4 ? 2 : AHEAD;   // with more rows, a long formula would overflow the instruction cache
    Pack<S, N> ahead[U];
    T bias[N], x[N];
    load(b + j, bias);
    down_the_rows<U>(rows, [&](int u, unsigned i) { ahead[u] = fetch<N>(z + ((size_t)i * width + j)); }, [&](int u, unsigned i) {
        const size_t k = (size_t)i * width + j;
        widen(ahead[u], x);
        for (int n = 0; n < N; n++)
            x[n] += bias[n];
        if (z != a)   // else it would be written twice
            store(z + k, x);
        for (int n = 0; n < N; n++)
            x[n] = sigma(x[n]);
        store(a + k, x);
    });
}

template <int N>
__device__ inline void activation_backward_columns(S* delta, const S* z, const S* a, T* sums, int rows, int width)
{
    const unsigned j = COLUMN(N);
    constexpr int U = sizeof(T) > 4 ? 2 : AHEAD;   // with more rows, float64 would spill registers around divisions and exponentials
    Pack<S, N> errors[U], zs[U], as[U];
    T sum[N] = {};
    const auto read = [&](int u, unsigned i) {
        const size_t k = (size_t)i * width + j;
        errors[u] = fetch<N>(delta + k);
        zs[u] = fetch<N>(z + k);
        as[u] = fetch<N>(a + k);
    };
    const auto use = [&](int u, unsigned i) {
        T error[N], here_z[N], here_a[N];
        widen(errors[u], error);
        widen(zs[u], here_z);
        widen(as[u], here_a);
        for (int n = 0; n < N; n++) {
            error[n] *= prime(here_z[n], here_a[n]);
            sum[n] += error[n];
        }
        store(delta + ((size_t)i * width + j), error);
    };
    if (j < (unsigned)width)
        down_the_rows<U>(rows, read, use);
    store_column_sums(sum, sums, width);
}

// z := z + b,  a := sigma(z);  a may be z itself
extern "C" __global__ void __launch_bounds__(THREADS) layer(S* z, const T* __restrict__ b, S* a, int rows, int width)
{
    layer_columns<1>(z, b, a, rows, width);
}

extern "C" __global__ void __launch_bounds__(THREADS) layer_wide(S* z, const T* __restrict__ b, S* a, int rows, int width)
{
    layer_columns<WIDE>(z, b, a, rows, width);
}

// BP2  delta := delta * sigma'(z),  and BP3 (the bias gradient) in the same pass: sums[chunk, j] := sum of delta's column j
extern "C" __global__ void __launch_bounds__(THREADS) activation_backward(
    S* __restrict__ delta, const S* __restrict__ z, const S* __restrict__ a, T* __restrict__ sums, int rows, int width)
{
    activation_backward_columns<1>(delta, z, a, sums, rows, width);
}

extern "C" __global__ void __launch_bounds__(THREADS) activation_backward_wide(
    S* __restrict__ delta, const S* __restrict__ z, const S* __restrict__ a, T* __restrict__ sums, int rows, int width)
{
    activation_backward_columns<WIDE>(delta, z, a, sums, rows, width);
}
