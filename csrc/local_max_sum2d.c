/* local_max_sum2d.c — peaks and what lies around them:

     y[n,c,h,w] = sum over the window around (h, w) of x   if x[n,c,h,w] is the window's maximum or that is NaN, else 0

   where windows are clipped at the border. Maxima and sums of a tile are formed by windows.c, in the dtype of y, and
   meet row by row: nothing of the size of the plane is kept. Windows too long for a tile are computed in float64 or
   int64, many outputs of a row at a time: the columns that all their windows see, the core, are reduced once, and those
   before and behind it, the head and the tail, one by one from the core outwards.

   The caller guarantees odd sizes and a y of the shape of x, of its dtype or, for integers, of int32 or int64, which
   overlaps no input. */
#include "cells.h"
#include "dispatch.h"
#include "geometry.h"
#include "parallel.h"
#include "windows.h"
#include "workspace.h"

#include <math.h>
#include <string.h>

#define CELLS_PER_MICROSECOND 500.0 /* one core, roughly: for choosing threads */
/* Long windows: outputs that share a core, which costs as much as the window is long; and the columns and rows that
   are staged at a time, 512 KiB with a row of what is reduced so far. */
#define BLOCK 16384
#define STAGE_COLS 1024
#define STAGE_ROWS 63

typedef struct {
    cf_windows maxima, sums;
    const cf_array *x, *y;
    cf_window_output output; /* rows of y, where they can be written in place */
    cf_store_run store;
    ptrdiff_t row_tiles, col_tiles, rows, cols;
} job;

static void run(const void *context, ptrdiff_t task, char *workspace)
{
    const job *j = context;
    const cf_windows *maxima = &j->maxima, *sums = &j->sums;
    const ptrdiff_t tiles = j->row_tiles * j->col_tiles, at = task % tiles, unit = sums->unit;
    const ptrdiff_t p0 = at / j->col_tiles * j->rows, p1 = cf_min(p0 + j->rows, j->x->shape[2]);
    const ptrdiff_t q0 = at % j->col_tiles * j->cols, q1 = cf_min(q0 + j->cols, j->x->shape[3]);
    const ptrdiff_t cell = unit * sums->size, line = j->cols * cell, block = j->rows * line;
    const char *plane = cf_cell_plane(j->x, j->sums.unit, task / tiles);
    cf_window_output best = {.data = workspace, .row = line, .cell = cell, .channel = sums->size};
    cf_window_output total = best, output = j->output;
    char *const row = workspace + 2 * block, *const rest = row + line;
    output.data = cf_cell_plane(j->y, j->sums.unit, task / tiles) + p0 * output.row + q0 * output.cell;
    if (output.store == NULL)
        total = output;
    else
        total.data = workspace + block;
    cf_windows_tile(maxima, plane, p0, p1, q0, q1, &best, rest);
    cf_windows_tile(sums, plane, p0, p1, q0, q1, &total, rest);
    for (ptrdiff_t p = p0; p < p1; ++p) {
        const char *from = plane + p * j->x->strides[2];
        const char *cells = from + q0 * j->x->strides[3];
        char *sum = total.data + (p - p0) * total.row;
        if (!sums->direct) cf_windows_load(sums, from, q0, 1, q1 - q0, row), cells = row;
        sums->lines->peaks(sum, cells, best.data + (p - p0) * line, (q1 - q0) * unit);
        if (output.store != NULL) cf_windows_store(sums, &output, p - p0, q1 - q0, sum);
    }
}

static void set_windows(job *j, const ptrdiff_t size[2], ptrdiff_t unit, cf_dtype dtype)
{
    cf_windows *both[2] = {&j->maxima, &j->sums};
    cf_windows_maxima(&j->maxima, j->x, dtype);
    cf_windows_sums(&j->sums, j->x, cf_compute_of(dtype));
    j->store = cf_storer(cf_compute_of(dtype), j->y->dtype);
    for (int i = 0; i < 2; ++i) {
        cf_axis *axes[2] = {&both[i]->h, &both[i]->w};
        for (int a = 0; a < 2; ++a) {
            /* A window that reaches beyond the plane is the plane. */
            const ptrdiff_t in = j->x->shape[2 + a], reach = cf_min(size[a] / 2, in - 1);
            *axes[a] = (cf_axis){.in = in, .size = 2 * reach + 1, .stride = 1, .dilation = 1, .pad_before = reach,
                                 .pad_after = reach, .out = in};
        }
        both[i]->unit = unit;
        both[i]->divisor = 1;
    }
}

static int plan(job *j, const ptrdiff_t size[2], ptrdiff_t unit)
{
    set_windows(j, size, unit, j->y->dtype);
    if (!cf_windows_plan(&j->maxima) || !cf_windows_plan(&j->sums)) return 0;
    j->rows = cf_min(j->maxima.rows, j->sums.rows);
    j->cols = cf_min(j->maxima.cols, j->sums.cols);
    return 1;
}

