/* windows.c — a tile of windows, reduced down the columns and then along the rows:

     t[p, j] = reduction over r of x[p*stride + r*dilation - top, j],   y[p, q] = the same of t[p, q*stride + ...]

   so that a window costs the sum of its sides, not their product. A wide window costs their logarithm: runs of 1, 2, 4,
   8 ... cells are formed by doubling, and a window is put together of them (for sums every cell enters once, in a tree,
   which is also the most accurate way). With stride 2 and more, rows are split into phases first, so that the taps of
   neighbouring outputs are neighbours. Of cells that are equal the first column by column stays, down each column. */
#include "windows.h"

#include "cells.h"
#include "geometry.h"

#include <string.h>

static void fill(char *to, uint64_t bits, ptrdiff_t n, ptrdiff_t size) { cf_fill_cells(to, size, bits, n, 1, size); }

/* Runs of `count` elements of a, `step` apart, at every place of a line of `length`; b, c and sum are as long, and c
   may be a itself. A maximum may see a cell twice: it is left to be two shorter runs, `second` elements apart. */
static const char *widen(const cf_windows *windows, const char *a, char *b, char *c, char *sum, ptrdiff_t count,
                         ptrdiff_t step, ptrdiff_t length, ptrdiff_t *second)
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
    *second = windows->sums ? 0 : (count - width) * step;
    if (width == count || !windows->sums) return a;
    windows->lines->add(sum, 1, a + done * step * size, places);
    return sum;
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
        ptrdiff_t taps[2] = {0};
        const char *wide = widen(windows, t->stage[0], t->stage[1], t->stage[0], t->stage[2], h->size,
                                 h->dilation * pitch, rows * pitch, &taps[1]);
        windows->leaves->block(&(cf_window_block){
            .to = t->reduced + begin * cell, .from = wide, .taps = taps, .count = 1 + (taps[1] > 0), .n = pitch,
            .rows = count, .to_row = windows->pitch, .from_row = h->stride * pitch, .divisor = 1});
    }
}

/* Rows of windows on their way, `pitch` elements apart: of each, `count` rows of elements at from + taps are still to
   be reduced, or one that is. */
typedef struct {
    const char *from;
    ptrdiff_t pitch;
    const ptrdiff_t *taps;
    ptrdiff_t count;
} lines_of_rows;

static const ptrdiff_t itself[1] = {0};

/* Row h of the plane, from the first column of the tile on, and the elements from one row to the next. */
static const char *row_of(const tile *t, ptrdiff_t h, ptrdiff_t *pitch)
{
    const cf_windows *windows = t->windows;
    *pitch = windows->direct ? windows->x->strides[2] / windows->size : windows->pitch;
    if (windows->direct) return t->plane + h * windows->x->strides[2] + t->first_col * windows->x->strides[3];
    return t->stage[0] + ((h - t->first_row) * windows->pitch + t->left) * windows->size;
}

