// The CPU's kernels without a formula, and the code that runs programs of calls, in one thread or in several.
#include "cpu.h"
#include "tiles.h"
#include "team.h"
#include <ctime>

// ---- programs

struct Call {
    void (*kernel)(const Word* words);
    const Word* words;
};

// As on a GPU, denormals are flushed to zero while a program runs: computing with them takes a hundred times as long.
// The BLAS is called with denormals enabled, since threads that it starts would keep the setting.
enum { FLUSHED = 0x8040 };

template <bool flushed>
struct Denormals {
#if defined(__SSE__)
    const unsigned before = _mm_getcsr();
    Denormals() { _mm_setcsr(flushed ? before | FLUSHED : before & ~FLUSHED); }
    ~Denormals() { _mm_setcsr(before); }
#endif
};

static void sequence(const Call* calls, Int count, Int times)
{
    const Denormals<true> here;
    for (Int time = 0; time < times; time++)
        for (Int i = 0; i < count; i++)
            calls[i].kernel(calls[i].words);
}

// ---- parallel threads

extern "C" void open_team(Team* team)
{
    pthread_mutex_init(&team->lock, nullptr);
    pthread_cond_init(&team->begun, nullptr);
}

extern "C" void worker_loop(Team* team) { work_for(team); }

static void run_parallel(Team* team, const Call* calls, Int count)
{
    in_parallel(team, count, [=](Int number) { calls[number].kernel(calls[number].words); });
}

// ---- products: a column-major BLAS, whose integers are BlasInt, sees row-major matrices transposed

typedef void (*Gemm)(int, int, int, BlasInt, BlasInt, BlasInt, T, const T*, BlasInt, const T*, BlasInt, T, T*, BlasInt);

// out := alpha a b + beta out, cut into down x across pieces of its rows and columns, each by a BLAS of one thread
static void gemm_in_pieces(
    Team* team, Int down, Int across, Gemm gemm, Int transa, Int transb, Int m, Int n, Int k, T alpha, const T* a, Int lda,
    const T* b, Int ldb, T beta, T* out, Int ldc)
{
    enum { NO_TRANS = 111, GRAIN = 16 };   // the BLAS has the fastest code for multiples of GRAIN
    const auto start = [](Int size, Int part, Int parts) {
        return part == parts ? size : (size + GRAIN - 1) / GRAIN * part / parts * GRAIN;
    };
    in_parallel(team, down * across, [=](Int piece) {
        const Denormals<false> there;
        const Int i = start(m, piece % across, across), j = start(n, piece / across, down);
        gemm(102, transa, transb, start(m, piece % across + 1, across) - i, start(n, piece / across + 1, down) - j, k, alpha,
             a + (transa == NO_TRANS ? i : i * lda), lda, b + (transb == NO_TRANS ? j * ldb : j), ldb, beta, out + i + j * ldc, ldc);
    });
}

// out := a b
static void product(
    Team* team, Int down, Int across, Gemm gemm, Int transa, Int transb, Int m, Int n, Int k, const T* a, Int lda, const T* b,
    Int ldb, T* out, Int ldc)
{
    gemm_in_pieces(team, down, across, gemm, transa, transb, m, n, k, 1, a, lda, b, ldb, 0, out, ldc);
}

// w := beta w + alpha a b, where row clock_0 of a table holds beta and alpha: BP4 and the step of gradient descent in one GEMM
static void gemm_update(
    Team* team, Int down, Int across, Gemm gemm, Int transa, Int transb, Int m, Int n, Int k, const T* a, Int lda, const T* b,
    Int ldb, T* w, Int ldc, const T* table, const Int* clock)
{
    const T *row = table + 2 * clock[0];
    gemm_in_pieces(team, down, across, gemm, transa, transb, m, n, k, row[1], a, lda, b, ldb, row[0], w, ldc);
}

// ---- rows, vectors and sums

// out_i := source_(order_i) for the rows of a mini-batch, of `bytes` bytes each; order has `samples` elements.
// Afterwards `ahead` lists the rows of the next mini-batch
static void gather(
    const char* source, char* out, Int bytes, const Int* order, Int samples, const Int* clock, Int size, Int rows)
{
    const Int first = clock[0] * size;
    for (Int i = 0; i < rows; i++)
        __builtin_memcpy(out + i * bytes, source + order[first + i] * bytes, bytes);
    const Int next = first + size;
    if (rows > Ahead::MAX_ROWS || bytes < Ahead::LONG || next + rows > samples)
        return;
    ahead.bytes = bytes;
    for (ahead.left = 0; ahead.left < rows; ahead.left++)
        ahead.row[ahead.left] = source + order[next + ahead.left] * bytes;
}

