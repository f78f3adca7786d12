// Loops over groups of elementwise operations, which gpubp/programs/cuda_loops.py writes, and the arrays of a call.
#include "reductions.cuh"

#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#endif

typedef unsigned long long Word;
typedef long long Int;

#include "joins.cuh"

// ---- where the arrays of a call are

enum { WORDS = 256 };
struct Arguments {
    Word at[WORDS];
};

// *to[i] := at[from[i]] + add[i]: addresses of the arrays of a call for the groups that read them, and numbers
extern "C" __global__ void bind(const Arguments words, const Word* to, const Word* from, const Word* add, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        *(Word*)to[i] = words.at[from[i]] + add[i];
}

// ---- math functions that are not inlined, for groups of many operations: compilation takes 20 ms for each inlined one

namespace called {
#define ONE(name) template <class Value> __device__ __noinline__ Value name(Value x) { return ::name(x); }
#define TWO(name) template <class Value> __device__ __noinline__ Value name(Value x, Value y) { return ::name(x, y); }
ONE(exp) ONE(expm1) ONE(exp2) ONE(log) ONE(log1p) ONE(log2) ONE(log10) ONE(cbrt) ONE(sin) ONE(cos) ONE(tan) ONE(asin) ONE(acos)
ONE(atan) ONE(sinh) ONE(cosh) ONE(tanh) ONE(asinh) ONE(acosh) ONE(atanh)
TWO(pow) TWO(atan2) TWO(hypot) TWO(fmod) TWO(remainder_of) TWO(log_add_exp)
}

// The place of index k on an axis of n elements, which wraps at both ends as CuPy's does
__device__ inline Int place_of(Int k, Int n)
{
    const Int place = k % n;
    return place < 0 ? place + n : place;
}
