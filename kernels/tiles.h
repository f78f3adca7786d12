// Products with the few rows of a small mini-batch, in tiles that fit the vector registers. A BLAS is at least as fast for large
// matrices, but its calls have more overhead, and it does not prefetch the next mini-batch.

// ---- vectors

#if defined(__AVX512F__)
enum { BYTES = 64 };
#elif defined(__AVX__)
enum { BYTES = 32 };
#else
enum { BYTES = 16 };
#endif
enum { LANES = BYTES / sizeof(T) };

typedef T Vector __attribute__((vector_size(BYTES)));
typedef T Unaligned __attribute__((vector_size(BYTES), aligned(sizeof(T))));
typedef decltype(Vector{} < Vector{}) Places;   // integers as wide as a T
typedef std::make_integer_sequence<int, LANES> Numbers;

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")   // keeps arrays of vectors in registers

INLINE Vector load(const T* from) { return *(const Unaligned*)from; }
INLINE void store(T* to, Vector vector) { *(Unaligned*)to = vector; }

// The same, but loaded only once: gcc would reload a vector for each product that uses it, and loads limit the speed of a tile.
INLINE Vector load_once(const T* from) { return *(const volatile Unaligned*)from; }

#if defined(__clang__)
#define CHOSEN(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define CHOSEN(a, b, ...) __builtin_shuffle(a, b, Places{__VA_ARGS__})
#endif

// Sums of two lanes whose distance is `apart`: of b in lanes whose number has that bit, of a in the others
template <int apart, int... lane>
INLINE Vector sums_of_lanes(Vector a, Vector b, std::integer_sequence<int, lane...>)
{
    return CHOSEN(a, b, (lane & apart ? LANES + lane - apart : lane)...) +
           CHOSEN(a, b, (lane & apart ? LANES + lane : lane + apart)...);
}

// Each lane holds the sum of one of `count` vectors; the order of the sums depends only on the number of lanes
template <int count = LANES>
INLINE Vector sums_of(const Vector* x)
{
    if constexpr (count == 1)
        return *x;
    else
        return sums_of_lanes<count / 2>(sums_of<count / 2>(x), sums_of<count / 2>(x + count / 2), Numbers());
}

// The vector with 0 in lane `number` and all later ones
template <int... lane>
INLINE Vector first_lanes(Vector vector, int number, std::integer_sequence<int, lane...>)
{
    return (Vector)((Places)vector & (Places{lane...} < number));
}

// ---- the next mini-batch

// Its rows may lie anywhere in the samples. They are prefetched line by line during the current products, so that they arrive
// in time; prefetches that outrun the memory would be dropped. A stale address does no harm.
struct Ahead {
    enum { MAX_ROWS = 16, LONG = 256 };   // maximum rows; minimum bytes of a row, since the hardware prefetches shorter ones
    const char* row[MAX_ROWS];
    Int bytes, left;

    // The next row to prefetch if rows have `wanted` bytes, else `otherwise`, which is needed anyway
    const char* next(Int wanted, const T* otherwise)
    {
        if (wanted != bytes || left == 0)
            return (const char*)otherwise;
        const char* found = row[--left];
        __builtin_prefetch(found + bytes - 1, 0, 2);   // a row need not start at a cache line
        return found;
    }
};

static thread_local Ahead ahead;

// ---- tiles

#if defined(__AVX512F__) || defined(__aarch64__)   // 32 registers, else 16
enum { DOWN = 5, ACROSS = 5 };
#else
enum { DOWN = 2, ACROSS = 5 };
#endif

// work(size) with the size, at most `most`, known at compile time
template <int most, class Work>
INLINE void exactly(Int size, Work work)
{
    if constexpr (most > 1)
        if (size < most)
            return exactly<most - 1>(size, work);
    work(std::integral_constant<int, most>());
}

INLINE Int parts_of(Int count, Int most) { return (count + most - 1) / most; }

// work(first, size) for the fewest parts of at most `most`, all of nearly equal size
template <int most, class Work>
INLINE void in_parts(Int count, Work work)
{
    const Int parts = parts_of(count, most);
    for (Int part = 0; part < parts; part++) {
        const Int first = count * part / parts;
        exactly<most>(count * (part + 1) / parts - first, [=](auto size) { work(first, size); });
    }
}

