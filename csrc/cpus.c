/* cpus.c — how many threads the environment asks for, and how many CPUs the control group allows. */
#include "parallel.h"

#include <stdlib.h>

int cf_threads_in(const char *name)
{
    const char *text = getenv(name);
    if (text == NULL) return 0;
    const long n = strtol(text, NULL, 10); /* OMP_NUM_THREADS may be a list: its first number counts */
    return n < 1 ? 0 : n > CF_THREADS_MAX ? CF_THREADS_MAX : (int)n;
}

#ifdef __linux__
#include <stdio.h>

int cf_quota_cpus(void)
{
    double quota = -1, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r"); /* version 2: "200000 100000" or "max 100000" */
    if (file != NULL) {
        if (fscanf(file, "%lf %lf", &quota, &period) != 2) quota = -1;
        fclose(file);
    } else {
        FILE *q = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r");
        FILE *p = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r");
        if (q == NULL || p == NULL || fscanf(q, "%lf", &quota) != 1 || fscanf(p, "%lf", &period) != 1) quota = -1;
        if (q != NULL) fclose(q);
        if (p != NULL) fclose(p);
    }
    if (quota <= 0 || period <= 0) return 0;
    const int cpus = (int)(quota / period);
    return cpus + (cpus * period < quota);
}
#else
int cf_quota_cpus(void) { return 0; }
#endif
