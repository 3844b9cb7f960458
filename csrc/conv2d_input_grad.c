/* conv2d_input_grad.c — what a convolution sends back to its input; the same sum is a transposed convolution:

     dx[n,c,i,j] = activation(bias[c] + sum over k, r, s, p, q with p*stride + r*dilation - pad = i, and so for j, of
                   grad[n,k,p,q] * w[k,c,r,s])

   Cells i and i + stride meet the same taps, so the plane falls apart into stride x stride phases, each of which is a
   forward convolution of grad (stride 1) with the phase's taps in reverse order, written with the strides of the phase.
   All of it is description: negative strides, other offsets. No zero is inserted anywhere.

   A padding that repeats cells sends its part of the gradient back to those (conv2d_input_grad_fold.c); what infinite
   taps make of the border is put right by conv2d_input_grad_mend.c.

   The caller guarantees: dx (N, C, H, W), grad (N, K, P, Q), w (K, C/groups, R, S) that belong together, dx of the
   compute type (or float16, bfloat16), overlapping no input. P and Q may be smaller than a forward convolution of dx
   would give (output_padding beyond the stride): what is missing counts as zero.

   Phases: Georganas et al., arXiv 1808.05567; Dumoulin and Visin, arXiv 1603.07285. */
#include "input_grad.h"
#include "workspace.h"

#include <string.h>

/* `offset` is the padded position of cell 0, `cells` how many there are. */
cf_grad_phase cf_find_grad_phase(const cf_axis *axis, ptrdiff_t offset, ptrdiff_t cells, ptrdiff_t first)
{
    const ptrdiff_t common = cf_gcd(axis->stride, axis->dilation), position = offset + first;
    cf_grad_phase p = {.first = first, .step = axis->stride / common, .reach = axis->dilation / common};
    p.count = cf_ceil_div(cells - first, axis->stride);
    while (p.tap < axis->size && p.tap < p.step && (position - p.tap * axis->dilation) % axis->stride != 0) ++p.tap;
    if (p.tap < axis->size && p.tap < p.step) {
        p.taps = cf_ceil_div(axis->size - p.tap, p.step);
        p.start = (position - p.tap * axis->dilation) / axis->stride;
    }
    return p;
}

/* Restricts `axis` of grad, w and dx to a phase and finds the padding of its forward convolution. Cells of grad that
   no output sees are cut off. Returns whether anything is left to multiply. */
static int take_phase(const cf_grad_phase *p, int axis, ptrdiff_t stride, cf_array *grad, cf_array *w, cf_array *dx,
                      cf_conv2d_options *options)
{
    dx->data += p->first * dx->strides[axis];
    dx->strides[axis] *= stride;
    dx->shape[axis] = p->count;
    if (p->taps == 0) return 0;
    w->data += (p->tap + (p->taps - 1) * p->step) * w->strides[axis];
    w->strides[axis] *= -p->step;
    w->shape[axis] = p->taps;
    const ptrdiff_t reach = (p->taps - 1) * p->reach;
    ptrdiff_t before = reach - p->start, after = p->count + reach - grad->shape[axis] - before;
    if (before < 0) grad->data -= before * grad->strides[axis], grad->shape[axis] += before, before = 0;
    if (after < 0) grad->shape[axis] += after, after = 0;
    options->dilation[axis - 2] = p->reach;
    options->pad[axis - 2][0] = before;
    options->pad[axis - 2][1] = after;
    return grad->shape[axis] > 0;
}

static cf_status run_phase(const cf_input_grad *job, const cf_grad_phase *h, const cf_grad_phase *w, const cf_array *dx)
{
    cf_conv2d_options options = *job->options;
    cf_array from = job->grad, filters = job->w, to = *dx;
    const int rows = take_phase(h, 2, job->h.stride, &from, &filters, &to, &options);
    const int cols = take_phase(w, 3, job->w_axis.stride, &from, &filters, &to, &options);
    if (!rows || !cols) { /* a convolution of no channels: nothing but bias and activation */
        from.shape[1] = filters.shape[1] = 0;
        for (int axis = 2; axis < 4; ++axis) {
            from.shape[axis] = to.shape[axis], filters.shape[axis] = 1;
            options.pad[axis - 2][0] = options.pad[axis - 2][1] = 0;
        }
    }
    return cf_conv2d(&options, &from, &filters, job->bias, &to);
}

cf_status cf_input_grad_region(const cf_input_grad *job, ptrdiff_t top, ptrdiff_t left, const cf_array *dx)
{
    cf_status status = cf_input_grad_pairs(job, top, left, dx);
    for (ptrdiff_t i = 0; status == CF_NOT_APPLICABLE && i < job->h.stride && i < dx->shape[2]; ++i)
        for (ptrdiff_t j = 0; j < job->w_axis.stride && j < dx->shape[3]; ++j) {
            const cf_grad_phase h = cf_find_grad_phase(&job->h, top, dx->shape[2], i);
            const cf_grad_phase w = cf_find_grad_phase(&job->w_axis, left, dx->shape[3], j);
            const cf_status each = run_phase(job, &h, &w, dx);
            if (each != CF_OK) return each;
        }
    if (status != CF_OK && status != CF_NOT_APPLICABLE) return status;
    cf_mend_border(job, top, left, dx);
    return CF_OK;
}

