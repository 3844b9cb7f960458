/* max_pool2d_indices.c — where the maxima of windows stand:

     y[n,c,p,q] = h*W + w of the first cell (h, w), row by row, of window (p, q) that equals its maximum

   NaN is larger than everything and all NaN are equal; -1 stands for a window without a cell. Each row of x is reduced
   along the row to maxima and their columns, then such rows are reduced downwards: of equals the earlier wins both
   times, which is the first row by row. Windows too large for the buffers are searched one by one.

   The caller guarantees a y of int64 with the shape of cf_pool2d_geometry, which overlaps no input. */
#include "cells.h"
#include "dispatch.h"
#include "geometry.h"
#include "parallel.h"
#include "windows.h"
#include "workspace.h"

#include <string.h>

#define STEPS_PER_MICROSECOND 2000.0      /* comparisons of one core, roughly: for choosing threads */
#define ROW_BYTES ((ptrdiff_t)16 << 10)   /* a row of a tile in the first-level cache */
#define TILE_BYTES ((ptrdiff_t)128 << 10) /* its reduced rows in the second */
#define BUFFER_BYTES_MAX ((ptrdiff_t)1 << 20)
#define TAPS_MAX 4096

typedef struct {
    cf_windows windows;
    const cf_array *y;
    ptrdiff_t rows, cols, row_tiles, col_tiles;       /* tiles of outputs */
    ptrdiff_t width, line, lines, phases, phase_pitch; /* elements of a row of x and of outputs; rows of x in a tile */
} job;

/* A tile at work. For every row of x: the maxima of its windows, and their columns from the window's first on. */
typedef struct {
    const job *job;
    const char *plane;
    char *to;
    ptrdiff_t p0, p1, q0, cells;
    char *row, *phases, *best, *place;
    ptrdiff_t *taps_w, *taps_h;
} tile;

/* Row h of x with its padding, from the first column that the tile sees. */
static void load_row(const tile *t, ptrdiff_t h)
{
    const cf_windows *windows = &t->job->windows;
    const cf_axis *w = &windows->w;
    const ptrdiff_t unit = windows->unit, size = windows->size, left = t->q0 * w->stride - w->pad_before;
    const ptrdiff_t end = left + cf_axis_covered(w, t->cells);
    const ptrdiff_t first = cf_min(cf_max(left, 0), cf_min(end, w->in)), last = cf_max(first, cf_min(end, w->in));
    cf_fill_cells(t->row, size, windows->nothing, (first - left) * unit, 1, size);
    cf_windows_load(windows, t->plane + h * windows->x->strides[2], first, 1, last - first,
                    t->row + (first - left) * unit * size);
    cf_fill_cells(t->row + (last - left) * unit * size, size, windows->nothing, (end - last) * unit, 1, size);
}

/* Padding before the plane equals the smallest number: where nothing is larger, the first cell of the plane counts. */
static void skip_padding(const tile *t, char *place)
{
    const cf_axis *w = &t->job->windows.w;
    const ptrdiff_t unit = t->job->windows.unit;
    for (ptrdiff_t q = t->q0; q < t->q0 + t->cells && q * w->stride < w->pad_before; ++q) {
        const ptrdiff_t first = cf_ceil_div(w->pad_before - q * w->stride, w->dilation) * w->dilation;
        for (ptrdiff_t i = (q - t->q0) * unit; i < (q - t->q0 + 1) * unit; ++i) {
            if (t->job->windows.size == 4)
                ((int32_t *)place)[i] = (int32_t)cf_max(((int32_t *)place)[i], first);
            else
                ((int64_t *)place)[i] = cf_max(((int64_t *)place)[i], first);
        }
    }
}

static void reduce_row(const tile *t, ptrdiff_t h, ptrdiff_t line)
{
    const job *j = t->job;
    const cf_windows *windows = &j->windows;
    const cf_axis *w = &windows->w;
    const ptrdiff_t size = windows->size, at = line * j->line * size;
    ptrdiff_t n = t->cells * windows->unit, step = 0;
    const char *from = t->row;
    load_row(t, h);
    if (j->phases > 0) {
        windows->leaves->split(t->phases, j->phase_pitch, from, w->stride, j->phases,
                               t->cells + cf_axis_reach(w) / w->stride);
        from = t->phases;
    } else if (w->stride > 1) {
        n = windows->unit, step = w->stride * n * size;
    }
    for (ptrdiff_t i = 0; i < t->cells * windows->unit; i += n, from += step)
        windows->leaves->places(t->best + at + i * size, t->place + at + i * size, from, NULL, t->taps_w, w->size,
                                w->dilation, n);
    skip_padding(t, t->place + at);
}

typedef int64_t unaligned __attribute__((aligned(1), may_alias));

static void store_run(char *to, ptrdiff_t step, const char *place, ptrdiff_t size, ptrdiff_t n, int64_t base,
                      ptrdiff_t stride)
{
    const int32_t *narrow = (const int32_t *)place;
    const int64_t *wide = (const int64_t *)place;
    if (size == 4 && step == (ptrdiff_t)sizeof(unaligned))
        for (ptrdiff_t i = 0; i < n; ++i) ((unaligned *)to)[i] = base + i * stride + narrow[i];
    else
        for (ptrdiff_t i = 0; i < n; ++i)
            *(unaligned *)(to + i * step) = base + i * stride + (size == 4 ? narrow[i] : wide[i]);
}

