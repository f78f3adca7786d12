// Shared by the CPU's kernels, in C++ for the machine's own compiler. gpubp/devices/kernel_source.py defines T, float or double.
#include <utility>

#define __umul64hi(x, y) ((unsigned long long)((unsigned __int128)(x) * (y) >> 64))
#include "philox.cuh"

typedef long long Int;

// A kernel gets its arguments as 64-bit words: pointers, Ints and doubles, in the order of its parameters.
template <class Value>
inline Value word_as(Word word)
{
    static_assert(sizeof(Value) == sizeof(Word), "a word is a pointer, an Int or a double");
    Value value;
    __builtin_memcpy(&value, &word, sizeof(Value));
    return value;
}

template <class... Values, size_t... places>
inline void call_with(void (*kernel)(Values...), const Word* words, std::index_sequence<places...>)
{
    kernel(word_as<Values>(words[places])...);
}

template <class... Values>
inline void call_with(void (*kernel)(Values...), const Word* words)
{
    call_with(kernel, words, std::index_sequence_for<Values...>());
}

#define KERNEL(name) \
    extern "C" void call_##name(const Word* words) { call_with(name, words); }

// Formulas process matrices in blocks of whole rows that fit a core's cache. Within a block, loops run over all elements, since a
// vector instruction takes 4 to 16 of them and rows may be short. devices/cpu/cxx.py defines BLOCK, the elements of a block.
#define BLOCKS_OF_ROWS(first, count, rows, width) \
    for (Int first = 0, step_ = BLOCK / (width) > 1 ? BLOCK / (width) : 1, count; \
         first < (rows) && ((count = (rows) - first < step_ ? (rows) - first : step_), true); first += step_)

// rows := rows + b
inline void add_to_rows(T* __restrict__ z, const T* __restrict__ b, Int rows, Int width)
{
    for (Int i = 0; i < rows; i++, z += width)
        for (Int j = 0; j < width; j++)
            z[j] += b[j];
}

// sums := sums + the rows
inline void add_rows(const T* __restrict__ delta, T* __restrict__ sums, Int rows, Int width)
{
    for (Int i = 0; i < rows; i++, delta += width)
        for (Int j = 0; j < width; j++)
            sums[j] += delta[j];
}

// The sum of term(j), in a fixed number of partial sums, so that its order does not depend on the compiler.
template <class Term>
inline T sum_over(Int n, Term term)
{
    enum { LANES = 16 };
    T part[LANES] = {};
    Int j = 0;
    for (; j + LANES <= n; j += LANES)
        for (int lane = 0; lane < LANES; lane++)
            part[lane] += term(j + lane);
    T rest = 0;   // separate: scalar writes into part would delay the vector reads after them
    for (; j < n; j++)
        rest += term(j);
    if (n < LANES)
        return rest;
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++)
            part[lane] += part[lane + half];
    return part[0] + rest;
}

inline T sum_of(const T* x, Int n)
{
    return sum_over(n, [=](Int j) { return x[j]; });
}

inline T product_of(const T* x, const T* y, Int n)
{
    return sum_over(n, [=](Int j) { return x[j] * y[j]; });
}

// out := x - y
inline void subtract(const T* x, T y, T* out, Int n)
{
    for (Int j = 0; j < n; j++)
        out[j] = x[j] - y;
}

// x := x / y
inline void divide(T* x, T y, Int n)
{
    for (Int j = 0; j < n; j++)
        x[j] /= y;
}

// results_i := reduce(result, term(i, j)) over j < width, from term(i, 0) on, in order. Eight rows are reduced side by side, since
// each operation on a row waits for the one before it
template <class Result, class Term, class Reduce>
inline void reduce_rows(Result* results, Int rows, Int width, Term term, Reduce reduce)
{
    enum { TOGETHER = 8 };
    Int i = 0;
    for (; i + TOGETHER <= rows; i += TOGETHER) {
        Result result[TOGETHER];
        for (int row = 0; row < TOGETHER; row++)
            result[row] = term(i + row, 0);
        for (Int j = 1; j < width; j++)
            for (int row = 0; row < TOGETHER; row++)
                result[row] = reduce(result[row], term(i + row, j));
        for (int row = 0; row < TOGETHER; row++)
            results[i + row] = result[row];
    }
    for (; i < rows; i++) {
        results[i] = term(i, 0);
        for (Int j = 1; j < width; j++)
            results[i] = reduce(results[i], term(i, j));
    }
}

// sums_i := sum of x_ij
inline void sum_rows(const T* x, T* sums, Int rows, Int width)
{
    enum { NARROW = 16 };
    if (width < NARROW)
        reduce_rows(sums, rows, width, [=](Int i, Int j) { return x[i * width + j]; }, [](T sum, T more) { return sum + more; });
    else
        for (Int i = 0; i < rows; i++)
            sums[i] = sum_of(x + i * width, width);
}

// a := softmax of the rows of a block; a may be z itself. peaks_i := max_j z_ij,  log_sums_i := log(sum_j exp(z_ij - peak_i))
inline void softmax_of_rows(const T* z, T* a, T* peaks, T* log_sums, Int rows, Int width)
{
    reduce_rows(peaks, rows, width, [=](Int i, Int j) { return z[i * width + j]; },
                [](T peak, T x) { return peak < x ? x : peak; });   // a NaN spreads to the row by its sum
    for (Int i = 0; i < rows; i++)
        subtract(z + i * width, peaks[i], a + i * width, width);
    for (Int n = 0; n < rows * width; n++)
        a[n] = exp(a[n]);
    sum_rows(a, log_sums, rows, width);
    for (Int i = 0; i < rows; i++)
        divide(a + i * width, log_sums[i], width);
    for (Int i = 0; i < rows; i++)
        log_sums[i] = log(log_sums[i]);
}

// delta_j := a_j (delta_j - sum_k delta_k a_k) in one row
inline void times_softmax_prime(T* __restrict__ delta, const T* __restrict__ a, Int width)
{
    const T mean = product_of(delta, a, width);
    for (Int j = 0; j < width; j++)
        delta[j] = a[j] * (delta[j] - mean);
}
