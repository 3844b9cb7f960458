/* resize2d.c — planes of another size:

     nearest    y[n,c,p,q] = x[n, c, floor(p*H/P), floor(q*W/Q)]
     bilinear   h = max((p + 1/2) * H/P - 1/2, 0), or p * (H-1)/(P-1) with corners aligned (0 if P = 1)
                y[p] = (1 - t) * x[floor(h)] + t * x[min(floor(h) + 1, H - 1)],  t = h - floor(h);  the same along w

   Positions are exact integers: t = part / whole. A neighbour whose share is 0 does not count, be it infinite.

   The caller guarantees planes that are not empty, and a y of the dtype of x (nearest), or of float16, bfloat16,
   float32 or float64 (bilinear), which overlaps no input. */
#include "cells.h"
#include "convert.h"
#include "dispatch.h"
#include "geometry.h"
#include "parallel.h"
#include "workspace.h"

#include <string.h>

#define CELLS_PER_MICROSECOND 500.0 /* one core, roughly: for choosing threads */
#define TASK_CELLS 8192             /* 16 us */
#define TASK_ROWS 8                 /* of a plane that grows: outputs of a task share blended rows */
#define COLS 1024                   /* outputs of a row at a time: tables and rows stay in the first-level cache */

typedef struct {
    cf_resize_mode mode;
    const cf_array *x, *y;
    ptrdiff_t unit, size, rows, grain, cols;
    int direct, columns_first;
    cf_load_run load;
    cf_store_run store;
    const cf_line_leaves *lines;
} job;

static ptrdiff_t nearest(ptrdiff_t i, ptrdiff_t in, ptrdiff_t out) { return (ptrdiff_t)((__int128)i * in / out); }

/* The neighbours of output i and the share of the second. */
static double neighbours(cf_resize_mode mode, ptrdiff_t i, ptrdiff_t in, ptrdiff_t out, ptrdiff_t *near, ptrdiff_t *far)
{
    const int corners = mode == CF_RESIZE_BILINEAR_CORNERS;
    const __int128 whole = corners ? cf_max(out - 1, 1) : 2 * (__int128)out;
    __int128 at = corners ? (__int128)i * (in - 1) : (2 * (__int128)i + 1) * in - out, part;
    if (at < 0) at = 0;
    if (at <= INT64_MAX) { /* as good as always; the other division is a function */
        *near = (ptrdiff_t)((int64_t)at / (int64_t)whole);
        part = (int64_t)at % (int64_t)whole;
    } else {
        *near = (ptrdiff_t)(at / whole);
        part = at % whole;
    }
    *far = cf_min(*near + 1, in - 1);
    return (double)(int64_t)part / (double)(int64_t)whole;
}

static void run_nearest(const void *context, ptrdiff_t task, char *workspace)
{
    const job *j = context;
    const cf_array *x = j->x, *y = j->y;
    const ptrdiff_t H = x->shape[2], W = x->shape[3], P = y->shape[2], Q = y->shape[3], step = y->strides[3];
    const ptrdiff_t bytes = j->unit * j->size, end = cf_min(j->rows, (task + 1) * j->grain);
    ptrdiff_t *const offsets = (ptrdiff_t *)workspace;
    for (ptrdiff_t begin = 0; begin < Q; begin += COLS) {
        const ptrdiff_t n = cf_min(COLS, Q - begin);
        for (ptrdiff_t i = 0; i < n; ++i) offsets[i] = nearest(begin + i, W, Q) * x->strides[3];
        const char *before = NULL;
        for (ptrdiff_t row = task * j->grain; row < end; ++row) {
            const char *from = cf_cell_plane(x, j->unit, row / P) + nearest(row % P, H, P) * x->strides[2];
            char *to = cf_cell_plane(y, j->unit, row / P) + row % P * y->strides[2] + begin * step;
            if (from == before) /* the row above shows the same */
                cf_copy_cells(to, step, to - y->strides[2], step, n, j->unit, j->size);
            else if (bytes == 4)
                for (ptrdiff_t i = 0; i < n; ++i) memcpy(to + i * step, from + offsets[i], 4);
            else if (bytes == 1)
                for (ptrdiff_t i = 0; i < n; ++i) to[i * step] = from[offsets[i]];
            else
                for (ptrdiff_t i = 0; i < n; ++i) memcpy(to + i * step, from + offsets[i], (size_t)bytes);
            before = row % P + 1 < P ? from : NULL;
        }
    }
}

