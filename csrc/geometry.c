/* geometry.c — all arithmetic of sizes, once.

   An axis of `in` cells with `pad` cells around it, seen through a window of `size` taps `dilation` apart that moves
   by `stride`, has  out = floor((in + pad_before + pad_after - extent) / stride) + 1  outputs, where
   extent = dilation * (size - 1) + 1.  The words: "same" wants out = ceil(in / stride) and puts the odd cell behind
   (TensorFlow's SAME, ONNX's SAME_UPPER), "same_lower" before; "full" pads by extent - 1 on both sides.

   Transposed, `out` cells give  in = (out - 1) * stride + extent + extra - pad_before - pad_after, and "same" wants
   in = out * stride. */
#include "geometry.h"

/* No array of more bytes than this is described, so that sums of a few such offsets cannot overflow. */
#define CF_LARGEST (PTRDIFF_MAX / 64)

ptrdiff_t cf_mul(ptrdiff_t a, ptrdiff_t b)
{
    ptrdiff_t product;
    return __builtin_mul_overflow(a, b, &product) ? PTRDIFF_MAX : product;
}

ptrdiff_t cf_add(ptrdiff_t a, ptrdiff_t b)
{
    ptrdiff_t sum;
    return __builtin_add_overflow(a, b, &sum) ? PTRDIFF_MAX : sum;
}

/* Numbers of the caller; what words stand for is computed. */
static int is_bad(const cf_axis *axis, cf_padding padding)
{
    return axis->stride < 1 || axis->dilation < 1 ||
           (padding == CF_PAD_NUMBERS && (axis->pad_before < 0 || axis->pad_after < 0));
}

cf_status cf_axis_resolve(cf_axis *axis, cf_padding padding)
{
    if (axis->size < 1) return CF_EMPTY_WINDOW;
    if (is_bad(axis, padding)) return CF_BAD_OPTION;
    if (axis->size == 1) axis->dilation = 1; /* one tap has no neighbour; a number of any size means nothing */
    const ptrdiff_t reach = cf_mul(axis->dilation, axis->size - 1);
    if (reach > CF_LARGEST || axis->in > CF_LARGEST || axis->stride > CF_LARGEST) return CF_TOO_LARGE;
    if (padding == CF_PAD_SAME || padding == CF_PAD_SAME_LOWER) {
        axis->out = cf_ceil_div(axis->in, axis->stride);
        if (axis->out < 1) return CF_EMPTY_OUTPUT;
        const ptrdiff_t total = cf_max(0, cf_add(cf_mul(axis->out - 1, axis->stride), reach + 1) - axis->in);
        const ptrdiff_t less = total / 2, more = total - less;
        axis->pad_before = padding == CF_PAD_SAME ? less : more;
        axis->pad_after = padding == CF_PAD_SAME ? more : less;
        return total > CF_LARGEST ? CF_TOO_LARGE : CF_OK;
    }
    if (padding != CF_PAD_NUMBERS) axis->pad_before = axis->pad_after = padding == CF_PAD_FULL ? reach : 0;
    const ptrdiff_t padded = cf_add(axis->in, cf_add(axis->pad_before, axis->pad_after));
    if (padded > CF_LARGEST) return CF_TOO_LARGE;
    if (padded <= reach) return CF_EMPTY_OUTPUT;
    axis->out = (padded - reach - 1) / axis->stride + 1;
    return CF_OK;
}

cf_status cf_axis_transpose(cf_axis *axis, cf_padding padding, ptrdiff_t extra)
{
    if (axis->size < 1) return CF_EMPTY_WINDOW;
    if (is_bad(axis, padding)) return CF_BAD_OPTION;
    if (axis->out < 1) return CF_EMPTY_OUTPUT;
    const ptrdiff_t reach = cf_mul(axis->dilation, axis->size - 1), grown = cf_mul(axis->out, axis->stride);
    if (reach > CF_LARGEST || grown > CF_LARGEST || extra > CF_LARGEST) return CF_TOO_LARGE;
    if (padding == CF_PAD_SAME || padding == CF_PAD_SAME_LOWER) {
        const ptrdiff_t total = cf_max(0, reach + 1 - axis->stride), less = total / 2, more = total - less;
        axis->pad_before = padding == CF_PAD_SAME ? less : more;
        axis->pad_after = padding == CF_PAD_SAME ? more : less;
        axis->in = grown;
        return CF_OK;
    }
    if (padding != CF_PAD_NUMBERS) axis->pad_before = axis->pad_after = padding == CF_PAD_FULL ? reach : 0;
    if (axis->pad_before > CF_LARGEST || axis->pad_after > CF_LARGEST) return CF_TOO_LARGE;
    axis->in = grown - axis->stride + reach + 1 + extra - axis->pad_before - axis->pad_after;
    return axis->in < 1 ? CF_EMPTY_OUTPUT : CF_OK;
}

