// A team of threads that share the tasks of one call at a time. The tasks are the same whatever the number of threads, and so are
// the bits of their results; whichever thread is free takes the next one, so that nobody waits for a thread without a core.
#include <atomic>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

typedef void (*Task)(const void* call, Int number);

struct Team {   // zeros at first
    std::atomic<Word> claim;    // the number of the call in the upper 32 bits, then its tasks and the next of them, 16 bits each
    std::atomic<Int> done, busy, workers, asleep;   // tasks of this call; whether there is a call; threads
    std::atomic<Int> resting;   // calls of Team.resting, during which callers do all tasks themselves
    Task task;
    const void* call;
    pthread_mutex_t lock;
    pthread_cond_t begun;       // a call, for threads that sleep
};
static_assert(sizeof(Team) <= 256, "devices/cpu/team.py allocates it");

inline bool has_tasks(Word claim) { return (claim & 0xffff) < (claim >> 16 & 0xffff); }

inline void take_tasks(Team* team)
{
    for (Word claim = team->claim; has_tasks(claim);)
        if (team->claim.compare_exchange_weak(claim, claim + 1)) {
            team->task(team->call, claim & 0xffff);   // the call lasts until all of its tasks are done
            team->done++;
            claim = team->claim;
        }
}

inline bool rest(Int& waited)   // most waits are shorter than it takes to fall asleep; returns false if this one is not
{
    if (++waited < 4000)
#if defined(__SSE__)
        _mm_pause();
#else
        ;
#endif
    else if (waited < 5000)
        sched_yield();
    return waited < 5000;
}

inline void sleep_until_tasks_come(Team* team)
{
    pthread_mutex_lock(&team->lock);
    team->asleep++;
    while (!has_tasks(team->claim))
        pthread_cond_wait(&team->begun, &team->lock);
    team->asleep--;
    pthread_mutex_unlock(&team->lock);
}

inline void work_for(Team* team)
{
    team->workers++;
    for (;;) {
        for (Int waited = 0; !has_tasks(team->claim);)
            if (!rest(waited))
                sleep_until_tasks_come(team);
        take_tasks(team);
    }
}

// work(number) for all numbers below `tasks`, in any order: in the team's threads, or in this one if the team rests or has another call
template <class Work>
inline void in_parallel(Team* team, Int tasks, const Work& work)
{
    Int idle = 0;
    if (tasks < 2 || !team->workers || team->resting || !team->busy.compare_exchange_strong(idle, 1)) {
        for (Int number = 0; number < tasks; number++)
            work(number);
        return;
    }
    team->task = [](const void* call, Int number) { (*(const Work*)call)(number); };
    team->call = &work;
    team->done = 0;
    team->claim = ((team->claim >> 32) + 1) << 32 | Word(tasks) << 16;
    if (team->asleep) {   // a thread that is not yet asleep sees the tasks
        pthread_mutex_lock(&team->lock);
        pthread_cond_broadcast(&team->begun);
        pthread_mutex_unlock(&team->lock);
    }
    take_tasks(team);
    for (Int waited = 0; team->done < tasks;)
        if (!rest(waited))
            usleep(50);
    team->busy = 0;
}
