/* conv2d_filters.c — filters in the order in which the tiles read them.

   packed [group][panel][term][filter of the panel], terms in the order of plan.h. The last panel of a group is filled
   up with zero filters. */
#include "geometry.h"
#include "parallel.h"
#include "plan.h"
#include "workspace.h"

#include <string.h>

/* The tile that computes the fewest filters in vain; of equals the first, which is the widest. */
static const cf_tile_shape *best_tile(const cf_tile_shape *shapes, ptrdiff_t K, ptrdiff_t lanes_or_zero)
{
    const cf_tile_shape *best = shapes;
    ptrdiff_t least = PTRDIFF_MAX;
    for (const cf_tile_shape *s = shapes; s->M != 0; ++s) {
        const ptrdiff_t panel = lanes_or_zero == 0 ? s->M : s->V * lanes_or_zero, computed = cf_round_up(cf_max(K, 1), panel);
        /* A fiftieth more work is cheaper than a narrower panel, an eighth than a tile of fewer sums. */
        if (computed < least - least / (s->M * s->V < best->M * best->V ? 8 : 50)) best = s, least = computed;
    }
    return best;
}

void cf_conv2d_shape_panels(cf_conv2d_plan *plan)
{
    plan->tile = plan->filters_are_vectors ? best_tile(plan->leaves->channels, plan->K, plan->leaves->lanes)
                                           : best_tile(plan->leaves->pixels, plan->K, 0);
    plan->panel = plan->filters_are_vectors ? plan->tile->V * plan->leaves->lanes : plan->tile->M;
    plan->panels = cf_ceil_div(cf_max(plan->K, 1), plan->panel);
    if (plan->taps > CF_TAPS_MAX) {
        plan->block_channels = 1;
        plan->blocks = cf_max(1, cf_mul(plan->C, cf_ceil_div(plan->taps, CF_BLOCK_TERMS)));
    } else {
        plan->block_channels = cf_max(1, cf_min(plan->C, CF_BLOCK_TERMS / plan->taps));
        plan->blocks = cf_max(1, cf_ceil_div(plan->C, plan->block_channels));
    }
    plan->exact_blocks =
        plan->blocks > CF_BLOCKS_PLAIN && (plan->compute == CF_COMPUTE_F32 || plan->compute == CF_COMPUTE_F64);
    plan->packed_bytes = (size_t)cf_mul(cf_mul(plan->shape.groups, plan->panels * plan->panel),
                                        cf_mul(cf_mul(plan->C, plan->taps), (ptrdiff_t)cf_compute_bytes(plan->compute)));
}

void cf_conv2d_shape_filters(cf_conv2d_plan *plan)
{
    /* Vectors of filters need channels side by side, and enough of them. */
    plan->filters_are_vectors = plan->channels_innermost = plan->channels_last && plan->K >= plan->leaves->lanes;
    cf_conv2d_shape_panels(plan);
}

cf_raw_filters cf_raw_filters_of(const cf_conv2d_plan *plan, const cf_array *w)
{
    return (cf_raw_filters){plan, w, cf_loader(w->dtype, plan->compute), cf_is_plain(w, plan->compute)};
}

/* Any layout: for each term a run of filters, cut into panels `panel_bytes` apart. */
static void pack_terms(const cf_raw_filters *raw, const cf_term_block *block, const char *w, ptrdiff_t filters,
                       ptrdiff_t panel_bytes, char *to)
{
    const cf_conv2d_plan *plan = raw->plan;
    const ptrdiff_t *strides = raw->w->strides, S = plan->shape.w.size;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    for (ptrdiff_t i = 0; i < block->terms; ++i, to += plan->panel * size) {
        const ptrdiff_t c = plan->channels_innermost ? i % block->channels : i / block->taps;
        const ptrdiff_t tap = block->tap + (plan->channels_innermost ? i / block->channels : i % block->taps);
        const char *from = w + (block->c + c) * strides[1] + tap / S * strides[2] + tap % S * strides[3];
        for (ptrdiff_t k = 0, p = 0; k < filters; k += plan->panel, ++p) {
            const ptrdiff_t count = cf_min(plan->panel, filters - k);
            raw->load(to + p * panel_bytes, from + k * strides[0], strides[0], count);
            if (count < plan->panel)
                memset(to + p * panel_bytes + count * size, 0, (size_t)((plan->panel - count) * size));
        }
    }
}