/* `n` cells from column `first` on, in the compute type. */
static void load_cells(const job *j, const char *row, ptrdiff_t first, ptrdiff_t n, char *to)
{
    const cf_array *x = j->x;
    row += first * x->strides[3];
    if (j->unit == 1)
        j->load(to, row, x->strides[3], n);
    else
        for (ptrdiff_t i = 0; i < n; ++i)
            j->load(to + i * j->unit * j->size, row + i * x->strides[3], x->strides[1], j->unit);
}

/* A task's buffers: the columns of a block of outputs, and rows of numbers. */
typedef struct {
    ptrdiff_t near[COLS], far[COLS], first, count, n; /* outputs i < n see columns first + near[i] and first + far[i] */
    double share[COLS];
    double shares[COLS], rests[COLS]; /* numbers of the compute type: share and 1 - share */
    char source[2][(COLS + 2) * sizeof(double)], blended[2][(COLS + 2) * sizeof(double)];
    char result[(COLS + 2) * sizeof(double)];
    const char *held[2]; /* the rows of x whose columns stand blended */
} buffers;

static void find_columns(const job *j, ptrdiff_t begin, buffers *b)
{
    const ptrdiff_t W = j->x->shape[3], Q = j->y->shape[3];
    b->n = cf_min(j->cols, Q - begin);
    for (ptrdiff_t i = 0; i < b->n; ++i)
        b->share[i] = neighbours(j->mode, begin + i, W, Q, &b->near[i], &b->far[i]);
    b->first = b->near[0], b->count = b->far[b->n - 1] - b->first + 1;
    b->held[0] = b->held[1] = NULL;
    for (ptrdiff_t i = 0; i < b->n; ++i) {
        const double rest = 1 - b->share[i];
        b->near[i] -= b->first, b->far[i] -= b->first;
        if (j->size == 4)
            ((float *)b->shares)[i] = (float)b->share[i], ((float *)b->rests)[i] = (float)rest;
        else
            b->shares[i] = b->share[i], b->rests[i] = rest;
    }
}

static void blend_columns(const job *j, const buffers *b, const char *from, char *to)
{
    const ptrdiff_t unit = j->unit, bytes = unit * j->size;
    if (unit == 1) {
        j->lines->pick_blend(to, from, b->near, b->far, b->shares, b->rests, b->n);
        return;
    }
    for (ptrdiff_t i = 0; i < b->n; ++i, to += bytes) {
        if (b->share[i] == 0)
            memcpy(to, from + b->near[i] * bytes, (size_t)bytes);
        else
            j->lines->blend(to, from + b->near[i] * bytes, from + b->far[i] * bytes, b->share[i], unit);
    }
}

/* The columns of a row of x, blended now or for an earlier output; the row `other` stays. */
static const char *held_row(const job *j, buffers *b, const char *row, const char *other)
{
    int slot = b->held[0] == row ? 0 : 1;
    if (b->held[slot] == row) return b->blended[slot];
    slot = b->held[0] == other;
    load_cells(j, row, b->first, b->count, b->source[0]);
    blend_columns(j, b, b->source[0], b->blended[slot]);
    b->held[slot] = row;
    return b->blended[slot];
}

/* Rows that are blended first are fewer than outputs where planes shrink, columns where they grow. */
static const char *bilinear_row(const job *j, buffers *b, const char *above, const char *below, double t, char *to)
{
    const ptrdiff_t unit = j->unit;
    if (j->columns_first) {
        const char *near = held_row(j, b, above, below);
        if (t == 0) return near;
        j->lines->blend(to, near, held_row(j, b, below, above), t, b->n * unit);
        return to;
    }
    load_cells(j, above, b->first, b->count, b->source[0]);
    const char *both = b->source[0];
    if (t != 0) {
        load_cells(j, below, b->first, b->count, b->source[1]);
        j->lines->blend(b->blended[0], both, b->source[1], t, b->count * unit);
        both = b->blended[0];
    }
    blend_columns(j, b, both, to);
    return to;
}

