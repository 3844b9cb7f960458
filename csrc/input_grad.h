/* input_grad.h — what the parts of an input gradient share. */
#ifndef CF_INPUT_GRAD_H
#define CF_INPUT_GRAD_H

#include "convert.h"
#include "geometry.h"

typedef struct {
    const cf_conv2d_options *options; /* of the forward convolutions: stride 1, numbers for padding */
    cf_array grad, w;                 /* w (C, K/groups, R, S): channels exchanged, taps in forward order */
    cf_vector bias;
    cf_axis h, w_axis;                /* of the convolution whose gradient this is */
} cf_input_grad;

/* The cells first, first + stride, ... (count of them) of one axis and the taps tap, tap + step, ... they meet.
   Cell u and tap m meet grad at start + u - m * reach. */
typedef struct {
    ptrdiff_t first, count, tap, taps, step, reach, start;
} cf_grad_phase;

/* `offset` is the padded position of cell 0, `cells` how many there are. */
cf_grad_phase cf_find_grad_phase(const cf_axis *axis, ptrdiff_t offset, ptrdiff_t cells, ptrdiff_t first);

/* The short way for filters of one channel and horizontal stride 2; CF_NOT_APPLICABLE else. */
cf_status cf_input_grad_pairs(const cf_input_grad *job, ptrdiff_t top, ptrdiff_t left, const cf_array *dx);

/* dx = the gradient of the padded plane, from its cell (top, left) on. */
cf_status cf_input_grad_region(const cf_input_grad *job, ptrdiff_t top, ptrdiff_t left, const cf_array *dx);

/* Puts right what an infinite tap made of the zeros around grad. */
void cf_mend_border(const cf_input_grad *job, ptrdiff_t top, ptrdiff_t left, const cf_array *dx);

/* dx = the gradient of the padded plane, every cell of the padding added to the cell that it repeats. */
cf_status cf_fold_padding(const cf_input_grad *job, cf_padding_mode mode, const cf_array *dx);

#endif
