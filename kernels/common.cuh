// What the kernels share: loops over vectors, columns and rows, sums over threads, softmax, random bits.
// T, float or double, is chosen by gpubp/devices/compiler.py.

// each thread takes elements i, i + all threads, ... of a vector; unsigned, so that the last stride cannot overflow
#define GRID_STRIDE(i, n) \
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (unsigned)(n); i += gridDim.x * blockDim.x)

// each thread walks down one column j of a matrix: columns lie on x, where neighbours read neighbours, rows on y
#define COLUMN (blockIdx.x * blockDim.x + threadIdx.x)
#define DOWN_THE_ROWS(i, rows) \
    for (unsigned i = blockIdx.y * blockDim.y + threadIdx.y; i < (unsigned)(rows); i += gridDim.y * blockDim.y)

// one warp takes one row, its lanes the columns; a warp without a row leaves, and no thread waits for it
#define ROW (blockIdx.x * blockDim.y + threadIdx.y)
#define ALONG_THE_ROW(j, width) for (unsigned j = threadIdx.x; j < (unsigned)(width); j += 32)

#define THREADS 256   // of a block


// ---- sums whose order depends on the shape alone, so that a run repeats bit by bit

__device__ inline T warp_sum(T x)   // every lane gets it
{
    for (int far = 16; far > 0; far /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, far);
    return x;
}

__device__ inline T block_sum(T x)   // of a row of THREADS threads; thread 0 gets it
{
    __shared__ T sums[THREADS / 32];
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0)
        sums[threadIdx.x / 32] = x;
    __syncthreads();
    return warp_sum(threadIdx.x < THREADS / 32 ? sums[threadIdx.x] : T(0));
}

// sums[blockIdx.y, j] := sum of the x of column j, over the threads of this block
__device__ inline void store_column_sum(T x, T* sums, int width)
{
    __shared__ T tile[THREADS];
    const unsigned here = threadIdx.y * blockDim.x + threadIdx.x;
    tile[here] = x;
    for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half)
            tile[here] += tile[here + half * blockDim.x];
    }
    if (threadIdx.y == 0 && COLUMN < (unsigned)width)
        sums[blockIdx.y * width + COLUMN] = tile[here];
}


// ---- softmax of one row, by one warp

__device__ inline T warp_max(T x)   // NaN wins
{
    for (int far = 16; far > 0; far /= 2) {
        const T other = __shfl_xor_sync(0xffffffffu, x, far);
        x = (x < other || other != other) ? other : x;
    }
    return x;
}

// z := z + b, a_j := exp(z_j - peak) / sum;  log a_j = z_j - peak - log_sum without rounding a first
__device__ inline void softmax_row(T* z, const T* b, T* a, int width, T& peak, T& log_sum)
{
    peak = log(T(0));   // minus infinity
    ALONG_THE_ROW(j, width) {
        const T x = z[j] += b[j];
        peak = (peak < x || x != x) ? x : peak;
    }
    peak = warp_max(peak);
    T sum = 0;
    ALONG_THE_ROW(j, width)
        sum += exp(z[j] - peak);
    sum = warp_sum(sum);
    log_sum = log(sum);
    ALONG_THE_ROW(j, width)
        a[j] = exp(z[j] - peak) / sum;
}

// delta_j := a_j (delta_j - sum_k delta_k a_k)
__device__ inline void softmax_hadamard_row(T* delta, const T* a, int width)
{
    T mean = 0;
    ALONG_THE_ROW(j, width)
        mean += delta[j] * a[j];
    mean = warp_sum(mean);
    ALONG_THE_ROW(j, width)
        delta[j] = a[j] * (delta[j] - mean);
}


// ---- random bits: Philox 4x64-10 of Salmon et al., 2011, as numpy.random.Philox computes it

typedef unsigned long long Word;

struct Words {
    Word word[4];
};

__device__ inline Words philox(Words counter, Word key0, Word key1)
{
    Word* c = counter.word;
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const Word low0 = 0xD2E7470EE14C6C93ull * c[0], high0 = __umul64hi(0xD2E7470EE14C6C93ull, c[0]);
        const Word low1 = 0xCA5A826395121157ull * c[2], high1 = __umul64hi(0xCA5A826395121157ull, c[2]);
        c[0] = high1 ^ c[1] ^ key0;
        c[1] = low1;
        c[2] = high0 ^ c[3] ^ key1;
        c[3] = low0;
        key0 += 0x9E3779B97F4A7C15ull;
        key1 += 0xBB67AE8584CAA73Bull;
    }
    return counter;
}
