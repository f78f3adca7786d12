// Copies that convert the type. gpubp/devices/kernel_source.py defines From0, To0, From1, ... as T or S.
#include "common.cuh"

// the elements of a load or store: 16 bytes of the narrower type
#define ELEMENTS_PER_LOAD(From, To) int(16 / (sizeof(From) < sizeof(To) ? sizeof(From) : sizeof(To)))

template <int N, class From, class To>
__device__ inline void copy(const From* __restrict__ from, To* __restrict__ to)
{
    T x[N];
    load(from, x);
    store(to, x);
}

// out := source, element by element
extern "C" __global__ void __launch_bounds__(THREADS) cast(const From0* source, To0* out, long long n)
{
    GRID_STRIDE(i, n)
        copy<1>(source + i, out + i);
}

extern "C" __global__ void __launch_bounds__(THREADS) cast_wide(const From0* source, To0* out, long long n)
{
    const int N = ELEMENTS_PER_LOAD(From0, To0);
    GRID_STRIDE(q, n / N)
        copy<N>(source + N * q, out + N * q);
}

// row i of out := row `row` of source; a thread moves `pack` elements, 1 or ELEMENTS_PER_LOAD
template <class From, class To>
__device__ inline void copy_row(const From* source, To* out, int width, int pack, size_t row, size_t i, unsigned column)
{
    const size_t j = (size_t)column * pack;
    if (j >= (size_t)width)
        return;
    if (pack == 1)
        copy<1>(source + row * width + j, out + i * width + j);
    else
        copy<ELEMENTS_PER_LOAD(From, To)>(source + row * width + j, out + i * width + j);
}

// rows of up to three matrices: out[i] := source[order[clock_0 size + i]]
extern "C" __global__ void __launch_bounds__(THREADS) gather(
    const long long* __restrict__ order, const long long* __restrict__ clock, int size, int rows,
    const From0* source0, To0* out0, int width0, int pack0, const From1* source1, To1* out1, int width1, int pack1,
    const From2* source2, To2* out2, int width2, int pack2)
{
    order += clock[0] * size;
    DOWN_THE_ROWS(i, rows) {
        const size_t row = order[i];
        copy_row(source0, out0, width0, pack0, row, i, COLUMN(1));
        copy_row(source1, out1, width1, pack1, row, i, COLUMN(1));
        copy_row(source2, out2, width2, pack2, row, i, COLUMN(1));
    }
}
