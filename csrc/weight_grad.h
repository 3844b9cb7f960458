/* weight_grad.h — how one weight gradient is computed: decided by conv2d_weight_grad.c, carried out by
   conv2d_weight_grad_tiles.c, or, where a group has few filters, by conv2d_weight_grad_narrow.c and
   conv2d_weight_grad_channels.c. */
#ifndef CF_WEIGHT_GRAD_H
#define CF_WEIGHT_GRAD_H

#include "geometry.h"
#include "plan.h"

#define CF_BLOCK_PIXELS 288  /* a packed panel of 16 filters then takes 18 KiB of a first-level cache of 32 */
#define CF_GRAD_PANEL_MAX 64 /* V * lanes of a tile, and more than its M */

typedef struct {
    cf_conv2d_plan window; /* shape, padding mode, compute type: what loading rows of x needs; C, K, taps of a group */
    cf_array x, grad, dw;  /* dw by (k, c, r, s) whatever its layout */
    cf_conv2d_job source;  /* of x, for cf_conv2d_load_row */
    cf_load_run load;      /* of grad */
    cf_store_run store;
    int view, by_cells, exact;                       /* x read in place; see copied_plane; blocks added without loss */
    ptrdiff_t images, rows, cols, blocks;            /* pixels of a block, and how many blocks there are */
    ptrdiff_t channels, taps, panels;                /* of a task */
    ptrdiff_t channel_tasks, tap_tasks, panel_tasks; /* of a group */
    ptrdiff_t image, plane, row, col;                /* strides of the copy, or of x, in elements */
    size_t copy_bytes, pack_bytes, sum_bytes, column_bytes, table_bytes, workspace_each;
} cf_weight_grad;

/* Images, rows and columns of outputs: the terms that are summed in one go. */
typedef struct {
    ptrdiff_t n, images, p, rows, q, cols;
} cf_pixel_block;

static inline cf_pixel_block cf_find_block(const cf_weight_grad *job, ptrdiff_t index)
{
    const cf_conv2d_shape *s = &job->window.shape;
    const ptrdiff_t across = cf_ceil_div(s->w.out, job->cols), down = cf_ceil_div(s->h.out, job->rows);
    cf_pixel_block b = {.q = index % across * job->cols, .p = index / across % down * job->rows,
                        .n = index / across / down * job->images};
    b.images = cf_min(job->images, s->N - b.n);
    b.rows = cf_min(job->rows, s->h.out - b.p);
    b.cols = cf_min(job->cols, s->w.out - b.q);
    return b;
}

static inline ptrdiff_t cf_count_blocks(const cf_weight_grad *job)
{
    const cf_conv2d_shape *s = &job->window.shape;
    return cf_ceil_div(s->N, job->images) * cf_ceil_div(s->h.out, job->rows) * cf_ceil_div(s->w.out, job->cols);
}

void cf_weight_grad_run_task(const void *job, ptrdiff_t task, char *workspace);

/* The narrow way, for groups of fewer filters than a vector has lanes. */
cf_status cf_weight_grad_narrow(cf_weight_grad *job, int threads);

/* The same for depthwise filters whose channels stand side by side. */
cf_status cf_weight_grad_channels(cf_weight_grad *job, int threads);

#endif
