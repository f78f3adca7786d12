// Shared by the kernels: 16-bit numbers, loops over vectors, columns and rows, sums over threads, softmax, random bits.
// gpubp/devices/kernel_source.py defines T, the type of all computation (float or double), and S, the type in which factors of
// products are stored (T, Half or Bfloat16).

#include "philox.cuh"
#include "ahead.cuh"


// ---- 16-bit numbers: for storage only; both formats round to nearest, ties to even

#ifdef __CUDACC__   // on the host, the tests define these functions
__device__ inline unsigned short half_bits(float x)
{
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

__device__ inline float half_value(unsigned short bits)
{
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}
#endif

struct Half {
    static constexpr int digits = 11;   // of the significand
    unsigned short bits;
    Half() = default;
    __device__ explicit Half(float x) : bits(half_bits(x)) {}
    __device__ operator float() const { return half_value(bits); }
};

struct Bfloat16 {   // the upper half of a float
    static constexpr int digits = 8;
    unsigned short bits;
    Bfloat16() = default;
    __device__ explicit Bfloat16(float x)
    {
        const unsigned whole = __float_as_uint(x);
        bits = (x != x ? whole | 0x400000 : whole + 0x7fff + (whole >> 16 & 1)) >> 16;   // a NaN could round to infinity
    }
    __device__ operator float() const { return __uint_as_float((unsigned)bits << 16); }
};


// ---- N numbers that a thread loads or stores together; they are converted to T for computation

#define WIDE int(16 / sizeof(S))   // numbers per 16 bytes, the widest load or store

template <class V, int N>
struct alignas(sizeof(V) * N < 16 ? sizeof(V) * N : 16) Pack {
    V at[N];
};

template <int N, class V>
__device__ inline Pack<V, N> fetch(const V* from)
{
    return *reinterpret_cast<const Pack<V, N>*>(from);
}

template <int N, class V>
__device__ inline void widen(const Pack<V, N>& pack, T (&x)[N])
{
#pragma unroll
    for (int n = 0; n < N; n++)
        x[n] = T(pack.at[n]);
}

template <int N, class V>
__device__ inline void load(const V* from, T (&x)[N])
{
    widen(fetch<N>(from), x);
}

template <int N, class V>
__device__ inline void store(V* to, const T (&x)[N])
{
    Pack<V, N> pack;
#pragma unroll
    for (int n = 0; n < N; n++)
        pack.at[n] = V(x[n]);
    *reinterpret_cast<Pack<V, N>*>(to) = pack;
}


// ---- loops: a matrix may have more than 2^31 elements, but each row and column has fewer

// each thread takes elements i, i + all threads, ... of a vector
#define GRID_STRIDE(i, n) \
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < (size_t)(n); i += (size_t)gridDim.x * blockDim.x)

// each thread goes down N columns of a matrix: x indexes columns, so that adjacent threads read adjacent columns; y indexes rows
#define COLUMN(N) (N * (blockIdx.x * blockDim.x + threadIdx.x))
#define DOWN_THE_ROWS(i, rows) \
    for (unsigned i = blockIdx.y * blockDim.y + threadIdx.y; i < (unsigned)(rows); i += gridDim.y * blockDim.y)

// blockDim.x threads share a row: a warp, or the whole block if rows are long; threads without a row return together
#define ROW (blockIdx.x * blockDim.y + threadIdx.y)
#define ALONG_THE_ROW(j, width) for (unsigned j = threadIdx.x; j < (unsigned)(width); j += blockDim.x)

#define AHEAD 4                // places to read ahead in a column, a row or a vector
#define AHEAD_IN_ONE_BLOCK 8   // the same in a sum that a single block completes while the rest of the device is idle

template <int U, class Read, class Use>
__device__ inline void down_the_rows(int rows, Read read, Use use)
{
    read_ahead<U>(blockIdx.y * blockDim.y + threadIdx.y, gridDim.y * blockDim.y, (unsigned)rows, read, use);
}

template <class Read, class Use>
__device__ inline void along_the_row(int width, Read read, Use use)
{
    read_ahead<AHEAD>(threadIdx.x, blockDim.x, (unsigned)width, read, use);
}

template <int U, class Read, class Use>
__device__ inline void grid_stride(long long n, Read read, Use use)
{
    read_ahead<U>((size_t)blockIdx.x * blockDim.x + threadIdx.x, (size_t)gridDim.x * blockDim.x, (size_t)n, read, use);
}


// ---- sums whose order depends only on the shape, so that a run repeats bit by bit

struct Sum {
    __device__ T operator()(T x, T y) const { return x + y; }
};

struct Max {
    __device__ T operator()(T x, T y) const { return x < y || y != y ? y : x; }   // NaN wins
};

template <class Join>
__device__ inline T warp_join(Join join, T x, int lanes = 32)   // over groups of `lanes` lanes; each lane gets the result
{
    for (int far = lanes / 2; far > 0; far /= 2)
        x = join(x, __shfl_xor_sync(0xffffffffu, x, far));
    return x;
}

template <class Join>
__device__ inline T row_join(Join join, T x)   // over the threads of a row; each gets the result
{
    __shared__ T warps[THREADS / 32];
    x = warp_join(join, x);
    if (blockDim.x == 32)
        return x;
    __syncthreads();   // all threads have read the previous sum
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = x;
    __syncthreads();
    return warp_join(join, warps[threadIdx.x % (THREADS / 32)], THREADS / 32);
}

__device__ inline T row_sum(T x)
{
    return row_join(Sum(), x);
}

// partials[blockIdx.x] := sum of x over the first threads of the block's rows, in order; contains a barrier for the block
__device__ inline void store_block_sum(T x, T* partials)
{
    __shared__ T rows[THREADS / 32];
    if (threadIdx.x == 0)
        rows[threadIdx.y] = x;
    __syncthreads();
    if (threadIdx.x > 0 || threadIdx.y > 0)
        return;
#pragma unroll
    for (unsigned y = 1; y < THREADS / 32; y++)
        if (y < blockDim.y)
            x += rows[y];
    partials[blockIdx.x] = x;
}

// sums[blockIdx.y, j + n] := sum of x[n], of column j + n, over the threads of this block
template <int N>
__device__ inline void store_column_sums(const T (&x)[N], T* sums, int width)
{
    __shared__ T tile[N][THREADS];
    const unsigned here = threadIdx.y * blockDim.x + threadIdx.x, j = COLUMN(N);
    for (int n = 0; n < N; n++)
        tile[n][here] = x[n];
    for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half)
            for (int n = 0; n < N; n++)
                tile[n][here] += tile[n][here + half * blockDim.x];
    }
    if (threadIdx.y == 0 && j < (unsigned)width)
        for (int n = 0; n < N; n++)
            sums[(size_t)blockIdx.y * width + j + n] = tile[n][here];
}


// ---- softmax of one row: a_j = exp(z_j + b_j - peak) / sum

template <class V>
__device__ inline void softmax_sums(const V* z, const T* b, int width, T& peak, T& sum)
{
    T x[AHEAD];
    const auto read = [&](int u, unsigned j) { x[u] = T(z[j]) + b[j]; };
    peak = log(T(0));   // minus infinity
    along_the_row(width, read, [&](int u, unsigned) { peak = Max()(peak, x[u]); });
    peak = row_join(Max(), peak);
    sum = 0;
    along_the_row(width, read, [&](int u, unsigned) { sum += exp(x[u] - peak); });
    sum = row_sum(sum);
}
