/* pool2d_grad.c — what pooling sends back:

     maxima   dx[n,c,h,w] = sum of grad[n,c,p,q] over the windows (p, q) whose maximum stands at (h, w): of equal
              values, and of several NaN, the first in row-major order
     means    dx[n,c,h,w] = sum over the windows that see (h, w) of grad[n,c,p,q] / cells(p, q)

   A task is a band of one plane: rows of it, or a stretch of one row that is very long. It goes through every window
   that reaches into the band, so no two tasks write the same cell and no bit depends on the threads; maxima are looked
   up again in x, row by row. Of windows in a row so many are treated together that tables stay small, and so are pieces
   of rows of x, each in the order of the plane. Sums are formed in float64 (integers: in 64 bits, which wrap) and
   rounded once.

   The caller guarantees: options that cf_pool2d_geometry accepts for the shape of dx, x of that shape, grad of the
   result's shape, a dx of a dtype that results may have, overlapping no input. */
#include "cells.h"
#include "convert.h"
#include "geometry.h"
#include "parallel.h"
#include "workspace.h"

#include <math.h>
#include <string.h>

#define BAND_CELLS 16384 /* 128 KiB of sums stay in a second-level cache; at least one row or a stretch of it */
/* Of a row at a time: with their tables less than 7 MiB, so that eight threads stay below 64 MiB. Windows that reach
   over the ends of a stretch are treated twice, and those of half a stretch should still be treated together. */
#define STRETCH_CELLS 65536 /* more than BAND_CELLS, so that a band has whole rows, or one row */
#define WINDOWS_MAX (2 * STRETCH_CELLS)
#define PIECE_CELLS (2 * STRETCH_CELLS)
#define CELLS_PER_MICROSECOND 300.0 /* of windows, order of magnitude, for the decision on threads */

/* How values are compared and sums formed. */
typedef enum { AS_REAL, AS_SIGNED, AS_UNSIGNED } number;

typedef struct {
    const cf_pool2d_options *options;
    const cf_array *x, *grad, *dx; /* x: NULL for means */
    cf_axis h, w;
    number compare, sum;
    cf_load_run load_x, load_grad;
    cf_store_run store;
    ptrdiff_t rows, cols, row_bands, col_bands; /* of a plane */
    ptrdiff_t windows, piece; /* windows of a row, and cells of a row of x, that are treated together at most */
} pool_grad;

/* A number in 8 bytes, of the type that `number` says. */
typedef union {
    double real;
    int64_t whole;
    uint64_t bits;
} cell;

typedef struct {
    ptrdiff_t begin, end;
} range;

typedef struct {
    const pool_grad *job;
    range rows, cols;     /* of the band */
    range windows;        /* of a row, that are treated now */
    range piece;          /* of the row, in which they look for their cells */
    cell *sums, *row, *best, *grads;
    ptrdiff_t *index;
    range *taps;          /* of each window, in the piece */
} band;

static int wins(number compare, cell a, cell b)
{
    if (compare == AS_REAL) return a.real > b.real || (isnan(a.real) && !isnan(b.real));
    return compare == AS_SIGNED ? a.whole > b.whole : a.bits > b.bits;
}

/* The first and one past the last i < count for which 0 <= start + i * step < size. */
static void find_inside(ptrdiff_t start, ptrdiff_t step, ptrdiff_t size, ptrdiff_t count, ptrdiff_t *begin,
                        ptrdiff_t *end)
{
    *begin = start < 0 ? cf_min(count, cf_ceil_div(-start, step)) : 0;
    *end = start >= size ? *begin : cf_max(*begin, cf_min(count, cf_ceil_div(size - start, step)));
}

/* The taps of `windows` that lie in `piece`: found once where a row is treated at once. */
static void find_taps(band *b, range windows, range piece)
{
    const cf_axis *w = &b->job->w;
    if (windows.begin == b->windows.begin && windows.end == b->windows.end && piece.begin == b->piece.begin &&
        piece.end == b->piece.end)
        return;
    b->windows = windows, b->piece = piece;
    range *taps = b->taps;
    for (ptrdiff_t q = windows.begin; q < windows.end; ++q, ++taps)
        find_inside(q * w->stride - w->pad_before - piece.begin, w->dilation, piece.end - piece.begin, w->size,
                    &taps->begin, &taps->end);
}

/* The cells of a row, from the first to the last, that some of `windows` see. */
static range find_seen(const cf_axis *w, range windows)
{
    const ptrdiff_t begin = windows.begin * w->stride - w->pad_before;
    const ptrdiff_t end = (windows.end - 1) * w->stride - w->pad_before + (w->size - 1) * w->dilation + 1;
    return (range){cf_max(0, cf_min(begin, w->in)), cf_max(0, cf_min(end, w->in))};
}

