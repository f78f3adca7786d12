// What a layer does beside its matrix products. sigma(z) and prime(z, a) are written in by gpubp/devices/compiler.py.
#include "common.cuh"

// z := z + b,  a := sigma(z);  a may be z itself
extern "C" __global__ void __launch_bounds__(THREADS) layer(T* z, const T* b, T* a, int rows, int width)
{
    const unsigned j = COLUMN;
    if (j >= (unsigned)width)
        return;
    const T bias = b[j];
    DOWN_THE_ROWS(i, rows) {
        const unsigned k = i * width + j;
        const T x = z[k] + bias;
        z[k] = x;
        a[k] = sigma(x);
    }
}

// BP2  delta := delta * sigma'(z),  and BP3 in the same pass: sums[chunk, j] := sum of delta's column j over a chunk of rows
extern "C" __global__ void __launch_bounds__(THREADS) hadamard(
    T* __restrict__ delta, const T* __restrict__ z, const T* __restrict__ a, T* __restrict__ sums, int rows, int width)
{
    const unsigned j = COLUMN;
    T sum = 0;
    if (j < (unsigned)width) {
        DOWN_THE_ROWS(i, rows) {
            const unsigned k = i * width + j;
            const T error = delta[k] * prime(z[k], a[k]);
            delta[k] = error;
            sum += error;
        }
    }
    store_column_sum(sum, sums, width);
}