/* Row p; `rows` are those of its windows, `place` counts from the first of them and of the columns. */
static void store_row(const tile *t, ptrdiff_t p, cf_span rows, const char *place)
{
    const cf_windows *windows = &t->job->windows;
    const cf_axis *w = &windows->w;
    const cf_array *y = t->job->y;
    const ptrdiff_t unit = windows->unit, cell = unit * windows->size;
    const int64_t base = (int64_t)(rows.begin * w->in + t->q0 * w->stride - w->pad_before);
    char *to = t->to + p * y->strides[2] + t->q0 * y->strides[3];
    if (unit == 1) store_run(to, y->strides[3], place, windows->size, t->cells, base, w->stride);
    for (ptrdiff_t q = 0; q < t->cells && unit > 1; ++q)
        store_run(to + q * y->strides[3], y->strides[1], place + q * cell, windows->size, unit, base + q * w->stride,
                  0);
    for (ptrdiff_t q = 0; q < t->cells && (rows.count == 0 || w->dilation > 1); ++q)
        if (rows.count == 0 || cf_windows_span(windows, w, t->q0 + q).count == 0)
            for (ptrdiff_t c = 0; c < unit; ++c) *(unaligned *)(to + q * y->strides[3] + c * y->strides[1]) = -1;
}

static void reduce_tile(const tile *t)
{
    const job *j = t->job;
    const cf_windows *windows = &j->windows;
    const cf_axis *h = &windows->h;
    const ptrdiff_t start = t->p0 * h->stride - h->pad_before, reach = cf_axis_reach(h), n = t->cells * windows->unit;
    const ptrdiff_t first = cf_max(start, 0), last = cf_min(h->in - 1, (t->p1 - 1) * h->stride - h->pad_before + reach);
    char *const best = t->best + j->lines * j->line * windows->size;
    char *const place = t->place + j->lines * j->line * windows->size;
    for (ptrdiff_t row = first; row <= last; ++row)
        if ((row - start) % h->stride <= reach) reduce_row(t, row, row - first); /* some rows no window sees */
    for (ptrdiff_t p = t->p0; p < t->p1; ++p) {
        const cf_span rows = cf_windows_span(windows, h, p);
        for (ptrdiff_t r = 0; r < rows.count; ++r) t->taps_h[r] = (rows.begin + r * h->dilation - first) * j->line;
        if (rows.count > 0)
            windows->leaves->places(best, place, t->best, t->place, t->taps_h, rows.count,
                                    h->dilation * windows->w.in, n);
        store_row(t, p, rows, place);
    }
}

static void run_tiles(const void *context, ptrdiff_t task, char *workspace)
{
    const job *j = context;
    const cf_windows *windows = &j->windows;
    const cf_axis *w = &windows->w;
    const ptrdiff_t tiles = j->row_tiles * j->col_tiles, at = task % tiles, size = windows->size;
    tile t = {.job = j, .plane = cf_cell_plane(windows->x, windows->unit, task / tiles),
              .to = cf_cell_plane(j->y, windows->unit, task / tiles),
              .p0 = at / j->col_tiles * j->rows, .q0 = at % j->col_tiles * j->cols};
    t.p1 = cf_min(t.p0 + j->rows, windows->h.out);
    t.cells = cf_min(j->cols, w->out - t.q0);
    t.taps_w = (ptrdiff_t *)workspace;
    t.taps_h = t.taps_w + w->size;
    t.best = (char *)(t.taps_h + windows->h.size);
    t.place = t.best + (j->lines + 1) * j->line * size;
    t.row = t.place + (j->lines + 1) * j->line * size;
    t.phases = t.row + j->width * size;
    for (ptrdiff_t s = 0; s < w->size; ++s) {
        const ptrdiff_t col = s * w->dilation;
        t.taps_w[s] = j->phases > 0 ? col % w->stride * j->phase_pitch + col / w->stride : col * windows->unit;
    }
    reduce_tile(&t);
}

/* One by one, in pieces of CF_RUN numbers: the first of the first row with the largest value. */
static int64_t index_of(const job *j, const char *plane, ptrdiff_t p, ptrdiff_t q, char *buffer)
{
    const cf_windows *windows = &j->windows;
    const cf_span rows = cf_windows_span(windows, &windows->h, p), cols = cf_windows_span(windows, &windows->w, q);
    const ptrdiff_t size = windows->size, across = windows->w.dilation;
    char *const found = buffer + CF_RUN * size; /* the best so far, and the best of a piece */
    int64_t index = -1;
    for (ptrdiff_t r = 0; r < rows.count; ++r) {
        const ptrdiff_t h = rows.begin + r * windows->h.dilation;
        for (ptrdiff_t i = 0; i < cols.count; i += CF_RUN) {
            const ptrdiff_t n = cf_min(CF_RUN, cols.count - i), first = cols.begin + i * across;
            windows->load(buffer, plane + h * windows->x->strides[2] + first * windows->x->strides[3],
                          across * windows->x->strides[3], n);
            const ptrdiff_t place = windows->leaves->first(buffer, n);
            memcpy(found + size, buffer + place * size, (size_t)size);
            if (index >= 0 && windows->leaves->first(found, 2) == 0) continue;
            memcpy(found, found + size, (size_t)size);
            index = (int64_t)(h * windows->w.in + first + place * across);
        }
    }
    return index;
}

