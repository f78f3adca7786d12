// The last layer on the CPU: activation, cost and BP1, one block of rows at a time. gpubp/devices/kernel_source.py generates the same
// formulas and macros as for output.cu: if the activation is the cost's PARTNER, value(u, y) takes u = z or u = log softmax. If the
// outputs are PAIRS, a target has an output m in the first half of the row and s in the second: value(m, s, y), and slope(m, s, y)
// replaces m and s by dC/dm and dC/ds.
#include "cpu.h"

#if !OUTER
inline T outer(T s) { return s; }
inline T outer_prime(T s) { return 1; }
#endif

// The argument u of the cost's formulas: z, log softmax, a, or the differences from the true output
inline const T* seen(
    const T* z, const T* a, const T* y, T* spare, const T* peaks, const T* log_sums, Int rows, Int width)
{
    if (PARTNER && !SOFTMAX)
        return z;
    if (!PARTNER && !RELATIVE)
        return a;
    for (Int i = 0; i < rows; i++) {
        const T* from = (PARTNER ? z : a) + i * width;
        const T top = PARTNER ? peaks[i] : product_of(y + i * width, from, width), minus = PARTNER ? log_sums[i] : T(0);
        T* __restrict__ u = spare + i * width;
        for (Int j = 0; j < width; j++)
            u[j] = (from[j] - top) - minus;
    }
    return spare;
}

// BP1 before the sample weights: delta := dC/da * sigma'(z), or a - y with the partner
inline void first_delta(
    const T* z, const T* __restrict__ a, const T* __restrict__ y, const T* u, T* __restrict__ delta, Int rows, Int width)
{
    const Int n = rows * width;
#if PARTNER
    for (Int i = 0; i < n; i++)
        delta[i] = a[i] - y[i];
#else
#if PAIRS
    const Int half = width / 2;
    for (Int i = 0; i < rows; i++)
        for (Int j = i * width; j < i * width + half; j++) {
            T m = u[j], s = u[j + half];
            slope(m, s, y[j]);
            delta[j] = m, delta[j + half] = s;
        }
#else
    for (Int i = 0; i < n; i++)
        delta[i] = slope(u[i], y[i]);
#endif
    if (RELATIVE)   // the true output enters all differences
        for (Int i = 0; i < rows; i++) {
            const T slopes = sum_of(delta + i * width, width);
            for (Int j = 0; j < width; j++)
                delta[i * width + j] -= y[i * width + j] * slopes;
        }
#if SOFTMAX
    for (Int i = 0; i < rows; i++)
        times_softmax_prime(delta + i * width, a + i * width, width);
#else
    for (Int i = 0; i < n; i++)
        delta[i] *= prime(z[i], a[i]);
#endif
#endif
}

// z := z + b,  a := sigma(z),  costs_i := s_i C_i,  and with delta BP1  delta := s_i dC_i/da * sigma'(z), and BP3.
// spare has room for two blocks.
static void output(T* z, const T* b, T* a, const T* y, const T* sample_weights, T* delta, T* sums, T* costs,
                   T* spare, Int rows, Int width)
{
    T *values = spare, *second = spare + (BLOCK > width ? BLOCK : width), peaks[BLOCK], log_sums[BLOCK], totals[BLOCK];
    for (Int j = 0; delta && j < width; j++)
        sums[j] = 0;
    BLOCKS_OF_ROWS(first, count, rows, width) {
        const Int start = first * width, n = count * width;
        T *here = z + start, *__restrict__ out = a + start;
        add_to_rows(here, b, count, width);
#if SOFTMAX
        softmax_of_rows(here, out, peaks, log_sums, count, width);
#else
        for (Int i = 0; i < n; i++)
            out[i] = sigma(here[i]);
#endif
        const T* u = seen(here, out, y + start, second, peaks, log_sums, count, width);
        T* __restrict__ value_of = values;
        const Int terms = PAIRS ? width / 2 : width;   // of the cost of a row
#if PAIRS
        for (Int i = 0; i < count; i++)
            for (Int j = 0; j < terms; j++)
                value_of[i * terms + j] = value(u[i * width + j], u[i * width + terms + j], y[start + i * width + j]);
#else
        for (Int i = 0; i < n; i++)
            value_of[i] = value(u[i], y[start + i]);
#endif
        if (delta)
            first_delta(here, out, y + start, u, delta + start, count, width);
        sum_rows(values, totals, count, terms);
        for (Int i = 0; i < count; i++) {
            const T weight = sample_weights[first + i], total = totals[i];
            costs[first + i] = weight * outer(total);
            if (delta) {
                const T factor = weight * (OUTER && !PARTNER ? outer_prime(total) : T(1));
                T* __restrict__ row = delta + start + i * width;
                for (Int j = 0; j < width; j++)
                    row[j] *= factor;
            }
        }
        if (delta)
            add_rows(delta + start, sums, count, width);
    }
}

KERNEL(output)
