/* conv2d_depthwise_rows.c — a band of depthwise outputs, vectors along the row.

   The input of a plane is laid out with its padding as [phase of w][row][column], or read where it stands. A pass
   computes M output rows that share input rows: with stride and dilation these are not neighbours, but `spacing` rows
   apart, and meet the same input row through filter rows `shift` apart. Filters are packed [filter][tap]. */
#include "conv2d_depthwise.h"

#include <string.h>

static void plan_copies(const cf_band *b)
{
    const cf_conv2d_plan *plan = b->job->plan;
    const cf_axis *w = &plan->shape.w;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), cols = cf_phase_length(w, b->cols);
    const ptrdiff_t *strides = b->job->x->strides;
    const cf_row_range r = cf_band_rows(b);
    char *to = b->slab;
    for (ptrdiff_t j = 0; j < cf_phases(w); ++j) {
        const ptrdiff_t left = b->q * w->stride - w->pad_before + j * w->dilation % w->stride;
        cf_phase_copy *c = &b->copies[j];
        c->span = cf_conv2d_span_of(w, left, w->stride, cols);
        c->x = (r.top + r.first) * strides[2] + (left + c->span.begin * w->stride) * strides[3];
        c->copy = (cf_row_copy){
            .to = to + (r.first * cols + c->span.begin) * size, .to_row = cols, .from_row = strides[2] / size,
            .rows = r.last - r.first, .step = w->stride * strides[3] / size, .count = c->span.end - c->span.begin,
        };
        memset(to, 0, (size_t)(r.first * cols * size));
        for (ptrdiff_t i = r.first; i < r.last; ++i) {
            memset(to + i * cols * size, 0, (size_t)(c->span.begin * size));
            memset(to + (i * cols + c->span.end) * size, 0, (size_t)((cols - c->span.end) * size));
        }
        memset(to + r.last * cols * size, 0, (size_t)((r.count - r.last) * cols * size));
        to += r.count * cols * size;
    }
}

static void lay_out_plane(const cf_band *b, const char *plane)
{
    const cf_conv2d_job *job = b->job;
    const cf_conv2d_plan *plan = job->plan;
    const cf_axis *w = &plan->shape.w;
    if (job->x_plain && !cf_pads_with_values(plan)) {
        for (ptrdiff_t j = 0; j < cf_phases(w); ++j) {
            b->copies[j].copy.from = plane + b->copies[j].x;
            plan->leaves->copy_rows(&b->copies[j].copy);
        }
        return;
    }
    const cf_row_range r = cf_band_rows(b);
    const ptrdiff_t row = cf_phase_length(w, b->cols) * (ptrdiff_t)cf_compute_bytes(plan->compute);
    char *to = b->slab;
    for (ptrdiff_t j = 0; j < cf_phases(w); ++j)
        for (ptrdiff_t i = 0; i < r.count; ++i, to += row)
            cf_conv2d_load_span(job, plane, r.top + i, &b->copies[j].span, to);
}

/* The leaf for n output rows of a band. */
static const cf_rows_shape *choose_rows(const cf_conv2d_plan *plan, ptrdiff_t shift, ptrdiff_t n)
{
    const ptrdiff_t R = plan->shape.h.size, S = plan->shape.w.size;
    const cf_rows_shape *shape = plan->leaves->rows;
    for (;; ++shape) {
        if (shape->M == 1) return shape;
        if (n < shape->M) continue;
        if (shape->R == 0 ? (shape->M - 1) * shift < R : shape->R == R && shape->S == S && shape->shift == shift)
            return shape;
    }
}

