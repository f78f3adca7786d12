// Products of the few rows of a small mini-batch, tile by tile of what the vector registers hold. A BLAS is as fast or faster for
// large matrices, but takes longer to begin, and knows nothing of the next mini-batch.

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
#define UNROLL _Pragma("GCC unroll 32")   // so that arrays of vectors become registers

INLINE Vector load(const T* from) { return *(const Unaligned*)from; }
INLINE void store(T* to, Vector vector) { *(Unaligned*)to = vector; }

// The same, once and for all: gcc loads a vector anew for each product that it is in, and loads are what a tile waits for.
INLINE Vector load_once(const T* from) { return *(const volatile Unaligned*)from; }

#if defined(__clang__)
#define CHOSEN(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define CHOSEN(a, b, ...) __builtin_shuffle(a, b, Places{__VA_ARGS__})
#endif

// Sums of two lanes that are so far apart: where the lane's number has that bit those of b, elsewhere those of a
template <int apart, int... lane>
INLINE Vector sums_of_lanes(Vector a, Vector b, std::integer_sequence<int, lane...>)
{
    return CHOSEN(a, b, (lane & apart ? LANES + lane - apart : lane)...) +
           CHOSEN(a, b, (lane & apart ? LANES + lane : lane + apart)...);
}

// Lane by lane the sum of one of so many vectors, in an order that hangs on the number of lanes alone
template <int count = LANES>
INLINE Vector sums_of(const Vector* x)
{
    if constexpr (count == 1)
        return *x;
    else
        return sums_of_lanes<count / 2>(sums_of<count / 2>(x), sums_of<count / 2>(x + count / 2), Numbers());
}

// The vector with 0 in the lanes from that number on
template <int... lane>
INLINE Vector first_lanes(Vector vector, int number, std::integer_sequence<int, lane...>)
{
    return (Vector)((Places)vector & (Places{lane...} < number));
}

// ---- the next mini-batch

// Its rows may lie anywhere in the samples. They are asked for line by line while the present ones are multiplied, and are in the
// cache in time; asked for faster than memory gives them, some would be forgotten. An address that is out of date does no harm.
struct Ahead {
    enum { MOST = 16, LONG = 256 };   // rows; bytes of a row, below which the cache finds it by itself
    const char* row[MOST];
    Int bytes, left;

    // A row of so many bytes that is to be asked for, or else what is needed anyway
    const char* next(Int wanted, const T* otherwise)
    {
        if (wanted != bytes || left == 0)
            return (const char*)otherwise;
        const char* found = row[--left];
        __builtin_prefetch(found + bytes - 1, 0, 2);   // a row need not begin with a line
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

// work(size), where the compiler knows the size, which is at most `most`
template <int most, class Work>
INLINE void exactly(Int size, Work work)
{
    if constexpr (most > 1)
        if (size < most)
            return exactly<most - 1>(size, work);
    work(std::integral_constant<int, most>());
}

INLINE Int parts_of(Int count, Int most) { return (count + most - 1) / most; }

// work(first, size) for as few parts as can be, all of about one size
template <int most, class Work>
INLINE void in_parts(Int count, Work work)
{
    const Int parts = parts_of(count, most);
    for (Int part = 0; part < parts; part++) {
        const Int first = count * part / parts;
        exactly<most>(count * (part + 1) / parts - first, [=](auto size) { work(first, size); });
    }
}

// sums := sums + x w^T in one vector of each row, or in its first lanes
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

// z := x w^T for so many rows of x and of w, which have a vector or more; meanwhile lines are asked for, one every `stride` bytes
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

// w_j := w_j + factors_j^T x in so many vectors of each row w_j, from place p on
template <int across, int vectors>
INLINE void fold_columns(const T* x, const T* factors, T* const* w, Int p, Int rows, Int k, Int width, const char* soon)
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
static void fold_tile(const T* x, const T* factors, T* first, Int rows, Int k, Int width, const char* soon)
{
    T* w[across];
    UNROLL for (int j = 0; j < across; j++)
        w[j] = first + j * k;
    Int p = 0;
    for (; p + 2 * LANES <= k; p += 2 * LANES)
        fold_columns<across, 2>(x, factors, w, p, rows, k, width, soon);
    if (p < k)
        fold_columns<across, 1>(x, factors, w, p, rows, k, width, soon);
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

// w := keep w + part delta^T x, where row clock_0 of a table holds keep and part; rows of x are whole numbers of 64 bytes, and
// factors has room for a delta
static void tiled_fold(
    const T* delta, const T* x, T* w, T* factors, Int rows, Int width, Int k, const T* table, const Int* clock)
{
    const T keep = table[2 * clock[0]], part = table[2 * clock[0] + 1];
    for (Int n = 0; n < rows * width; n++)
        factors[n] = part * delta[n];
    for (Int n = 0; keep != 1 && n < width * k; n++)
        w[n] *= keep;
    in_parts<ACROSS>(width, [=](Int j, auto across) {
        fold_tile<across>(x, factors + j, w + j * k, rows, k, width, ahead.next(k * sizeof(T), w + j * k));
    });
}
