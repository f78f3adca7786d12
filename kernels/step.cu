// One optimizer step over the whole vector. gpubp/devices/kernel_source.py generates the rule and, for its state vectors and scalars,
// STATE and PASSED (parameters and arguments), LOAD and STORE (N elements of each from i on), SCALARS (a row of the table: the
// learning rate and other numbers of this step) and RULE(n), which is rule(w[n], state[n]..., g[n], is_weight, norm, scalars...).
// is_weight is 1 for weights and 0 for biases. With a storage S, ROUNDED is the parameter for the weights rounded to S, and
// PASSED_ROUNDED its argument.
#include "common.cuh"

template <int N>
__device__ inline void step_vector(
    T* __restrict__ vector, STATE const T* __restrict__ gradient, const T* __restrict__ norms, const T* __restrict__ table,
    const long long* __restrict__ clock, const T* __restrict__ scaling, ROUNDED long long weight_count, long long count)
{
    if (scaling[2] == T(0))   // the gradient was not finite
        return;
    const T norm = *norms;
    SCALARS(table, clock[0])
    GRID_STRIDE(q, count / N) {
        const size_t i = N * q;
        T w[N], g[N];
        load(vector + i, w);
        load(gradient + i, g);
        LOAD
        for (int n = 0; n < N; n++) {
            const T is_weight = i + n < (size_t)weight_count;
            RULE(n);
        }
        store(vector + i, w);
        STORE
#ifdef ROUNDS
        if (i < (size_t)weight_count)   // the weights fill whole cache lines
            store(rounded + i, w);
#endif
    }
}

// w, state := rule(w, state, g)
extern "C" __global__ void __launch_bounds__(THREADS) step(
    T* __restrict__ vector, STATE const T* __restrict__ gradient, const T* norm, const T* table, const long long* clock,
    const T* scaling, ROUNDED long long weight_count, long long count)
{
    step_vector<1>(vector, PASSED gradient, norm, table, clock, scaling, PASSED_ROUNDED weight_count, count);
}

// at least 3 blocks per multiprocessor: by itself the compiler would make room for more, and spill registers of long rules
extern "C" __global__ void __launch_bounds__(THREADS, 3) step_wide(
    T* __restrict__ vector, STATE const T* __restrict__ gradient, const T* norm, const T* table, const long long* clock,
    const T* scaling, ROUNDED long long weight_count, long long count)
{
    step_vector<int(16 / sizeof(T))>(vector, PASSED gradient, norm, table, clock, scaling, PASSED_ROUNDED weight_count, count);
}

// w_j := w_j limit / |w_j| if the weights w_j into neuron j, a row, are longer than the limit
extern "C" __global__ void __launch_bounds__(THREADS) max_norm(T* w, T limit, const T* scaling, int rows, int width)
{
    const size_t i = ROW;
    if (i >= (size_t)rows || scaling[2] == T(0))
        return;
    w += i * width;
    T sum = 0, ahead[AHEAD];
    const auto read = [&](int u, unsigned k) { ahead[u] = w[k]; };
    along_the_row(width, read, [&](int u, unsigned) { sum += ahead[u] * ahead[u]; });
    const T length = sqrt(row_sum(sum));
    if (length <= limit)   // a NaN spreads to all weights of its neuron, as in NumPy
        return;
    along_the_row(width, read, [&](int u, unsigned k) { w[k] = ahead[u] * (limit / length); });
}
