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
#define COLS 1024                   /* outputs of a row at a time: tables and rows stay in the first-level cache */

typedef struct {
    cf_resize_mode mode;
    const cf_array *x, *y;
    ptrdiff_t unit, size, rows, grain, cols;
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
    __int128 at = corners ? (__int128)i * (in - 1) : (2 * (__int128)i + 1) * in - out;
    if (at < 0) at = 0;
    *near = (ptrdiff_t)(at / whole);
    *far = cf_min(*near + 1, in - 1);
    return (double)(at % whole) / (double)whole;
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

static void run_bilinear(const void *context, ptrdiff_t task, char *workspace)
{
    const job *j = context;
    const cf_array *x = j->x, *y = j->y;
    const ptrdiff_t H = x->shape[2], W = x->shape[3], P = y->shape[2], Q = y->shape[3], unit = j->unit, size = j->size;
    const ptrdiff_t end = cf_min(j->rows, (task + 1) * j->grain);
    ptrdiff_t *const near = (ptrdiff_t *)workspace, *const far = near + COLS;
    double *const share = (double *)(far + COLS);
    const size_t line = (COLS + 2) * sizeof(double);
    char *const a = (char *)(share + COLS), *const b = a + line, *const both = b + line, *const result = both + line;
    for (ptrdiff_t begin = 0; begin < Q; begin += j->cols) {
        const ptrdiff_t n = cf_min(j->cols, Q - begin);
        for (ptrdiff_t i = 0; i < n; ++i) share[i] = neighbours(j->mode, begin + i, W, Q, &near[i], &far[i]);
        const ptrdiff_t first = near[0], count = far[n - 1] - first + 1;
        for (ptrdiff_t i = 0; i < n; ++i) near[i] -= first, far[i] -= first;
        for (ptrdiff_t row = task * j->grain; row < end; ++row) {
            ptrdiff_t above, below;
            const double t = neighbours(j->mode, row % P, H, P, &above, &below);
            const char *plane = cf_cell_plane(x, unit, row / P);
            load_cells(j, plane + above * x->strides[2], first, count, t == 0 ? both : a);
            if (t != 0) {
                load_cells(j, plane + below * x->strides[2], first, count, b);
                j->lines->blend(both, a, b, t, count * unit);
            }
            char *to = cf_cell_plane(y, unit, row / P) + row % P * y->strides[2] + begin * y->strides[3];
            if (unit == 1) {
                j->lines->pick_blend(result, both, near, far, share, n);
                j->store(to, y->strides[3], result, n);
                continue;
            }
            for (ptrdiff_t i = 0; i < n; ++i, to += y->strides[3]) {
                const char *cell = both + near[i] * unit * size;
                if (share[i] != 0) {
                    j->lines->blend(result, cell, both + far[i] * unit * size, share[i], unit);
                    cell = result;
                }
                j->store(to, y->strides[1], cell, unit);
            }
        }
    }
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
        /* As many outputs as see COLS numbers of x, and no more than COLS themselves. */
        const double seen = (double)W / (double)Q * (double)j.unit, cols = COLS / (seen > j.unit ? seen : j.unit) - 2;
        j.cols = cols < 1 ? 1 : (ptrdiff_t)cols;
    }
    j.rows = cf_cell_planes(x, j.unit) * y->shape[2];
    const double cells = (double)(Q * j.unit);
    j.grain = (ptrdiff_t)(TASK_CELLS / cells) + 1;
    const ptrdiff_t tasks = cf_ceil_div(j.rows, j.grain);
    const int threads = cf_threads_for((double)j.rows * cells / CELLS_PER_MICROSECOND, tasks);
    const size_t each = 3 * COLS * sizeof(double) + 4 * (COLS + 2) * sizeof(double);
    char *workspace = cf_acquire(each * (size_t)threads);
    if (workspace == NULL) return CF_NO_MEMORY;
    cf_parallel_for(tasks, threads, moves ? run_nearest : run_bilinear, &j, workspace, each);
    cf_release(workspace);
    return CF_OK;
}