static void run_each(const void *context, ptrdiff_t task, char *workspace)
{
    const job *j = context;
    const cf_array *y = j->y;
    const ptrdiff_t P = j->windows.h.out;
    const char *plane = cf_cell_plane(j->windows.x, 1, task / P);
    char *to = cf_cell_plane(y, 1, task / P) + task % P * y->strides[2];
    for (ptrdiff_t q = 0; q < j->windows.w.out; ++q, to += y->strides[3])
        *(unaligned *)to = index_of(j, plane, task % P, q, workspace);
}

/* The tile, and the bytes of its buffers; 0 if none of bounded size does the job. */
static size_t plan(job *j, ptrdiff_t unit)
{
    cf_windows *windows = &j->windows;
    const cf_axis *h = &windows->h, *w = &windows->w;
    const ptrdiff_t size = windows->size, cell = cf_mul(unit, size), reach = cf_axis_reach(w);
    if (h->size > TAPS_MAX || w->size > TAPS_MAX) return 0;
    /* Places of elements of 4 bytes are counted in 32 bits. */
    if (size == 4 && cf_add(cf_mul(cf_add(cf_axis_reach(h), 1), w->in), reach) > INT32_MAX) return 0;
    windows->unit = unit;
    j->cols = cf_max(1, cf_min(w->out, (ROW_BYTES / cell - reach) / w->stride));
    j->width = cf_mul(cf_axis_covered(w, j->cols), unit);
    j->line = cf_mul(j->cols, unit);
    const ptrdiff_t two = cf_mul(2 * size, j->line), fitting = (TILE_BYTES / two - cf_axis_reach(h) - 1) / h->stride;
    j->rows = cf_max(1, cf_min(h->out, fitting));
    j->lines = cf_min(h->in, cf_axis_covered(h, j->rows));
    if (cf_mul(j->lines, two) > BUFFER_BYTES_MAX || cf_mul(j->width, size) > BUFFER_BYTES_MAX) return 0;
    j->phases = unit == 1 && w->stride > 1 ? cf_min(w->stride, reach + 1) : 0;
    j->phase_pitch = j->cols + reach / w->stride;
    j->width = cf_max(j->width, (j->phase_pitch + 1) * w->stride * (j->phases > 0)); /* whole strides are split */
    if (cf_mul(j->width, size) > BUFFER_BYTES_MAX) return 0;
    j->row_tiles = cf_ceil_div(h->out, j->rows);
    j->col_tiles = cf_ceil_div(w->out, j->cols);
    const ptrdiff_t elements = 2 * (j->lines + 1) * j->line + j->width + j->phases * j->phase_pitch;
    return cf_aligned_bytes((h->size + w->size) * (ptrdiff_t)sizeof(ptrdiff_t) + elements * size, 1);
}

cf_status cf_max_pool2d_indices(const cf_pool2d_options *options, const cf_array *x, const cf_array *indices)
{
    cf_axis axes[2];
    const cf_status status = cf_pool2d_geometry(options, x->shape, axes);
    if (status != CF_OK || x->shape[0] == 0 || x->shape[1] == 0) return status;
    job j = {.y = indices, .windows = {.h = axes[0], .w = axes[1], .unit = 1}};
    cf_windows_maxima(&j.windows, x, x->dtype < CF_I32 ? CF_I32 : x->dtype); /* a place is as wide as an element */
    size_t each = plan(&j, options->channels_last ? x->shape[1] : 1);
    if (each == 0) each = plan(&j, 1);
    const int tiled = each > 0;
    if (!tiled) each = (CF_RUN + 2) * sizeof(double), j.windows.unit = 1;
    const double outputs = (double)x->shape[0] * (double)x->shape[1] * (double)axes[0].out * (double)axes[1].out;
    const double sides = tiled ? (double)axes[0].size + (double)axes[1].size
                               : (double)axes[0].size * (double)axes[1].size;
    const ptrdiff_t tasks = cf_cell_planes(x, j.windows.unit) * (tiled ? j.row_tiles * j.col_tiles : axes[0].out);
    const int threads = cf_threads_within(cf_threads_for(outputs * sides / STEPS_PER_MICROSECOND, tasks), each);
    char *workspace = cf_acquire(each * (size_t)threads);
    if (workspace == NULL) return CF_NO_MEMORY;
    cf_parallel_for(tasks, threads, tiled ? run_tiles : run_each, &j, workspace, each);
    cf_release(workspace);
    return CF_OK;
}
