/* conv2d_input_grad_mend.c — the border of an input gradient whose filters hold infinities or NaN.

   The zeros around grad are no terms of the sum, but an infinite tap makes NaN of them. So NaN at cells of which some
   tap meets no cell of grad are looked at again, term by term. A NaN that finite taps made of an overflow stays. */
#include "input_grad.h"
#include "parallel.h"

#include <math.h>

#define RUN 64

typedef struct {
    const cf_input_grad *job;
    const cf_array *dx;
    ptrdiff_t top, left;
    cf_load_run load_grad, load_w, load_dx, load_bias; /* to double */
} mend_job;

/* The cells [*begin, *end) of `cells`, the first at padded position `offset`, of which every tap meets grad. */
static void find_whole(const cf_axis *axis, ptrdiff_t outputs, ptrdiff_t offset, ptrdiff_t cells, ptrdiff_t *begin,
                       ptrdiff_t *end)
{
    *begin = cf_min(cells, cf_max(0, (axis->size - 1) * axis->dilation - offset));
    *end = cf_max(*begin, cf_min(cells, outputs * axis->stride - offset));
}

/* Whether tap (r, s) of padded cell (i, j) meets grad, and where. */
static int meets(const cf_input_grad *job, ptrdiff_t i, ptrdiff_t j, ptrdiff_t r, ptrdiff_t s, ptrdiff_t *p,
                 ptrdiff_t *q)
{
    const ptrdiff_t y = i - r * job->h.dilation, x = j - s * job->w_axis.dilation;
    if (y < 0 || x < 0 || y % job->h.stride != 0 || x % job->w_axis.stride != 0) return 0;
    *p = y / job->h.stride, *q = x / job->w_axis.stride;
    return *p < job->grad.shape[2] && *q < job->grad.shape[3];
}

/* Up to the first NaN, which ends the search: a gradient full of them costs one term a cell. */
static double plain_sum(const mend_job *mend, ptrdiff_t n, ptrdiff_t c, ptrdiff_t i, ptrdiff_t j)
{
    const cf_input_grad *job = mend->job;
    const cf_array *grad = &job->grad, *w = &job->w;
    const ptrdiff_t K = w->shape[1], g = c / (w->shape[0] / job->options->groups);
    double sum = 0, a, b;
    if (job->bias.data != NULL) mend->load_bias(&sum, job->bias.data + c * job->bias.stride, job->bias.stride, 1);
    for (ptrdiff_t r = 0, p, q; r < job->h.size; ++r)
        for (ptrdiff_t s = 0; s < job->w_axis.size; ++s) {
            if (!meets(job, i, j, r, s, &p, &q)) continue;
            const char *from = grad->data + n * grad->strides[0] + g * K * grad->strides[1] + p * grad->strides[2] +
                               q * grad->strides[3];
            const char *filter = w->data + c * w->strides[0] + r * w->strides[2] + s * w->strides[3];
            for (ptrdiff_t k = 0; k < K && !isnan(sum); ++k) {
                mend->load_grad(&a, from + k * grad->strides[1], 0, 1);
                mend->load_w(&b, filter + k * w->strides[1], 0, 1);
                sum += a * b;
            }
        }
    const cf_activation activation = job->options->activation;
    if (activation != CF_ACTIVATION_NONE && sum < 0) sum = 0;
    if (activation == CF_ACTIVATION_RELU6 && sum > 6) sum = 6;
    return sum;
}

/* Whether a tap that meets no cell of grad is infinite or NaN. */
static int is_spoilt(const mend_job *mend, ptrdiff_t c, ptrdiff_t i, ptrdiff_t j)
{
    const cf_input_grad *job = mend->job;
    const cf_array *w = &job->w;
    double tap;
    for (ptrdiff_t r = 0, p, q; r < job->h.size; ++r)
        for (ptrdiff_t s = 0; s < job->w_axis.size; ++s) {
            if (meets(job, i, j, r, s, &p, &q)) continue;
            const char *filter = w->data + c * w->strides[0] + r * w->strides[2] + s * w->strides[3];
            for (ptrdiff_t k = 0; k < w->shape[1]; ++k) {
                mend->load_w(&tap, filter + k * w->strides[1], 0, 1);
                if (!isfinite(tap)) return 1;
            }
        }
    return 0;
}

