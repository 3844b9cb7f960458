/* conv2d_winograd_mend.c — which tiles of the algorithm "winograd" are computed directly, and how.

   Those with an output that is not a finite number, and those whose rounding errors nothing in the image vouches for. A
   panel of filters of such a tile is computed by the register tile of direct convolutions, from a window
   [cells][cells][channel] and the filters themselves, with the terms in the order of the algorithm "direct": the result
   has its bits. */
#include "conv2d_winograd.h"

#include "geometry.h"

#include <string.h>

/* Whether all windows that could hold a cell of the tile are the image's, on one axis. */
static int is_inner(const cf_winograd *f, const cf_axis *axis, ptrdiff_t output)
{
    return output >= cf_axis_reach(axis) && cf_winograd_left(axis, output) >= f->cells;
}

static int is_border(const cf_winograd_work *w, const cf_winograd_spot *s)
{
    const cf_conv2d_plan *plan = w->plan;
    return !is_inner(plan->winograd, &plan->shape.h, s->p) || !is_inner(plan->winograd, &plan->shape.w, s->q);
}

/* sizes [tile][channel] = the largest abs(V). */
void cf_winograd_measure(const cf_winograd_work *w, ptrdiff_t tile)
{
    const cf_winograd_spot s = cf_winograd_locate(w, tile);
    if (!is_border(w, &s)) return;
    w->plan->leaves->largest_of_runs(cf_floats(w, w->at.v) + tile * w->at.v_tile, cf_winograd_products(w->plan),
                                     w->at.v_run, w->plan->C, cf_floats(w, w->at.sizes) + tile * w->at.v_tile);
}

/* The promise is an error of at most 1.5e-5 of the largest A = abs(x) conv abs(w) of the image. A cell that all windows
   around it hold is in A with its largest tap, and rounding errors are some 1e-6 of that. At the image's border windows
   are missing, perhaps those with the largest taps. There the outputs, which are no larger than A, must vouch for the
   error: it is some 1e-7 of a channel's largest V times its largest tap. With normal or rectified data that product
   stays below 14 of the largest output from 8 channels and 16 filters on; log-normal data and filters that cancel an
   offset exceed it, and are computed directly there. Cells that grow under zero taps, with signs that cancel over the
   channels, came to 6.8e-6 with F(4x4, 3x3) and a ratio of 16, and broke the promise with 64; the other members came to
   3.2e-6 (tests/test_winograd.py). */
#define TRUSTED_RATIO 16.0f

int cf_winograd_trusted(const cf_winograd_work *w, ptrdiff_t tile, ptrdiff_t panel)
{
    const cf_conv2d_plan *plan = w->plan;
    const cf_winograd_spot s = cf_winograd_locate(w, tile);
    if (!is_border(w, &s)) return 1;
    const ptrdiff_t P = plan->panel, out = plan->winograd->outputs;
    const ptrdiff_t rows = cf_min(out, cf_winograd_left(&plan->shape.h, s.p));
    const ptrdiff_t cols = cf_min(out, cf_winograd_left(&plan->shape.w, s.q));
    if (rows == 0 || cols == 0) return 1;
    float *outputs = cf_floats(w, w->at.mended), *no_bias = outputs + out * out * P, most = 0;
    memset(no_bias, 0, (size_t)P * sizeof *no_bias);
    const float *m = cf_floats(w, w->at.m) + tile * w->at.m_tile + panel * P;
    plan->winograd->output(m, w->at.m_run, P, no_bias, NULL, outputs, out * P, P);
    for (ptrdiff_t i = 0; i < rows; ++i) {
        const float size = plan->leaves->largest_product(outputs + i * out * P, NULL, cols * P);
        most = size > most ? size : most;
    }
    const float *sizes = cf_floats(w, w->at.sizes) + tile * w->at.v_tile;
    const float *taps = w->filters.largest + cf_winograd_panel(w, panel) * plan->C;
    return plan->leaves->largest_product(sizes, taps, plan->C) <= TRUSTED_RATIO * most;
}

/* The taps of a block of terms, as offsets into window [cells][cells][block_channels]. */
static void place_taps(const cf_conv2d_plan *plan, const cf_term_block *block, ptrdiff_t *taps)
{
    const ptrdiff_t size = plan->winograd->taps;
    for (ptrdiff_t i = 0; i < block->terms; ++i) {
        const ptrdiff_t c = plan->channels_innermost ? i % block->channels : i / plan->taps;
        const ptrdiff_t tap = plan->channels_innermost ? i / block->channels : i % plan->taps;
        taps[i] = (tap / size * plan->winograd->cells + tap % size) * plan->block_channels + c;
    }
}

void cf_winograd_mend(const cf_winograd_work *w, ptrdiff_t tile, ptrdiff_t panel, const cf_winograd_target *to)
{
    const cf_conv2d_plan *plan = w->plan;
    const cf_winograd_spot s = cf_winograd_locate(w, tile);
    const ptrdiff_t out = plan->winograd->outputs, cells = plan->winograd->cells, B = plan->block_channels;
    const ptrdiff_t outputs = cf_round_up(out * out, plan->tile->M);
    ptrdiff_t *x_base = cf_indices(w, w->at.places), *y_row = x_base + outputs, *taps = y_row + outputs;
    float *window = cf_floats(w, w->at.window), *mended = cf_floats(w, w->at.mended);
    for (ptrdiff_t i = 0; i < outputs; ++i) {
        const ptrdiff_t output = cf_min(i, out * out - 1);
        x_base[i] = (output / out * cells + output % out) * B;
        y_row[i] = i * plan->panel;
    }
    const float *filters = w->filters.plain + cf_winograd_panel(w, panel) * plan->C * plan->taps * plan->panel;
    cf_tile t = {.chain = plan->chain, .count = outputs / plan->tile->M, .taps = taps, .x = window, .x_base = x_base,
                 .y = mended, .y_row = y_row, .limits = w->job->limits,
                 .bias = cf_floats(w, w->at.bias) + panel * plan->panel,
                 .error = plan->exact_blocks ? outputs * plan->panel : 0};
    for (ptrdiff_t b = 0; b < plan->blocks; ++b) {
        const cf_term_block block = cf_conv2d_block(plan, b);
        for (ptrdiff_t i = 0; i < cells * cells; ++i)
            cf_winograd_load_cell(w, &s, i / cells, i % cells, block.c, block.channels, block.channels, window + i * B);
        place_taps(plan, &block, taps);
        t.terms = block.terms;
        t.w = filters + block.first * plan->panel;
        t.first = b == 0, t.last = b == plan->blocks - 1;
        plan->tile->run(&t);
    }
    for (ptrdiff_t i = 0; i < out * out; ++i)
        memcpy(to->y + i / out * to->row + i % out * to->col, mended + i * plan->panel,
               (size_t)plan->panel * sizeof *mended);
}

