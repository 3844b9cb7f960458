/* conv2d_load.c — runs of input cells, with the padding around them, in the compute type. */
#include "geometry.h"
#include "plan.h"

#include <string.h>

void cf_conv2d_load_row(const cf_conv2d_job *job, const char *plane, ptrdiff_t row, ptrdiff_t first, ptrdiff_t step,
                        ptrdiff_t count, void *dst)
{
    const cf_conv2d_plan *plan = job->plan;
    const cf_padding_mode mode = plan->padding_mode;
    const ptrdiff_t W = plan->shape.w.in, stride = job->x->strides[3], size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t source = cf_source_index(row, plan->shape.h.in, mode);
    char *to = dst;
    if (source < 0) {
        memset(to, 0, (size_t)(count * size));
        return;
    }
    plane += source * job->x->strides[2];
    /* [begin, end): the cells that stand in the array; before and behind is padding. */
    const ptrdiff_t begin = first >= 0 ? 0 : cf_min(count, cf_ceil_div(-first, step));
    const ptrdiff_t end = first >= W ? begin : cf_max(begin, cf_min(count, cf_ceil_div(W - first, step)));
    if (end > begin) job->load(to + begin * size, plane + (first + begin * step) * stride, step * stride, end - begin);
    if (mode == CF_MODE_CONSTANT) {
        memset(to, 0, (size_t)(begin * size));
        memset(to + end * size, 0, (size_t)((count - end) * size));
        return;
    }
    for (ptrdiff_t i = 0; i < count; ++i) {
        if (i == begin) i = end; /* past what is already there */
        if (i < count) job->load(to + i * size, plane + cf_source_index(first + i * step, W, mode) * stride, stride, 1);
    }
}

void cf_conv2d_load_pixel(const cf_conv2d_job *job, const char *plane, ptrdiff_t row, ptrdiff_t col, ptrdiff_t count,
                          void *dst)
{
    const cf_conv2d_plan *plan = job->plan;
    const cf_array *x = job->x;
    const ptrdiff_t h = cf_source_index(row, plan->shape.h.in, plan->padding_mode);
    const ptrdiff_t w = cf_source_index(col, plan->shape.w.in, plan->padding_mode);
    if (h < 0 || w < 0)
        memset(dst, 0, (size_t)count * cf_compute_bytes(plan->compute));
    else
        job->load(dst, plane + h * x->strides[2] + w * x->strides[3], x->strides[1], count);
}
