// What the CPU's kernels share; C++ for the compiler that the machine has. gpubp/devices/kernel_source.py chooses T, float or double.
#include <utility>

#define __umul64hi(x, y) ((unsigned long long)((unsigned __int128)(x) * (y) >> 64))
#include "philox.cuh"

typedef long long Int;

// A kernel is called with its arguments in words of 64 bits: pointers, Ints and doubles, in the order of its parameters.
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

// Matrices pass through the formulas in blocks of whole rows that stay in a core's cache; within one, loops are as long as can be,
// since a vector instruction takes 4 to 16 elements and rows may be short. BLOCK, the elements of one, comes from native.py.
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

// The sum of term(j), in as many partial sums as a vector has elements: whatever the compiler makes of it, the order is the same.
template <class Term>
inline T sum_over(Int n, Term term)
{
    enum { LANES = 16 };
    T part[LANES] = {};
    Int j = 0;
    for (; j + LANES <= n; j += LANES)
        for (int lane = 0; lane < LANES; lane++)
            part[lane] += term(j + lane);
    T rest = 0;   // of its own: numbers written one by one into part would not be there in time to be read as vectors
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

// a := softmax of one row, which may be z itself; returns log of the sum of the powers, whose exponents count from the peak
inline T softmax_of(const T* z, T* a, Int width, T& peak)
{
    peak = z[0];
    for (Int j = 1; j < width; j++)
        peak = peak < z[j] || z[j] != z[j] ? z[j] : peak;   // NaN wins
    const T top = peak;
    for (Int j = 0; j < width; j++)
        a[j] = exp(z[j] - top);
    const T sum = sum_of(a, width);
    for (Int j = 0; j < width; j++)
        a[j] /= sum;
    return log(sum);
}

// delta_j := a_j (delta_j - sum_k delta_k a_k) in one row
inline void times_softmax_prime(T* __restrict__ delta, const T* __restrict__ a, Int width)
{
    const T mean = product_of(delta, a, width);
    for (Int j = 0; j < width; j++)
        delta[j] = a[j] * (delta[j] - mean);
}
