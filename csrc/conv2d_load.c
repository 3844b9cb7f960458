/* conv2d_load.c — runs of input cells, with the padding around them, in the compute type. */
#include "geometry.h"
#include "plan.h"

#include <string.h>

cf_conv2d_span cf_conv2d_span_of(const cf_conv2d_plan *plan, ptrdiff_t first, ptrdiff_t step, ptrdiff_t count)
{
    const ptrdiff_t W = plan->shape.w.in;
    cf_conv2d_span span = {.first = first, .step = step, .count = count};
    span.begin = first >= 0 ? 0 : cf_min(count, cf_ceil_div(-first, step));
    span.end = first >= W ? span.begin : cf_max(span.begin, cf_min(count, cf_ceil_div(W - first, step)));
    return span;
}

/* One or two cells of padding are the rule, and not worth a call of memset. */
static void zero(char *to, ptrdiff_t count, ptrdiff_t size)
{
    if (count > 2) {
        memset(to, 0, (size_t)(count * size));
    } else if (count > 0) {
        const uint64_t nothing = 0;
        memcpy(to, &nothing, (size_t)size);
        memcpy(to + (count - 1) * size, &nothing, (size_t)size);
    }
}

/* to[i] = from[i * stride], i < count, stride in bytes. */
static void copy(const cf_conv2d_job *job, char *to, const char *from, ptrdiff_t stride, ptrdiff_t count)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(job->plan->compute);
    const cf_row_copy run = {.to = to, .from = from, .rows = 1, .step = stride / size, .count = count};
    if (job->x_plain)
        job->plan->leaves->copy_rows(&run);
    else
        job->load(to, from, stride, count);
}

void cf_conv2d_load_span(const cf_conv2d_job *job, const char *plane, ptrdiff_t row, const cf_conv2d_span *span, void *dst)
{
    const cf_conv2d_plan *plan = job->plan;
    const cf_padding_mode mode = plan->padding_mode;
    const ptrdiff_t stride = job->x->strides[3], size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t source = cf_source_index(row, plan->shape.h.in, mode);
    const ptrdiff_t begin = span->begin, end = span->end, count = span->count;
    char *to = dst;
    if (source < 0) {
        memset(to, 0, (size_t)(count * size));
        return;
    }
    plane += source * job->x->strides[2];
    if (end > begin)
        /* A step across the whole row is never taken, and may be too large to multiply. */
        copy(job, to + begin * size, plane + (span->first + begin * span->step) * stride,
             end - begin > 1 ? span->step * stride : stride, end - begin);
    if (mode == CF_MODE_CONSTANT) {
        zero(to, begin, size);
        zero(to + end * size, count - end, size);
        return;
    }
    for (ptrdiff_t i = 0; i < count; ++i) {
        if (i == begin) i = end; /* past what is already there */
        if (i == count) return;
        const ptrdiff_t col = cf_source_index(span->first + i * span->step, plan->shape.w.in, mode);
        job->load(to + i * size, plane + col * stride, stride, 1);
    }
}

/* Columns side by side of planes, to pixels: by squares, a vector of channels after the other. */
static void transpose_planes(const cf_conv2d_job *job, const char *from, ptrdiff_t cols, ptrdiff_t channels,
                             ptrdiff_t pitch, char *to)
{
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), plane = job->x->strides[1];
    const ptrdiff_t lanes = plan->leaves->lanes;
    for (ptrdiff_t i = 0; i < channels; i += lanes) {
        const ptrdiff_t c = cf_min(i, channels - lanes);
        cf_conv2d_transpose(plan, lanes, cols, from + c * plane, plane / size, to + c * size, pitch);
    }
}

/* Channels side by side are transposed by squares; what stands around them must be zeros. */
static int can_transpose(const cf_conv2d_job *job, ptrdiff_t channels, const cf_conv2d_span *span)
{
    const cf_conv2d_plan *plan = job->plan;
    return job->x_plain && job->x->strides[1] == (ptrdiff_t)cf_compute_bytes(plan->compute) &&
           plan->padding_mode == CF_MODE_CONSTANT && cf_min(channels, span->end - span->begin) >= plan->leaves->lanes;
}