/* w (K, C/groups, R, S) as (C, K/groups, R, S). With one group, or one filter in each, that is another description;
   else a copy: *copy is then to be released. */
static cf_status exchange_channels(const cf_array *w, ptrdiff_t groups, cf_array *exchanged, char **copy)
{
    const ptrdiff_t K = w->shape[0] / groups, C = w->shape[1], size = (ptrdiff_t)cf_dtype_bytes(w->dtype);
    *copy = NULL;
    *exchanged = *w;
    exchanged->shape[0] = C * groups, exchanged->shape[1] = K;
    exchanged->strides[0] = w->strides[1], exchanged->strides[1] = w->strides[0];
    if (groups == 1) return CF_OK;
    if (K == 1 && (C == 1 || w->strides[0] == C * w->strides[1])) {
        if (C == 1) exchanged->strides[0] = w->strides[0];
        return CF_OK;
    }
    const ptrdiff_t R = w->shape[2], S = w->shape[3];
    *copy = cf_acquire((size_t)cf_max(1, groups * C * K * R * S * size));
    if (*copy == NULL) return CF_NO_MEMORY;
    char *to = *copy;
    exchanged->data = to;
    exchanged->strides[0] = K * R * S * size, exchanged->strides[1] = R * S * size;
    exchanged->strides[2] = S * size, exchanged->strides[3] = size;
    for (ptrdiff_t c = 0; c < groups * C; ++c)
        for (ptrdiff_t k = 0; k < K; ++k)
            for (ptrdiff_t r = 0; r < R; ++r)
                for (ptrdiff_t s = 0; s < S; ++s, to += size)
                    memcpy(to, w->data + (c / C * K + k) * w->strides[0] + c % C * w->strides[1] + r * w->strides[2] +
                                   s * w->strides[3], (size_t)size);
    return CF_OK;
}

#define GROUP_TAPS_MIN ((ptrdiff_t)1 << 14) /* exchanging the channels of so many takes longer than calls by group */

static cf_status group_by_group(const cf_conv2d_options *options, const cf_array *grad, const cf_array *w,
                                cf_vector bias, const cf_array *dx)
{
    cf_conv2d_options one = *options;
    cf_array grad_g = *grad, w_g = *w, dx_g = *dx;
    one.groups = 1;
    w_g.shape[0] = grad_g.shape[1] /= options->groups;
    dx_g.shape[1] /= options->groups;
    cf_status status = CF_OK;
    for (ptrdiff_t g = 0; g < options->groups && status == CF_OK; ++g) {
        status = cf_conv2d_input_grad(&one, &grad_g, &w_g, bias, &dx_g);
        grad_g.data += grad_g.shape[1] * grad_g.strides[1];
        w_g.data += w_g.shape[0] * w_g.strides[0];
        dx_g.data += dx_g.shape[1] * dx_g.strides[1];
        if (bias.data != NULL) bias.data += dx_g.shape[1] * bias.stride;
    }
    return status;
}

cf_status cf_conv2d_input_grad(const cf_conv2d_options *options, const cf_array *grad, const cf_array *w,
                               cf_vector bias, const cf_array *dx)
{
    if (dx->shape[0] == 0 || dx->shape[1] == 0) return CF_OK;
    cf_conv2d_shape shape;
    cf_status status = cf_conv2d_geometry(options, dx->shape, w->shape, &shape);
    if (status != CF_OK) return status;
    const ptrdiff_t group_taps = w->shape[0] / options->groups * w->shape[1] * w->shape[2] * w->shape[3];
    if (options->groups > 1 && w->shape[1] > 1 && group_taps >= GROUP_TAPS_MIN)
        return group_by_group(options, grad, w, bias, dx);
    cf_conv2d_options forward = *options;
    forward.stride[0] = forward.stride[1] = 1;
    forward.padding = CF_PAD_NUMBERS;
    forward.padding_mode = CF_MODE_CONSTANT;
    cf_input_grad job = {.options = &forward, .grad = *grad, .bias = bias, .h = shape.h, .w_axis = shape.w};
    char *copy;
    status = exchange_channels(w, options->groups, &job.w, &copy);
    if (status != CF_OK) return status;
    const int padded = shape.h.pad_before + shape.h.pad_after + shape.w.pad_before + shape.w.pad_after > 0;
    status = padded && options->padding_mode != CF_MODE_CONSTANT
                 ? cf_fold_padding(&job, options->padding_mode, dx)
                 : cf_input_grad_region(&job, shape.h.pad_before, shape.w.pad_before, dx);
    cf_release(copy);
    return status;
}