// sums := sums + x w^T for one vector of each row, or for its first lanes
template <int down, int across, bool whole>
INLINE void add_products(Vector* sums, const T* x, const T* w, Int k, int lanes = LANES)
{
    const auto loaded = [=](const T* from) { return whole ? load_once(from) : first_lanes(load(from), lanes, Numbers()); };
    Vector from_w[across];
    UNROLL for (int j = 0; j < across; j++)
        from_w[j] = loaded(w + j * k);
    UNROLL for (int i = 0; i < down; i++) {
        const Vector from_x = loaded(x + i * k);
        UNROLL for (int j = 0; j < across; j++)
            sums[i * across + j] += from_x * from_w[j];
    }
}

// z := x w^T for `down` rows of x and `across` rows of w, of a vector or more; prefetches a line every `stride` bytes
template <int down, int across>
static void product_tile(const T* x, const T* w, T* z, Int k, Int width, const char* soon, Int stride)
{
    enum { COUNT = (down * across + LANES - 1) / LANES * LANES };
    Vector sums[COUNT] = {};
    const Int rest = k % LANES;
    if (rest)
        add_products<down, across, false>(sums, x, w, k, rest);
    for (Int p = rest; p < k; p += LANES, soon += stride) {
        __builtin_prefetch(soon, 0, 2);
        add_products<down, across, true>(sums, x + p, w + p, k);
    }
    T found[COUNT];
    UNROLL for (int n = 0; n < COUNT; n += LANES)
        store(found + n, sums_of(sums + n));
    UNROLL for (int i = 0; i < down; i++)
        UNROLL for (int j = 0; j < across; j++)
            z[i * width + j] = found[i * across + j];
}

// w_j := w_j + factors_j^T x in `vectors` vectors of each row w_j, from element p on
template <int across, int vectors>
INLINE void update_columns(const T* x, const T* factors, T* const* w, Int p, Int rows, Int k, Int width, const char* soon)
{
    Vector sums[across][vectors];
    UNROLL for (int v = 0; v < vectors; v++) {
        __builtin_prefetch(soon + (p + v * LANES) * sizeof(T), 0, 2);
        UNROLL for (int j = 0; j < across; j++)
            sums[j][v] = load(w[j] + p + v * LANES);
    }
    x += p;
    for (Int i = 0; i < rows; i++, x += k, factors += width)
        UNROLL for (int v = 0; v < vectors; v++) {
            const Vector from_x = load(x + v * LANES);
            UNROLL for (int j = 0; j < across; j++)
                sums[j][v] += from_x * factors[j];
        }
    UNROLL for (int v = 0; v < vectors; v++)
        UNROLL for (int j = 0; j < across; j++)
            store(w[j] + p + v * LANES, sums[j][v]);
}

template <int across>
static void update_tile(const T* x, const T* factors, T* first, Int rows, Int k, Int width, const char* soon)
{
    T* w[across];
    UNROLL for (int j = 0; j < across; j++)
        w[j] = first + j * k;
    Int p = 0;
    for (; p + 2 * LANES <= k; p += 2 * LANES)
        update_columns<across, 2>(x, factors, w, p, rows, k, width, soon);
    if (p < k)
        update_columns<across, 1>(x, factors, w, p, rows, k, width, soon);
}

// ---- kernels

// z := x w^T; rows of x and of w have 64 bytes or more
static void tiled_product(const T* x, const T* w, T* z, Int rows, Int width, Int k)
{
    const Int stride = BYTES / parts_of(rows, DOWN);
    in_parts<ACROSS>(width, [=](Int j, auto across) {
        const char* soon = ahead.next(k * sizeof(T), w + j * k);
        in_parts<DOWN>(rows, [=](Int i, auto down) {
            product_tile<down, across>(
                x + i * k, w + j * k, z + i * width + j, k, width, soon + i * k * sizeof(T) / rows, stride);
        });
    });
}

// w := beta w + alpha delta^T x, where row clock_0 of a table holds beta and alpha; rows of x are multiples of 64 bytes, and
// factors has the size of delta
static void tiled_gemm_update(
    const T* delta, const T* x, T* w, T* factors, Int rows, Int width, Int k, const T* table, const Int* clock)
{
    const T beta = table[2 * clock[0]], alpha = table[2 * clock[0] + 1];
    for (Int n = 0; n < rows * width; n++)
        factors[n] = alpha * delta[n];
    for (Int n = 0; beta != 1 && n < width * k; n++)
        w[n] *= beta;
    in_parts<ACROSS>(width, [=](Int j, auto across) {
        update_tile<across>(x, factors + j, w + j * k, rows, k, width, ahead.next(k * sizeof(T), w + j * k));
    });
}