// out := row index_0 of a table, whose rows have `bytes` bytes
static void copy_row(const char* table, char* out, Int bytes, const Int* index)
{
    __builtin_memcpy(out, table + index[0] * bytes, bytes);
}

// Row index_0 of a table := source,  index_0 := index_0 + 1
static void keep_row(const char* source, char* table, Int bytes, Int* index)
{
    __builtin_memcpy(table + index[0]++ * bytes, source, bytes);
}

static void copy(const T* source, T* out, Int n)
{
    __builtin_memcpy(out, source, n * sizeof(T));
}

// out := out + source
static void add(const T* __restrict__ source, T* __restrict__ out, Int n)
{
    for (Int i = 0; i < n; i++)
        out[i] += source[i];
}

static T sum_of_squares(const T* x, Int n)
{
    T sum = 0;
    for (; n > 0; x += BLOCK, n -= BLOCK)   // block by block, so that rounding errors do not grow with n
        sum += product_of(x, x, n < BLOCK ? n : BLOCK);
    return sum;
}

// total := total + the sum of the squares
static void add_squares(const T* x, T* total, Int n)
{
    *total += sum_of_squares(x, n);
}

static void norm(const T* x, T* length, Int n)
{
    *length = sqrt(sum_of_squares(x, n));
}

// flag := 0 if all elements are finite, else 1
static void flag_nonfinite(const T* x, T* flag, Int n)
{
    Int bad = 0;
    for (Int i = 0; i < n; i++)
        bad |= !(fabs(x[i]) < T(INFINITY));
    *flag = bad;
}

// ---- the figures of an epoch

// now := the seconds of the system's clock
static void record_time(double* now)
{
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    *now = time.tv_sec + 1e-9 * time.tv_nsec;
}

struct Place {
    T value;
    Int column;
};

// The place of the first largest element of each row; NaN counts as the largest, as in NumPy
static void find_largest(const T* x, Place* largest, Int rows, Int width)
{
    reduce_rows(largest, rows, width, [=](Int i, Int j) { return Place{x[i * width + j], j}; }, [](Place best, Place next) {
        return best.value == best.value && !(next.value <= best.value) ? next : best;
    });
}

// total := total + the number of rows of a with the label of y: the argmax, or if `coded` on which side of `middle` each lies
static void add_right(const T* a, const T* y, double* total, Int coded, double middle, Int rows, Int width)
{
    enum { TOGETHER = 64 };
    if (coded) {
        for (Int i = 0; i < rows; i++) {
            bool right = true;
            for (Int n = i * width; n < (i + 1) * width; n++)
                right &= (a[n] > T(middle)) == (y[n] > T(middle));
            *total += right;
        }
        return;
    }
    for (Int first = 0; first < rows; first += TOGETHER) {
        const Int count = rows - first < TOGETHER ? rows - first : TOGETHER;
        Place found[TOGETHER], wanted[TOGETHER];
        find_largest(a + first * width, found, count, width);
        find_largest(y + first * width, wanted, count, width);
        for (Int i = 0; i < count; i++)
            *total += found[i].column == wanted[i].column;
    }
}

// total := total + sum of x
static void add_sum(const T* x, double* total, Int n)
{
    for (Int i = 0; i < n; i++)
        *total += x[i];
}

// total := total + sum of the squares of y - a in the first columns
static void add_residual(const T* a, const T* y, double* total, Int columns, Int rows, Int width)
{
    for (Int i = 0; i < rows; i++)
        for (Int j = i * width; j < i * width + columns; j++) {
            const T error = y[j] - a[j];
            *total += error * error;
        }
}

// log[clock_0] := sum of costs,  clock_0 := clock_0 + 1
static void log_cost(const T* costs, T* log, Int* clock, Int n)
{
    T sum = 0;
    for (; n > 0; costs += BLOCK, n -= BLOCK)
        sum += sum_of(costs, n < BLOCK ? n : BLOCK);
    log[clock[0]++] = sum;
}

// ---- softmax and dropout

