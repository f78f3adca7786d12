// The loss scale: scaling holds (scale, steps since its last change, whether the gradient was finite, 1 / the gradient's scale).
#include "common.cuh"

// g := g / scale,  partials[block] := the number of the block's elements that are not finite
extern "C" __global__ void __launch_bounds__(THREADS) unscale(
    T* __restrict__ g, const T* __restrict__ scaling, T* __restrict__ partials, long long n)
{
    const T factor = T(1) / scaling[0];   // exact, since scales are powers of two
    T lost = 0, ahead[AHEAD];
    grid_stride<AHEAD>(n, [&](int u, size_t i) { ahead[u] = g[i] * factor; }, [&](int u, size_t i) {
        const T x = ahead[u];
        g[i] = x;
        lost += x - x == T(0) ? T(0) : T(1);
    });
    lost = row_sum(lost);
    if (threadIdx.x == 0)
        partials[blockIdx.x] = lost;
}

// Halves the scale if an element was not finite; doubles it after `steady` finite steps. The bounds stop it if gradients are always
// zero or never finite. In one block
extern "C" __global__ void __launch_bounds__(THREADS) rescale(
    const T* __restrict__ partials, T* __restrict__ scaling, T steady, T largest, T least, long long n)
{
    T lost = 0, ahead[AHEAD_IN_ONE_BLOCK];
    grid_stride<AHEAD_IN_ONE_BLOCK>(n, [&](int u, size_t i) { ahead[u] = partials[i]; },
                                    [&](int u, size_t) { lost += ahead[u]; });
    lost = row_sum(lost);
    if (threadIdx.x > 0)
        return;
    const bool finite = lost == T(0), due = finite && scaling[1] + T(1) >= steady;
    const T scale = scaling[0];
    scaling[0] = !finite ? (scale > least ? scale / T(2) : least) : due && scale < largest ? scale * T(2) : scale;
    scaling[1] = finite && !due ? scaling[1] + T(1) : T(0);
    scaling[2] = finite;
    scaling[3] = T(1) / scale;
}