/* Row h of x, in a piece of it that is loaded, for the maxima so far of the windows that are treated now. */
static void compare_row(const band *b, ptrdiff_t h)
{
    const pool_grad *job = b->job;
    const cf_axis *w = &job->w;
    const ptrdiff_t count = b->windows.end - b->windows.begin, first = h * w->in + b->piece.begin;
    ptrdiff_t left = b->windows.begin * w->stride - w->pad_before - b->piece.begin;
    for (ptrdiff_t q = 0; q < count; ++q, left += w->stride) {
        cell best = b->best[q];
        ptrdiff_t index = b->index[q];
        for (ptrdiff_t s = b->taps[q].begin; s < b->taps[q].end; ++s) {
            const ptrdiff_t col = left + s * w->dilation;
            /* Cells come row by row: a tie changes nothing. */
            if (index < 0 || wins(job->compare, b->row[col], best)) best = b->row[col], index = first + col;
        }
        b->best[q] = best, b->index[q] = index;
    }
}

/* index[q] = h * W + w of the maximum of window (p, q); -1 where it has no cell. */
static void find_maxima(band *b, const char *plane, ptrdiff_t p, range windows)
{
    const pool_grad *job = b->job;
    const cf_axis *h = &job->h;
    const ptrdiff_t *strides = job->x->strides, top = p * h->stride - h->pad_before;
    const range seen = find_seen(&job->w, windows);
    for (ptrdiff_t q = 0; q < windows.end - windows.begin; ++q) b->index[q] = -1;
    ptrdiff_t r, end;
    for (find_inside(top, h->dilation, h->in, h->size, &r, &end); r < end; ++r) {
        const ptrdiff_t row = top + r * h->dilation;
        for (ptrdiff_t col = seen.begin; col < seen.end; col += job->piece) {
            const range piece = {col, cf_min(seen.end, col + job->piece)};
            find_taps(b, windows, piece);
            job->load_x(b->row, plane + row * strides[2] + col * strides[3], strides[3], piece.end - col);
            compare_row(b, row);
        }
    }
}

static void add_maxima(band *b, const char *plane, ptrdiff_t p, range windows)
{
    find_maxima(b, plane, p, windows);
    const ptrdiff_t first = b->rows.begin * b->job->w.in + b->cols.begin; /* cells of a band are one run of the plane */
    const ptrdiff_t cells = (b->rows.end - b->rows.begin) * (b->cols.end - b->cols.begin);
    for (ptrdiff_t q = 0; q < windows.end - windows.begin; ++q) {
        const ptrdiff_t place = b->index[q] - first;
        if (b->index[q] < 0 || place < 0 || place >= cells) continue;
        if (b->job->sum == AS_REAL)
            b->sums[place].real += b->grads[q].real;
        else
            b->sums[place].bits += b->grads[q].bits;
    }
}

/* Cells of window i that a mean counts: those in the plane, or in the padded plane. */
static double counted(const pool_grad *job, const cf_axis *axis, ptrdiff_t i)
{
    const ptrdiff_t before = job->options->count_padding ? axis->pad_before : 0;
    const ptrdiff_t after = job->options->count_padding ? axis->pad_after : 0;
    ptrdiff_t begin, end;
    find_inside(i * axis->stride - axis->pad_before + before, axis->dilation, axis->in + before + after, axis->size,
                &begin, &end);
    return (double)(end - begin);
}

/* The shares of windows of row p, which has `rows` cells in each column, spread over one row of cells. */
static void spread_means(band *b, double rows, range windows)
{
    const pool_grad *job = b->job;
    const cf_axis *w = &job->w;
    find_taps(b, windows, b->cols);
    ptrdiff_t left = windows.begin * w->stride - w->pad_before - b->cols.begin;
    for (ptrdiff_t q = 0; q < windows.end - windows.begin; ++q, left += w->stride) {
        const double cells =
            job->options->divisor != 0 ? job->options->divisor : rows * counted(job, w, windows.begin + q);
        const double share = b->grads[q].real / cells;
        for (ptrdiff_t s = b->taps[q].begin; s < b->taps[q].end; ++s) b->row[left + s * w->dilation].real += share;
    }
}

/* The spread shares of row p of windows are added to each row that those windows see. */
static void add_means(const band *b, ptrdiff_t p)
{
    const cf_axis *h = &b->job->h;
    const ptrdiff_t top = p * h->stride - h->pad_before - b->rows.begin, cols = b->cols.end - b->cols.begin;
    ptrdiff_t r, end;
    for (find_inside(top, h->dilation, b->rows.end - b->rows.begin, h->size, &r, &end); r < end; ++r) {
        cell *sums = b->sums + (top + r * h->dilation) * cols;
        for (ptrdiff_t i = 0; i < cols; ++i) sums[i].real += b->row[i].real;
    }
}

/* Windows i * stride - before .. + reach that meet cells begin .. end - 1 of an axis. */
static range find_windows(const cf_axis *axis, range cells)
{
    const ptrdiff_t low = cells.begin + axis->pad_before - (axis->size - 1) * axis->dilation;
    const ptrdiff_t high = cells.end - 1 + axis->pad_before;
    return (range){low > 0 ? cf_ceil_div(low, axis->stride) : 0, cf_min(axis->out, high / axis->stride + 1)};
}