/* Filters stand side by side, as in (R, S, C, K): rows of a panel's filters. */
static void pack_rows(const cf_raw_filters *raw, const cf_term_block *block, const char *w, ptrdiff_t panels,
                      ptrdiff_t panel_bytes, char *to)
{
    const cf_conv2d_plan *plan = raw->plan;
    const ptrdiff_t *strides = raw->w->strides, S = plan->shape.w.size, panel = plan->panel;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t next_tap = plan->channels_innermost ? block->channels : 1;
    const ptrdiff_t next_channel = plan->channels_innermost ? 1 : block->taps;
    for (ptrdiff_t t = 0; t < block->taps; ++t) {
        const ptrdiff_t tap = block->tap + t;
        const char *from = w + block->c * strides[1] + tap / S * strides[2] + tap % S * strides[3];
        for (ptrdiff_t p = 0; p < panels; ++p)
            plan->leaves->copy_rows(&(cf_row_copy){
                .to = to + p * panel_bytes + t * next_tap * panel * size, .to_row = next_channel * panel,
                .from = from + p * panel * size, .from_row = strides[1] / size,
                .rows = block->channels, .step = 1, .count = panel,
            });
    }
}

/* A filter's terms stand side by side: a run of terms for each filter, then the runs are interleaved. */
#define RUN 32 /* a multiple of every ISA's lanes */
#define PANEL_MAX 64
#define INTERLEAVE(TYPE, M)                                                                 \
    for (ptrdiff_t i = 0; i < count; ++i)                                                   \
        for (int m = 0; m < (M); ++m) ((TYPE *)to)[i * (M) + m] = ((const TYPE *)runs)[m * RUN + i]
#define INTERLEAVE_ANY(TYPE)                          \
    switch (panel) { /* constants become good loops */ \
    case 6: INTERLEAVE(TYPE, 6); break;               \
    case 4: INTERLEAVE(TYPE, 4); break;               \
    default: INTERLEAVE(TYPE, panel);                 \
    }

static void pack_filters(const cf_raw_filters *raw, const cf_term_block *block, const char *w, ptrdiff_t filters, char *to)
{
    const cf_conv2d_plan *plan = raw->plan;
    const ptrdiff_t panel = plan->panel, size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    _Alignas(CF_ALIGNMENT) char runs[PANEL_MAX * RUN * 8];
    memset(runs, 0, (size_t)(panel * RUN * size));
    for (ptrdiff_t t = 0; t < block->terms; t += RUN) {
        const ptrdiff_t count = cf_min(RUN, block->terms - t);
        for (ptrdiff_t k = 0; k < filters; ++k)
            raw->load(runs + k * RUN * size, w + k * raw->w->strides[0] + (block->first + t) * raw->w->strides[3],
                      raw->w->strides[3], count);
        if (plan->filters_are_vectors && count == RUN)
            for (ptrdiff_t k = 0; k < panel; k += plan->leaves->lanes)
                for (ptrdiff_t i = 0; i < RUN; i += plan->leaves->lanes)
                    plan->leaves->transpose(runs + (k * RUN + i) * size, RUN, to + (i * panel + k) * size, panel);
        else if (size == 4)
            INTERLEAVE_ANY(uint32_t)
        else
            INTERLEAVE_ANY(uint64_t)
        to += count * panel * size;
    }
}

/* Filters that follow each other within a channel, as those of an input gradient do (filters and channels exchanged):
   some channels of a panel are always the same permutation of numbers that stand together. */
#define PERMUTED_MAX 512 /* numbers: their places take 4 KiB of stack, and beside numbers and result little cache */
#define PERMUTE(TYPE) \
    for (ptrdiff_t i = 0; i < count; ++i) ((TYPE *)to)[i] = *(const TYPE *)(from + at[i])

static void find_places(const cf_conv2d_plan *plan, const cf_array *w, ptrdiff_t channels, ptrdiff_t *at)
{
    const ptrdiff_t S = plan->shape.w.size;
    for (ptrdiff_t c = 0; c < channels; ++c)
        for (ptrdiff_t t = 0; t < plan->taps; ++t)
            for (ptrdiff_t m = 0; m < plan->panel; ++m)
                *at++ = c * w->strides[1] + t / S * w->strides[2] + t % S * w->strides[3] + m * w->strides[0];
}

