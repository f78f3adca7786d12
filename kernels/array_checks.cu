// Validation of arrays on the device, which the host does not read: values that it would refuse become NaN.
#include "common.cuh"

#define LOW_OPEN 1     // bits of `rule`: the interval is open at its low end;
#define HIGH_OPEN 2    // it is open at its high end;
#define ENDS_ONLY 4    // only its ends are allowed;
#define SUM_IS_ONE 8   // each row must sum to 1

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

// out := source, with NaN outside the interval
extern "C" __global__ void __launch_bounds__(THREADS) numbers(
    const T* __restrict__ source, S* __restrict__ out, T low, T high, int rule, long long n)
{
    GRID_STRIDE(i, n)
        out[i] = S(allowed(source[i], low, high, rule) ? source[i] : nothing());
}

// out := source factor + share, with NaN in rows that break the rule
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

// out[i, j] := on if j is the label of row i, else off; NaN in rows whose label is out of range
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