static void run_band(const void *context, ptrdiff_t task, char *workspace)
{
    const pool_grad *job = context;
    const ptrdiff_t bands = job->row_bands * job->col_bands, plane = task / bands;
    const ptrdiff_t first_row = task % bands / job->col_bands * job->rows;
    const ptrdiff_t first_col = task % job->col_bands * job->cols;
    band b = {.job = job, .rows = {first_row, cf_min(first_row + job->rows, job->h.in)},
              .cols = {first_col, cf_min(first_col + job->cols, job->w.in)}};
    const ptrdiff_t cols = b.cols.end - b.cols.begin, count = b.rows.end - b.rows.begin;
    b.sums = (cell *)workspace;
    b.row = b.sums + job->rows * job->cols, b.best = b.row + cf_max(job->cols, job->piece);
    b.grads = b.best + job->windows, b.index = (ptrdiff_t *)(b.grads + job->windows);
    b.taps = (range *)(b.index + job->windows);
    memset(b.sums, 0, (size_t)(count * cols) * sizeof(cell));
    const range rows = find_windows(&job->h, b.rows), all = find_windows(&job->w, b.cols);
    const ptrdiff_t *strides = job->grad->strides;
    const char *grad = cf_cell_plane(job->grad, 1, plane);
    for (ptrdiff_t p = rows.begin; p < rows.end; ++p) {
        const double cells = counted(job, &job->h, p);
        if (job->x == NULL) memset(b.row, 0, (size_t)cols * sizeof(cell));
        for (ptrdiff_t q = all.begin; q < all.end; q += job->windows) {
            const range windows = {q, cf_min(all.end, q + job->windows)};
            job->load_grad(b.grads, grad + p * strides[2] + q * strides[3], strides[3], windows.end - q);
            if (job->x != NULL)
                add_maxima(&b, cf_cell_plane(job->x, 1, plane), p, windows);
            else
                spread_means(&b, cells, windows);
        }
        if (job->x == NULL) add_means(&b, p);
    }
    char *to = cf_cell_plane(job->dx, 1, plane) + b.rows.begin * job->dx->strides[2] + first_col * job->dx->strides[3];
    for (ptrdiff_t i = 0; i < count; ++i, to += job->dx->strides[2])
        job->store(to, job->dx->strides[3], b.sums + i * cols, cols);
}

static number number_of(cf_dtype dtype)
{
    return dtype >= CF_F16 ? AS_REAL : dtype == CF_U64 ? AS_UNSIGNED : AS_SIGNED;
}

static cf_status run(pool_grad *job)
{
    const cf_array *dx = job->dx;
    cf_axis axes[2];
    const cf_status status = cf_pool2d_geometry(job->options, dx->shape, axes);
    if (status != CF_OK || dx->shape[0] == 0 || dx->shape[1] == 0) return status;
    job->h = axes[0], job->w = axes[1];
    job->sum = number_of(dx->dtype);
    const cf_compute sum = job->sum == AS_REAL ? CF_COMPUTE_F64 : CF_COMPUTE_I64;
    job->load_grad = cf_loader(job->grad->dtype, sum);
    job->store = cf_storer(sum, dx->dtype);
    job->cols = cf_min(job->w.in, STRETCH_CELLS);
    job->rows = cf_max(1, cf_min(job->h.in, BAND_CELLS / job->cols));
    job->row_bands = cf_ceil_div(job->h.in, job->rows), job->col_bands = cf_ceil_div(job->w.in, job->cols);
    job->windows = cf_min(job->w.out, WINDOWS_MAX), job->piece = cf_min(job->w.in, PIECE_CELLS);
    const ptrdiff_t planes = dx->shape[0] * dx->shape[1], tasks = planes * job->row_bands * job->col_bands;
    const ptrdiff_t numbers = job->rows * job->cols + cf_max(job->cols, job->piece) + 5 * job->windows;
    const size_t each = cf_aligned_bytes(numbers, sizeof(cell));
    const double windows = (double)planes * (double)job->h.out * (double)job->w.out;
    const double cells = windows * (double)job->h.size * (double)job->w.size;
    const int threads = cf_threads_within(cf_threads_for(cells / CELLS_PER_MICROSECOND, tasks), each);
    char *workspace = cf_acquire(each * (size_t)threads);
    if (workspace == NULL) return CF_NO_MEMORY;
    cf_parallel_for(tasks, threads, run_band, job, workspace, each);
    cf_release(workspace);
    return CF_OK;
}

cf_status cf_max_pool2d_grad(const cf_pool2d_options *options, const cf_array *x, const cf_array *grad,
                             const cf_array *dx)
{
    pool_grad job = {.options = options, .x = x, .grad = grad, .dx = dx, .compare = number_of(x->dtype)};
    job.load_x = cf_loader(x->dtype, job.compare == AS_REAL ? CF_COMPUTE_F64 : CF_COMPUTE_I64);
    return run(&job);
}

cf_status cf_avg_pool2d_grad(const cf_pool2d_options *options, const cf_array *grad, const cf_array *dx)
{
    pool_grad job = {.options = options, .grad = grad, .dx = dx};
    return run(&job);
}
