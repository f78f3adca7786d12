// Loops over groups of elementwise operations, which gpubp/programs/loops.py writes, and the reductions at their ends.
#include "cpu.h"
#include "team.h"
#include "joins.cuh"

#if defined(__clang__)
#define LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define LOOP _Pragma("GCC ivdep")
#endif

typedef void (*Kernel)(const Word* words);

// All of x, joined in a fixed number of parts, so that the order does not depend on the compiler
template <class Join, class Value>
inline Value joined(const Value* x, Int n)
{
    enum { LANES = 16 };
    Value rest = Join::template first<Value>();
    if (n < LANES) {
        for (Int i = 0; i < n; i++)
            rest = Join::join(rest, x[i]);
        return rest;
    }
    Value part[LANES];
    for (int lane = 0; lane < LANES; lane++)
        part[lane] = x[lane];
    Int i = LANES;
    for (; i + LANES <= n; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            part[lane] = Join::join(part[lane], x[i + lane]);
    for (; i < n; i++)
        rest = Join::join(rest, x[i]);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++)
            part[lane] = Join::join(part[lane], part[lane + half]);
    return Join::join(part[0], rest);
}

// out := the rows of x joined, divided by count
template <class Join, class Value>
inline void join_rows(const Value* x, Value* out, Int rows, Int width, Int count)
{
    for (Int j = 0; j < width; j++)
        out[j] = x[j];
    for (Int i = 1; i < rows; i++)
        for (Int j = 0; j < width; j++)
            out[j] = Join::join(out[j], x[i * width + j]);
    if (count != 1)
        for (Int j = 0; j < width; j++)
            out[j] = out[j] / Value(count);
}

template <class Value>
inline void fill(Value* out, Value first, Int n)
{
    for (Int i = 0; i < n; i++)
        out[i] = first;
}

// The place of index k on an axis of n elements, from the end if it is negative; other indices are refused after the loop
inline Int place_of(Int k, Int n)
{
    const Int place = k < 0 ? k + n : k;
    return (unsigned long long)place < (unsigned long long)n ? place : 0;
}
