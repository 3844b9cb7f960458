/* conv2d_load.c — runs of input cells, with the padding around them, in the compute type. */
#include "geometry.h"
#include "plan.h"

#include <string.h>

cf_conv2d_span cf_conv2d_span_of(const cf_axis *axis, ptrdiff_t first, ptrdiff_t step, ptrdiff_t count)
{
    cf_conv2d_span span = {.first = first, .step = step, .count = count};
    span.begin = first >= 0 ? 0 : cf_min(count, cf_ceil_div(-first, step));
    span.end = first >= axis->in ? span.begin : cf_max(span.begin, cf_min(count, cf_ceil_div(axis->in - first, step)));
    return span;
}

/* The first `count` cells of rows that are `pitch` bytes apart. */
#define FEW_CELLS 4 /* the rule: not worth a call of memset */
static void zero(char *to, ptrdiff_t pitch, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t size)
{
    for (const char *const end = to + rows * pitch; to != end && count > 0; to += pitch)
        if (count > FEW_CELLS)
            memset(to, 0, (size_t)(count * size));
        else if (size == 4)
            for (ptrdiff_t i = 0; i < count; ++i) memset(to + 4 * i, 0, 4);
        else
            for (ptrdiff_t i = 0; i < count; ++i) memset(to + 8 * i, 0, 8);
}

/* The cells of a span that stand beside the array, of `rows` rows of x, `row_step` bytes apart, the first of which
   begins at `row`. */
static void pad(const cf_conv2d_job *job, const char *row, ptrdiff_t row_step, ptrdiff_t rows,
                const cf_conv2d_span *span, char *to)
{
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t stride = job->x->strides[3], size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t begin = span->begin, end = span->end, count = span->count, pitch = count * size;
    if (plan->padding_mode == CF_MODE_CONSTANT) {
        zero(to, pitch, rows, begin, size);
        zero(to + end * size, pitch, rows, count - end, size);
        return;
    }
    for (ptrdiff_t p = 0; p < rows && end - begin < count; ++p, row += row_step, to += pitch)
        for (ptrdiff_t i = begin > 0 ? 0 : end; i < count; i = i + 1 == begin ? end : i + 1) {
            const ptrdiff_t col = cf_source_index(span->first + i * span->step, plan->shape.w.in, plan->padding_mode);
            job->load(to + i * size, row + col * stride, stride, 1);
        }
}

/* The cells that stand in it. A step across a whole axis is never taken, and may be too large to multiply. */
static void copy(const cf_conv2d_job *job, const char *row, ptrdiff_t row_step, ptrdiff_t rows,
                 const cf_conv2d_span *span, char *to)
{
    const ptrdiff_t stride = job->x->strides[3], size = (ptrdiff_t)cf_compute_bytes(job->plan->compute);
    const ptrdiff_t cells = span->end - span->begin, step = cells > 1 ? span->step * stride : stride;
    if (cells <= 0) return;
    row += (span->first + span->begin * span->step) * stride, to += span->begin * size;
    if (job->x_plain)
        job->plan->leaves->copy_rows(&(cf_row_copy){.to = to, .to_row = span->count, .from = row,
                                                    .from_row = row_step / size, .rows = rows, .step = step / size,
                                                    .count = cells});
    else
        for (ptrdiff_t i = 0; i < rows; ++i) job->load(to + i * span->count * size, row + i * row_step, step, cells);
}

void cf_conv2d_load_span(const cf_conv2d_job *job, const char *plane, ptrdiff_t row, const cf_conv2d_span *span,
                         void *dst)
{
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t source = cf_source_index(row, plan->shape.h.in, plan->padding_mode);
    if (source < 0) {
        memset(dst, 0, (size_t)span->count * cf_compute_bytes(plan->compute));
        return;
    }
    plane += source * job->x->strides[2];
    copy(job, plane, 0, 1, span, dst);
    pad(job, plane, 0, 1, span, dst);
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
    zero(to, pitch * size, channels, begin, size);
    zero(to + end * size, pitch * size, channels, span->count - end, size);
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
    const cf_conv2d_span there = cf_conv2d_span_of(&job->plan->shape.h, first, step, rows);
    const ptrdiff_t begin = there.begin, end = there.end, row_step = end - begin > 1 ? step * job->x->strides[2] : 0;
    for (ptrdiff_t c = 0; c < channels; ++c, plane += job->x->strides[1], to += pitch * size) {
        for (ptrdiff_t i = 0; i < begin; ++i)
            cf_conv2d_load_span(job, plane, first + i * step, span, to + i * length);
        if (end > begin) {
            const char *row = plane + (first + begin * step) * job->x->strides[2];
            copy(job, row, row_step, end - begin, span, to + begin * length);
            pad(job, row, row_step, end - begin, span, to + begin * length);
        }
        for (ptrdiff_t i = end; i < rows; ++i)
            cf_conv2d_load_span(job, plane, first + i * step, span, to + i * length);
    }
}

void cf_conv2d_load_row(const cf_conv2d_job *job, const char *plane, ptrdiff_t row, ptrdiff_t first, ptrdiff_t step,
                        ptrdiff_t count, void *dst)
{
    const cf_conv2d_span span = cf_conv2d_span_of(&job->plan->shape.w, first, step, count);
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