static void pack_permuted(const cf_raw_filters *raw, const cf_term_block *block, const char *w, ptrdiff_t panels,
                          ptrdiff_t panel_bytes, char *to_panels)
{
    const cf_conv2d_plan *plan = raw->plan;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), channel = plan->panel * plan->taps;
    const ptrdiff_t each = cf_min(block->channels, PERMUTED_MAX / channel);
    ptrdiff_t at[PERMUTED_MAX];
    find_places(plan, raw->w, each, at);
    for (ptrdiff_t c = 0; c < block->channels; c += each) {
        const ptrdiff_t count = cf_min(each, block->channels - c) * channel;
        for (ptrdiff_t p = 0; p < panels; ++p) {
            const char *from = w + (block->c + c) * raw->w->strides[1] + p * plan->panel * raw->w->strides[0];
            char *to = to_panels + p * panel_bytes + c * channel * size;
            if (size == 4)
                PERMUTE(uint32_t);
            else
                PERMUTE(uint64_t);
        }
    }
}

static int permutes(const cf_raw_filters *raw)
{
    const cf_conv2d_plan *plan = raw->plan;
    return raw->plain && !plan->channels_innermost && plan->panel * plan->taps <= PERMUTED_MAX &&
           plan->taps * plan->panel > raw->w->strides[0] / (ptrdiff_t)cf_compute_bytes(plan->compute);
}

/* The taps of a filter and channel stand side by side, forwards or backwards, and filters are vectors: squares of taps
   change from one to the other, the last of which overlaps the one before. */
static void pack_taps(const cf_raw_filters *raw, const cf_term_block *block, const char *w, ptrdiff_t panels,
                      ptrdiff_t panel_bytes, char *to)
{
    const cf_conv2d_plan *plan = raw->plan;
    const ptrdiff_t *strides = raw->w->strides, lanes = plan->leaves->lanes, panel = plan->panel;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), backwards = strides[3] < 0;
    const ptrdiff_t next_tap = (plan->channels_innermost ? block->channels : 1) * panel;
    const ptrdiff_t next_channel = (plan->channels_innermost ? 1 : plan->taps) * panel;
    for (ptrdiff_t c = 0; c < block->channels; ++c, to += next_channel * size)
        for (ptrdiff_t k = 0; k < panels * panel; k += lanes)
            for (ptrdiff_t t = 0; t < plan->taps; t += lanes) {
                const ptrdiff_t first = cf_min(t, plan->taps - lanes) + (backwards ? lanes - 1 : 0);
                plan->leaves->transpose(w + (block->c + c) * strides[1] + k * strides[0] + first * strides[3], strides[0] / size,
                                        to + k / panel * panel_bytes + (first * next_tap + k % panel) * size,
                                        backwards ? -next_tap : next_tap);
            }
}

static int has_taps(const cf_raw_filters *raw)
{
    const cf_conv2d_plan *plan = raw->plan;
    const ptrdiff_t *strides = raw->w->strides, size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    return raw->plain && plan->filters_are_vectors && plan->taps <= CF_TAPS_MAX && plan->taps >= plan->leaves->lanes &&
           (strides[3] == size || strides[3] == -size) && strides[2] == plan->shape.w.size * strides[3];
}

/* Channels stand side by side, filters are vectors: squares change from one to the other. */
static void pack_squares(const cf_raw_filters *raw, const cf_term_block *block, const char *w, ptrdiff_t panels,
                         ptrdiff_t panel_bytes, char *to)
{
    const cf_conv2d_plan *plan = raw->plan;
    const ptrdiff_t *strides = raw->w->strides, S = plan->shape.w.size, lanes = plan->leaves->lanes, panel = plan->panel;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    for (ptrdiff_t p = 0; p < panels; ++p, w += panel * strides[0], to += panel_bytes)
        for (ptrdiff_t t = 0; t < block->taps; ++t) {
            const ptrdiff_t tap = block->tap + t;
            const char *from = w + block->c * size + tap / S * strides[2] + tap % S * strides[3];
            char *tap_to = to + t * block->channels * panel * size;
            for (ptrdiff_t k = 0; k < panel; k += lanes)
                for (ptrdiff_t c = 0; c < block->channels; c += lanes)
                    raw->plan->leaves->transpose(from + k * strides[0] + c * size, strides[0] / size,
                                                 tap_to + (c * panel + k) * size, panel);
        }
}