static void mend_cell(const mend_job *mend, ptrdiff_t n, ptrdiff_t c, ptrdiff_t i, ptrdiff_t j, char *cell)
{
    const double value = plain_sum(mend, n, c, mend->top + i, mend->left + j);
    if (isnan(value) || !is_spoilt(mend, c, mend->top + i, mend->left + j)) return;
    cf_storer(CF_COMPUTE_F64, mend->dx->dtype)(cell, 0, &value, 1);
}

/* Cells [begin, end) of a row. */
static void mend_cells(const mend_job *mend, ptrdiff_t n, ptrdiff_t c, ptrdiff_t i, ptrdiff_t begin, ptrdiff_t end)
{
    const ptrdiff_t *strides = mend->dx->strides;
    char *row = mend->dx->data + n * strides[0] + c * strides[1] + i * strides[2];
    double values[RUN];
    for (ptrdiff_t j = begin; j < end; j += RUN) {
        const ptrdiff_t count = cf_min(RUN, end - j);
        mend->load_dx(values, row + j * strides[3], strides[3], count);
        for (ptrdiff_t k = 0; k < count; ++k)
            if (isnan(values[k])) mend_cell(mend, n, c, i, j + k, row + (j + k) * strides[3]);
    }
}

static void mend_plane(const void *context, ptrdiff_t plane, char *workspace)
{
    (void)workspace;
    const mend_job *mend = context;
    const cf_array *dx = mend->dx, *grad = &mend->job->grad;
    const ptrdiff_t n = plane / dx->shape[1], c = plane % dx->shape[1], H = dx->shape[2], W = dx->shape[3];
    ptrdiff_t top, bottom, left, right;
    find_whole(&mend->job->h, grad->shape[2], mend->top, H, &top, &bottom);
    find_whole(&mend->job->w_axis, grad->shape[3], mend->left, W, &left, &right);
    for (ptrdiff_t i = 0; i < H; ++i) {
        const int whole = i >= top && i < bottom;
        mend_cells(mend, n, c, i, 0, whole ? left : W);
        if (whole) mend_cells(mend, n, c, i, right, W);
    }
}

/* Whether every tap is finite: cheaper to find out than to look at the border, if there are fewer taps. */
static int all_finite(const mend_job *mend)
{
    const cf_array *w = &mend->job->w;
    double value;
    for (ptrdiff_t ck = 0; ck < w->shape[0] * w->shape[1]; ++ck)
        for (ptrdiff_t t = 0; t < w->shape[2] * w->shape[3]; ++t) {
            mend->load_w(&value, w->data + ck / w->shape[1] * w->strides[0] + ck % w->shape[1] * w->strides[1] +
                                     t / w->shape[3] * w->strides[2] + t % w->shape[3] * w->strides[3], 0, 1);
            if (!isfinite(value)) return 0;
        }
    return 1;
}

#define TAPS_PER_CELL 4 /* looking at a tap costs as much as looking at so many cells in a row */
#define MENDED_PER_MICROSECOND 200.0 /* cells looked at, order of magnitude */

void cf_mend_border(const cf_input_grad *job, ptrdiff_t top, ptrdiff_t left, const cf_array *dx)
{
    const cf_compute compute = cf_compute_of(dx->dtype);
    if (compute != CF_COMPUTE_F32 && compute != CF_COMPUTE_F64) return;
    const mend_job mend = {
        .job = job, .dx = dx, .top = top, .left = left,
        .load_grad = cf_loader(job->grad.dtype, CF_COMPUTE_F64), .load_w = cf_loader(job->w.dtype, CF_COMPUTE_F64),
        .load_dx = cf_loader(dx->dtype, CF_COMPUTE_F64),
        .load_bias = job->bias.data == NULL ? NULL : cf_loader(job->bias.dtype, CF_COMPUTE_F64),
    };
    ptrdiff_t begin, end, across_begin, across_end;
    find_whole(&job->h, job->grad.shape[2], top, dx->shape[2], &begin, &end);
    find_whole(&job->w_axis, job->grad.shape[3], left, dx->shape[3], &across_begin, &across_end);
    if (end - begin == dx->shape[2] && across_end - across_begin == dx->shape[3]) return;
    const ptrdiff_t planes = dx->shape[0] * dx->shape[1];
    const double cells = (double)planes * (double)(dx->shape[2] + dx->shape[3]) * 2;
    const double taps = (double)(job->w.shape[0] * job->w.shape[1] * job->w.shape[2] * job->w.shape[3]);
    if (taps * TAPS_PER_CELL < cells && all_finite(&mend)) return;
    cf_parallel_for(planes, cf_threads_for(cells / MENDED_PER_MICROSECOND, planes), mend_plane, &mend, NULL, 0);
}
