// One row of the last layer: activation, cost and BP1, with a warp or a block. gpubp/devices/kernel_source.py generates sigma(z) and
// prime(z, a) unless SOFTMAX, value(a, y) and slope(a, y) = dC/da, outer(s) and outer_prime(s) if OUTER. If the activation is the
// cost's PARTNER, value(u, y) takes u = z or u = log softmax. If the outputs are PAIRS, a target has an output m in the first half of
// the row and s in the second: value(m, s, y), and slope(m, s, y) replaces m and s by dC/dm and dC/ds.
#include "common.cuh"

#if !OUTER
__device__ inline T outer(T s) { return s; }
__device__ inline T outer_prime(T s) { return 1; }
#endif
#if SOFTMAX
__device__ inline T prime(T z, T a) { return 1; }   // whole rows are multiplied by the Jacobian instead
#endif

// if neither the row's cost nor its other outputs enter delta, cost and delta follow directly from z
#define AT_ONCE (!RELATIVE && (PARTNER || !(SOFTMAX || OUTER)))

// Returns the row's cost to each of its threads. weight is the weight of the row. delta may be stored in 16 bits, and includes the
// loss scale. If AT_ONCE, z and a are written only if `keep`.
template <bool learning, bool keep>
__device__ inline T output_row(T* z, const T* b, T* a, const T* y, T weight, T scale, S* delta, int width)
{
#if PAIRS
    const int half = width / 2;
    T sum = 0;
    for (int j = threadIdx.x; j < half; j += blockDim.x) {
        const T z_m = z[j] + b[j], z_s = z[j + half] + b[j + half], m = sigma(z_m), s = sigma(z_s);
        if (keep) {
            z[j] = z_m, z[j + half] = z_s;
            a[j] = m, a[j + half] = s;
        }
        sum += value(m, s, y[j]);
        if (learning) {
            T of_m = m, of_s = s;
            slope(of_m, of_s, y[j]);
            delta[j] = S(scale * weight * of_m * prime(z_m, m));
            delta[j + half] = S(scale * weight * of_s * prime(z_s, s));
        }
    }
    return weight * row_sum(sum);
#else
    T peak = 0, log_sum = 0, sum = 0, x[AHEAD], here[AHEAD], want[AHEAD];
#if SOFTMAX
    T powers;
    softmax_sums(z, b, width, peak, powers);
    log_sum = log(powers);
#define SIGMA(x) (exp(x - peak) / powers)
#else
#define SIGMA(x) sigma(x)
#endif
    const auto read_z = [&](int u, unsigned j) {
        x[u] = z[j];
        here[u] = b[j];
        want[u] = y[j];
    };
    along_the_row(width, read_z, [&](int u, unsigned j) {
        x[u] += here[u];
        here[u] = SIGMA(x[u]);
        if (keep || !AT_ONCE) {
            z[j] = x[u];
            a[j] = here[u];
        }
        if (AT_ONCE) {
            sum += value(PARTNER ? x[u] - peak - log_sum : here[u], want[u]);   // log a_j, without the rounding of a
            if (learning)
                delta[j] = S(scale * weight * (PARTNER ? here[u] - want[u] : slope(here[u], want[u]) * prime(x[u], here[u])));
        }
    });
    T truth = 0, slopes = 0, mean = 0;
    const auto read = [&](int u, unsigned j) {   // values that this thread has written
        x[u] = z[j];
        here[u] = a[j];
        want[u] = y[j];
    };
    if (RELATIVE) {   // the cost is a function of a_j - truth; truth is the output where y is 1
        along_the_row(width, read, [&](int u, unsigned) { truth += want[u] * here[u]; });
        truth = row_sum(truth);
    }
    if (!AT_ONCE)
        along_the_row(width, read, [&](int u, unsigned) {
            sum += value(PARTNER ? x[u] - peak - log_sum : here[u] - truth, want[u]);
            slopes += RELATIVE && learning ? slope(here[u] - truth, want[u]) : T(0);
        });
    sum = row_sum(sum);
    const T cost = weight * outer(sum);
    if (!learning || AT_ONCE)
        return cost;

    if (RELATIVE)
        slopes = row_sum(slopes);
    weight *= scale * (PARTNER ? T(1) : outer_prime(sum));
    // dC/da_j is recomputed each time, since delta would round it; the true output enters all differences
    const auto dcda = [&](int u) {
        return PARTNER ? here[u] - want[u] : slope(here[u] - truth, want[u]) - (RELATIVE ? want[u] * slopes : T(0));
    };
    if (SOFTMAX && !PARTNER) {
        along_the_row(width, read, [&](int u, unsigned) { mean += dcda(u) * here[u]; });
        mean = row_sum(mean);
    }
    along_the_row(width, read, [&](int u, unsigned j) {
        const T error = dcda(u);
        delta[j] = S(weight * (PARTNER ? error : SOFTMAX ? here[u] * (error - mean) : error * prime(x[u], here[u])));
    });
    return cost;
#endif
}