/* All output rows of the band, in series of rows that share input rows. The last pass of a series repeats some. */
static ptrdiff_t plan_passes(const cf_band *b, ptrdiff_t shift, ptrdiff_t spacing, ptrdiff_t x_step, ptrdiff_t y_step)
{
    const ptrdiff_t vectors = cf_ceil_div(b->cols, b->job->plan->leaves->lanes);
    ptrdiff_t count = 0;
    for (ptrdiff_t first = 0; first < cf_min(spacing, b->rows); ++first) {
        const ptrdiff_t n = cf_ceil_div(b->rows - first, spacing);
        const cf_rows_shape *shape = choose_rows(b->job->plan, shift, n);
        ptrdiff_t widest = 1;
        while (shape->run[widest + 1] != NULL) ++widest;
        const ptrdiff_t tiles = cf_ceil_div(vectors, widest), width = vectors / tiles, wider = vectors % tiles;
        for (ptrdiff_t j = 0; j < n; j += shape->M) {
            const ptrdiff_t row = first + cf_min(j, n - shape->M) * spacing, x = row * x_step, y = row * y_step;
            if (wider > 0) b->passes[count++] = (cf_pass){shape->run[width + 1], x, y, wider, b->x_at};
            b->passes[count++] = (cf_pass){shape->run[width], x, y, tiles - wider, b->x_at + wider * (width + 1)};
        }
    }
    return count;
}

void cf_band_by_rows(const cf_band *b, int view)
{
    const cf_conv2d_job *job = b->job;
    const cf_conv2d_plan *plan = job->plan;
    const cf_array *x = job->x, *y = job->y;
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), lanes = plan->leaves->lanes;
    const int staged = !job->y_plain || y->strides[3] != size;
    const ptrdiff_t g = cf_gcd(h->stride, h->dilation), pitch = cf_round_up(b->cols, lanes) * size;
    const ptrdiff_t slab_cols = cf_phase_length(w, b->cols), W = cf_phases(w);
    const ptrdiff_t phase = cf_axis_covered(h, b->rows) * slab_cols;
    const ptrdiff_t x_row = view ? x->strides[2] : slab_cols * size, y_row = staged ? pitch : y->strides[2];
    for (ptrdiff_t s = 0; s < w->size; ++s) b->taps[s] = s % W * phase + s * w->dilation / w->stride;
    for (ptrdiff_t i = 0; i * lanes < b->cols; ++i) b->x_at[i] = cf_max(0, cf_min(i * lanes, b->cols - lanes));
    if (!view) plan_copies(b);
    const ptrdiff_t passes = plan_passes(b, h->stride / g, h->dilation / g, h->stride * x_row, y_row);

    cf_rows leaf = {.R = h->size, .S = w->size, .shift = h->stride / g, .x_row = h->dilation * x_row / size,
                    .y_row = h->dilation / g * y_row / size, .cols = b->taps, .count = b->cols, .bias = b->bias,
                    .limits = job->limits};
    for (ptrdiff_t group = b->plane; group < b->plane + b->planes; ++group) {
        const char *plane = x->data + b->n * x->strides[0] + group * x->strides[1], *from = b->slab;
        if (view)
            from = plane + (b->p * h->stride - h->pad_before) * x->strides[2] + (b->q - w->pad_before) * size;
        else
            lay_out_plane(b, plane);
        for (ptrdiff_t k = 0; k < plan->K; ++k) {
            leaf.w = job->packed + (group * plan->K + k) * plan->taps * size;
            cf_band_bias(b, group * plan->K + k, 1);
            char *to = y->data + b->n * y->strides[0] + (group * plan->K + k) * y->strides[1] + b->p * y->strides[2] +
                       b->q * y->strides[3];
            for (ptrdiff_t i = 0; i < passes; ++i) {
                leaf.at = b->passes[i].at, leaf.tiles = b->passes[i].tiles;
                leaf.x = from + b->passes[i].x;
                leaf.y = (staged ? b->stage : to) + b->passes[i].y;
                b->passes[i].run(&leaf);
            }
            for (ptrdiff_t p = 0; staged && p < b->rows; ++p)
                job->store(to + p * y->strides[2], y->strides[3], b->stage + p * pitch, b->cols);
        }
    }
}
