/* conv2d_weight_grad_narrow.c — the weight gradient of groups that have fewer filters than a vector has lanes, first of
   all depthwise ones: dot products of rows of grad with shifted rows of x, vectors along the rows.

   A task owns one channel c of a group and goes through all images, some rows at a time: rows of x are copied with
   their padding and by phase (column mod stride), so that every tap is a shift; rows of grad are copied with zeros up
   to a whole vector. Every number is then used R * S times from the first-level cache. Sums of BLOCK_VECTORS vectors
   are added up in float64 (integers: in 64 bits, which wrap), in a fixed order. */
#include "parallel.h"
#include "weight_grad.h"
#include "workspace.h"

#include <stdint.h>
#include <string.h>

#define BLOCK_VECTORS 288 /* four chains; 9 KiB of grad and little more of x with 256-bit vectors */
#define ROW_VECTORS 64    /* less than CF_CHAIN */
#define LANES_MAX 16
#define DOTS_MAX 9
#define COPY_BYTES_MAX ((ptrdiff_t)1 << 20) /* of x; filters more spread go the other way */

typedef struct {
    double real;
    uint64_t whole;
} total;

typedef struct {
    cf_weight_grad *job;
    ptrdiff_t phases, phase, x_row, x_rows, g_row; /* of the copies, in elements: phase and rows' pitches, rows */
    size_t x_bytes, g_bytes, total_bytes;
    int plain; /* rows of x are of the compute type, side by side, with zeros around */
} narrow;

/* Cells inside the plane by whole vectors, zeros around them. */
static void copy_plain(const narrow *plan, const char *plane, ptrdiff_t top, ptrdiff_t first, ptrdiff_t rows,
                       ptrdiff_t length, char *to)
{
    const cf_weight_grad *job = plan->job;
    const cf_axis *h = &job->window.shape.h, *w = &job->window.shape.w;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(job->window.compute), *strides = job->x.strides;
    const cf_conv2d_span span = cf_conv2d_span_of(w, first, w->stride, length);
    const ptrdiff_t above = cf_min(rows, cf_max(0, -top)), below = cf_max(above, cf_min(rows, h->in - top));
    for (ptrdiff_t i = 0; i < rows; ++i) {
        const int inside = i >= above && i < below;
        memset(to + i * plan->x_row * size, 0, (size_t)((inside ? span.begin : length) * size));
        if (inside) memset(to + (i * plan->x_row + span.end) * size, 0, (size_t)((length - span.end) * size));
    }
    const cf_row_copy copy = {
        .to = to + (above * plan->x_row + span.begin) * size, .to_row = plan->x_row, .rows = below - above,
        .from = plane + (top + above) * strides[2] + (first + span.begin * w->stride) * size,
        .from_row = strides[2] / size, .step = w->stride, .count = span.end - span.begin,
    };
    if (copy.rows > 0 && copy.count > 0) job->window.leaves->copy_rows(&copy);
}

static void copy_rows(const narrow *plan, const cf_pixel_block *block, ptrdiff_t channel, char *to)
{
    const cf_weight_grad *job = plan->job;
    const cf_axis *h = &job->window.shape.h, *w = &job->window.shape.w;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(job->window.compute), rows = cf_axis_covered(h, block->rows);
    const ptrdiff_t top = block->p * h->stride - h->pad_before, left = block->q * w->stride - w->pad_before;
    const char *plane = job->x.data + block->n * job->x.strides[0] + channel * job->x.strides[1];
    const ptrdiff_t length = cf_phase_length(w, block->cols);
    if (plan->plain)
        for (ptrdiff_t phase = 0; phase < plan->phases; ++phase)
            copy_plain(plan, plane, top, left + phase, rows, length, to + phase * plan->phase * size);
    else
        for (ptrdiff_t i = 0; i < rows; ++i)
            for (ptrdiff_t phase = 0; phase < plan->phases; ++phase)
                cf_conv2d_load_row(&job->source, plane, top + i, left + phase, w->stride, length,
                                   to + (i * plan->x_row + phase * plan->phase) * size);
}

static void copy_grad(const narrow *plan, const cf_pixel_block *block, ptrdiff_t k, char *to)
{
    const cf_weight_grad *job = plan->job;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(job->window.compute), *strides = job->grad.strides;
    const char *row = job->grad.data + block->n * strides[0] + k * strides[1] + block->p * strides[2] +
                      block->q * strides[3];
    for (ptrdiff_t p = 0; p < block->rows; ++p, row += strides[2], to += plan->g_row * size) {
        job->load(to, row, strides[3], block->cols);
        memset(to + block->cols * size, 0, (size_t)((plan->g_row - block->cols) * size));
    }
}

/* The lanes of `count` sums, in their order. */
#define ADD_LANES(TYPE, FIELD)                                                                   \
    do {                                                                                         \
        const TYPE *from = (const TYPE *)sums;                                                   \
        for (ptrdiff_t m = 0; m < count; ++m)                                                    \
            for (ptrdiff_t i = 0; i < lanes; ++i) totals[m].FIELD += from[m * lanes + i];        \
    } while (0)

static void add_lanes(cf_compute compute, const char *sums, ptrdiff_t count, ptrdiff_t lanes, total *totals)
{
    switch (compute) {
    case CF_COMPUTE_F32: ADD_LANES(float, real); break;
    case CF_COMPUTE_F64: ADD_LANES(double, real); break;
    case CF_COMPUTE_I32: ADD_LANES(uint32_t, whole); break;
    default: ADD_LANES(uint64_t, whole); break;
    }
}

