/* local_max_sum2d.c — peaks and what lies around them:

     y[n,c,h,w] = sum over the window around (h, w) of x   if x[n,c,h,w] is the window's maximum or that is NaN, else 0

   where windows are clipped at the border. Maxima and sums of a tile are formed by windows.c, in the dtype of y, and
   meet row by row: nothing of the size of the plane is kept.

   The caller guarantees odd sizes and a y of the shape of x, of its dtype or, for integers, of int32 or int64, which
   overlaps no input. */
#include "dispatch.h"
#include "geometry.h"
#include "parallel.h"
#include "windows.h"
#include "workspace.h"

#define CELLS_PER_MICROSECOND 500.0 /* one core, roughly: for choosing threads */

typedef struct {
    cf_windows maxima, sums;
    const cf_array *x, *y;
    cf_window_output output; /* rows of y, where they can be written in place */
    cf_store_run store;
    ptrdiff_t row_tiles, col_tiles, rows, cols;
} job;

static char *plane_of(const job *j, const cf_array *a, ptrdiff_t plane)
{
    const ptrdiff_t C = j->sums.unit == 1 ? a->shape[1] : 1;
    return a->data + plane / C * a->strides[0] + plane % C * a->strides[1];
}

static void run(const void *context, ptrdiff_t task, char *workspace)
{
    const job *j = context;
    const cf_windows *maxima = &j->maxima, *sums = &j->sums;
    const ptrdiff_t tiles = j->row_tiles * j->col_tiles, at = task % tiles, unit = sums->unit;
    const ptrdiff_t p0 = at / j->col_tiles * j->rows, p1 = cf_min(p0 + j->rows, j->x->shape[2]);
    const ptrdiff_t q0 = at % j->col_tiles * j->cols, q1 = cf_min(q0 + j->cols, j->x->shape[3]);
    const ptrdiff_t cell = unit * sums->size, line = j->cols * cell, block = j->rows * line;
    const char *plane = plane_of(j, j->x, task / tiles);
    cf_window_output best = {.data = workspace, .row = line, .cell = cell, .channel = sums->size};
    cf_window_output total = best, output = j->output;
    char *const row = workspace + 2 * block, *const rest = row + line;
    output.data = plane_of(j, j->y, task / tiles) + p0 * output.row + q0 * output.cell;
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

static int plan(job *j, const ptrdiff_t size[2], ptrdiff_t unit)
{
    cf_windows *both[2] = {&j->maxima, &j->sums};
    cf_windows_maxima(&j->maxima, j->x, j->y->dtype);
    cf_windows_sums(&j->sums, j->x, cf_compute_of(j->y->dtype));
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
        if (!cf_windows_plan(both[i])) return 0;
    }
    j->rows = cf_min(j->maxima.rows, j->sums.rows);
    j->cols = cf_min(j->maxima.cols, j->sums.cols);
    return 1;
}

cf_status cf_local_max_sum2d(const ptrdiff_t size[2], int channels_last, const cf_array *x, const cf_array *y)
{
    if (x->shape[2] < 1 || x->shape[3] < 1) return CF_EMPTY_PLANE;
    if (x->shape[0] == 0 || x->shape[1] == 0) return CF_OK;
    job j = {.x = x, .y = y};
    if (!plan(&j, size, channels_last ? x->shape[1] : 1) && !plan(&j, size, 1)) return CF_TOO_LARGE;
    j.store = cf_storer(cf_compute_of(y->dtype), y->dtype);
    j.output = cf_windows_output(&j.sums, y, j.store);
    j.row_tiles = cf_ceil_div(x->shape[2], j.rows);
    j.col_tiles = cf_ceil_div(x->shape[3], j.cols);
    const ptrdiff_t planes = x->shape[0] * (j.sums.unit == 1 ? x->shape[1] : 1), unit = j.sums.unit;
    const ptrdiff_t tasks = planes * j.row_tiles * j.col_tiles;
    const size_t tile = (size_t)((2 * j.rows + 1) * j.cols * unit * j.sums.size);
    const ptrdiff_t windows = cf_max((ptrdiff_t)j.maxima.workspace_each, (ptrdiff_t)j.sums.workspace_each);
    const size_t each = (tile + (size_t)windows + CF_ALIGNMENT - 1) / CF_ALIGNMENT * CF_ALIGNMENT;
    const double cells = (double)x->shape[0] * (double)x->shape[1] * (double)x->shape[2] * (double)x->shape[3];
    int threads = cf_threads_for(cells / CELLS_PER_MICROSECOND, tasks);
    const ptrdiff_t most = cf_max(1, (ptrdiff_t)(CF_WORKSPACE_BYTES_MAX / each));
    if (threads > most) threads = (int)most;
    char *workspace = cf_acquire(each * (size_t)threads);
    if (workspace == NULL) return CF_NO_MEMORY;
    cf_parallel_for(tasks, threads, run, &j, workspace, each);
    cf_release(workspace);
    return CF_OK;
}
