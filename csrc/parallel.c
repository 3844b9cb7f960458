/* parallel.c — threads: how many, and how they share tasks. The only file that knows OpenMP.

   Tasks are handed out by an atomic counter; which thread computes one never changes its result.

   OpenMP starts the threads, once; between jobs they wait here, not at OpenMP's barriers. At a barrier the caller waits
   for every thread, and libgomp spins for milliseconds: where the machine is busy, or Linux wakes two threads on one
   CPU, as it often does after a pause, each holds up the other: a 3x3 convolution of 64x56x56 on two CPUs took 1.5 ms
   call upon call, but 6 to 8 after pauses of 20 to 200 ms. Here a caller waits only for helpers that have begun.

   Several callers: the team helps one at a time; the others meanwhile work alone.

   Fork: libgomp's pool of threads does not survive fork(), and a child that enters a parallel region waits for it for
   ever. The pool belongs to the thread that entered the region: here one that is started for it, so a child that
   starts a team of its own has a fresh pool. */
#define _GNU_SOURCE
#include "parallel.h"

#include "convfast.h"

#include <fenv.h>
#include <stdatomic.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifndef _WIN32
#include <pthread.h>
#include <sched.h>
#endif

/* Handing over a job costs less than a microsecond while the helpers look for it, some 10 to wake them, and they look
   for milliseconds: not for less work than this. */
#define PARALLEL_MICROSECONDS 15.0

typedef struct {
    ptrdiff_t count;
    int threads;
    cf_task run;
    const void *context;
    char *workspace;
    size_t each;
    atomic_ptrdiff_t next_task;
    atomic_int next_workspace;
    fenv_t mode; /* of the caller's floating-point arithmetic: no result depends on who computes it */
} job;

static void work(job *j)
{
    char *workspace = j->workspace + (size_t)atomic_fetch_add(&j->next_workspace, 1) * j->each;
    for (;;) {
        const ptrdiff_t task = atomic_fetch_add(&j->next_task, 1);
        if (task >= j->count) return;
        j->run(j->context, task, workspace);
    }
}

#ifdef _OPENMP
#define HELPER_LOOKS 100000 /* for the next job, some 5 ms, before a helper sleeps */
#define YIELD_LOOKS 500     /* that giving the CPU away counts for */
#define CALLER_LOOKS 2000   /* for the helpers' last tasks, some 50 us, before a caller sleeps */
#define CLOSED (1 << 30)

/* A helper that comes late must not touch a job that has ended: it enters by the door, which counts who is inside, and
   leaves at once if the door is closed. */
typedef struct {
    atomic_int taken;  /* by a caller */
    job *job;
    atomic_int cpu;    /* of the last caller */
    atomic_int door;   /* helpers inside, and CLOSED while there is nothing to help with */
    atomic_int call;   /* number of the last job */
    atomic_int asleep; /* helpers that must be woken for the next one */
    int helpers;       /* that were asked of OpenMP; 0: there is no team */
    atomic_int dismissed;
    atomic_int number; /* of the next helper that starts */
    pthread_t host;    /* the thread of the parallel region */
    pthread_mutex_t lock;
    pthread_cond_t called, left;
} team;

#define NO_TEAM                                                                                                        \
    {.door = CLOSED, .cpu = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .called = PTHREAD_COND_INITIALIZER,                 \
     .left = PTHREAD_COND_INITIALIZER}

static team the_team = NO_TEAM;

