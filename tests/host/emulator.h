// CUDA's words for g++: runs a kernel on the host, block after block, each thread of a block a fiber with a stack of its own.
// A fiber runs until it meets a barrier (__syncthreads, a shuffle); whoever arrives last opens it for all. Warps take turns at
// random, each for a stretch of random length, so that one which does not wait where it must is soon ahead of the others.
// What a GPU would not forgive, and x86 does, is a fault: g++ instruments each access (-fsanitize=alignment), shuffles are checked.
// The blocks of a cluster run together; each has dynamic shared memory of its own, whose numbers are NaN at first.
#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
#include <ucontext.h>

using namespace std;   // exp(float) is then a float, as in CUDA

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __shared__ static

struct Position { unsigned x, y, z; };
static Position threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

const unsigned most_blocks = 8, most_threads = 1024 * most_blocks, warp = 32, stack_bytes = 1 << 16, guard_bytes = 256;

struct Barrier { unsigned alive, waiting, opened; };
struct Fiber { jmp_buf place; unique_ptr<char[]> stack; bool begun, alive; };

static Fiber fibers[most_threads];
static Barrier cluster, blocks[most_blocks], warps[most_threads / warp];
static Position first_block;                  // of the cluster
static unsigned block_threads;
static vector<double> memory[most_blocks];    // dynamic shared memory of each block of the cluster, and a guard behind it
static jmp_buf scheduler;
static function<void()> body;
static unsigned me;
static bool progress;

static void rest()
{
    if (!_setjmp(fibers[me].place))
        _longjmp(scheduler, 1);
}

static string fault;   // of the launch under way, if any

static void fail(const string& what)   // the thread never goes on, so that its block ends as a deadlock does
{
    if (fault.empty())
        fault = what;
    for (;;)
        rest();
}

static void open(Barrier& barrier)
{
    if (barrier.waiting && barrier.waiting == barrier.alive) {
        barrier.waiting = 0;
        barrier.opened++;
        progress = true;
    }
}

static void meet(Barrier& barrier)
{
    const unsigned before = barrier.opened;
    barrier.waiting++;
    open(barrier);
    while (barrier.opened == before)
        rest();
}

static void leave(Barrier& barrier)   // CUDA's barriers do not wait for threads that have returned
{
    barrier.alive--;
    open(barrier);
}

static void live()
{
    for (;;) {   // once a block, for as long as the program runs
        body();
        fibers[me].alive = false;
        progress = true;
        leave(warps[me / warp]);
        leave(blocks[me / block_threads]);
        leave(cluster);
        rest();
    }
}

static void resume(unsigned thread)
{
    Fiber& fiber = fibers[me = thread];
    const unsigned here = me % block_threads;
    threadIdx = {here % blockDim.x, here / blockDim.x % blockDim.y, here / blockDim.x / blockDim.y};
    blockIdx = {first_block.x + me / block_threads, first_block.y, first_block.z};
    if (_setjmp(scheduler))
        return;
    if (fiber.begun)
        _longjmp(fiber.place, 1);
    fiber.begun = true;
    if (!fiber.stack)
        fiber.stack.reset(new char[stack_bytes]);
    static ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack.get();
    context.uc_stack.ss_size = stack_bytes;
    makecontext(&context, live, 0);
    setcontext(&context);
}

static mt19937 dice;

// Each thread of a warp runs to where it waits; lanes from the first on or from the last.
static bool run_warp(unsigned first, unsigned threads, bool backward)
{
    const unsigned end = min(threads, first + warp);
    progress = false;
    for (unsigned t = first; t < end; t++) {
        const unsigned thread = backward ? first + end - 1 - t : t;
        if (fibers[thread].alive)
            resume(thread);
    }
    return progress;
}

static bool run_cluster(unsigned size, size_t shared)   // all blocks of a cluster; if there are several, their warps are whole
{
    const unsigned threads = size * block_threads, count = (threads + warp - 1) / warp;
    cluster = {threads, 0, 0};
    for (unsigned b = 0; b < size; b++) {
        blocks[b] = {block_threads, 0, 0};
        memory[b].assign(shared ? (shared + guard_bytes) / sizeof(double) : 0, NAN);
    }
    for (unsigned t = 0; t < count * warp; t++) {
        fibers[t].alive = t < threads;
        warps[t / warp] = {min(warp, threads - t / warp * warp), 0, 0};
    }
    vector<bool> waits(count);   // warps that have not moved since any has
    unsigned waiting = 0;
    while (cluster.alive && waiting != count) {
        unsigned w = dice() % count;
        while (waits[w])
            w = (w + 1) % count;
        const bool backward = dice() % 2;
        for (unsigned stretch = 1u << dice() % 8; stretch > 0; stretch--) {
            if (!run_warp(w * warp, threads, backward)) {
                waits[w] = true;
                waiting++;
                break;
            }
            if (waiting) {
                fill(waits.begin(), waits.end(), false);
                waiting = 0;
            }
        }
    }
    if (cluster.alive)   // threads wait at barriers that the others never reach: the next kernel begins with new fibers
        for (Fiber& fiber : fibers)
            fiber.begun = false;
    for (unsigned b = 0; b < size && shared; b++)
        if (!all_of(memory[b].begin() + shared / sizeof(double), memory[b].end(), [](double x) { return isnan(x); }))
            fault = "a thread has written beyond the dynamic shared memory";
    return !cluster.alive && fault.empty();
}

