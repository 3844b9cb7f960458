/* conv2d_filters_pack.c — a block of terms of some panels, packed: the quickest way for the layout of w.

   One function for each layout that is met often, `pack_terms` for any. They differ in what stands side by side in w:
     filters                        (R, S, C, K)                  pack_rows
     the terms of a filter          (K, C, R, S)                  pack_vectors, pack_filters
     the taps of a filter           the same, other order         pack_taps
     filters within a channel       of an input gradient          pack_permuted
     channels                       (K, R, S, C)                  pack_channels */
#include "geometry.h"
#include "plan.h"
#include "workspace.h"

#include <string.h>

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

/* Of `lanes` filters: the numbers from[0, count), which stand side by side in each, become terms `to_term` elements
   apart. By squares, the last of which may overlap the one before; count >= lanes. 3x3, 5x5 and 7x7 taps leave one of
   eight over: for that a square would be too much. */
static void turn(const cf_raw_filters *raw, const char *from, ptrdiff_t count, char *to, ptrdiff_t to_term)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(raw->plan->compute), lanes = raw->plan->leaves->lanes;
    const ptrdiff_t filter = raw->w->strides[0], last = count % lanes == 1 ? count - 1 : count;
    for (ptrdiff_t i = 0; i < last; i += lanes) {
        const ptrdiff_t at = cf_min(i, count - lanes);
        raw->plan->leaves->transpose(from + at * size, filter / size, to + at * to_term * size, to_term);
    }
    if (last < count) raw->load(to + last * to_term * size, from + last * size, filter, lanes);
}

/* All terms of a block stand side by side, and filters are vectors. */
static void pack_vectors(const cf_raw_filters *raw, const cf_term_block *block, const char *w, ptrdiff_t panels,
                         ptrdiff_t panel_bytes, char *to)
{
    const cf_conv2d_plan *plan = raw->plan;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), panel = plan->panel;
    for (ptrdiff_t k = 0; k < panels * panel; k += plan->leaves->lanes)
        turn(raw, w + k * raw->w->strides[0] + block->first * size, block->terms,
             to + k / panel * panel_bytes + k % panel * size, panel);
}

static int has_vectors(const cf_raw_filters *raw, const cf_term_block *block)
{
    const cf_conv2d_plan *plan = raw->plan;
    return raw->plain && plan->filters_are_vectors && block->terms >= plan->leaves->lanes &&
           raw->w->strides[3] == (ptrdiff_t)cf_compute_bytes(plan->compute);
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

static void pack_filters(const cf_raw_filters *raw, const cf_term_block *block, const char *w, ptrdiff_t filters,
                         char *to)
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

/* The taps of a filter and channel stand side by side, forwards or backwards, and filters are vectors. */
static void pack_taps(const cf_raw_filters *raw, const cf_term_block *block, const char *w, ptrdiff_t panels,
                      ptrdiff_t panel_bytes, char *to)
{
    const cf_conv2d_plan *plan = raw->plan;
    const ptrdiff_t *strides = raw->w->strides, panel = plan->panel, size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t next_tap = (plan->channels_innermost ? block->channels : 1) * panel;
    const ptrdiff_t next_channel = (plan->channels_innermost ? 1 : plan->taps) * panel;
    const ptrdiff_t backwards = strides[3] < 0, lowest = backwards ? plan->taps - 1 : 0;
    for (ptrdiff_t c = 0; c < block->channels; ++c)
        for (ptrdiff_t k = 0; k < panels * panel; k += plan->leaves->lanes)
            turn(raw, w + (block->c + c) * strides[1] + k * strides[0] + lowest * strides[3], plan->taps,
                 to + k / panel * panel_bytes + (c * next_channel + lowest * next_tap + k % panel) * size,
                 backwards ? -next_tap : next_tap);
}

static int has_taps(const cf_raw_filters *raw)
{
    const cf_conv2d_plan *plan = raw->plan;
    const ptrdiff_t *strides = raw->w->strides, size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    return raw->plain && plan->filters_are_vectors && plan->taps <= CF_TAPS_MAX && plan->taps >= plan->leaves->lanes &&
           (strides[3] == size || strides[3] == -size) && strides[2] == plan->shape.w.size * strides[3];
}

/* The channels of a tap stand side by side, and filters are vectors. */
static void pack_channels(const cf_raw_filters *raw, const cf_term_block *block, const char *w, ptrdiff_t panels,
                          ptrdiff_t panel_bytes, char *to)
{
    const cf_conv2d_plan *plan = raw->plan;
    const ptrdiff_t *strides = raw->w->strides, S = plan->shape.w.size, panel = plan->panel;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    for (ptrdiff_t t = 0; t < block->taps; ++t) {
        const ptrdiff_t tap = block->tap + t;
        const char *from = w + block->c * size + tap / S * strides[2] + tap % S * strides[3];
        for (ptrdiff_t k = 0; k < panels * panel; k += plan->leaves->lanes)
            turn(raw, from + k * strides[0], block->channels,
                 to + k / panel * panel_bytes + (t * block->channels * panel + k % panel) * size, panel);
    }
}

static int has_channels(const cf_raw_filters *raw, const cf_term_block *block)
{
    const cf_conv2d_plan *plan = raw->plan;
    return raw->plain && plan->channels_innermost && raw->w->strides[1] == (ptrdiff_t)cf_compute_bytes(plan->compute) &&
           block->channels >= plan->leaves->lanes;
}

/* Whether all terms of a filter, in the order (c, r, s), are one run with the stride of S. */
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
    if (one_run(plan, raw->w)) {
        if (has_vectors(raw, block)) pack_vectors(raw, block, w, done = whole, panel_bytes, to);
        for (; done < panels; ++done)
            pack_filters(raw, block, w + done * panel * strides[0], cf_min(panel, count - done * panel),
                         to + done * panel_bytes);
        return;
    }
    if (raw->plain && strides[0] == (ptrdiff_t)cf_compute_bytes(plan->compute))
        pack_rows(raw, block, w, done = whole, panel_bytes, to);
    else if (has_taps(raw))
        pack_taps(raw, block, w, done = whole, panel_bytes, to);
    else if (permutes(raw))
        pack_permuted(raw, block, w, done = whole, panel_bytes, to);
    else if (has_channels(raw, block))
        pack_channels(raw, block, w, done = whole, panel_bytes, to);
    if (done < panels)
        pack_terms(raw, block, w + done * panel * strides[0], count - done * panel, panel_bytes,
                   to + done * panel_bytes);
}
