/* windows.c — a tile of windows, reduced down the columns and then along the rows:

     t[p, j] = reduction over r of x[p*stride + r*dilation - top, j],   y[p, q] = the same of t[p, q*stride + ...]

   so that a window costs the sum of its sides, not their product. A wide window costs their logarithm: runs of 1, 2, 4,
   8 ... cells are formed by doubling, and a window is put together of them (for sums every cell enters once, in a tree,
   which is also the most accurate way). With stride 2 and more, rows are split into phases first, so that the taps of
   neighbouring outputs are neighbours. */
#include "windows.h"

#include "cells.h"
#include "geometry.h"

#include <string.h>

static void fill(char *to, uint64_t bits, ptrdiff_t n, ptrdiff_t size) { cf_fill_cells(to, size, bits, n, 1, size); }

void cf_windows_load(const cf_windows *windows, const char *row, ptrdiff_t first, ptrdiff_t step, ptrdiff_t count,
                     void *to)
{
    const cf_array *x = windows->x;
    const ptrdiff_t cell = x->strides[3], unit = windows->unit;
    char *out = to;
    row += first * cell;
    if (unit == 1)
        windows->load(to, row, step * cell, count);
    else if (step == 1 && cell == unit * x->strides[1])
        windows->load(to, row, x->strides[1], count * unit);
    else
        for (ptrdiff_t i = 0; i < count; ++i, row += step * cell, out += unit * windows->size)
            windows->load(out, row, x->strides[1], unit);
}

void cf_windows_store(const cf_windows *windows, const cf_window_output *output, ptrdiff_t row, ptrdiff_t cells,
                      const void *from)
{
    const char *in = from;
    char *to = output->data + row * output->row;
    if (windows->unit == 1)
        output->store(to, output->cell, in, cells);
    else
        for (ptrdiff_t i = 0; i < cells; ++i, to += output->cell, in += windows->unit * windows->size)
            output->store(to, output->channel, in, windows->unit);
}

/* Runs of `count` elements of a, `step` apart, at every place of a line of `length`; b, c and sum are as long, and c
   may be a itself. */
static const char *widen(const cf_windows *windows, const char *a, char *b, char *c, char *sum, ptrdiff_t count,
                         ptrdiff_t step, ptrdiff_t length)
{
    const ptrdiff_t places = length - (count - 1) * step, size = windows->size;
    ptrdiff_t width = 1, done = 0;
    for (; 2 * width <= count; width *= 2) {
        if (windows->sums && (count & width) != 0) {
            if (done == 0)
                memcpy(sum, a, (size_t)(places * size));
            else
                windows->lines->add(sum, 1, a + done * step * size, places);
            done += width;
        }
        const ptrdiff_t taps[2] = {0, width * step};
        windows->leaves->taps(b, a, taps, 2, length - (2 * width - 1) * step, 1);
        char *const swap = b;
        a = b, b = c, c = swap;
    }
    if (width == count) return a;
    if (windows->sums) {
        windows->lines->add(sum, 1, a + done * step * size, places);
        return sum;
    }
    const ptrdiff_t taps[2] = {0, (count - width) * step}; /* a maximum may see a cell twice */
    windows->leaves->taps(b, a, taps, 2, places, 1);
    return b;
}

/* A tile at work. */
typedef struct {
    const cf_windows *windows;
    const cf_window_output *output;
    const char *plane;
    ptrdiff_t p0, q0, cells;           /* outputs in a row */
    ptrdiff_t left, middle, width;     /* elements of a row: of padding before, of x, in all */
    ptrdiff_t first_col, first_row;    /* of x; the row may lie in the padding */
    ptrdiff_t *taps_h, *taps_w;
    char *stage[3], *reduced, *line, *wide[3], *phases, *result;
} tile;

/* Cells begin <= cell < end of padded row h. */
static void load_row(const tile *t, ptrdiff_t h, ptrdiff_t begin, ptrdiff_t end, char *to)
{
    const cf_windows *windows = t->windows;
    const ptrdiff_t cell = windows->unit * windows->size, left = t->left / windows->unit;
    const int outside = h < 0 || h >= windows->h.in;
    const ptrdiff_t first = outside ? end : cf_min(end, cf_max(begin, left));
    const ptrdiff_t last = cf_max(first, cf_min(end, left + t->middle / windows->unit));
    fill(to, windows->nothing, (first - begin) * windows->unit, windows->size);
    if (last > first)
        cf_windows_load(windows, t->plane + h * windows->x->strides[2], t->first_col + first - left, 1, last - first,
                        to + (first - begin) * cell);
    fill(to + (last - begin) * cell, windows->nothing, (end - last) * windows->unit, windows->size);
}