/* A number of float64 or int64, as the windows of a job have them. */
typedef union {
    double real;
    int64_t whole;
    uint64_t bits;
} number;

/* A reduction that goes on: of sums with the error of every addition (Knuth's TwoSum), so that length costs nothing. */
typedef struct {
    number value;
    double error;
} total;

static void take(const cf_windows *windows, total *t, number next)
{
    const int real = windows->dtype == CF_F64;
    if (!windows->sums) {
        if (real ? next.real > t->value.real || isnan(next.real) : next.whole > t->value.whole) t->value = next;
    } else if (!real) {
        t->value.bits += next.bits;
    } else {
        const double before = t->value.real, sum = before + next.real, part = sum - before;
        t->error += (before - (sum - part)) + (next.real - part);
        t->value.real = sum;
    }
}

static number number_of(const total *t)
{
    number value = t->value;
    if (t->error != 0 && !isnan(t->error)) value.real += t->error; /* infinite sums have no error */
    return value;
}

/* One plane at work; memory for a block of outputs, or as many columns, each. */
typedef struct {
    const cf_windows *windows;
    const char *plane;
    cf_span rows; /* of the windows */
    number *columns;
    char *stage;
} long_windows;

/* columns[i] = reduction of column first + i over the rows of the windows. */
static void reduce_columns(const long_windows *at, ptrdiff_t first, ptrdiff_t count)
{
    const cf_windows *windows = at->windows;
    const ptrdiff_t *strides = windows->x->strides, size = sizeof(number);
    for (ptrdiff_t begin = 0; begin < count; begin += STAGE_COLS) {
        const ptrdiff_t n = cf_min(STAGE_COLS, count - begin);
        const char *from = at->plane + at->rows.begin * strides[2] + (first + begin) * strides[3];
        number *const to = at->columns + begin;
        ptrdiff_t taps[STAGE_ROWS + 1];
        for (ptrdiff_t row = 0, rows = 0; row < at->rows.count; row += rows) {
            const ptrdiff_t before = row > 0; /* what is reduced so far is a row, too */
            if (before) memcpy(at->stage, to, (size_t)(n * size));
            rows = cf_min(STAGE_ROWS, at->rows.count - row);
            for (ptrdiff_t i = 0; i < rows; ++i)
                windows->load(at->stage + (before + i) * n * size, from + (row + i) * strides[2], strides[3], n);
            for (ptrdiff_t i = 0; i < before + rows; ++i) taps[i] = i * n;
            windows->leaves->taps(to, at->stage, taps, before + rows, n, 1);
        }
    }
}

static void reduce_core(const long_windows *at, ptrdiff_t begin, ptrdiff_t end, total *core)
{
    const cf_windows *windows = at->windows;
    for (ptrdiff_t col = begin, n; col < end; col += n) {
        n = cf_min(CF_RUN, end - col);
        reduce_columns(at, col, n);
        number part = at->columns[0];
        if (!windows->sums || windows->dtype == CF_F64) windows->leaves->run(&part, at->columns, n);
        else for (ptrdiff_t i = 1; i < n; ++i) part.bits += at->columns[i].bits;
        take(windows, core, part);
    }
}

/* to[q - q0] = reduction over the windows of outputs q0 <= q < q1 of a row, which have a cell in common. */
static void reduce_block(const long_windows *at, ptrdiff_t reach, ptrdiff_t q0, ptrdiff_t q1, number *to)
{
    const cf_windows *windows = at->windows;
    const ptrdiff_t W = windows->w.in, first = cf_max(0, q0 - reach), last = cf_min(W, q1 + reach);
    const ptrdiff_t core_begin = cf_max(0, q1 - 1 - reach), core_end = cf_min(W, q0 + reach + 1);
    const total nothing = {.value.bits = windows->nothing};
    total head = nothing, tail = nothing;
    reduce_core(at, core_begin, core_end, &head);
    reduce_columns(at, first, core_begin - first);
    for (ptrdiff_t q = q1 - 1, col = core_begin; q >= q0; --q) {
        while (col > cf_max(0, q - reach)) take(windows, &head, at->columns[--col - first]);
        to[q - q0] = number_of(&head);
    }
    reduce_columns(at, core_end, last - core_end);
    for (ptrdiff_t q = q0, col = core_end; q < q1; ++q) {
        while (col < cf_min(W, q + reach + 1)) take(windows, &tail, at->columns[col++ - core_end]);
        total both = {.value = to[q - q0]};
        take(windows, &both, number_of(&tail));
        to[q - q0] = number_of(&both);
    }
}

