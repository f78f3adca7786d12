// Many training steps of a small network in one launch. A block, or a cluster of CLUSTER blocks, keeps the network's parameters and
// the optimizer's state in shared memory from the first step to the last. blockIdx.x / CLUSTER is the network: many train side by
// side.
//
// The inputs are divided into PARTS parts of PART columns of x and w_1. Each block of a cluster has PARTS / CLUSTER of them. A sum
// over the inputs sums each part by itself and adds the parts as a tree of pairs, so the bits do not depend on CLUSTER. All blocks
// of a cluster compute the other layers alike. A layer's tasks are tiles; a warp takes one task after another, so the bits do not
// depend on WARPS either. A tile that ends behind its matrix reads numbers there, and does not use them: their memory exists.
//
// gpubp/devices/inside_source.py generates the formulas, these numbers, and the places of everything in shared memory, where
// x_AT is the place of x and the rows of layer l's matrices are LEAD[l] apart.
#include "output_row.cuh"

#define INSIDE (32 * WARPS)           // threads of a block: (32, WARPS)
#define HERE (PARTS / CLUSTER)        // parts of a block
#define SPAN (HERE * PART)            // columns of a block, of which SLICE exist
#define SLICE LEAD[0]
#define X_SIZE (ROWS * SLICE)
#define OUTPUTS SIZE[DEPTH]
#define SHARE ((ROWS * LEAD[1] + CLUSTER - 1) / CLUSTER)   // numbers of z_1 that a block adds
#define SLOTS_OF_PART ((SIZE[1] + 7) / 8 * (PART / 32))
#define HELD int(64 / sizeof(T))      // numbers of the next mini-batch that a thread holds in registers

struct Network {   // in global memory; each member has 8 bytes
    const T *x, *y, *sample_weights;   // sample_weights may be null
    const long long *x_order, *y_order, *order;   // the rows of x, of y and of sample_weights, in the order of the epoch
    long long* clock;
    const T* table;
    T *log, *norms;
    Word seed;
    long long samples, most;   // samples of an epoch; the most steps of a launch
    T* vectors[1 + STATES];    // the parameters, and the optimizer's state
};


// ---- the blocks of a cluster