static void transpose_row(const cf_conv2d_job *job, const char *plane, ptrdiff_t row, const cf_conv2d_span *span,
                          ptrdiff_t channels, ptrdiff_t pitch, char *to)
{
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t *strides = job->x->strides, size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const int inside = row >= 0 && row < plan->shape.h.in;
    const ptrdiff_t begin = inside ? span->begin : span->count, end = inside ? span->end : span->count;
    for (ptrdiff_t c = 0; c < channels; ++c) {
        zero(to + c * pitch * size, begin, size);
        zero(to + (c * pitch + end) * size, span->count - end, size);
    }
    if (inside)
        cf_conv2d_transpose(plan, end - begin, channels,
                            plane + row * strides[2] + (span->first + begin * span->step) * strides[3],
                            span->step * strides[3] / size, to + begin * size, pitch);
}

void cf_conv2d_load_planes(const cf_conv2d_job *job, const char *plane, ptrdiff_t first, ptrdiff_t step, ptrdiff_t rows,
                           const cf_conv2d_span *span, ptrdiff_t channels, ptrdiff_t pitch, void *dst)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(job->plan->compute), length = span->count * size;
    char *to = dst;
    if (can_transpose(job, channels, span)) {
        for (ptrdiff_t i = 0; i < rows; ++i)
            transpose_row(job, plane, first + i * step, span, channels, pitch, to + i * length);
        return;
    }
    for (ptrdiff_t c = 0; c < channels; ++c, plane += job->x->strides[1], to += pitch * size)
        for (ptrdiff_t i = 0; i < rows; ++i)
            cf_conv2d_load_span(job, plane, first + i * step, span, to + i * length);
}

void cf_conv2d_load_row(const cf_conv2d_job *job, const char *plane, ptrdiff_t row, ptrdiff_t first, ptrdiff_t step,
                        ptrdiff_t count, void *dst)
{
    const cf_conv2d_span span = cf_conv2d_span_of(job->plan, first, step, count);
    cf_conv2d_load_span(job, plane, row, &span, dst);
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

void cf_conv2d_load_pixels(const cf_conv2d_job *job, const char *plane, ptrdiff_t row, const cf_conv2d_span *span,
                           ptrdiff_t channels, ptrdiff_t pitch, void *dst)
{
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t *strides = job->x->strides, size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t source = cf_source_index(row, plan->shape.h.in, plan->padding_mode), pixel = pitch * size;
    const int runs = job->x_plain && strides[1] == size;
    const int squares = !runs && job->x_plain && strides[3] == size && span->step == 1 &&
                        cf_min(channels, span->end - span->begin) >= plan->leaves->lanes;
    const int at_once = runs || squares; /* the pixels inside the array */
    const ptrdiff_t begin = at_once ? span->begin : span->count, end = at_once ? span->end : span->count;
    char *to = dst;
    if (source < 0) {
        memset(to, 0, (size_t)(span->count * pixel));
        return;
    }
    for (ptrdiff_t i = 0; i < begin; ++i)
        cf_conv2d_load_pixel(job, plane, row, span->first + i * span->step, channels, to + i * pixel);
    for (ptrdiff_t i = end; i < span->count; ++i)
        cf_conv2d_load_pixel(job, plane, row, span->first + i * span->step, channels, to + i * pixel);
    if (begin == end) return;
    if (squares) {
        transpose_planes(job, plane + source * strides[2] + (span->first + begin) * size, end - begin, channels, pitch,
                         to + begin * pixel);
        return;
    }
    cf_row_copy run = {
        .to = to + begin * pixel, .to_row = pitch, .rows = end - begin, .step = 1, .count = channels,
        .from = plane + source * strides[2] + (span->first + begin * span->step) * strides[3],
        .from_row = span->step * strides[3] / size,
    };
    if (run.from_row == channels && pitch == channels) run.count *= run.rows, run.rows = 1;
    plan->leaves->copy_rows(&run);
}

/* Roughly: a call costs 25 cycles; cells side by side move by vectors, others one by one. */
double cf_conv2d_load_cycles(ptrdiff_t step, ptrdiff_t run)
{
    return (step == 1 ? 0.4 : 1.2) + 25.0 / (double)run;
}
