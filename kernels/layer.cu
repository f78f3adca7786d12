// What a layer does beside its matrix products. sigma(z) and prime(z, a) are written in by gpubp/devices/compiler.py.
#include "common.cuh"

template <int N>
__device__ inline void layer_columns(S* z, const T* b, S* a, int rows, int width)
{
    const unsigned j = COLUMN(N);
    if (j >= (unsigned)width)
        return;
    T bias[N], x[N];
    load(b + j, bias);
    DOWN_THE_ROWS(i, rows) {
        const size_t k = (size_t)i * width + j;
        load(z + k, x);
        for (int n = 0; n < N; n++)
            x[n] += bias[n];
        if (z != a)   // else it would be written twice
            store(z + k, x);
        for (int n = 0; n < N; n++)
            x[n] = sigma(x[n]);
        store(a + k, x);
    }
}

template <int N>
__device__ inline void hadamard_columns(
    S* __restrict__ delta, const S* __restrict__ z, const S* __restrict__ a, T* __restrict__ sums, int rows, int width)
{
    const unsigned j = COLUMN(N);
    T sum[N] = {}, error[N], here_z[N], here_a[N];
    if (j < (unsigned)width) {
        DOWN_THE_ROWS(i, rows) {
            const size_t k = (size_t)i * width + j;
            load(delta + k, error);
            load(z + k, here_z);
            load(a + k, here_a);
            for (int n = 0; n < N; n++) {
                error[n] *= prime(here_z[n], here_a[n]);
                sum[n] += error[n];
            }
            store(delta + k, error);
        }
    }
    store_column_sums(sum, sums, width);
}

// z := z + b,  a := sigma(z);  a may be z itself
extern "C" __global__ void __launch_bounds__(THREADS) layer(S* z, const T* b, S* a, int rows, int width)
{
    layer_columns<1>(z, b, a, rows, width);
}

extern "C" __global__ void __launch_bounds__(THREADS) layer_wide(S* z, const T* b, S* a, int rows, int width)
{
    layer_columns<WIDE>(z, b, a, rows, width);
}

// BP2  delta := delta * sigma'(z),  and BP3 in the same pass: sums[chunk, j] := sum of delta's column j over a chunk of rows
extern "C" __global__ void __launch_bounds__(THREADS) hadamard(
    S* delta, const S* z, const S* a, T* sums, int rows, int width)
{
    hadamard_columns<1>(delta, z, a, sums, rows, width);
}

extern "C" __global__ void __launch_bounds__(THREADS) hadamard_wide(
    S* delta, const S* z, const S* a, T* sums, int rows, int width)
{
    hadamard_columns<WIDE>(delta, z, a, sums, rows, width);
}