/* All `count` rows of windows, widened downwards strip by strip. */
static void widen_rows(const tile *t, ptrdiff_t count)
{
    const cf_windows *windows = t->windows;
    const cf_axis *h = &windows->h;
    const ptrdiff_t cell = windows->unit * windows->size, cells = t->width / windows->unit;
    const ptrdiff_t rows = cf_axis_covered(h, count);
    for (ptrdiff_t begin = 0; begin < cells; begin += windows->strip) {
        const ptrdiff_t end = cf_min(cells, begin + windows->strip), pitch = (end - begin) * windows->unit;
        const ptrdiff_t bytes = pitch * windows->size;
        for (ptrdiff_t i = 0; i < rows; ++i) load_row(t, t->first_row + i, begin, end, t->stage[0] + i * bytes);
        const char *wide = widen(windows, t->stage[0], t->stage[1], t->stage[0], t->stage[2], h->size,
                                 h->dilation * pitch, rows * pitch);
        for (ptrdiff_t p = 0; p < count; ++p)
            memcpy(t->reduced + p * windows->pitch * windows->size + begin * cell, wide + p * h->stride * bytes,
                   (size_t)bytes);
    }
}

/* A row of windows on its way: `count` rows of elements at from + taps, still to be reduced, or one that is. */
typedef struct {
    const char *from;
    const ptrdiff_t *taps;
    ptrdiff_t count;
} lines_of_row;

static const ptrdiff_t itself[1] = {0};

/* The rows of window p, reduced to one row with its padding; left to do where that costs nothing. */
static lines_of_row reduce_rows(const tile *t, ptrdiff_t p)
{
    const cf_windows *windows = t->windows;
    const cf_axis *h = &windows->h;
    const ptrdiff_t size = windows->size;
    const cf_span rows = cf_windows_span(windows, h, p);
    const lines_of_row line = {t->line, itself, 1};
    if (rows.count == 0) {
        fill(t->line + t->left * size, windows->nothing, t->middle, size);
        return line;
    }
    const char *from = t->plane + rows.begin * windows->x->strides[2] + t->first_col * windows->x->strides[3];
    ptrdiff_t row = windows->x->strides[2] / size;
    if (!windows->direct) {
        row = windows->pitch;
        from = t->stage[0] + ((rows.begin - t->first_row) * row + t->left) * size;
    }
    for (ptrdiff_t r = 0; r < rows.count; ++r) t->taps_h[r] = r * h->dilation * row;
    if (t->middle == t->width && !windows->split && !windows->wide_w) {
        const int in_registers = windows->halves && windows->w.size == 2;
        if (in_registers || (rows.count == 1 && !windows->halves)) return (lines_of_row){from, t->taps_h, rows.count};
    }
    windows->leaves->taps(t->line + t->left * size, from, t->taps_h, rows.count, t->middle, 1);
    return line;
}

static ptrdiff_t count_of(const cf_windows *windows, const cf_axis *axis, const ptrdiff_t full[2], ptrdiff_t i)
{
    return i >= full[0] && i < full[1] ? axis->size : cf_windows_counted(windows, axis, i);
}

/* Outputs from q on whose windows count as many cells. */
static ptrdiff_t run_end(const cf_windows *windows, ptrdiff_t q, ptrdiff_t end, ptrdiff_t counted)
{
    if (q >= windows->full[1][0] && q < windows->full[1][1]) return cf_min(end, windows->full[1][1]);
    ptrdiff_t next = q + 1;
    while (next < end && cf_windows_counted(windows, &windows->w, next) == counted) ++next;
    return next;
}

