/* parallel.c — threads: how many, and how they share tasks. The only file that knows OpenMP.

   Tasks are handed out by an atomic counter; which thread computes one never changes its result. Workspaces are
   claimed by a counter too, not by omp_get_thread_num(): when two OpenMP runtimes are half-mixed in a process, every
   thread may believe it is number 0.

   Fork: libgomp's pool of threads does not survive fork(), and a child that enters a parallel region waits for it for
   ever. The pool belongs to the calling thread, so in a forked child the region runs on a fresh helper thread, which
   has no stale pool (0.1 ms), and serially if there can be no helper. */
#include "parallel.h"

#include "convfast.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifndef _WIN32
#include <pthread.h>
#include <unistd.h>
#endif

/* A region costs 1 to 2 us hot, but waiting threads spin for milliseconds: not for less than this. */
#define PARALLEL_MICROSECONDS 15.0
#define THREADS_MAX 1024

typedef struct {
    ptrdiff_t count;
    int threads;
    cf_task run;
    const void *context;
    char *workspace;
    size_t each;
    atomic_ptrdiff_t next_task;
    atomic_int next_workspace;
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
static void *region(void *argument)
{
    job *j = argument;
#pragma omp parallel num_threads(j->threads)
    work(j);
    return NULL;
}

static atomic_int forked; /* this process is the child of a fork */

static void after_fork(void) { atomic_store(&forked, 1); }

static void share(job *j)
{
    static atomic_flag registered = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&registered)) pthread_atfork(NULL, NULL, after_fork);
    if (!atomic_load_explicit(&forked, memory_order_relaxed)) {
        region(j);
        return;
    }
    pthread_t helper;
    if (pthread_create(&helper, NULL, region, j) == 0)
        pthread_join(helper, NULL);
    else
        work(j);
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
    return cf_get_threads(); /* never a team of another size: libgomp would end and start threads */
#else
    (void)microseconds, (void)tasks;
    return 1;
#endif
}

/* The default: CONVFAST_NUM_THREADS, else OMP_NUM_THREADS, else the CPUs this process may use. */

static int from_environment(const char *name)
{
    const char *text = getenv(name);
    if (text == NULL) return 0;
    const long n = strtol(text, NULL, 10); /* OMP_NUM_THREADS may be a list: its first number counts */
    return n < 1 ? 0 : n > THREADS_MAX ? THREADS_MAX : (int)n;
}

#ifdef _OPENMP
#ifdef __linux__
/* The CPU quota of the control group, rounded up; 0 if there is none. */
static int quota_cpus(void)
{
    double quota = -1, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r"); /* version 2: "200000 100000" or "max 100000" */
    if (file != NULL) {
        if (fscanf(file, "%lf %lf", &quota, &period) != 2) quota = -1;
        fclose(file);
    } else {
        FILE *q = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r"), *p = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r");
        if (q == NULL || p == NULL || fscanf(q, "%lf", &quota) != 1 || fscanf(p, "%lf", &period) != 1) quota = -1;
        if (q != NULL) fclose(q);
        if (p != NULL) fclose(p);
    }
    if (quota <= 0 || period <= 0) return 0;
    const int cpus = (int)(quota / period);
    return cpus + (cpus * period < quota);
}
#else
static int quota_cpus(void) { return 0; }
#endif

/* Not the CPUs that this thread may use: where OMP_PROC_BIND is set, that is one. */
static int usable_cpus(void)
{
    const int cpus = omp_get_num_procs(), quota = quota_cpus();
    return quota > 0 && quota < cpus ? quota : cpus;
}
#else
static int usable_cpus(void) { return 1; }
#endif

static atomic_int threads_setting, threads_default;

void cf_set_threads(int n) { atomic_store(&threads_setting, n > THREADS_MAX ? THREADS_MAX : n); }

int cf_get_threads(void)
{
    int n = atomic_load_explicit(&threads_setting, memory_order_relaxed);
    if (n == 0) n = atomic_load_explicit(&threads_default, memory_order_relaxed);
    if (n == 0) {
        n = from_environment("CONVFAST_NUM_THREADS");
        if (n == 0) n = from_environment("OMP_NUM_THREADS");
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
