// One optimizer step over the whole vector, on the CPU. gpubp/devices/kernel_source.py generates the same macros as for step.cu, where
// a thread loads N elements; here N is 1, and the compiler vectorizes the loop.
#include "cpu.h"

enum { N = 1 };

inline void load(const T* from, T (&x)[N]) { x[0] = *from; }
inline void store(T* to, const T (&x)[N]) { *to = x[0]; }

// w, state := rule(w, state, g) for a range of only weights, or of only biases
template <int kind>
inline void step_range(
    T* __restrict__ vector, STATE const T* __restrict__ gradient, const T norm, const T* __restrict__ table, Int row, Int first,
    Int end)
{
    const T is_weight = kind;
    SCALARS(table, row)
    for (Int i = first; i < end; i++) {
        T w[N], g[N];
        load(vector + i, w);
        load(gradient + i, g);
        LOAD
        RULE(0);
        store(vector + i, w);
        STORE
    }
}

static void step(
    T* vector, STATE const T* gradient, const T* norm, const T* table, const Int* clock, Int weight_count, Int count)
{
    step_range<1>(vector, PASSED gradient, *norm, table, clock[0], 0, weight_count);
    step_range<0>(vector, PASSED gradient, *norm, table, clock[0], weight_count, count);
}

// w_j := w_j limit / |w_j| if the weights w_j into neuron j, a row, are longer than the limit
static void max_norm(T* w, double limit, Int rows, Int width)
{
    for (Int i = 0; i < rows; i++, w += width) {
        const T length = sqrt(product_of(w, w, width)), factor = T(limit) / length;
        if (!(length <= T(limit)))   // a NaN spreads to all weights of its neuron, as in NumPy
            for (Int k = 0; k < width; k++)
                w[k] *= factor;
    }
}

KERNEL(step)
KERNEL(max_norm)