void cf_axis_inside(const cf_axis *a, ptrdiff_t first, ptrdiff_t count, ptrdiff_t *begin, ptrdiff_t *end)
{
    const ptrdiff_t last = a->in + a->pad_before - cf_axis_reach(a) - 1; /* where a window may begin */
    *begin = cf_min(first + count, cf_max(first, cf_ceil_div(a->pad_before, a->stride)));
    *end = cf_max(*begin, last < 0 ? *begin : cf_min(first + count, last / a->stride + 1));
}

/* Bytes of the largest element times all sizes must stay addressable; a size of zero hides no other size. */
static int too_many(ptrdiff_t a, ptrdiff_t b, ptrdiff_t c, ptrdiff_t d)
{
    return cf_mul(cf_mul(cf_max(a, 1), cf_max(b, 1)), cf_mul(cf_max(c, 1), cf_max(d, 1))) > CF_LARGEST;
}

cf_status cf_conv2d_geometry(const cf_conv2d_options *options, const ptrdiff_t x_shape[4],
                             const ptrdiff_t w_shape[4], cf_conv2d_shape *shape)
{
    const ptrdiff_t groups = options->groups;
    *shape = (cf_conv2d_shape){.N = x_shape[0], .C = x_shape[1], .K = w_shape[0], .groups = groups};
    cf_axis *axes[2] = {&shape->h, &shape->w};
    for (int i = 0; i < 2; ++i)
        *axes[i] = (cf_axis){.in = x_shape[2 + i], .size = w_shape[2 + i], .stride = options->stride[i],
                             .dilation = options->dilation[i], .pad_before = options->pad[i][0],
                             .pad_after = options->pad[i][1]};
    if (options->algorithm == NULL) return CF_BAD_OPTION; /* a struct that was not filled in */
    if (groups < 1 || shape->C % groups != 0 || shape->K % groups != 0) return CF_BAD_GROUPS;
    if (w_shape[1] != shape->C / groups) return CF_BAD_CHANNELS;
    for (int i = 0; i < 2; ++i) {
        const cf_status status = cf_axis_resolve(axes[i], options->padding);
        if (status != CF_OK) return status;
        /* As numpy.pad: only zeros can be put around nothing. */
        const int padded = axes[i]->pad_before + axes[i]->pad_after > 0;
        if (axes[i]->in == 0 && padded && options->padding_mode != CF_MODE_CONSTANT) return CF_EMPTY_PLANE;
    }
    if (too_many(shape->N, shape->C, shape->h.in, shape->w.in) ||
        too_many(w_shape[0], w_shape[1], w_shape[2], w_shape[3]) ||
        too_many(shape->N, shape->K, shape->h.out, shape->w.out))
        return CF_TOO_LARGE;
    return CF_OK;
}

int cf_is_pointwise(const cf_conv2d_options *options, const ptrdiff_t x_shape[4], const ptrdiff_t w_shape[4])
{
    cf_conv2d_shape s;
    return w_shape[2] == 1 && w_shape[3] == 1 && options->stride[0] == 1 && options->stride[1] == 1 &&
           cf_conv2d_geometry(options, x_shape, w_shape, &s) == CF_OK && s.h.out == s.h.in && s.w.out == s.w.in;
}

void cf_join_rows(ptrdiff_t shape[4])
{
    shape[3] *= shape[2];
    shape[2] = 1;
}

