/* pad2d.c — planes spread, cropped and extended, in this order:

     y[n, c, top + h*(interior+1), left + w*(interior+1)] = x[n,c,h,w],   elsewhere `value`, or what the mode repeats

   The caller guarantees a y of the shape of cf_pad2d_geometry, of the dtype of x, which overlaps no input. */
#include "cells.h"
#include "convert.h"
#include "geometry.h"
#include "parallel.h"

#define BYTES_PER_MICROSECOND 8000.0 /* one core, roughly: for choosing threads */
#define TASK_BYTES 131072            /* 16 us */

/* One axis: the `kept` spread cells from `first` on stand behind `before` padded ones. */
typedef struct {
    ptrdiff_t first, kept, before, gap, out;
} axis;

typedef struct {
    const cf_pad2d_options *options;
    const cf_array *x, *y;
    axis h, w;
    ptrdiff_t unit, size, rows, grain;
} job;

/* The cell of x that output i shows; -1 for the value. */
static ptrdiff_t source(const axis *a, ptrdiff_t i, cf_padding_mode mode)
{
    const ptrdiff_t j = cf_source_index(i - a->before, a->kept, mode);
    return j < 0 || (a->first + j) % a->gap != 0 ? -1 : (a->first + j) / a->gap;
}

static void pad_row(const job *j, const char *from, char *to)
{
    const axis *w = &j->w;
    const cf_padding_mode mode = j->options->mode;
    const uint64_t value = j->options->value;
    const ptrdiff_t unit = j->unit, size = j->size, step = j->y->strides[3], x_step = j->x->strides[3];
    const ptrdiff_t end = w->before + w->kept;
    if (mode == CF_MODE_CONSTANT) {
        cf_fill_cells(to, step, value, w->before, unit, size);
        cf_fill_cells(to + end * step, step, value, w->out - end, unit, size);
    } else {
        for (ptrdiff_t i = 0; i < w->out; ++i) {
            if (i == w->before) i = end;
            if (i < w->out) cf_copy_cells(to + i * step, 0, from + source(w, i, mode) * x_step, 0, 1, unit, size);
        }
    }
    to += w->before * step;
    if (w->gap == 1) {
        cf_copy_cells(to, step, from + w->first * x_step, x_step, w->kept, unit, size);
        return;
    }
    const ptrdiff_t first = cf_ceil_div(w->first, w->gap), last = (w->first + w->kept - 1) / w->gap;
    cf_fill_cells(to, step, value, w->kept, unit, size);
    if (w->kept > 0 && last >= first)
        cf_copy_cells(to + (first * w->gap - w->first) * step, step * w->gap, from + first * x_step, x_step,
                      last - first + 1, unit, size);
}

static void run(const void *context, ptrdiff_t task, char *workspace)
{
    const job *j = context;
    const ptrdiff_t P = j->h.out, end = cf_min(j->rows, (task + 1) * j->grain);
    (void)workspace;
    for (ptrdiff_t row = task * j->grain; row < end; ++row) {
        const ptrdiff_t h = source(&j->h, row % P, j->options->mode);
        char *to = cf_cell_plane(j->y, j->unit, row / P) + row % P * j->y->strides[2];
        if (h < 0)
            cf_fill_cells(to, j->y->strides[3], j->options->value, j->w.out, j->unit, j->size);
        else
            pad_row(j, cf_cell_plane(j->x, j->unit, row / P) + h * j->x->strides[2], to);
    }
}

cf_status cf_pad2d(const cf_pad2d_options *options, const cf_array *x, const cf_array *y)
{
    ptrdiff_t out[2];
    const cf_status status = cf_pad2d_geometry(options, x->shape, out);
    if (status != CF_OK || x->shape[0] == 0 || x->shape[1] == 0) return status;
    job j = {.options = options, .x = x, .y = y, .unit = cf_cell_unit(x, y),
             .size = (ptrdiff_t)cf_dtype_bytes(x->dtype)};
    axis *axes[2] = {&j.h, &j.w};
    for (int i = 0; i < 2; ++i) {
        const ptrdiff_t before = cf_max(options->pad[i][0], 0), after = cf_max(options->pad[i][1], 0);
        *axes[i] = (axis){.first = cf_max(-options->pad[i][0], 0), .kept = out[i] - before - after, .before = before,
                          .gap = options->interior[i] + 1, .out = out[i]};
    }
    j.rows = cf_cell_planes(x, j.unit) * out[0];
    const double bytes = (double)(out[1] * j.unit * j.size);
    j.grain = (ptrdiff_t)(TASK_BYTES / bytes) + 1;
    const ptrdiff_t tasks = cf_ceil_div(j.rows, j.grain);
    cf_parallel_for(tasks, cf_threads_for((double)j.rows * bytes / BYTES_PER_MICROSECOND, tasks), run, &j, NULL, 0);
    return CF_OK;
}
