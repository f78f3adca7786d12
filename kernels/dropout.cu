// Dropout: forward and backward are one kernel, which draws the same bits again instead of keeping a mask.
#include "common.cuh"

// out_i := a_i scale where the i-th 32 random bits are below the limit, a_i 0 elsewhere;  out may be a itself
extern "C" __global__ void __launch_bounds__(THREADS) dropout(
    const T* a, T* out, T scale, Word limit, Word seed, Word step, Word layer, int n)
{
    GRID_STRIDE(q, (n + 7u) / 8) {   // four words, eight halves; NumPy's counter is one ahead
        const Words random = philox({q + 1, step, layer, 0}, seed, 0);
#pragma unroll
        for (unsigned half = 0; half < 8; half++) {
            const unsigned i = 8 * q + half;
            if (i < (unsigned)n)
                out[i] = a[i] * ((random.word[half / 2] >> 32 * (half % 2) & 0xffffffffu) < limit ? scale : T(0));
        }
    }
}
