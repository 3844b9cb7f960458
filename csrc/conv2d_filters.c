/* conv2d_filters.c — filters in the order in which the tiles read them.

   packed [group][panel][term][filter of the panel], terms in the order of plan.h. The last panel of a group is filled
   up with zero filters. */
#include "geometry.h"
#include "parallel.h"
#include "plan.h"

#include <string.h>

typedef struct {
    const cf_conv2d_plan *plan;
    const cf_array *w;
    char *packed;
    cf_load_run load;
} pack_job;

/* Filters stand side by side in memory (R, S, C, K): a run of a panel's filters for each term. */
static void pack_terms(const pack_job *job, const cf_term_block *block, const char *w, ptrdiff_t filters, char *to)
{
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t *strides = job->w->strides, S = plan->shape.w.size;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), missing = (plan->panel - filters) * size;
    for (ptrdiff_t i = 0; i < block->terms; ++i, to += plan->panel * size) {
        const ptrdiff_t c = plan->filters_are_vectors ? i % block->channels : i / block->taps;
        const ptrdiff_t tap = block->tap + (plan->filters_are_vectors ? i / block->channels : i % block->taps);
        job->load(to, w + (block->c + c) * strides[1] + tap / S * strides[2] + tap % S * strides[3], strides[0], filters);
        if (missing > 0) memset(to + filters * size, 0, (size_t)missing);
    }
}

/* A filter's terms stand side by side: a run of terms for each filter, then the runs are interleaved. */
#define RUN 64
#define INTERLEAVE(TYPE)                                                                             \
    do {                                                                                             \
        const TYPE *from = (const TYPE *)runs;                                                       \
        TYPE *out = (TYPE *)to;                                                                      \
        for (ptrdiff_t i = 0; i < count; ++i)                                                        \
            for (ptrdiff_t k = 0; k < panel; ++k) *out++ = k < filters ? from[k * RUN + i] : (TYPE)0; \
    } while (0)

#define PANEL_MAX 8 /* of the pixels orientation: M of a tile */

static void pack_filters(const pack_job *job, const cf_term_block *block, const char *w, ptrdiff_t filters, char *to)
{
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t panel = plan->panel, size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    _Alignas(8) char runs[PANEL_MAX * RUN * 8];
    for (ptrdiff_t t = 0; t < block->terms; t += RUN) {
        const ptrdiff_t count = cf_min(RUN, block->terms - t);
        for (ptrdiff_t k = 0; k < filters; ++k)
            job->load(runs + k * RUN * size, w + k * job->w->strides[0] + (block->first + t) * job->w->strides[3],
                      job->w->strides[3], count);
        if (size == 4)
            INTERLEAVE(uint32_t);
        else
            INTERLEAVE(uint64_t);
        to += count * panel * size;
    }
}

/* Whether (C, R, S) is one run with the stride of S, in the order the pixels orientation wants. */
static int one_run(const cf_conv2d_plan *plan, const cf_array *w)
{
    const ptrdiff_t R = plan->shape.h.size, S = plan->shape.w.size;
    return !plan->filters_are_vectors && (R == 1 || w->strides[2] == S * w->strides[3]) &&
           (plan->C == 1 || w->strides[1] == R * S * w->strides[3]);
}

static void pack_panel(const void *context, ptrdiff_t task, char *workspace)
{
    (void)workspace;
    const pack_job *job = context;
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t g = task / plan->panels, k = task % plan->panels * plan->panel, T = plan->C * plan->taps;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), filters = cf_min(plan->panel, plan->K - k);
    const char *w = job->w->data + (g * plan->K + k) * job->w->strides[0];
    char *to = job->packed + task * T * plan->panel * size;
    const int runs = one_run(plan, job->w);
    for (ptrdiff_t b = 0; b < plan->blocks; ++b) {
        const cf_term_block block = cf_conv2d_block(plan, b);
        (runs ? pack_filters : pack_terms)(job, &block, w, filters, to + block.first * plan->panel * size);
    }
}

/* Elements packed in a microsecond, order of magnitude: to tell whether threads pay. */
#define PACKED_PER_MICROSECOND 1000.0

void cf_conv2d_pack_filters(const cf_conv2d_plan *plan, const cf_array *w, char *packed)
{
    const pack_job job = {plan, w, packed, cf_loader(w->dtype, plan->compute)};
    const ptrdiff_t panels = plan->shape.groups * plan->panels;
    const double elements = (double)plan->packed_bytes / (double)cf_compute_bytes(plan->compute);
    cf_parallel_for(panels, cf_threads_for(elements / PACKED_PER_MICROSECOND, panels), pack_panel, &job, NULL, 0);
}
