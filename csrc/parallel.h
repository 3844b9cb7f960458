/* parallel.h — the one place where work is shared between threads. */
#ifndef CF_PARALLEL_H
#define CF_PARALLEL_H

#include <stddef.h>

/* Computes one task with a workspace of its own. Its result depends on the task number alone. */
typedef void (*cf_task)(const void *context, ptrdiff_t task, char *workspace);

/* Runs tasks 0 .. count-1, at most `threads` at once. `workspace` holds `threads` pieces of `each` bytes. */
void cf_parallel_for(ptrdiff_t count, int threads, cf_task run, const void *context, char *workspace, size_t each);

/* How many threads a job is worth: the process setting, 1 inside a parallel region, fewer for small work. */
int cf_threads_for(double microseconds, ptrdiff_t tasks);

#define CF_THREADS_MAX 1024

/* The number of threads that a variable of the environment asks for; 0 if it is not set, or no such number. */
int cf_threads_in(const char *name);

/* The CPU quota of the control group in CPUs, rounded up; 0 if there is none. */
int cf_quota_cpus(void);

#endif