#if CLUSTER == 1
#define CLUSTER_DIMS
__device__ inline int cluster_rank() { return 0; }
__device__ inline void cluster_sync() { __syncthreads(); }
__device__ inline void store_remote(T* place, int block, T x) { *place = x; }
#else
#define CLUSTER_DIMS __cluster_dims__(CLUSTER, 1, 1)
#ifdef __CUDACC__   // on the host, the tests define these functions
__device__ inline int cluster_rank()
{
    unsigned rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

__device__ inline void cluster_sync()   // a barrier of all threads of the cluster
{
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

__device__ inline void store_remote(T* place, int block, T x)   // at the same place in the shared memory of a block
{
    unsigned here, there;
    asm("{ .reg .u64 a; cvta.to.shared.u64 a, %1; cvt.u32.u64 %0, a; }" : "=r"(here) : "l"(place));
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"(block));
    if constexpr (sizeof(T) == 4)
        asm volatile("st.shared::cluster.b32 [%0], %1;" :: "r"(there), "r"(__float_as_uint(x)) : "memory");
    else
        asm volatile("st.shared::cluster.b64 [%0], %1;" :: "r"(there), "l"(__double_as_longlong(x)) : "memory");
}
#endif
#endif


// ---- sums

// adds COUNT sums, 1, 2, 4 or 8, as a tree of pairs; add() returns the total with the last of them
template <int COUNT>
struct Tree {
    static constexpr int LEVELS = COUNT == 1 ? 0 : COUNT == 2 ? 1 : COUNT == 4 ? 2 : 3;
    T kept[LEVELS + 1];   // the sum of 2^l neighbours that waits for the next 2^l

    __device__ T add(int place, T x)
    {
        bool joins = true;
#pragma unroll
        for (int l = 0; l < LEVELS; l++) {
            const bool second = place >> l & 1;
            if (joins && second)
                x = kept[l] + x;
            else if (joins)
                kept[l] = x;
            joins = joins && second;
        }
        return x;
    }
};

__device__ inline void send(T* place, T x)   // to all blocks of the cluster
{
#pragma unroll
    for (int block = 0; block < CLUSTER; block++)
        store_remote(place, block, x);
}

__device__ inline T sum_of_blocks(const T* sums, int stride)   // of the sums that the blocks have sent, each to its own place
{
    Tree<CLUSTER> tree;
    T total = 0;
#pragma unroll
    for (int block = 0; block < CLUSTER; block++)
        total = tree.add(block, sums[block * stride]);
    return total;
}

// the sums of 2 HALF numbers over groups of that many lanes: lane n gets the sum of x[n]
template <int HALF>
__device__ inline T sums_of_lanes(T (&x)[2 * HALF])
{
    const bool upper = threadIdx.x & HALF;
    T sums[HALF];
#pragma unroll
    for (int n = 0; n < HALF; n++) {
        const T low = x[n], high = x[n + HALF];
        sums[n] = (upper ? high : low) + __shfl_xor_sync(0xffffffffu, upper ? low : high, HALF);
    }
    if constexpr (HALF > 1)
        return sums_of_lanes<HALF / 2>(sums);
    else
        return sums[0];
}


// ---- the next mini-batch: each thread reads its numbers before the work on this one, and writes them to shared memory afterwards

template <int COUNT>
struct Ahead {
    static constexpr int HELD_HERE = (COUNT + INSIDE - 1) / INSIDE < HELD ? (COUNT + INSIDE - 1) / INSIDE : HELD;
    T held[HELD_HERE];

    template <class Read>
    __device__ inline void fetch(int me, Read read)
    {
#pragma unroll
        for (int n = 0; n < HELD_HERE; n++)
            held[n] = n * INSIDE + me < COUNT ? read(n * INSIDE + me) : T(0);
    }

    template <class Read, class Write>
    __device__ inline void put(int me, Read read, Write write)
    {
#pragma unroll
        for (int n = 0; n < HELD_HERE; n++)
            if (n * INSIDE + me < COUNT)
                write(n * INSIDE + me, held[n]);
        T ahead[AHEAD];   // those for which there are no registers
        if constexpr (COUNT > HELD_HERE * INSIDE)
            read_ahead<AHEAD>(HELD_HERE * INSIDE + me, INSIDE, COUNT, [&](int u, int place) { ahead[u] = read(place); },
                              [&](int u, int place) { write(place, ahead[u]); });
    }
};


// ---- a layer

// done(i, j, sum_k a[i, k] w[j, k]) for all i and j: tasks of 4 rows and 8 neurons, with lanes along k
template <int L, class Done>
__device__ inline void products(const T* a, const T* w, Done done)
{
    constexpr int N = SIZE[L], K = L == 1 ? SLICE : SIZE[L - 1], LD = LEAD[L - 1], COUNT = L == 1 ? HERE : 1,
                  WIDTH = L == 1 ? PART : K, DOWN = (ROWS + 3) / 4, ACROSS = (N + 7) / 8;
#pragma unroll 1
    for (int task = threadIdx.y; task < DOWN * ACROSS; task += WARPS) {
        const int down = task % DOWN * 4, across = task / DOWN * 8;   // the last tiles begin earlier, so that they are whole
        const int i0 = down + 4 > ROWS && ROWS > 4 ? ROWS - 4 : down, j0 = across + 8 > N && N > 8 ? N - 8 : across;
        const int i = i0 + threadIdx.x / 8, j = j0 + threadIdx.x % 8;
        Tree<COUNT> tree;
        T total = 0;
#pragma unroll 1
        for (int part = 0; part < COUNT; part++) {
            const int end = (part + 1) * WIDTH < K ? (part + 1) * WIDTH : K;
            T sum[32];
#pragma unroll
            for (int n = 0; n < 32; n++)
                sum[n] = 0;
#pragma unroll 4
            for (int k = part * WIDTH + threadIdx.x; k < end; k += 32) {
                T here[4], row[8];
#pragma unroll
                for (int r = 0; r < 4; r++)
                    here[r] = a[(i0 + r) * LD + k];
#pragma unroll
                for (int n = 0; n < 8; n++)
                    row[n] = w[(j0 + n) * LD + k];
#pragma unroll
                for (int r = 0; r < 4; r++)
#pragma unroll
                    for (int n = 0; n < 8; n++)
                        sum[r * 8 + n] += here[r] * row[n];
            }
            total = tree.add(part, sums_of_lanes<16>(sum));
        }
        if (down <= i && i < ROWS && across <= j && j < N)
            done(i, j, total);
    }
}

// use(i, k, factor) for each number of the matrix after layer L: the factor of dropout, as kernel `dropout` draws it
template <int L, class Use>
__device__ inline void dropout_factors(Word seed, Word step, int first, Use use)
{
    constexpr int WIDTH = SIZE[L], COUNT = ROWS * WIDTH;
#pragma unroll 1
    for (int q = threadIdx.y * 32 + threadIdx.x; q < (COUNT + 7) / 8; q += INSIDE) {
        const int column = 8 * q % WIDTH;
        if (CLUSTER > 1 && L == 0 && (column >= first + SPAN || column + 7 < first) && column + 7 - WIDTH < first)
            continue;   // another block has these columns
        const Words random = philox({Word(q) + 1, step, L, 0}, seed, 0);
#pragma unroll
        for (int half = 0; half < 8; half++) {
            const int e = 8 * q + half;
            if (e < COUNT)
                use(e / WIDTH, e % WIDTH, (random.word[half / 2] >> 32 * (half % 2) & 0xffffffffu) < DROP_LIMIT[L] ? DROP_SCALE[L]
                                                                                                                 : T(0));
        }
    }
}

template <int L>
struct Layer {
    static constexpr int N = SIZE[L], K = L == 1 ? SLICE : SIZE[L - 1], LD = LEAD[L], BELOW = LEAD[L - 1];

    // z := z + b,  a := sigma(z), and dropout; the output layer adds its bias later
    static __device__ inline void activate(T* m, int i, int j, T z)
    {
        const int at = i * LD + j;
        if constexpr (L == DEPTH) {
            m[DELTA_AT[L] + at] = z;
        } else {
            z += m[P_AT + B_AT[L] + j];
            const T a = activation<L>(z);
            m[DELTA_AT[L] + at] = z;   // delta will take its place
            m[A_AT[L] + at] = a;
            if constexpr (DROP_LIMIT[L] > 0)
                m[OUT_AT[L] + at] = a * m[FACTOR_AT[L] + at];
        }
    }

    static __device__ inline void draw(T* m, Word seed, Word step)   // the factors of dropout, of hidden layers
    {
        if constexpr (L < DEPTH) {
            if constexpr (DROP_LIMIT[L] > 0)
                dropout_factors<L>(seed, step, 0, [=](int i, int k, T factor) { m[FACTOR_AT[L] + i * LD + k] = factor; });
            Layer<L + 1>::draw(m, seed, step);
        }
    }

    static __device__ inline void forward(T* m)   // of layers above the first
    {
        if constexpr (L <= DEPTH) {
            products<L>(m + OUT_AT[L - 1], m + P_AT + W_AT[L], [=](int i, int j, T z) { activate(m, i, j, z); });
            __syncthreads();
            Layer<L + 1>::forward(m);
        }
    }

    // BP2  delta_{l-1} := (delta_l w_l) * sigma'(z_{l-1}) for this layer and all below: tasks of 4 rows, with lanes along k
    static __device__ inline void backward(T* m)
    {
        if constexpr (L > 1) {
            constexpr int DOWN = (ROWS + 3) / 4, ACROSS = (K + 31) / 32;
            const T *delta = m + DELTA_AT[L], *w = m + P_AT + W_AT[L];
#pragma unroll 1
            for (int task = threadIdx.y; task < DOWN * ACROSS; task += WARPS) {
                const int i0 = task % DOWN * 4, k = task / DOWN * 32 + threadIdx.x;
                if (k >= K)
                    continue;
                T sum[4] = {};
#pragma unroll 2
                for (int j = 0; j < N; j++) {
                    const T weight = w[j * BELOW + k];
#pragma unroll
                    for (int r = 0; r < 4; r++)
                        sum[r] += delta[(i0 + r) * LD + j] * weight;
                }
#pragma unroll
                for (int r = 0; r < 4; r++)
                    if (i0 + r < ROWS) {
                        const int at = (i0 + r) * BELOW + k;
                        if constexpr (DROP_LIMIT[L - 1] > 0)
                            sum[r] *= m[FACTOR_AT[L - 1] + at];
                        m[DELTA_AT[L - 1] + at] = sum[r] * derivative<L - 1>(m[DELTA_AT[L - 1] + at], m[A_AT[L - 1] + at]);
                    }
            }
            __syncthreads();
            Layer<L - 1>::backward(m);
        }
    }

    // BP4 and BP3 of this layer and all below. `updates`: the optimizer updates the parameters; `sums`: each task leaves the sum of
    // the gradient's squares in a slot. Tasks of 8 neurons, with lanes along k, and of 32 biases
    static __device__ inline void gradients(T* m, const T* x, bool updates, bool sums, T norm, const T* scalars)
    {
        constexpr int DOWN = (N + 7) / 8, ACROSS = (K + 31) / 32;
        const T *delta = m + DELTA_AT[L], *a = L == 1 ? x : m + OUT_AT[L - 1];
        T *w = m + P_AT + W_AT[L], *b = m + P_AT + B_AT[L], *slots = m + SLOT_AT[L];
#pragma unroll 1
        for (int task = threadIdx.y; task < DOWN * ACROSS; task += WARPS) {
            const int j0 = task % DOWN * 8, place = task / DOWN * 32 + threadIdx.x, k = place < K ? place : 0;
            T g[8] = {}, square = 0;
#pragma unroll 4
            for (int i = 0; i < ROWS; i++) {
                const T here = a[i * BELOW + k];
                T row[2][4];
                load(delta + i * LD + j0, row[0]);   // LD is a multiple of 4
                load(delta + i * LD + j0 + 4, row[1]);
#pragma unroll
                for (int n = 0; n < 8; n++)
                    g[n] += row[n / 4][n % 4] * here;
            }
#pragma unroll
            for (int n = 0; n < 8; n++)
                if (place < K && (N % 8 == 0 || j0 + n < N)) {
                    square += g[n] * g[n];
                    if (updates)
                        update(w + (j0 + n) * BELOW + k, g[n], T(1), norm, scalars);
                }
            leave(square, sums, slots + task);
        }
#pragma unroll 1
        for (int task = WARPS - 1 - threadIdx.y; task < (N + 31) / 32; task += WARPS) {   // the last warps have the fewest tiles
            const int place = task * 32 + threadIdx.x, j = place < N ? place : 0;
            T g = 0;
#pragma unroll 4
            for (int i = 0; i < ROWS; i++)
                g += delta[i * LD + j];
            if (updates && place < N)
                update(b + j, g, T(0), norm, scalars);
            leave(place < N ? g * g : T(0), sums, slots + DOWN * ACROSS + task);
        }
        if constexpr (L > 1)
            Layer<L - 1>::gradients(m, x, updates, sums, norm, scalars);
    }

    static __device__ inline void leave(T square, bool sums, T* slot)
    {
        if (!sums)
            return;
        square = warp_join(Sum(), square);
        if (threadIdx.x == 0)
            *slot = square;
    }

#ifdef MAX_NORM
    // w_j := w_j MAX_NORM / |w_j| of this layer and those above if |w_j|, the root of the sum, is longer
    static __device__ inline void shorten(T* w, T sum)
    {
        const T length = sqrt(sum);
        if (!(length <= MAX_NORM))   // a NaN spreads to all weights of its neuron, as in NumPy
            for (int k = threadIdx.x; k < K; k += 32)
                w[k] *= MAX_NORM / length;
    }

    static __device__ inline T squares(const T* w, int k, int end)   // of the columns from k on
    {
        T sum = 0;
        for (k += threadIdx.x; k < end; k += 32)
            sum += w[k] * w[k];
        return warp_join(Sum(), sum);
    }

    static __device__ inline void shorten_rows(T* m)   // of layers above the first
    {
        if constexpr (L <= DEPTH) {
            for (int j = threadIdx.y; j < N; j += WARPS) {
                T* w = m + P_AT + W_AT[L] + j * BELOW;
                shorten(w, squares(w, 0, K));
            }
            Layer<L + 1>::shorten_rows(m);
        }
    }
#endif

    static __device__ inline void delta_norms(const T* m, T* norms)   // of this layer and those above
    {
        if constexpr (L <= DEPTH) {
            if (threadIdx.y == L % WARPS) {
                T sum = 0;
                for (int n = threadIdx.x; n < ROWS * N; n += 32) {
                    const T delta = m[DELTA_AT[L] + n / N * LD + n % N];
                    sum += delta * delta;
                }
                sum = warp_join(Sum(), sum);
                if (threadIdx.x == 0)
                    norms[1 + L] = sqrt(sum);
            }
            Layer<L + 1>::delta_norms(m, norms);
        }
    }

    // Copies a vector of parameters or state here or `back`, for this layer and those above. Of w_1 a block has its columns; the
    // first block writes back the rest. A number that is not finite sets *fault, if given
    static __device__ inline void move(T* here, T* vector, int rank, bool back, T* fault)
    {
        if constexpr (L <= DEPTH) {
            const int first = L == 1 ? rank * SPAN : 0, me = threadIdx.y * 32 + threadIdx.x;
            const auto one = [=](T* near, T* far) {
                if (!back) {
                    *near = *far;
                } else {
                    *far = *near;
                    if (fault && !(*near - *near == T(0)))
                        *fault = 1;
                }
            };
            if (!back || L == 1 || rank == 0)
#pragma unroll 4
                for (int n = me; n < N * BELOW; n += INSIDE) {
                    const int j = n / BELOW, k = n % BELOW;
                    if (first + k < SIZE[L - 1])
                        one(here + W_AT[L] + n, vector + VECTOR_W[L] + (size_t)j * SIZE[L - 1] + first + k);
                    else
                        here[W_AT[L] + n] = 0;
                }
            if (!back || rank == 0)
                for (int j = me; j < N; j += INSIDE)
                    one(here + B_AT[L] + j, vector + VECTOR_B[L] + j);
            Layer<L + 1>::move(here, vector, rank, back, fault);
        }
    }
};

// |gradient| from the sums that all tasks have left
__device__ inline T gradient_norm(T* m, int rank)
{
    const T* slots = m + SLOT_AT[1];
    __syncthreads();
    if (threadIdx.y == 0) {
        Tree<HERE> tree;
        T total = 0, rest = 0;
#pragma unroll 1
        for (int part = 0; part < HERE; part++) {
            T sum = 0;
            for (int n = threadIdx.x; n < SLOTS_OF_PART; n += 32)
                if (part * SLOTS_OF_PART + n < COMMON)
                    sum += slots[part * SLOTS_OF_PART + n];
            total = tree.add(part, warp_join(Sum(), sum));
        }
        for (int n = COMMON + threadIdx.x; n < SLOTS; n += 32)   // of biases and of the other layers, alike in all blocks
            rest += slots[n];
        rest = warp_join(Sum(), rest);
        if (threadIdx.x == 0) {
            send(m + NORM_AT + rank, total);
            m[NORM_AT + CLUSTER] = rest;
        }
    }
    cluster_sync();
    return sqrt(sum_of_blocks(m + NORM_AT, 1) + m[NORM_AT + CLUSTER]);
}

#ifdef MAX_NORM
// bounds the rows of all weights; those of w_1 are divided among the blocks
__device__ inline void max_norm(T* m, int rank)
{
    __syncthreads();   // the weights are updated
    T* w = m + P_AT + W_AT[1];
    for (int j = threadIdx.y; j < SIZE[1]; j += WARPS) {
        Tree<HERE> tree;
        T total = 0;
        for (int part = 0; part < HERE; part++) {
            const int end = (part + 1) * PART < SLICE ? (part + 1) * PART : SLICE;
            total = tree.add(part, Layer<1>::squares(w + j * SLICE, part * PART, end));
        }
        if (threadIdx.x == 0)
            send(m + LENGTH_AT + rank * LEAD[1] + j, total);
    }
    Layer<2>::shorten_rows(m);
    cluster_sync();
    for (int j = threadIdx.y; j < SIZE[1]; j += WARPS)
        Layer<1>::shorten(w + j * SLICE, sum_of_blocks(m + LENGTH_AT + j, LEAD[1]));
}
#endif


// The next `times` steps of each network, or `most` if that is less: the mini-batches from clock_0 on
extern "C" __global__ void __launch_bounds__(INSIDE, 1) CLUSTER_DIMS inside(const long long* __restrict__ networks, int times)
{
    T* const m = shared_memory();
    const Network& net = reinterpret_cast<const Network*>(networks)[blockIdx.x / CLUSTER];
    const int rank = cluster_rank(), me = threadIdx.y * 32 + threadIdx.x, steps = times < net.most ? times : int(net.most);
    const int begin = net.clock[0];
    const bool measures = (begin + steps) * (long long)ROWS >= net.samples;   // an epoch's last step is the last of a launch
    if (steps == 0)
        return;
    if (measures && rank == 0 && me == 0)
        net.norms[0] = 0;
#pragma unroll 1
    for (int v = 0; v <= STATES; v++)
        Layer<1>::move(m + P_AT + v * PARAMETERS, net.vectors[v], rank, false, 0);

    const auto rows_of = [&](int batch) {
        const long long left = net.samples - batch * (long long)ROWS;
        return left < ROWS ? int(left) : ROWS;
    };
    const auto place_of = [&](int batch, int i) {   // in the epoch; a mini-batch that is not full repeats its first sample
        return batch * (long long)ROWS + (i < rows_of(batch) ? i : 0);
    };
    const auto read_x = [&](int batch) {
        return [&, batch](int place) {
            const int k = rank * SPAN + place % SLICE;
            return k < SIZE[0] ? net.x[net.x_order[place_of(batch, place / SLICE)] * SIZE[0] + k] : T(0);
        };
    };
    const auto read_y = [&](int batch) {   // and the sample's weight behind it
        return [&, batch](int place) {
            const int j = place % (OUTPUTS + 1);
            const long long at = place_of(batch, place / (OUTPUTS + 1));
            if (j < OUTPUTS)
                return net.y[net.y_order[at] * OUTPUTS + j];
            return (net.sample_weights ? net.sample_weights[net.order[at]] : T(1)) / T(rows_of(batch));
        };
    };
    Ahead<X_SIZE> next_x;
    Ahead<ROWS * (OUTPUTS + 1)> next_y;
    const auto fetch = [&](int batch) {
        next_x.fetch(me, read_x(batch));
        next_y.fetch(me, read_y(batch));
    };
    const auto put = [&](int batch, T* x) {
        next_x.put(me, read_x(batch), [=](int place, T number) { x[place] = number; });
        next_y.put(me, read_y(batch), [=](int place, T number) {
            const int i = place / (OUTPUTS + 1), j = place % (OUTPUTS + 1);
            m[j < OUTPUTS ? Y_AT + i * LEAD[DEPTH] + j : WEIGHT_AT + i] = number;
        });
    };
    fetch(begin);
    put(begin, m + X_AT);
    cluster_sync();   // also: every block of the cluster has begun, so that the others may write to its memory

    T norm = 0;
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
        const int batch = begin + step;
        T* const x = m + X_AT + step % 2 * X_SIZE;
        const bool more = step + 1 < steps;
        const int rows = rows_of(batch);
        T scalars[SCALARS];
#pragma unroll
        for (int n = 0; n < SCALARS; n++)
            scalars[n] = net.table[batch * SCALARS + n];
        if (more)
            fetch(batch + 1);

        if constexpr (DROPS) {
            const Word now = ((Word)net.clock[1] << 32) + batch;
            if constexpr (DROP_LIMIT[0] > 0)
                dropout_factors<0>(net.seed, now, rank * SPAN, [=](int i, int k, T factor) {
                    k -= rank * SPAN;
                    if (k >= 0 && k < SLICE)
                        x[i * SLICE + k] *= factor;
                });
            Layer<1>::draw(m, net.seed, now);
            __syncthreads();
        }
        if constexpr (CLUSTER == 1) {
            products<1>(x, m + P_AT + W_AT[1], [=](int i, int j, T z) { Layer<1>::activate(m, i, j, z); });
        } else {   // each block adds the parts of a share of z_1, and sends the sums to all
            products<1>(x, m + P_AT + W_AT[1], [=](int i, int j, T z) {
                const int e = i * LEAD[1] + j;
                store_remote(m + EXCHANGE_AT + rank * SHARE + e % SHARE, e / SHARE, z);
            });
            cluster_sync();
#pragma unroll 1
            for (int e = me; e < SHARE && rank * SHARE + e < ROWS * LEAD[1]; e += INSIDE)
                send(m + DELTA_AT[1] + rank * SHARE + e, sum_of_blocks(m + EXCHANGE_AT + e, SHARE));
            cluster_sync();
            if constexpr (DEPTH > 1)
#pragma unroll 1
                for (int e = me; e < ROWS * SIZE[1]; e += INSIDE) {
                    const int i = e / SIZE[1], j = e % SIZE[1];
                    Layer<1>::activate(m, i, j, m[DELTA_AT[1] + i * LEAD[1] + j]);
                }
        }
        __syncthreads();
        Layer<2>::forward(m);

#pragma unroll 1
        for (int i = threadIdx.y; i < ROWS; i += WARPS) {   // BP1
            T *z = m + DELTA_AT[DEPTH] + i * LEAD[DEPTH], *a = m + A_AT[DEPTH] + i * LEAD[DEPTH], cost = 0;
            if (i < rows)
                cost = output_row<true, false>(z, m + P_AT + B_AT[DEPTH], a, m + Y_AT + i * LEAD[DEPTH], m[WEIGHT_AT + i], T(1), z,
                                               OUTPUTS);
            else
                for (int j = threadIdx.x; j < OUTPUTS; j += 32)
                    z[j] = 0;
            if (threadIdx.x == 0)
                m[COST_AT + i] = cost;
        }
        __syncthreads();
        if (rank == 0 && threadIdx.y == WARPS - 1) {
            T sum = 0;
            for (int i = threadIdx.x; i < ROWS; i += 32)
                sum += m[COST_AT + i];
            sum = warp_join(Sum(), sum);
            if (threadIdx.x == 0)
                net.log[batch] = sum;
        }
        Layer<DEPTH>::backward(m);
        if constexpr (USES_NORM) {
            Layer<DEPTH>::gradients(m, x, false, true, norm, scalars);
            norm = gradient_norm(m, rank);
        }
        Layer<DEPTH>::gradients(m, x, true, !USES_NORM && measures && !more, norm, scalars);
#ifdef MAX_NORM
        max_norm(m, rank);
#endif
        if (more)
            put(batch + 1, m + X_AT + (step + 1) % 2 * X_SIZE);
        __syncthreads();   // the parameters are those of the next step, and its samples are here
    }

    if (measures) {
        norm = USES_NORM ? norm : gradient_norm(m, rank);
        if (rank == 0) {
            if (me == 0)
                net.norms[1] = norm;
            Layer<1>::delta_norms(m, net.norms);
        }
    }
#pragma unroll 1
    for (int v = 0; v <= STATES; v++)
        Layer<1>::move(m + P_AT + v * PARAMETERS, net.vectors[v], rank, true, measures && v == 0 ? net.norms : 0);
    if (rank == 0 && me == 0)
        net.clock[0] = begin + steps;
}
