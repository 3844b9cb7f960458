/* conv2d_input_grad.c — what a convolution sends back to its input; the same sum is a transposed convolution:

     dx[n,c,i,j] = activation(bias[c] + sum over k, r, s, p, q with p*stride + r*dilation - pad = i, and so for j, of
                   grad[n,k,p,q] * w[k,c,r,s])

   Cells i and i + stride meet the same taps, so the plane falls apart into stride x stride phases, each of which is a
   forward convolution of grad (stride 1) with the phase's taps in reverse order, written with the strides of the phase.
   All of it is description: negative strides, other offsets. No zero is inserted anywhere.

   A padding that repeats cells sends its part of the gradient back to those: the padded plane's gradient is computed
   in bands and added up (cf_source_index says where).

   The caller guarantees: dx (N, C, H, W), grad (N, K, P, Q), w (K, C/groups, R, S) that belong together, dx of the
   compute type (or float16, bfloat16), overlapping no input. P and Q may be smaller than a forward convolution of dx
   would give (output_padding beyond the stride): what is missing counts as zero.

   Phases: Georganas et al., arXiv 1808.05567; Dumoulin and Visin, arXiv 1603.07285. */
#include "convert.h"
#include "geometry.h"
#include "parallel.h"
#include "workspace.h"

#include <math.h>
#include <string.h>

#define BAND_BYTES ((ptrdiff_t)16 << 20) /* of the padded gradient at once; at least one row of all channels */

typedef struct {
    const cf_conv2d_options *options; /* of the forward convolutions: stride 1, numbers for padding */
    cf_array grad, w;                 /* w (C, K/groups, R, S): channels exchanged, taps in forward order */
    cf_vector bias;
    cf_axis h, w_axis;                /* of the convolution whose gradient this is */
} grad_job;

/* The cells first, first + stride, ... (count of them) of one axis and the taps tap, tap + step, ... they meet.
   Cell u and tap m meet grad at start + u - m * reach. */
typedef struct {
    ptrdiff_t first, count, tap, taps, step, reach, start;
} phase;

static ptrdiff_t gcd(ptrdiff_t a, ptrdiff_t b) { return b == 0 ? a : gcd(b, a % b); }

