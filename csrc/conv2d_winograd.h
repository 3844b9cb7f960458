/* conv2d_winograd.h — what the files of the algorithm "winograd" share; conv2d_winograd.c says what it computes. */
#ifndef CF_CONV2D_WINOGRAD_H
#define CF_CONV2D_WINOGRAD_H

#include "geometry.h"
#include "plan.h"

/* Channels that a strip over all tiles of a task holds: two cache lines of each pixel. */
#define STRIP_CHANNELS 32

/* Runs of V, M and U are an odd number of cache lines apart, so that those of many products do not fall into one
   cache set. */
#define LINE 16
ptrdiff_t cf_winograd_run(ptrdiff_t elements);

/* One tile: image, row and column of its first output, column in the grid of tiles. */
typedef struct {
    ptrdiff_t n, p, q, col;
} cf_winograd_spot;

/* Tiles [first, first + tiles) of all images, in one group, with some panels of filters. */
typedef struct {
    ptrdiff_t g, first, tiles, panel, panels;
} cf_winograd_task;

/* The pieces of packed filters. */
typedef struct {
    float *transformed, *plain, *largest;
    ptrdiff_t run; /* elements between the products' of U */
} cf_winograd_filters;

/* Where the pieces of a task's workspace begin, in bytes, and their pitches in elements. */
typedef struct {
    ptrdiff_t v_tile, v_run, m_tile, m_run, strip_cols;
    size_t v, m, sizes, strip, stage, turned, bias, window, mended, channels, v_tiles, m_tiles, places, bytes;
} cf_winograd_layout;

/* Where the outputs of a tile go: filter k of output (i, j) to y + i * row + j * col + k. */
typedef struct {
    float *y;
    ptrdiff_t row, col;
} cf_winograd_target;

/* A task at work. */
typedef struct {
    const cf_conv2d_job *job;
    const cf_conv2d_plan *plan;
    cf_winograd_task task;
    cf_winograd_filters filters;
    cf_winograd_layout at;
    char *workspace;
} cf_winograd_work;

/* Products of a tile, for each channel and filter. */
static inline ptrdiff_t cf_winograd_products(const cf_conv2d_plan *plan)
{
    return plan->winograd->cells * plan->winograd->cells;
}

static inline float *cf_floats(const cf_winograd_work *w, size_t at) { return (float *)(w->workspace + at); }
static inline ptrdiff_t *cf_indices(const cf_winograd_work *w, size_t at) { return (ptrdiff_t *)(w->workspace + at); }

/* Panel `panel` of the task, counted through all groups. */
static inline ptrdiff_t cf_winograd_panel(const cf_winograd_work *w, ptrdiff_t panel)
{
    return w->task.g * w->plan->panels + w->task.panel + panel;
}

/* Tiles of an image. */
static inline ptrdiff_t cf_winograd_grid(const cf_conv2d_plan *plan)
{
    return plan->shape.h.dilation * plan->shape.w.dilation * plan->grid_rows * plan->grid_cols;
}

/* Outputs of the phase of `output` from there on; of the last tiles of a phase there may be none. */
static inline ptrdiff_t cf_winograd_left(const cf_axis *axis, ptrdiff_t output)
{
    return cf_steps(axis->out - output, axis->dilation);
}

/* conv2d_winograd.c */
cf_winograd_layout cf_winograd_lay_out(const cf_conv2d_plan *plan);

/* conv2d_winograd_plan.c */
const char *cf_winograd_refuses(const cf_conv2d_plan *plan);
void cf_winograd_cut(cf_conv2d_plan *plan);
void cf_winograd_share(cf_conv2d_plan *plan);

/* conv2d_winograd_filters.c */
void cf_winograd_shape_filters(cf_conv2d_plan *plan);
size_t cf_winograd_packed_bytes(const cf_conv2d_plan *plan);
void cf_winograd_pack(const cf_conv2d_plan *plan, const cf_array *w, char *packed);
cf_winograd_filters cf_winograd_pieces(const cf_conv2d_plan *plan, const char *packed);

/* conv2d_winograd_tiles.c */
cf_winograd_spot cf_winograd_locate(const cf_winograd_work *w, ptrdiff_t tile);
/* Channels [c, c + count) of cell (i, j), counted from the first of spot s; missing ones, up to `all`, are zero. */
void cf_winograd_load_cell(const cf_winograd_work *w, const cf_winograd_spot *s, ptrdiff_t i, ptrdiff_t j, ptrdiff_t c,
                           ptrdiff_t count, ptrdiff_t all, float *to);
void cf_winograd_inputs(const cf_winograd_work *w);  /* x to V */
void cf_winograd_outputs(const cf_winograd_work *w); /* M to y */

/* conv2d_winograd_mend.c: of tile `tile` of the task */
void cf_winograd_measure(const cf_winograd_work *w, ptrdiff_t tile); /* once V is there, for: */
int cf_winograd_trusted(const cf_winograd_work *w, ptrdiff_t tile, ptrdiff_t panel); /* 0: to be computed directly */
void cf_winograd_mend(const cf_winograd_work *w, ptrdiff_t tile, ptrdiff_t panel, const cf_winograd_target *to);

#endif