/* With ceil_mode the outputs are rounded up, but no window begins beyond the input and the padding before it. */
static cf_status round_up(cf_axis *axis)
{
    const ptrdiff_t spare = axis->in + axis->pad_before + axis->pad_after - axis->dilation * (axis->size - 1) - 1;
    if (spare <= -axis->stride) return CF_EMPTY_OUTPUT;
    axis->out = (spare < 0 ? 0 : cf_ceil_div(spare, axis->stride)) + 1;
    if ((axis->out - 1) * axis->stride >= axis->in + axis->pad_before) --axis->out;
    return axis->out < 1 ? CF_EMPTY_OUTPUT : CF_OK;
}

cf_status cf_pool2d_geometry(const cf_pool2d_options *options, const ptrdiff_t x_shape[4], cf_axis axes[2])
{
    for (int i = 0; i < 2; ++i) {
        cf_axis *axis = &axes[i];
        *axis = (cf_axis){.in = x_shape[2 + i], .size = options->size[i], .stride = options->stride[i],
                          .dilation = options->dilation[i], .pad_before = options->pad[i][0],
                          .pad_after = options->pad[i][1]};
        if (axis->in < 1) return CF_EMPTY_PLANE;
        if (options->adaptive) {
            if (axis->size < 1) return CF_EMPTY_WINDOW;
            *axis = (cf_axis){.in = axis->in, .size = 1, .stride = 1, .dilation = 1, .out = options->size[i]};
            continue;
        }
        cf_status status = cf_axis_resolve(axis, options->padding);
        if (status != CF_OK && status != CF_EMPTY_OUTPUT) return status;
        if (cf_max(axis->pad_before, axis->pad_after) > axis->dilation * (axis->size - 1)) return CF_WIDE_PADDING;
        if (options->ceil_mode) status = round_up(axis);
        if (status != CF_OK) return status;
    }
    return too_many(x_shape[0], x_shape[1], axes[0].in, axes[1].in) ||
                   too_many(x_shape[0], x_shape[1], axes[0].out, axes[1].out) ? CF_TOO_LARGE : CF_OK;
}

cf_status cf_pad2d_geometry(const cf_pad2d_options *options, const ptrdiff_t x_shape[4], ptrdiff_t out[2])
{
    for (int i = 0; i < 2; ++i) {
        const ptrdiff_t in = x_shape[2 + i], before = options->pad[i][0], after = options->pad[i][1];
        const ptrdiff_t between = options->interior[i];
        if (between < 0 || (between > 0 && options->mode != CF_MODE_CONSTANT)) return CF_BAD_OPTION;
        const ptrdiff_t spread = in < 1 ? in : cf_add(in, cf_mul(in - 1, between));
        if (spread > CF_LARGEST || before > CF_LARGEST || after > CF_LARGEST) return CF_TOO_LARGE;
        if (before < -CF_LARGEST || after < -CF_LARGEST) return CF_CROPPED_AWAY;
        const ptrdiff_t kept = spread + cf_min(before, 0) + cf_min(after, 0);
        if (kept < 0) return CF_CROPPED_AWAY;
        out[i] = kept + cf_max(before, 0) + cf_max(after, 0);
        if (out[i] < 1) return CF_EMPTY_OUTPUT;
        if (kept == 0 && options->mode != CF_MODE_CONSTANT) return CF_EMPTY_PLANE;
    }
    return too_many(x_shape[0], x_shape[1], x_shape[2], x_shape[3]) ||
                   too_many(x_shape[0], x_shape[1], out[0], out[1]) ? CF_TOO_LARGE : CF_OK;
}

ptrdiff_t cf_source_index(ptrdiff_t i, ptrdiff_t size, cf_padding_mode mode)
{
    if (i >= 0 && i < size) return i;
    if (mode == CF_MODE_CONSTANT) return -1;
    if (mode == CF_MODE_EDGE) return i < 0 ? 0 : size - 1;
    /* The others repeat with a period: wrap n, symmetric 2n (there and back), reflect 2n - 2 (ends stand once). */
    const ptrdiff_t mirrored = mode == CF_MODE_SYMMETRIC ? 2 * size : cf_max(1, 2 * size - 2);
    const ptrdiff_t period = mode == CF_MODE_WRAP ? size : mirrored;
    ptrdiff_t j = i % period;
    if (j < 0) j += period;
    if (j < size) return j;
    return mode == CF_MODE_SYMMETRIC ? period - 1 - j : period - j;
}
