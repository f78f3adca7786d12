// Loops over groups of elementwise operations, which gpubp/programs/loops.py writes, and the reductions at their ends.
#include "cpu.h"
#include "team.h"
#include <limits>

#if defined(__clang__)
#define LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define LOOP _Pragma("GCC ivdep")
#endif

typedef void (*Kernel)(const Word* words);

template <class Value> constexpr bool INFINITE = std::numeric_limits<Value>::has_infinity;
template <class Value> constexpr Value LARGEST = INFINITE<Value> ? std::numeric_limits<Value>::infinity() : std::numeric_limits<Value>::max();
template <class Value> constexpr Value LOWEST = INFINITE<Value> ? -std::numeric_limits<Value>::infinity() : std::numeric_limits<Value>::lowest();

// ---- reductions: the number to begin with, and how two numbers are joined; a NaN passes as in NumPy

struct Sum {
    template <class Value> static Value first() { return 0; }
    template <class Value> static Value join(Value x, Value y) { return x + y; }
};
struct Max {
    template <class Value> static Value first() { return LOWEST<Value>; }
    template <class Value> static Value join(Value x, Value y) { return x < y || y != y ? y : x; }
};
struct Min {
    template <class Value> static Value first() { return LARGEST<Value>; }
    template <class Value> static Value join(Value x, Value y) { return x > y || y != y ? y : x; }
};
struct Any {
    template <class Value> static Value first() { return false; }
    template <class Value> static Value join(Value x, Value y) { return x | y; }
};
struct All {
    template <class Value> static Value first() { return true; }
    template <class Value> static Value join(Value x, Value y) { return x & y; }
};

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

// ---- functions that C has under no name: NumPy's

template <class Value>
inline Value remainder_of(Value x, Value y)   // with the sign of y
{
    const Value rest = fmod(x, y);
    return y == 0 ? rest : rest == 0 ? copysign(Value(0), y) : (y < 0) != (rest < 0) ? rest + y : rest;
}

template <class Value>
inline Value log_add_exp(Value x, Value y)
{
    const Value apart = x - y;
    return x == y ? x + Value(0.69314718055994530942) : apart > 0 ? x + log1p(exp(-apart)) : apart <= 0 ? y + log1p(exp(apart)) : apart;
}
