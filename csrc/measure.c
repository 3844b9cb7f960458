/* measure.c — the float32 multiply-add peak of the moment, the limit every speed is compared with. */
#define _POSIX_C_SOURCE 199309L
#include "convfast.h"
#include "dispatch.h"
#include "parallel.h"

#include <time.h>

#define ROUNDS 20000 /* some 30 us: short enough to be repeated, long against the clock's grain */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void burst(const void *kernels, ptrdiff_t task, char *workspace)
{
    (void)task, (void)workspace;
    volatile float sink = ((const cf_kernels *)kernels)->fma_burst(ROUNDS);
    (void)sink;
}

/* Tasks for every thread to take part in: each gets its share of bursts. */
#define BURSTS_PER_THREAD 8

double cf_fma_peak(int threads, double seconds)
{
    const cf_kernels *kernels = cf_kernels_now();
    const double flops = (double)threads * BURSTS_PER_THREAD * ROUNDS * (double)kernels->burst_flops;
    double best = 0;
    for (const double end = now() + seconds; now() < end;) {
        const double begin = now();
        cf_parallel_for(threads * BURSTS_PER_THREAD, threads, burst, kernels, NULL, 0);
        const double speed = flops / (now() - begin) / 1e9;
        if (speed > best) best = speed;
    }
    return best;
}