static void rest(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("pause");
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int this_cpu(void)
{
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
}

/* The number of the next job after job `last`. */
static int wait_for_call(team *t, int last)
{
    int call = last;
    for (int looks = 0; looks < HELPER_LOOKS && call == last; ++looks) {
        const int cpu = this_cpu();
        if (cpu >= 0 && cpu == atomic_load(&t->cpu)) { /* in the caller's way, until the system parts them */
            sched_yield();
            looks += YIELD_LOOKS;
        } else {
            rest();
        }
        call = atomic_load(&t->call);
    }
    if (call != last) return call;
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add(&t->asleep, 1);
    while ((call = atomic_load(&t->call)) == last) pthread_cond_wait(&t->called, &t->lock);
    atomic_fetch_sub(&t->asleep, 1);
    pthread_mutex_unlock(&t->lock);
    return call;
}

static void help(team *t, int call)
{
    const int number = atomic_fetch_add(&t->number, 1);
    while (!atomic_load(&t->dismissed)) {
        if (atomic_fetch_add(&t->door, 1) < CLOSED && number < t->job->threads - 1) {
            fesetenv(&t->job->mode);
            work(t->job);
        }
        if (atomic_fetch_sub(&t->door, 1) == CLOSED + 1) { /* the last one of a job whose caller may sleep */
            pthread_mutex_lock(&t->lock);
            pthread_cond_signal(&t->left);
            pthread_mutex_unlock(&t->lock);
        }
        call = wait_for_call(t, call);
    }
}

static void wake(team *t)
{
    pthread_mutex_lock(&t->lock);
    pthread_cond_broadcast(&t->called);
    pthread_mutex_unlock(&t->lock);
}

static void wait_for_helpers(team *t)
{
    for (int looks = 0; looks < CALLER_LOOKS; ++looks, rest())
        if (atomic_load(&t->door) == CLOSED) return;
    pthread_mutex_lock(&t->lock);
    while (atomic_load(&t->door) != CLOSED) pthread_cond_wait(&t->left, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

static void sleep_until_dismissed(team *t)
{
    pthread_mutex_lock(&t->lock);
    while (!atomic_load(&t->dismissed)) pthread_cond_wait(&t->called, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

static void *host(void *argument)
{
    team *t = argument;
    const int call = atomic_load(&t->call);
    /* With OMP_PROC_BIND this thread is bound to the first CPU, where the caller most likely works: it helps nobody. */
    const int bound = omp_get_proc_bind() != omp_proc_bind_false;
    const pthread_t self = pthread_self();
#pragma omp parallel num_threads(t->helpers + bound)
    if (bound && omp_get_num_threads() > 1 && pthread_equal(pthread_self(), self))
        sleep_until_dismissed(t);
    else
        help(t, call);
    return NULL;
}

static void after_fork(void) { the_team = (team)NO_TEAM; }

static int prepared;

static void prepare(void) { prepared = pthread_atfork(NULL, NULL, after_fork) == 0; }

/* Whether there is a team of so many helpers. */
static int gather(team *t, int helpers)
{
    if (t->helpers >= helpers) return 1;
    if (t->helpers > 0) {
        atomic_store(&t->dismissed, 1);
        atomic_fetch_add(&t->call, 1);
        wake(t);
        pthread_join(t->host, NULL);
        atomic_store(&t->dismissed, 0);
    }
    atomic_store(&t->number, 0);
    t->helpers = helpers;
    if (pthread_create(&t->host, NULL, host, t) != 0) t->helpers = 0;
    return t->helpers > 0;
}

static void share(job *j)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    team *t = &the_team;
    pthread_once(&once, prepare);
    if (!prepared || atomic_exchange(&t->taken, 1)) { /* no team, or it helps another caller */
        work(j);
        return;
    }
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel); /* helpers have the job, which is on this thread's stack */
    if (gather(t, j->threads - 1)) {
        fegetenv(&j->mode);
        t->job = j;
        atomic_store(&t->cpu, this_cpu());
        atomic_fetch_sub(&t->door, CLOSED);
        atomic_fetch_add(&t->call, 1);
        if (atomic_load(&t->asleep) > 0) wake(t);
        work(j);
        atomic_fetch_add(&t->door, CLOSED);
        wait_for_helpers(t);
    } else {
        work(j);
    }
    atomic_store(&t->taken, 0);
    pthread_setcancelstate(cancel, NULL);
}
#else
static void share(job *j) { work(j); }
#endif

void cf_parallel_for(ptrdiff_t count, int threads, cf_task run, const void *context, char *workspace, size_t each)
{
    job j = {.count = count, .threads = threads, .run = run, .context = context, .workspace = workspace, .each = each};
    if (threads > 1)
        share(&j);
    else
        work(&j);
}

int cf_threads_for(double microseconds, ptrdiff_t tasks)
{
#ifdef _OPENMP
    if (microseconds < PARALLEL_MICROSECONDS || tasks < 2 || omp_in_parallel()) return 1;
    return cf_get_threads(); /* all that are set: a team that must grow is started anew */
#else
    (void)microseconds, (void)tasks;
    return 1;
#endif
}

#ifdef _OPENMP
/* Not the CPUs that this thread may use: where OMP_PROC_BIND is set, that is one. */
static int usable_cpus(void)
{
    const int cpus = omp_get_num_procs(), quota = cf_quota_cpus();
    return quota > 0 && quota < cpus ? quota : cpus;
}
#else
static int usable_cpus(void) { return 1; }
#endif

/* The default: CONVFAST_NUM_THREADS, else OMP_NUM_THREADS, else the CPUs this process may use. */
static atomic_int threads_setting, threads_default;

void cf_set_threads(int n)
{
    atomic_store(&threads_setting, n < 0 ? 0 : n > CF_THREADS_MAX ? CF_THREADS_MAX : n);
}

int cf_get_threads(void)
{
    int n = atomic_load_explicit(&threads_setting, memory_order_relaxed);
    if (n == 0) n = atomic_load_explicit(&threads_default, memory_order_relaxed);
    if (n == 0) {
        n = cf_threads_in("CONVFAST_NUM_THREADS");
        if (n == 0) n = cf_threads_in("OMP_NUM_THREADS");
        if (n == 0) n = usable_cpus();
        if (n < 1) n = 1;
        atomic_store(&threads_default, n);
    }
    return n;
}

const char *cf_openmp(void)
{
#ifdef _OPENMP
    return _OPENMP >= 202011 ? "OpenMP 5.1 or later" : _OPENMP >= 201811 ? "OpenMP 5.0"
         : _OPENMP >= 201511 ? "OpenMP 4.5" : "OpenMP";
#else
    return "off (serial build)";
#endif
}