static int has_squares(const cf_raw_filters *raw, const cf_term_block *block)
{
    const cf_conv2d_plan *plan = raw->plan;
    return raw->plain && plan->channels_innermost && raw->w->strides[1] == (ptrdiff_t)cf_compute_bytes(plan->compute) &&
           block->channels % plan->leaves->lanes == 0;
}

/* Whether (C, R, S) is one run with the stride of S, in the order the pixels orientation wants. */
static int one_run(const cf_conv2d_plan *plan, const cf_array *w)
{
    const ptrdiff_t R = plan->shape.h.size, S = plan->shape.w.size;
    return !plan->channels_innermost && plan->panel <= PANEL_MAX && (R == 1 || w->strides[2] == S * w->strides[3]) &&
           (plan->C == 1 || w->strides[1] == R * S * w->strides[3]);
}

void cf_conv2d_pack_block(const cf_raw_filters *raw, ptrdiff_t g, ptrdiff_t first, ptrdiff_t panels,
                          const cf_term_block *block, ptrdiff_t panel_bytes, char *to)
{
    const cf_conv2d_plan *plan = raw->plan;
    const ptrdiff_t *strides = raw->w->strides, panel = plan->panel;
    const ptrdiff_t count = cf_min(panels * panel, plan->K - first * panel), whole = count / panel;
    const char *w = raw->w->data + (g * plan->K + first * panel) * strides[0];
    ptrdiff_t done = 0;
    if (one_run(plan, raw->w))
        for (; done < panels; ++done)
            pack_filters(raw, block, w + done * panel * strides[0], cf_min(panel, count - done * panel),
                         to + done * panel_bytes);
    else if (raw->plain && strides[0] == (ptrdiff_t)cf_compute_bytes(plan->compute))
        pack_rows(raw, block, w, done = whole, panel_bytes, to);
    else if (has_taps(raw))
        pack_taps(raw, block, w, done = whole, panel_bytes, to);
    else if (permutes(raw))
        pack_permuted(raw, block, w, done = whole, panel_bytes, to);
    else if (has_squares(raw, block))
        pack_squares(raw, block, w, done = whole, panel_bytes, to);
    if (done < panels)
        pack_terms(raw, block, w + done * panel * strides[0], count - done * panel, panel_bytes, to + done * panel_bytes);
}

/* Panels of one task, at most: long reads from each row of filters, not too many places to write to at once. */
#define PANELS_EACH 8

typedef struct {
    cf_raw_filters raw;
    char *packed;
    ptrdiff_t panels; /* of a task */
} pack_job;

static void pack_panels(const void *context, ptrdiff_t task, char *workspace)
{
    (void)workspace;
    const pack_job *job = context;
    const cf_conv2d_plan *plan = job->raw.plan;
    const ptrdiff_t tasks = cf_ceil_div(plan->panels, job->panels), g = task / tasks, first = task % tasks * job->panels;
    const ptrdiff_t term = plan->panel * (ptrdiff_t)cf_compute_bytes(plan->compute), panel_bytes = plan->C * plan->taps * term;
    char *to = job->packed + (g * plan->panels + first) * panel_bytes;
    for (ptrdiff_t b = 0; b < plan->blocks; ++b) {
        const cf_term_block block = cf_conv2d_block(plan, b);
        cf_conv2d_pack_block(&job->raw, g, first, cf_min(job->panels, plan->panels - first), &block, panel_bytes,
                      to + block.first * term);
    }
}

/* Elements packed in a microsecond, order of magnitude: to tell whether threads pay. */
#define PACKED_PER_MICROSECOND 1000.0

void cf_conv2d_pack_filters(const cf_conv2d_plan *plan, const cf_array *w, char *packed)
{
    const double elements = (double)plan->packed_bytes / (double)cf_compute_bytes(plan->compute);
    const ptrdiff_t panels = cf_mul(plan->shape.groups, plan->panels);
    const int threads = cf_threads_for(elements / PACKED_PER_MICROSECOND, panels);
    const ptrdiff_t each = cf_min(cf_min(PANELS_EACH, plan->panels), cf_ceil_div(panels, threads));
    const pack_job job = {cf_raw_filters_of(plan, w), packed, each};
    cf_parallel_for(plan->shape.groups * cf_ceil_div(plan->panels, each), threads, pack_panels, &job, NULL, 0);
}