template <class... P, size_t... I>
void call(void (*kernel)(P...), void** arguments, index_sequence<I...>)
{
    kernel(*static_cast<P*>(arguments[I])...);
}

// as cuLaunchKernel: shape is grid x, y, z, block x, y, z, the blocks of a cluster and the bytes of dynamic shared memory, arguments
// points to the values; false is a fault or a deadlock. Of each dimension of the grid only the last `most` blocks are run.
template <class... P>
bool launch(void (*kernel)(P...), const unsigned* shape, void** arguments, unsigned most)
{
    fault.clear();
    gridDim = {shape[0], shape[1], shape[2]};
    blockDim = {shape[3], shape[4], shape[5]};
    block_threads = blockDim.x * blockDim.y * blockDim.z;
    body = [=] { call(kernel, arguments, index_sequence_for<P...>()); };
    for (unsigned z = gridDim.z - min(most, gridDim.z); z < gridDim.z; z++)
        for (unsigned y = gridDim.y - min(most, gridDim.y); y < gridDim.y; y++)
            for (unsigned x = gridDim.x - min(most, gridDim.x); x < gridDim.x; x += shape[6]) {
                first_block = {x, y, z};
                if (!run_cluster(shape[6], shape[7]))
                    return false;
            }
    return true;
}

template <class V>
string code()
{
    if constexpr (is_pointer_v<V>)
        return "*" + code<remove_cv_t<remove_pointer_t<V>>>();
    else if constexpr (is_class_v<V>)   // Half, as NumPy's float16, or the bits of a Bfloat16
        return V::digits == 11 ? "f2" : "u2";
    else
        return (is_floating_point_v<V> ? "f" : is_signed_v<V> ? "i" : "u") + to_string(sizeof(V));
}

template <class... P>
string signature(void (*)(P...))
{
    string result;
    ((result += code<P>() + " "), ...);
    return result;
}

}

#define LAUNCHER(kernel) \
    extern "C" bool launch_##kernel(const unsigned* s, void** a, unsigned most) { return emulator::launch(kernel, s, a, most); } \
    extern "C" const char* signature_##kernel() { static const string s = emulator::signature(kernel); return s.c_str(); }

static void __syncwarp() { emulator::meet(emulator::warps[emulator::me / emulator::warp]); }
static void __syncthreads()
{
    emulator::meet(emulator::blocks[emulator::me / emulator::block_threads]);
}

static int cluster_rank() { return emulator::me / emulator::block_threads; }
static void cluster_sync() { emulator::meet(emulator::cluster); }
static void* emulated_shared_memory() { return emulator::memory[cluster_rank()].data(); }

template <class V>
static void store_remote(V* place, int block, V x)
{
    *(V*)((char*)emulator::memory[block].data() + ((char*)place - (char*)emulated_shared_memory())) = x;
}

// called by g++ where an address is not a multiple of what the type asks for: (file, line, column, type, log2 of the alignment)
struct Mismatch { const char* file; unsigned line, column; const void* type; unsigned char log_alignment, kind; };

extern "C" void __ubsan_handle_type_mismatch_v1(Mismatch* where, size_t address)
{
    emulator::fail("an address is not a multiple of " + to_string(1 << where->log_alignment) + " bytes");
}

// a lane that has left gives no value: a mask names only lanes that live, and those that a lane writes and reads
static void check_mask(unsigned mask, unsigned writes, unsigned reads)
{
    if (!(mask >> writes % emulator::warp & mask >> reads % emulator::warp & 1))
        emulator::fail("a shuffle's mask does not name a lane that takes part");
    for (unsigned lane = 0; lane < emulator::warp; lane++)
        if (mask >> lane & 1 && !emulator::fibers[writes / emulator::warp * emulator::warp + lane].alive)
            emulator::fail("a shuffle's mask names a lane that has left");
}

template <class V>
static V __shfl_xor_sync(unsigned mask, V value, unsigned lanes)
{
    static V slots[emulator::most_threads];
    slots[emulator::me] = value;
    emulator::meet(emulator::warps[emulator::me / emulator::warp]);
    check_mask(mask, emulator::me, emulator::me ^ lanes);   // here, since a lane may leave while others wait for it
    const V result = slots[emulator::me ^ lanes];
    emulator::meet(emulator::warps[emulator::me / emulator::warp]);
    return result;
}

static unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned __int128)a * b >> 64;
}

// ---- numbers of 16 bits: to the nearest, ties to even, as cvt.rn.f16.f32 has them

static unsigned __float_as_uint(float x)
{
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float __uint_as_float(unsigned bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static unsigned short half_bits(float x)
{
    const unsigned sign = __float_as_uint(x) >> 16 & 0x8000;
    const double size = fabs((double)x);
    if (x != x)
        return 0x7fff;
    if (size >= 65520)   // rounds to 2^16, one more than there is
        return sign | 0x7c00;
    const int exponent = size < ldexp(1.0, -14) ? -14 : ilogb(size);   // that of the smallest normal number holds below it too
    const long units = lrint(ldexp(size, 10 - exponent));   // in units of the last place; 2^11 of them are the next exponent's
    return sign | (unsigned short)(units + ((long)(exponent + 14) << 10));
}

static float half_value(unsigned short bits)
{
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double size = exponent == 31 ? (fraction ? NAN : INFINITY)
                                       : exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return bits & 0x8000 ? -size : size;
}

extern "C" void seed_schedule(unsigned seed)
{
    emulator::dice.seed(seed);
}

extern "C" const char* fault()
{
    return emulator::fault.c_str();
}