/* `offset` is the padded position of cell 0, `cells` how many there are. */
static phase find_phase(const cf_axis *axis, ptrdiff_t offset, ptrdiff_t cells, ptrdiff_t first)
{
    const ptrdiff_t common = gcd(axis->stride, axis->dilation), position = offset + first;
    phase p = {.first = first, .step = axis->stride / common, .reach = axis->dilation / common};
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
static int take_phase(const phase *p, int axis, ptrdiff_t stride, cf_array *grad, cf_array *w, cf_array *dx,
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

static cf_status run_phase(const grad_job *job, const phase *h, const phase *w, const cf_array *dx)
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

/* The zeros around grad are not part of the sum, but an infinite tap makes NaN of them. So NaN near the border are
   looked at again, term by term. */

typedef struct {
    const grad_job *job;
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

/* Up to the first NaN, which ends the search: a gradient full of them costs one term a cell. */
static double plain_sum(const mend_job *mend, ptrdiff_t n, ptrdiff_t c, ptrdiff_t i, ptrdiff_t j)
{
    const grad_job *job = mend->job;
    const cf_array *grad = &job->grad, *w = &job->w;
    const ptrdiff_t K = w->shape[1], g = c / (w->shape[0] / job->options->groups);
    double sum = 0, a, b;
    if (job->bias.data != NULL) mend->load_bias(&sum, job->bias.data + c * job->bias.stride, job->bias.stride, 1);
    for (ptrdiff_t r = 0; r < job->h.size; ++r)
        for (ptrdiff_t s = 0; s < job->w_axis.size; ++s) {
            const ptrdiff_t y = i - r * job->h.dilation, x = j - s * job->w_axis.dilation;
            if (y < 0 || x < 0 || y % job->h.stride != 0 || x % job->w_axis.stride != 0) continue;
            const ptrdiff_t p = y / job->h.stride, q = x / job->w_axis.stride;
            if (p >= grad->shape[2] || q >= grad->shape[3]) continue;
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

static void mend_cell(const mend_job *mend, ptrdiff_t n, ptrdiff_t c, ptrdiff_t i, ptrdiff_t j)
{
    const cf_array *dx = mend->dx;
    char *cell = dx->data + n * dx->strides[0] + c * dx->strides[1] + i * dx->strides[2] + j * dx->strides[3];
    double value;
    mend->load_dx(&value, cell, 0, 1);
    if (!isnan(value)) return;
    value = plain_sum(mend, n, c, mend->top + i, mend->left + j);
    const cf_compute compute = cf_compute_of(dx->dtype);
    const float single = (float)value;
    cf_storer(compute, dx->dtype)(cell, 0, compute == CF_COMPUTE_F64 ? (const void *)&value : &single, 1);
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
    for (ptrdiff_t i = 0; i < H; ++i)
        for (ptrdiff_t j = 0; j < W; ++j) {
            if (i >= top && i < bottom && j == left) j = right;
            if (j < W) mend_cell(mend, n, c, i, j);
        }
}

#define MENDED_PER_MICROSECOND 200.0 /* cells looked at, order of magnitude */

static void mend_border(const grad_job *job, ptrdiff_t top, ptrdiff_t left, const cf_array *dx)
{
    const cf_compute compute = cf_compute_of(dx->dtype);
    if (compute != CF_COMPUTE_F32 && compute != CF_COMPUTE_F64) return;
    const mend_job mend = {
        .job = job, .dx = dx, .top = top, .left = left,
        .load_grad = cf_loader(job->grad.dtype, CF_COMPUTE_F64), .load_w = cf_loader(job->w.dtype, CF_COMPUTE_F64),
        .load_dx = cf_loader(dx->dtype, CF_COMPUTE_F64), .load_bias = cf_loader(job->bias.dtype, CF_COMPUTE_F64),
    };
    const ptrdiff_t planes = dx->shape[0] * dx->shape[1];
    const double cells = (double)planes * (double)(dx->shape[2] + dx->shape[3]) * 2;
    cf_parallel_for(planes, cf_threads_for(cells / MENDED_PER_MICROSECOND, planes), mend_plane, &mend, NULL, 0);
}

/* dx = the gradient of the padded plane, from cell (top, left) on. */
static cf_status run_region(const grad_job *job, ptrdiff_t top, ptrdiff_t left, const cf_array *dx)
{
    for (ptrdiff_t i = 0; i < job->h.stride && i < dx->shape[2]; ++i)
        for (ptrdiff_t j = 0; j < job->w_axis.stride && j < dx->shape[3]; ++j) {
            const phase h = find_phase(&job->h, top, dx->shape[2], i), w = find_phase(&job->w_axis, left, dx->shape[3], j);
            const cf_status status = run_phase(job, &h, &w, dx);
            if (status != CF_OK) return status;
        }
    mend_border(job, top, left, dx);
    return CF_OK;
}

/* sums[c][source of row - first][source of col] += band[c][row][col], in the compute type. */
#define FOLD(TYPE)                                                                                     \
    do {                                                                                               \
        const TYPE *from = (const TYPE *)band;                                                         \
        TYPE *to = (TYPE *)sums + (cf_source_index(i - h->pad_before, h->in, mode) - first) * w->in;   \
        for (ptrdiff_t c = 0; c < C; ++c, from += plane, to += rows * w->in)                           \
            for (ptrdiff_t j = 0; j < cols; ++j)                                                       \
                to[cf_source_index(j - w->pad_before, w->in, mode)] += from[j];                        \
    } while (0)

static void fold_row(const cf_axis *h, const cf_axis *w, cf_padding_mode mode, cf_compute compute, ptrdiff_t C,
                     ptrdiff_t i, const char *band, ptrdiff_t plane, ptrdiff_t cols, char *sums, ptrdiff_t first,
                     ptrdiff_t rows)
{
    switch (compute) {
    case CF_COMPUTE_F32: FOLD(float); break;
    case CF_COMPUTE_F64: FOLD(double); break;
    case CF_COMPUTE_I32: FOLD(uint32_t); break;
    default: FOLD(uint64_t); break;
    }
}

/* Image n of dx, rows [first, first + rows): all rows of the padded plane that repeat one of these are computed, run
   by run, and added to `sums`. */
static cf_status fold_rows(const grad_job *image, cf_padding_mode mode, const cf_array *dx, ptrdiff_t n,
                           ptrdiff_t first, ptrdiff_t rows, char *sums, char *band)
{
    static const cf_dtype types[CF_COMPUTES] = {CF_F32, CF_F64, CF_I32, CF_I64};
    const cf_axis *h = &image->h, *w = &image->w_axis;
    const cf_compute compute = cf_compute_of(dx->dtype);
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(compute), C = dx->shape[1];
    const ptrdiff_t padded = h->in + h->pad_before + h->pad_after, cols = w->in + w->pad_before + w->pad_after;
    memset(sums, 0, (size_t)(C * rows * w->in * size));
    for (ptrdiff_t i = 0, end; i < padded; i = end) {
        for (end = i; end < padded && end - i < rows; ++end) {
            const ptrdiff_t source = cf_source_index(end - h->pad_before, h->in, mode);
            if (source < first || source >= first + rows) break;
        }
        if (end == i) {
            ++end;
            continue;
        }
        const ptrdiff_t plane = (end - i) * cols;
        const cf_array part = {band, types[compute], {1, C, end - i, cols}, {C * plane * size, plane * size, cols * size, size}};
        const cf_status status = run_region(image, i, 0, &part);
        if (status != CF_OK) return status;
        for (ptrdiff_t row = i; row < end; ++row)
            fold_row(h, w, mode, compute, C, row, band + (row - i) * cols * size, plane, cols, sums, first, rows);
    }
    const cf_store_run store = cf_storer(compute, dx->dtype);
    for (ptrdiff_t c = 0; c < C; ++c)
        for (ptrdiff_t i = 0; i < rows; ++i)
            store(dx->data + n * dx->strides[0] + c * dx->strides[1] + (first + i) * dx->strides[2], dx->strides[3],
                  sums + (c * rows + i) * w->in * size, w->in);
    return CF_OK;
}

static cf_status run_folded(const grad_job *job, cf_padding_mode mode, const cf_array *dx)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(cf_compute_of(dx->dtype)), C = dx->shape[1];
    const ptrdiff_t cols = job->w_axis.in + job->w_axis.pad_before + job->w_axis.pad_after, row = C * cols * size;
    const ptrdiff_t rows = cf_max(1, cf_min(job->h.in, BAND_BYTES / row));
    /* Of a plane that fits, the padded one is computed in as many runs of `rows` rows as it takes. */
    char *sums = cf_acquire((size_t)(2 * rows * row));
    if (sums == NULL) return CF_NO_MEMORY;
    cf_status status = CF_OK;
    grad_job image = *job;
    image.grad.shape[0] = 1;
    for (ptrdiff_t n = 0; n < dx->shape[0] && status == CF_OK; ++n, image.grad.data += job->grad.strides[0])
        for (ptrdiff_t i = 0; i < job->h.in && status == CF_OK; i += rows)
            status = fold_rows(&image, mode, dx, n, i, cf_min(rows, job->h.in - i), sums, sums + rows * row);
    cf_release(sums);
    return status;
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

cf_status cf_conv2d_input_grad(const cf_conv2d_options *options, const cf_array *grad, const cf_array *w,
                               cf_vector bias, const cf_array *dx)
{
    if (dx->shape[0] == 0 || dx->shape[1] == 0) return CF_OK;
    cf_conv2d_shape shape;
    cf_status status = cf_conv2d_geometry(options, dx->shape, w->shape, &shape);
    if (status != CF_OK) return status;
    cf_conv2d_options forward = *options;
    forward.stride[0] = forward.stride[1] = 1;
    forward.padding = CF_PAD_NUMBERS;
    forward.padding_mode = CF_MODE_CONSTANT;
    grad_job job = {.options = &forward, .grad = *grad, .bias = bias, .h = shape.h, .w_axis = shape.w};
    char *copy;
    status = exchange_channels(w, options->groups, &job.w, &copy);
    if (status != CF_OK) return status;
    const int padded = shape.h.pad_before + shape.h.pad_after + shape.w.pad_before + shape.w.pad_after > 0;
    status = padded && options->padding_mode != CF_MODE_CONSTANT
                 ? run_folded(&job, options->padding_mode, dx)
                 : run_region(&job, shape.h.pad_before, shape.w.pad_before, dx);
    cf_release(copy);
    return status;
}
