// Dropout: one kernel serves forward and backward; it draws the same bits again instead of storing a mask.
#include "common.cuh"

template <int N>
__device__ inline void drop(
    const S* a, S* out, T scale, Word limit, Word seed, const long long* clock, Word layer, Word start, long long n)
{
    const Word step = ((Word)clock[1] << 32) + clock[0];   // epoch and mini-batch
    GRID_STRIDE(q, (n + 7) / 8) {   // four words, eight halves; NumPy increments the counter before it draws
        const Words random = philox({start + q + 1, step, layer, 0}, seed, 0);
#pragma unroll
        for (unsigned half = 0; half < 8; half += N) {
            const size_t i = 8 * q + half;
            if (i + N <= (size_t)n) {
                T x[N];
                load(a + i, x);
#pragma unroll
                for (int k = 0; k < N; k++)
                    x[k] *= (random.word[(half + k) / 2] >> 32 * ((half + k) % 2) & 0xffffffffu) < limit ? scale : T(0);
                store(out + i, x);
            }
        }
    }
}

// out_i := a_i scale if the i-th 32 random bits from block `start` on are below the limit, else a_i 0;  out may be a itself
extern "C" __global__ void __launch_bounds__(THREADS) dropout(
    const S* a, S* out, T scale, Word limit, Word seed, const long long* clock, Word layer, Word start, long long n)
{
    drop<1>(a, out, scale, limit, seed, clock, layer, start, n);
}

extern "C" __global__ void __launch_bounds__(THREADS) dropout_wide(
    const S* a, S* out, T scale, Word limit, Word seed, const long long* clock, Word layer, Word start, long long n)
{
    drop<WIDE>(a, out, scale, limit, seed, clock, layer, start, n);
}