static void add_block(const narrow *plan, const cf_pixel_block *block, const char *x, const char *g, total *totals)
{
    const cf_conv2d_plan *window = &plan->job->window;
    const cf_axis *h = &window->shape.h, *w = &window->shape.w;
    const ptrdiff_t lanes = window->leaves->lanes;
    _Alignas(CF_ALIGNMENT) char sums[DOTS_MAX * LANES_MAX * sizeof(double)];
    ptrdiff_t cells[DOTS_MAX];
    const cf_dot_size *size = window->leaves->dots;
    cf_dot dot = {.rows = block->rows, .vectors = block->cols / lanes, .tail = block->cols % lanes, .g = g, .x = x,
                  .g_row = plan->g_row, .x_row = h->stride * plan->x_row, .x_base = cells, .y = sums};
    for (ptrdiff_t t = 0; t < window->taps; t += size->M) {
        while (size->M > window->taps - t) ++size;
        for (ptrdiff_t m = 0; m < size->M; ++m) {
            const ptrdiff_t across = (t + m) % w->size * w->dilation;
            cells[m] = (t + m) / w->size * h->dilation * plan->x_row + across % w->stride * plan->phase +
                       across / w->stride;
        }
        size->run(&dot);
        add_lanes(window->compute, sums, size->M, lanes, totals + t);
    }
}

static void store_totals(const narrow *plan, ptrdiff_t k, ptrdiff_t c, const total *totals)
{
    const cf_weight_grad *job = plan->job;
    const cf_conv2d_plan *window = &job->window;
    const ptrdiff_t *strides = job->dw.strides, S = window->shape.w.size;
    char *dw = job->dw.data + k * strides[0] + c * strides[1];
    for (ptrdiff_t t = 0; t < window->taps; ++t) {
        const float single = (float)totals[t].real;
        const uint32_t word = (uint32_t)totals[t].whole;
        const void *const values[CF_COMPUTES] = {&single, &totals[t].real, &word, &totals[t].whole};
        job->store(dw + t / S * strides[2] + t % S * strides[3], 0, values[window->compute], 1);
    }
}

static void run_channel(const void *context, ptrdiff_t task, char *workspace)
{
    const narrow *plan = context;
    const cf_weight_grad *job = plan->job;
    const cf_conv2d_plan *window = &job->window;
    char *x = workspace, *g = x + plan->x_bytes;
    total *totals = (total *)(g + plan->g_bytes);
    const ptrdiff_t group = task / window->C, c = task % window->C, first = group * window->K;
    memset(totals, 0, (size_t)(window->K * window->taps) * sizeof(total));
    for (ptrdiff_t b = 0; b < job->blocks; ++b) {
        const cf_pixel_block block = cf_find_block(job, b);
        copy_rows(plan, &block, task, x);
        for (ptrdiff_t k = 0; k < window->K; ++k) {
            copy_grad(plan, &block, first + k, g);
            add_block(plan, &block, x, g, totals + k * window->taps);
        }
    }
    for (ptrdiff_t k = 0; k < window->K; ++k) store_totals(plan, first + k, c, totals + k * window->taps);
}

cf_status cf_weight_grad_narrow(cf_weight_grad *job, int threads)
{
    const cf_conv2d_plan *window = &job->window;
    const cf_axis *h = &window->shape.h, *w = &window->shape.w;
    const size_t size = cf_compute_bytes(window->compute);
    const ptrdiff_t lanes = window->leaves->lanes;
    job->images = 1;
    job->cols = cf_min(w->out, ROW_VECTORS * lanes);
    job->rows = cf_min(h->out, cf_max(1, BLOCK_VECTORS / cf_ceil_div(job->cols, lanes)));
    job->blocks = cf_count_blocks(job);
    narrow plan = {.job = job, .phases = cf_min(w->stride, cf_axis_reach(w) + 1),
                   .x_rows = cf_axis_covered(h, job->rows)};
    plan.g_row = cf_round_up(job->cols, lanes);
    plan.plain = cf_is_plain(&job->x, window->compute) && job->x.strides[3] == (ptrdiff_t)size &&
                 window->padding_mode == CF_MODE_CONSTANT;
    plan.phase = cf_phase_length(w, plan.g_row);
    plan.x_row = cf_mul(plan.phases, plan.phase);
    if (cf_mul(cf_mul(plan.x_rows, plan.x_row), (ptrdiff_t)size) > COPY_BYTES_MAX) return CF_NOT_APPLICABLE;
    plan.x_bytes = cf_aligned_bytes(plan.x_rows * plan.x_row + lanes, size);
    plan.g_bytes = cf_aligned_bytes(job->rows * plan.g_row, size);
    plan.total_bytes = cf_aligned_bytes(window->K * window->taps, sizeof(total));
    const size_t each = plan.x_bytes + plan.g_bytes + plan.total_bytes;
    threads = cf_threads_within(threads, each);
    char *workspace = cf_acquire(each * (size_t)threads);
    if (workspace == NULL) return CF_NO_MEMORY;
    cf_parallel_for(window->shape.C, threads, run_channel, &plan, workspace, each);
    cf_release(workspace);
    return CF_OK;
}
