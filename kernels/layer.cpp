// Bias, activation and its derivative on the CPU. gpubp/devices/kernel_source.py generates sigma(z) and prime(z, a).
#include "cpu.h"

// z := z + b,  a := sigma(z);  a may be z itself
static void layer(T* z, const T* b, T* a, Int rows, Int width)
{
    BLOCKS_OF_ROWS(first, count, rows, width) {
        T *here = z + first * width, *__restrict__ there = a + first * width;
        add_to_rows(here, b, count, width);
        if (z == a)
            for (Int i = 0; i < count * width; i++)
                here[i] = sigma(here[i]);
        else
            for (Int i = 0; i < count * width; i++)
                there[i] = sigma(here[i]);
    }
}

// BP2  delta := delta * sigma'(z),  and BP3 in the same pass: sums_j := sum of delta's column j
static void activation_backward(T* delta, const T* z, const T* a, T* sums, Int rows, Int width)
{
    for (Int j = 0; j < width; j++)
        sums[j] = 0;
    BLOCKS_OF_ROWS(first, count, rows, width) {
        T* __restrict__ error = delta + first * width;
        const T *here_z = z + first * width, *here_a = a + first * width;
        for (Int i = 0; i < count * width; i++)
            error[i] *= prime(here_z[i], here_a[i]);
        add_rows(error, sums, count, width);
    }
}

KERNEL(layer)
KERNEL(activation_backward)
