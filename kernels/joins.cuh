// How the numbers of a reduction are joined, and functions that C has under no name: NumPy's. A NaN passes as in NumPy. The CPU's
// kernels include this file, too.

template <class Value> __device__ inline Value largest() { return INFINITY; }
template <> __device__ inline int largest() { return 2147483647; }
template <> __device__ inline Int largest() { return 9223372036854775807; }
template <> __device__ inline bool largest() { return true; }
template <class Value> __device__ inline Value lowest() { return -INFINITY; }
template <> __device__ inline int lowest() { return -largest<int>() - 1; }
template <> __device__ inline Int lowest() { return -largest<Int>() - 1; }
template <> __device__ inline bool lowest() { return false; }

// the number to begin with, and how two numbers are joined

struct Sum {
    template <class Value> __device__ static Value first() { return 0; }
    template <class Value> __device__ static Value join(Value x, Value y) { return x + y; }
};
struct Max {
    template <class Value> __device__ static Value first() { return lowest<Value>(); }
    template <class Value> __device__ static Value join(Value x, Value y) { return x < y || y != y ? y : x; }
};
struct Min {
    template <class Value> __device__ static Value first() { return largest<Value>(); }
    template <class Value> __device__ static Value join(Value x, Value y) { return x > y || y != y ? y : x; }
};
struct Any {
    template <class Value> __device__ static Value first() { return false; }
    template <class Value> __device__ static Value join(Value x, Value y) { return x | y; }
};
struct All {
    template <class Value> __device__ static Value first() { return true; }
    template <class Value> __device__ static Value join(Value x, Value y) { return x & y; }
};

template <class Value>
__device__ inline Value remainder_of(Value x, Value y)   // with the sign of y
{
    const Value rest = fmod(x, y);
    return y == 0 ? rest : rest == 0 ? copysign(Value(0), y) : (y < 0) != (rest < 0) ? rest + y : rest;
}

template <class Value>
__device__ inline Value log_add_exp(Value x, Value y)
{
    const Value apart = x - y;
    return x == y ? x + Value(0.69314718055994530942) : apart > 0 ? x + log1p(exp(-apart)) : apart <= 0 ? y + log1p(exp(apart)) : apart;
}
