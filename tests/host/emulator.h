// CUDA's words for g++: runs a kernel on the host, block after block, each thread of a block a fiber with a stack of its own.
// A fiber runs until it meets a barrier (__syncthreads, a shuffle); whoever arrives last opens it for all.
#include <cmath>
#include <csetjmp>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
#include <ucontext.h>

using namespace std;   // exp(float) is then a float, as in CUDA

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __shared__ static

struct Position { unsigned x, y, z; };
static Position threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

const unsigned most_threads = 1024, warp = 32, stack_bytes = 1 << 16;

struct Barrier { unsigned alive, waiting, opened; };
struct Fiber { jmp_buf place; vector<char> stack; bool begun, alive; };

static Fiber fibers[most_threads];
static Barrier block, warps[most_threads / warp];
static jmp_buf scheduler;
static function<void()> body;
static unsigned me;
static bool progress;

static void rest()
{
    if (!_setjmp(fibers[me].place))
        _longjmp(scheduler, 1);
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
        leave(block);
        rest();
    }
}

static void resume(unsigned thread)
{
    Fiber& fiber = fibers[me = thread];
    threadIdx = {me % blockDim.x, me / blockDim.x % blockDim.y, me / blockDim.x / blockDim.y};
    if (_setjmp(scheduler))
        return;
    if (fiber.begun)
        _longjmp(fiber.place, 1);
    fiber.begun = true;
    fiber.stack.resize(stack_bytes);
    static ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack.data();
    context.uc_stack.ss_size = stack_bytes;
    makecontext(&context, live, 0);
    setcontext(&context);
}

// Each warp runs as far as it can before the next one moves, from the first warp on in one block and from the last in the
// next, so that a missing barrier shows in one of the two orders.
static bool run_block(unsigned threads)
{
    static bool backward;
    backward = !backward;
    block = {threads, 0, 0};
    for (unsigned t = 0; t < threads; t++) {
        fibers[t].alive = true;
        warps[t / warp] = {min(warp, threads - t / warp * warp), 0, 0};
    }
    for (bool moved = true; block.alive && moved;) {
        moved = false;
        for (unsigned first = 0; first < threads; first += warp) {
            do {
                progress = false;
                for (unsigned t = first; t < min(threads, first + warp); t++) {
                    const unsigned thread = backward ? threads - 1 - t : t;
                    if (fibers[thread].alive)
                        resume(thread);
                }
                moved |= progress;
            } while (progress);
        }
    }
    if (block.alive)   // threads wait at barriers that the others never reach: the next kernel begins with new fibers
        for (Fiber& fiber : fibers)
            fiber.begun = false;
    return !block.alive;
}

template <class... P, size_t... I>
void call(void (*kernel)(P...), void** arguments, index_sequence<I...>)
{
    kernel(*static_cast<P*>(arguments[I])...);
}

// as cuLaunchKernel: shape is grid x, y, z and block x, y, z, arguments points to the values; false is a deadlock
template <class... P>
bool launch(void (*kernel)(P...), const unsigned* shape, void** arguments)
{
    gridDim = {shape[0], shape[1], shape[2]};
    blockDim = {shape[3], shape[4], shape[5]};
    body = [=] { call(kernel, arguments, index_sequence_for<P...>()); };
    for (unsigned z = 0; z < gridDim.z; z++)
        for (unsigned y = 0; y < gridDim.y; y++)
            for (unsigned x = 0; x < gridDim.x; x++) {
                blockIdx = {x, y, z};
                if (!run_block(blockDim.x * blockDim.y * blockDim.z))
                    return false;
            }
    return true;
}

template <class V>
string code()
{
    if constexpr (is_pointer_v<V>)
        return "*" + code<remove_cv_t<remove_pointer_t<V>>>();
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
    extern "C" bool launch_##kernel(const unsigned* s, void** a) { return emulator::launch(kernel, s, a); } \
    extern "C" const char* signature_##kernel() { static const string s = emulator::signature(kernel); return s.c_str(); }

static void __syncthreads()
{
    emulator::meet(emulator::block);
}

template <class V>
static V __shfl_xor_sync(unsigned, V value, unsigned mask)
{
    static V slots[emulator::most_threads];
    slots[emulator::me] = value;
    emulator::meet(emulator::warps[emulator::me / emulator::warp]);
    const V result = slots[emulator::me ^ mask];
    emulator::meet(emulator::warps[emulator::me / emulator::warp]);
    return result;
}

static unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned __int128)a * b >> 64;
}