/* The rows of `n` windows from p on, each reduced to one row with its padding; left to do where that costs nothing. */
static lines_of_rows reduce_rows(const tile *t, ptrdiff_t p, ptrdiff_t n)
{
    const cf_windows *windows = t->windows;
    const cf_axis *h = &windows->h;
    const cf_span rows = cf_windows_span(windows, h, p);
    const lines_of_rows lines = {t->line, windows->pitch, itself, 1};
    char *const to = t->line + t->left * windows->size;
    if (rows.count == 0) fill(to, windows->nothing, t->middle, windows->size);
    else if (windows->piece > 0)
        cf_windows_reduce_pieces(windows, t->plane, rows, t->first_col * windows->unit, t->middle, t->taps_h,
                                 t->stage[0], to);
    if (rows.count == 0 || windows->piece > 0) return lines;
    ptrdiff_t row;
    const char *from = row_of(t, rows.begin, &row);
    for (ptrdiff_t r = 0; r < rows.count; ++r) t->taps_h[r] = r * h->dilation * row;
    if (t->middle == t->width && !windows->split && !windows->wide_w) {
        const int in_registers = windows->halves && windows->w.size == 2;
        if (in_registers || (rows.count == 1 && !windows->halves))
            return (lines_of_rows){from, h->stride * row, t->taps_h, rows.count};
    }
    windows->leaves->block(&(cf_window_block){
        .to = to, .from = from, .taps = t->taps_h, .count = rows.count, .n = t->middle, .rows = n,
        .to_row = windows->pitch, .from_row = h->stride * row, .divisor = 1});
    return lines;
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

/* A mean's divisor at output (p, q0 + q), and in `end` where a run of outputs with the same ends. */
static double divisor_of(const tile *t, ptrdiff_t p, ptrdiff_t q, ptrdiff_t *end)
{
    const cf_windows *windows = t->windows;
    if (!windows->sums || windows->divisor != 0) return windows->sums ? windows->divisor : 1;
    const ptrdiff_t counted = count_of(windows, &windows->w, windows->full[1], t->q0 + q);
    *end = cf_min(*end, run_end(windows, t->q0 + q, t->q0 + t->cells, counted) - t->q0);
    return (double)count_of(windows, &windows->h, windows->full[0], p) * (double)counted;
}

/* `n` rows of outputs from p on: reduced along the rows. */
static void reduce_cols(const tile *t, ptrdiff_t p, ptrdiff_t n, lines_of_rows lines)
{
    const cf_windows *windows = t->windows;
    const cf_axis *w = &windows->w;
    const cf_window_output *output = t->output;
    const ptrdiff_t size = windows->size, unit = windows->unit, cell = unit * size;
    const int together = w->stride == 1 || windows->split || windows->halves; /* neighbours see neighbouring cells */
    ptrdiff_t second = 0, to_row = windows->pitch, step = windows->split ? 1 : unit * w->stride;
    char *to = t->result;
    if (output->store == NULL) to = output->data + (p - t->p0) * output->row, to_row = output->row / size;
    if (windows->wide_w)
        lines.from = widen(windows, lines.from, t->wide[0], t->wide[1], t->wide[2], w->size, w->dilation * unit,
                           (n - 1) * lines.pitch + t->width, &second);
    const ptrdiff_t extent = windows->wide_w ? second : cf_axis_reach(w);
    const ptrdiff_t count = windows->wide_w ? 1 + (second > 0) : w->size;
    if (windows->wide_w)
        t->taps_w[1] = windows->split ? second % w->stride * windows->phase_pitch + second / w->stride : second;
    for (ptrdiff_t row = 0, at_once = together && !windows->split ? n : 1; row < n; row += at_once) {
        const char *from = lines.from + row * lines.pitch * size;
        char *const into = to + row * to_row * size;
        if (windows->split) {
            windows->leaves->split(t->phases, windows->phase_pitch, from, w->stride, cf_min(w->stride, extent + 1),
                                   t->cells + extent / w->stride);
            from = t->phases;
        }
        for (ptrdiff_t q = 0, end; q < t->cells; q = end) {
            end = t->cells;
            const double divisor = divisor_of(t, p, q, &end);
            for (ptrdiff_t i = 0; i < at_once && windows->halves; ++i)
                windows->leaves->halves(into + (q + i * to_row) * size, from + (q * step + i * lines.pitch) * size,
                                        lines.taps, lines.count, w->size, end - q, divisor);
            if (!windows->halves) /* pixels that are not neighbours take the place of rows */
                windows->leaves->block(&(cf_window_block){
                    .to = into + q * cell, .from = from + q * step * size, .taps = t->taps_w, .count = count,
                    .n = together ? (end - q) * unit : unit, .rows = together ? at_once : end - q,
                    .to_row = together ? to_row : unit, .from_row = together ? lines.pitch : step, .divisor = divisor});
        }
    }
    for (ptrdiff_t row = 0; row < n && output->store != NULL; ++row)
        cf_windows_store(windows, output, p - t->p0 + row, t->cells, to + row * to_row * size);
}

/* Row p of small windows of whole pixels that hardly overlap: all cells of a window at once. */
static void reduce_pixels(const tile *t, ptrdiff_t p)
{
    const cf_windows *windows = t->windows;
    const cf_axis *h = &windows->h, *w = &windows->w;
    const cf_window_output *output = t->output;
    const ptrdiff_t unit = windows->unit, cell = unit * windows->size;
    const cf_span rows = cf_windows_span(windows, h, p);
    char *const to = output->store == NULL ? output->data + (p - t->p0) * output->row : t->result;
    ptrdiff_t row, taps[CF_WINDOW_SMALL];
    const char *from = row_of(t, rows.begin, &row);
    for (ptrdiff_t q = 0, end; q < t->cells; q = end) {
        const cf_span cols = cf_windows_span(windows, w, t->q0 + q);
        const int inside = t->q0 + q >= windows->inside[1][0] && t->q0 + q < windows->inside[1][1];
        ptrdiff_t count = 0;
        for (ptrdiff_t s = 0; s < cols.count; ++s)
            for (ptrdiff_t r = 0; r < rows.count; ++r) taps[count++] = r * h->dilation * row + s * w->dilation * unit;
        end = inside ? cf_min(t->cells, windows->inside[1][1] - t->q0) : q + 1;
        const double divisor = divisor_of(t, p, q, &end);
        if (count == 0)
            fill(to + q * cell, windows->nothing, unit, windows->size);
        else
            windows->leaves->block(&(cf_window_block){
                .to = to + q * cell, .from = from + (cols.begin - t->first_col) * cell, .taps = taps, .count = count,
                .n = unit, .rows = end - q, .to_row = unit, .from_row = w->stride * unit, .divisor = divisor});
    }
    if (output->store != NULL) cf_windows_store(windows, output, p - t->p0, t->cells, to);
}

/* How many windows from p on are reduced together: those whose rows all lie in the plane. */
static ptrdiff_t rows_together(const tile *t, ptrdiff_t p, ptrdiff_t p1)
{
    const cf_windows *windows = t->windows;
    const ptrdiff_t *inside = windows->inside[0];
    if (windows->wide_h && !windows->sums) return cf_min(windows->block, p1 - p);
    return p < inside[0] || p >= inside[1] ? 1 : cf_min(windows->block, cf_min(p1, inside[1]) - p);
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
    t.line = take(&workspace, windows->block * line);
    t.result = take(&workspace, windows->block * line);
    for (int i = 0; i < 3 && windows->wide_w; ++i) t.wide[i] = take(&workspace, windows->block * line);
    t.phases = workspace;
    if (windows->split) workspace += cf_min(w->stride, cf_axis_reach(w) + 1) * windows->phase_pitch * size;
    workspace += -(uintptr_t)workspace % sizeof(ptrdiff_t);
    t.taps_w = (ptrdiff_t *)workspace;
    t.taps_h = t.taps_w + (windows->wide_w ? 2 : w->size);

    t.taps_w[0] = 0;
    for (ptrdiff_t s = 1; s < w->size && !windows->wide_w; ++s) {
        const ptrdiff_t at = s * w->dilation;
        t.taps_w[s] = windows->split ? at % w->stride * windows->phase_pitch + at / w->stride : at * unit;
    }
    if (windows->wide_h) {
        widen_rows(&t, p1 - p0);
        for (ptrdiff_t p = p0, n; p < p1; p += n) {
            n = rows_together(&t, p, p1);
            reduce_cols(&t, p, n, (lines_of_rows){t.reduced + (p - p0) * line, windows->pitch, itself, 1});
        }
        return;
    }
    const ptrdiff_t rows = cf_axis_covered(h, p1 - p0);
    for (ptrdiff_t i = 0; i < rows && !windows->direct && windows->piece == 0; ++i)
        load_row(&t, t.first_row + i, 0, cols, t.stage[0] + i * line);
    for (ptrdiff_t p = p0; p < p1 && windows->small; ++p) reduce_pixels(&t, p);
    for (ptrdiff_t i = 0; i < windows->block && !windows->small; ++i) {
        fill(t.line + i * line, windows->nothing, t.left, size);
        fill(t.line + i * line + (t.left + t.middle) * size, windows->nothing, t.width - t.left - t.middle, size);
    }
    for (ptrdiff_t p = p0, n; p < p1 && !windows->small; p += n) {
        n = rows_together(&t, p, p1);
        reduce_cols(&t, p, n, reduce_rows(&t, p, n));
    }
}