static void softmax(T* z, const T* b, T* a, Int rows, Int width)
{
    T peaks[BLOCK], log_sums[BLOCK];
    BLOCKS_OF_ROWS(first, count, rows, width) {
        add_to_rows(z + first * width, b, count, width);
        softmax_of_rows(z + first * width, a + first * width, peaks, log_sums, count, width);
    }
}

static void softmax_backward(T* delta, const T* a, T* sums, Int rows, Int width)
{
    for (Int j = 0; j < width; j++)
        sums[j] = 0;
    for (Int i = 0; i < rows; i++, delta += width, a += width) {
        times_softmax_prime(delta, a, width);
        add_rows(delta, sums, 1, width);
    }
}

// out_i := a_i scale if the i-th 32 random bits are below the limit, else a_i 0;  out may be a itself
// start: the block of eight halves with which the mask begins
static void dropout(const T* a, T* out, double scale, Int limit, Int seed, const Int* clock, Int layer, Int start, Int n)
{
    enum { WORDS = 32 };   // groups of four words, eight halves, drawn together; NumPy increments the counter before it draws
    const Word step = ((Word)clock[1] << 32) + clock[0];   // epoch and mini-batch
    for (Int first = 0; first < n; first += 8 * WORDS) {
        Word halves[8 * WORDS];
        for (int word = 0; word < WORDS; word++) {
            const Words random = philox({Word(start + first / 8 + word + 1), step, Word(layer), 0}, Word(seed), 0);
            for (int half = 0; half < 8; half++)
                halves[8 * word + half] = random.word[half / 2] >> 32 * (half % 2) & 0xffffffffu;
        }
        for (Int half = 0; half < (n - first < 8 * WORDS ? n - first : 8 * WORDS); half++)
            out[first + half] = a[first + half] * (halves[half] < Word(limit) ? T(scale) : T(0));
    }
}

// ---- arguments

// A Py_buffer of Python's buffer protocol, and the functions of Python that the caller looks up: there need be no headers here
struct Buffer {
    void* start;
    void* owner;
    Int bytes, item;
    int readonly, axes;
    void *format, *shape, *strides, *suboffsets, *internal;
};

struct Binding {
    void* (*item)(void* tuple, Int i);
    int (*get)(void* object, Buffer* buffer, int flags);
    void (*release)(Buffer* buffer);
    void (*clear)();
    Int count;
    Word* table;
    const Int* wanted;   // of each array: its place in the table, its format, the number of its axes and their lengths
};

// table := the addresses of the arrays of a tuple. Returns 0, 1 if one is not C-contiguous, or 2 if one has another shape or
// dtype than is wanted. The caller holds Python's lock
extern "C" Int bind_arguments(void* tuple, const Binding* binding)
{
    enum { C_CONTIGUOUS_WITH_FORMAT = 0x8 | 0x4 };
    const Int* wanted = binding->wanted;
    for (Int i = 0; i < binding->count; i++) {
        Buffer buffer;
        if (binding->get(binding->item(tuple, i), &buffer, C_CONTIGUOUS_WITH_FORMAT)) {
            binding->clear();
            return 1;
        }
        char format[sizeof(Int)] = {};
        for (size_t k = 0; k < sizeof(format) - 1 && ((const char*)buffer.format)[k]; k++)
            format[k] = ((const char*)buffer.format)[k];
        bool same = !__builtin_memcmp(format, &wanted[1], sizeof(format)) && buffer.axes == wanted[2];
        for (Int axis = 0; same && axis < wanted[2]; axis++)
            same = ((const Int*)buffer.shape)[axis] == wanted[3 + axis];
        binding->table[wanted[0]] = (Word)buffer.start;
        binding->release(&buffer);
        if (!same)
            return 2;
        wanted += 3 + wanted[2];
    }
    return 0;
}

KERNEL(sequence)
KERNEL(run_parallel)
KERNEL(product)
KERNEL(gemm_update)
KERNEL(tiled_product)
KERNEL(tiled_gemm_update)
KERNEL(gather)
KERNEL(copy_row)
KERNEL(keep_row)
KERNEL(copy)
KERNEL(add)
KERNEL(add_squares)
KERNEL(norm)
KERNEL(flag_nonfinite)
KERNEL(record_time)
KERNEL(add_right)
KERNEL(add_sum)
KERNEL(add_residual)
KERNEL(log_cost)
KERNEL(softmax)
KERNEL(softmax_backward)
KERNEL(dropout)
