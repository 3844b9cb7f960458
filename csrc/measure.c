/* measure.c — the float32 multiply-add peak and the memory bandwidth of the moment: the limits of every speed. */
#define _POSIX_C_SOURCE 199309L
#include "convfast.h"
#include "dispatch.h"
#include "parallel.h"
#include "workspace.h"

#include <string.h>
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

/* One thread's piece of the arrays: y = a + b, the same piece at every pass. */
typedef struct {
    const cf_kernels *kernels;
    char *memory;
    ptrdiff_t floats, passes; /* of one array's piece */
} stream;

static void stream_piece(const void *context, ptrdiff_t task, char *workspace)
{
    (void)workspace;
    const stream *s = context;
    float *const a = (float *)s->memory + 3 * s->floats * task, *const b = a + s->floats, *const y = b + s->floats;
    for (ptrdiff_t pass = 0; pass < s->passes; ++pass) s->kernels->stream_add(s->floats, a, b, y);
}

/* Every thread touches its own piece first, so that the piece lies in that thread's memory. */
static void stream_touch(const void *context, ptrdiff_t task, char *workspace)
{
    (void)workspace;
    const stream *s = context;
    const size_t bytes = 3 * (size_t)s->floats * sizeof(float);
    memset(s->memory + bytes * (size_t)task, 0, bytes);
}

#define PASS_BYTES ((size_t)4 << 20) /* so much traffic at least between two looks at the clock: some 100 us */

double cf_stream_bandwidth(int threads, size_t bytes, double seconds)
{
    const size_t vector = 64, piece = bytes / 3 / (size_t)threads / vector * vector + vector;
    const size_t all = 3 * piece * (size_t)threads;
    char *const memory = cf_acquire(all);
    if (memory == NULL) return 0;
    const stream s = {
        .kernels = cf_kernels_now(),
        .memory = memory,
        .floats = (ptrdiff_t)(piece / sizeof(float)),
        .passes = (ptrdiff_t)(PASS_BYTES / all + 1),
    };
    cf_parallel_for(threads, threads, stream_touch, &s, NULL, 0);
    double best = 0;
    for (const double end = now() + seconds; best == 0 || now() < end;) {
        const double begin = now();
        cf_parallel_for(threads, threads, stream_piece, &s, NULL, 0);
        const double speed = (double)all * (double)s.passes / (now() - begin) / 1e9;
        if (speed > best) best = speed;
    }
    cf_release(memory);
    return best;
}