static void reduce_cols(const tile *t, ptrdiff_t p, lines_of_row lines)
{
    const cf_windows *windows = t->windows;
    const cf_axis *w = &windows->w;
    const cf_window_output *output = t->output;
    const ptrdiff_t size = windows->size, unit = windows->unit;
    const char *row = lines.from;
    ptrdiff_t count = w->size, step = unit * w->stride;
    if (windows->wide_w) {
        row = widen(windows, row, t->wide[0], t->wide[1], t->wide[2], w->size, w->dilation * unit, t->width);
        count = 1;
    }
    if (windows->split) {
        const ptrdiff_t extent = count == 1 ? 0 : cf_axis_reach(w);
        windows->leaves->split(t->phases, windows->phase_pitch, row, w->stride, cf_min(w->stride, extent + 1),
                               t->cells + extent / w->stride);
        row = t->phases, step = 1;
    }
    char *to = output->store == NULL ? output->data + (p - t->p0) * output->row : t->result;
    const ptrdiff_t cell = unit * size;
    const int together = step == unit || windows->halves; /* neighbouring outputs see neighbouring cells */
    const int counts = windows->sums && windows->divisor == 0;
    const double rows = counts ? (double)count_of(windows, &windows->h, windows->full[0], p) : 1;
    for (ptrdiff_t q = 0, end; q < t->cells; q = end) {
        double divisor = windows->divisor != 0 ? windows->divisor : 1;
        end = together ? t->cells : q + 1;
        if (counts) {
            const ptrdiff_t counted = count_of(windows, w, windows->full[1], t->q0 + q);
            divisor = rows * (double)counted;
            if (together) end = run_end(windows, t->q0 + q, t->q0 + t->cells, counted) - t->q0;
        }
        const char *from = row + q * step * size;
        if (windows->halves)
            windows->leaves->halves(to + q * cell, from, lines.taps, lines.count, w->size, end - q, divisor);
        else
            windows->leaves->taps(to + q * cell, from, t->taps_w, count, (end - q) * unit, divisor);
    }
    if (output->store != NULL) cf_windows_store(windows, output, p - t->p0, t->cells, to);
}

static char *take(char **workspace, ptrdiff_t bytes)
{
    char *const piece = *workspace;
    *workspace += bytes;
    return piece;
}

void cf_windows_tile(const cf_windows *windows, const char *plane, ptrdiff_t p0, ptrdiff_t p1, ptrdiff_t q0,
                     ptrdiff_t q1, const cf_window_output *output, char *workspace)
{
    const cf_axis *h = &windows->h, *w = &windows->w;
    const ptrdiff_t size = windows->size, unit = windows->unit, line = windows->pitch * size;
    tile t = {.windows = windows, .output = output, .plane = plane, .p0 = p0, .q0 = q0, .cells = q1 - q0};
    const ptrdiff_t left = q0 * w->stride - w->pad_before, cols = cf_axis_covered(w, t.cells);
    t.first_col = cf_min(cf_max(left, 0), w->in);
    t.left = cf_max(0, cf_min(t.first_col - left, cols)) * unit;
    t.middle = cf_max(0, cf_min(left + cols, w->in) - t.first_col) * unit;
    t.width = cols * unit;
    t.first_row = p0 * h->stride - h->pad_before;

    const ptrdiff_t stage = windows->stage_rows * windows->stage_pitch * size;
    for (int i = 0; i < (windows->wide_h ? 3 : 1); ++i) t.stage[i] = take(&workspace, stage);
    if (windows->wide_h) t.reduced = take(&workspace, windows->rows * line);
    t.line = take(&workspace, line);
    t.result = take(&workspace, line);
    for (int i = 0; i < 3 && windows->wide_w; ++i) t.wide[i] = take(&workspace, line);
    t.phases = workspace;
    if (windows->split) workspace += cf_min(w->stride, cf_axis_reach(w) + 1) * windows->phase_pitch * size;
    workspace += -(uintptr_t)workspace % sizeof(ptrdiff_t);
    t.taps_w = (ptrdiff_t *)workspace;
    t.taps_h = t.taps_w + (windows->wide_w ? 1 : w->size);

    t.taps_w[0] = 0;
    for (ptrdiff_t s = 1; s < w->size && !windows->wide_w; ++s) {
        const ptrdiff_t at = s * w->dilation;
        t.taps_w[s] = windows->split ? at % w->stride * windows->phase_pitch + at / w->stride : at * unit;
    }
    if (windows->wide_h) {
        widen_rows(&t, p1 - p0);
        for (ptrdiff_t p = p0; p < p1; ++p) reduce_cols(&t, p, (lines_of_row){t.reduced + (p - p0) * line, itself, 1});
        return;
    }
    const ptrdiff_t rows = cf_axis_covered(h, p1 - p0);
    for (ptrdiff_t i = 0; i < rows && !windows->direct; ++i)
        load_row(&t, t.first_row + i, 0, cols, t.stage[0] + i * line);
    fill(t.line, windows->nothing, t.left, size);
    fill(t.line + (t.left + t.middle) * size, windows->nothing, t.width - t.left - t.middle, size);
    for (ptrdiff_t p = p0; p < p1; ++p) reduce_cols(&t, p, reduce_rows(&t, p));
}
