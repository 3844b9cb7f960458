/* conv2d_depthwise.h — what the two orientations of the depthwise algorithm share: the band of outputs of a task. */
#ifndef CF_CONV2D_DEPTHWISE_H
#define CF_CONV2D_DEPTHWISE_H

#include "geometry.h"
#include "plan.h"

/* Filters that are packed side by side: the channels of a chunk, or one. */
static inline ptrdiff_t cf_chunk(const cf_conv2d_plan *plan)
{
    return plan->pixels != NULL ? plan->pixels->V * plan->leaves->lanes : 1;
}

/* One phase of a plane. What stands in the array is copied; the zeros around it are the same for every plane. */
typedef struct {
    cf_conv2d_span span;
    ptrdiff_t x; /* bytes from the plane's first element to the first copied */
    cf_row_copy copy;
} cf_phase_copy;

/* One call of a leaf: bytes from the plane's first input and output to its own, tiles side by side. */
typedef struct {
    cf_rows_leaf run;
    ptrdiff_t x, y, tiles;
    const ptrdiff_t *at;
} cf_pass;

/* The outputs of one task: of image n the planes [plane, plane + planes), or chunks of channels; rows and columns. */
typedef struct {
    const cf_conv2d_job *job;
    ptrdiff_t n, plane, planes, p, rows, q, cols;
    char *slab, *stage, *bias, *read;
    ptrdiff_t *taps, *x_at, *y_at, *channels;
    cf_phase_copy *copies; /* one for each phase */
    cf_pass *passes;
} cf_band;

/* Input rows [top, top + count) of which [first, last) stand in the array. */
typedef struct {
    ptrdiff_t top, count, first, last;
} cf_row_range;

cf_row_range cf_band_rows(const cf_band *b);
int cf_pads_with_values(const cf_conv2d_plan *plan); /* not with zeros: only cf_conv2d_load_... finds what pads */
void cf_band_bias(const cf_band *b, ptrdiff_t k, ptrdiff_t count); /* into b->bias */

/* Computes the band. With `view` its windows lie in x, which is read where it stands. */
void cf_band_by_rows(const cf_band *b, int view);
void cf_band_by_channels(const cf_band *b, int view);

#endif
