// What enters a network from arrays of the device, at which the host does not look: what it would refuse becomes NaN.
#include "common.cuh"

#define LOW_OPEN 1     // bits of `rule`: the interval lacks its low end,
#define HIGH_OPEN 2    // its high end,
#define ENDS_ONLY 4    // or holds nothing else;
#define SUM_IS_ONE 8   // a row adds up to 1

__device__ inline T nothing()
{
    return log(T(-1));   // NaN
}

__device__ inline bool allowed(T x, T low, T high, int rule)
{
    if (rule & ENDS_ONLY)
        return x == low || x == high;
    return (x > low || (x == low && !(rule & LOW_OPEN))) && (x < high || (x == high && !(rule & HIGH_OPEN)));
}

// out := source, where that lies in the interval
extern "C" __global__ void __launch_bounds__(THREADS) numbers(
    const T* __restrict__ source, S* __restrict__ out, T low, T high, int rule, long long n)
{
    GRID_STRIDE(i, n)
        out[i] = S(allowed(source[i], low, high, rule) ? source[i] : nothing());
}

// out := source factor + share, rows that are allowed as a whole
extern "C" __global__ void __launch_bounds__(THREADS) targets(
    const T* __restrict__ source, T* __restrict__ out, T low, T high, int rule, T factor, T share, int rows, int width)
{
    const size_t i = ROW;
    if (i >= (size_t)rows)
        return;
    source += i * width;
    out += i * width;
    T wrong = 0, sum = 0;
    ALONG_THE_ROW(j, width) {
        wrong += allowed(source[j], low, high, rule) ? T(0) : T(1);
        sum += source[j];
    }
    wrong = row_sum(wrong);
    sum = row_sum(sum);
    const bool fine = wrong == T(0) && (!(rule & SUM_IS_ONE) || fabs(sum - T(1)) <= T(1e-3));
    ALONG_THE_ROW(j, width)
        out[j] = fine ? source[j] * factor + share : nothing();
}

// rows of codes: out[i, j] := on where j is the row's label, else off
extern "C" __global__ void __launch_bounds__(THREADS) codes(
    const long long* __restrict__ labels, T* __restrict__ out, T off, T on, int rows, int width)
{
    const unsigned j = COLUMN(1);
    if (j >= (unsigned)width)
        return;
    DOWN_THE_ROWS(i, rows) {
        const long long label = labels[i];
        out[(size_t)i * width + j] = label < 0 || label >= width ? nothing() : label == j ? on : off;
    }
}