static void run_long(const void *context, ptrdiff_t task, char *workspace)
{
    const job *j = context;
    const cf_windows *sums = &j->sums;
    const ptrdiff_t q0 = task % j->col_tiles * j->cols, q1 = cf_min(q0 + j->cols, sums->w.in), n = q1 - q0;
    const ptrdiff_t p = task / j->col_tiles % sums->h.in, plane = task / j->col_tiles / sums->h.in;
    number *const best = (number *)workspace, *const sum = best + j->cols, *const columns = sum + j->cols;
    long_windows at = {.plane = cf_cell_plane(j->x, sums->unit, plane), .rows = cf_windows_span(sums, &sums->h, p),
                       .columns = columns, .stage = (char *)(columns + cf_max(j->cols, CF_RUN))};
    at.windows = &j->maxima, reduce_block(&at, sums->w.pad_before, q0, q1, best);
    at.windows = sums, reduce_block(&at, sums->w.pad_before, q0, q1, sum);
    sums->load(columns, at.plane + p * j->x->strides[2] + q0 * j->x->strides[3], j->x->strides[3], n);
    sums->lines->peaks(sum, columns, best, n);
    char *const to = cf_cell_plane(j->y, sums->unit, plane) + p * j->y->strides[2] + q0 * j->y->strides[3];
    j->store(to, j->y->strides[3], sum, n);
}

static cf_status compute(const job *j, cf_task task, size_t bytes, double cells)
{
    const ptrdiff_t tasks = cf_cell_planes(j->x, j->sums.unit) * j->row_tiles * j->col_tiles;
    const size_t each = cf_aligned_bytes((ptrdiff_t)bytes, 1);
    const int threads = cf_threads_within(cf_threads_for(cells / CELLS_PER_MICROSECOND, tasks), each);
    char *workspace = cf_acquire(each * (size_t)threads);
    if (workspace == NULL) return CF_NO_MEMORY;
    cf_parallel_for(tasks, threads, task, j, workspace, each);
    cf_release(workspace);
    return CF_OK;
}

static cf_array turned(const cf_array *a)
{
    cf_array other = *a;
    other.shape[2] = a->shape[3], other.shape[3] = a->shape[2];
    other.strides[2] = a->strides[3], other.strides[3] = a->strides[2];
    return other;
}

/* Windows are longest along the rows: the plane is turned if they are not. */
static cf_status compute_long(const ptrdiff_t size[2], const cf_array *x, const cf_array *y)
{
    const ptrdiff_t sizes[2] = {cf_min(size[0], 2 * x->shape[2]), cf_min(size[1], 2 * x->shape[3])};
    if (sizes[0] > sizes[1]) {
        const cf_array x_turned = turned(x), y_turned = turned(y);
        return compute_long((ptrdiff_t[2]){sizes[1], sizes[0]}, &x_turned, &y_turned);
    }
    job j = {.x = x, .y = y};
    set_windows(&j, sizes, 1, cf_compute_of(y->dtype) <= CF_COMPUTE_F64 ? CF_F64 : CF_I64);
    const ptrdiff_t H = x->shape[2], W = x->shape[3], reach = j.sums.w.pad_before;
    j.cols = cf_max(1, cf_min(reach, BLOCK)); /* outputs whose windows have a cell in common */
    j.row_tiles = H, j.col_tiles = cf_ceil_div(W, j.cols);
    const ptrdiff_t numbers = 2 * j.cols + cf_max(j.cols, CF_RUN) + (STAGE_ROWS + 1) * STAGE_COLS;
    const double cells = (double)x->shape[0] * (double)x->shape[1] * (double)H * (double)sizes[0] * (double)W;
    return compute(&j, run_long, (size_t)numbers * sizeof(number), cells * (double)j.col_tiles);
}

cf_status cf_local_max_sum2d(const ptrdiff_t size[2], int channels_last, const cf_array *x, const cf_array *y)
{
    if (x->shape[2] < 1 || x->shape[3] < 1) return CF_EMPTY_PLANE;
    if (x->shape[0] == 0 || x->shape[1] == 0) return CF_OK;
    job j = {.x = x, .y = y};
    if (!plan(&j, size, channels_last ? x->shape[1] : 1) && !plan(&j, size, 1)) return compute_long(size, x, y);
    j.output = cf_windows_output(&j.sums, y, j.store);
    j.row_tiles = cf_ceil_div(x->shape[2], j.rows);
    j.col_tiles = cf_ceil_div(x->shape[3], j.cols);
    const ptrdiff_t tile = (2 * j.rows + 1) * j.cols * j.sums.unit * j.sums.size;
    const size_t windows = j.maxima.workspace_each > j.sums.workspace_each ? j.maxima.workspace_each
                                                                           : j.sums.workspace_each;
    const double cells = (double)x->shape[0] * (double)x->shape[1] * (double)x->shape[2] * (double)x->shape[3];
    return compute(&j, run, (size_t)tile + windows, cells);
}