static void run_bilinear(const void *context, ptrdiff_t task, char *workspace)
{
    const job *j = context;
    const cf_array *x = j->x, *y = j->y;
    const ptrdiff_t H = x->shape[2], P = y->shape[2], Q = y->shape[3], unit = j->unit, size = j->size;
    const ptrdiff_t end = cf_min(j->rows, (task + 1) * j->grain);
    buffers *b = (buffers *)workspace;
    for (ptrdiff_t begin = 0; begin < Q; begin += j->cols) {
        find_columns(j, begin, b);
        for (ptrdiff_t row = task * j->grain; row < end; ++row) {
            ptrdiff_t above, below;
            const double t = neighbours(j->mode, row % P, H, P, &above, &below);
            const char *plane = cf_cell_plane(x, unit, row / P);
            char *to = cf_cell_plane(y, unit, row / P) + row % P * y->strides[2] + begin * y->strides[3];
            const char *cells = bilinear_row(j, b, plane + above * x->strides[2], plane + below * x->strides[2], t,
                                             j->direct ? to : b->result);
            if (cells == to) continue;
            if (unit == 1)
                j->store(to, y->strides[3], cells, b->n);
            else
                for (ptrdiff_t i = 0; i < b->n; ++i, to += y->strides[3], cells += unit * size)
                    j->store(to, y->strides[1], cells, unit);
        }
    }
}

/* Results whose cells lie without gaps, of the type they are computed in, need no copy. */
static int is_direct(const job *j, cf_compute compute)
{
    const cf_array *y = j->y;
    return (compute == CF_COMPUTE_F64 || y->dtype == CF_F32) && y->strides[3] == j->unit * j->size &&
           (uintptr_t)y->data % (uintptr_t)j->size == 0 && y->strides[0] % j->size == 0 &&
           y->strides[1] % j->size == 0 && y->strides[2] % j->size == 0;
}

cf_status cf_resize2d(cf_resize_mode mode, const cf_array *x, const cf_array *y)
{
    const ptrdiff_t H = x->shape[2], W = x->shape[3], Q = y->shape[3];
    if (H < 1 || W < 1) return CF_EMPTY_PLANE;
    if (x->shape[0] == 0 || x->shape[1] == 0) return CF_OK;
    const cf_compute compute = cf_compute_of(y->dtype);
    const int moves = mode == CF_RESIZE_NEAREST;
    job j = {.mode = mode, .x = x, .y = y, .unit = cf_cell_unit(x, y),
             .size = (ptrdiff_t)(moves ? cf_dtype_bytes(x->dtype) : cf_compute_bytes(compute))};
    if (!moves) {
        if (j.unit > COLS / 4) j.unit = 1;
        j.load = cf_loader(x->dtype, compute);
        j.store = cf_storer(compute, y->dtype);
        j.lines = cf_kernels_now()->lines[compute];
        j.direct = is_direct(&j, compute);
        j.columns_first = y->shape[2] > H;
        /* As many outputs as see COLS numbers of x, and no more than COLS themselves. */
        const double seen = (double)W / (double)Q * (double)j.unit, cols = COLS / (seen > j.unit ? seen : j.unit) - 2;
        j.cols = cols < 1 ? 1 : (ptrdiff_t)cols;
    }
    j.rows = cf_cell_planes(x, j.unit) * y->shape[2];
    const double cells = (double)(Q * j.unit);
    j.grain = (ptrdiff_t)(TASK_CELLS / cells) + 1;
    if (j.columns_first) j.grain = cf_max(j.grain, TASK_ROWS);
    const ptrdiff_t tasks = cf_ceil_div(j.rows, j.grain);
    const size_t each = sizeof(buffers);
    const int threads = cf_threads_within(cf_threads_for((double)j.rows * cells / CELLS_PER_MICROSECOND, tasks), each);
    char *workspace = cf_acquire(each * (size_t)threads);
    if (workspace == NULL) return CF_NO_MEMORY;
    cf_parallel_for(tasks, threads, moves ? run_nearest : run_bilinear, &j, workspace, each);
    cf_release(workspace);
    return CF_OK;
}
