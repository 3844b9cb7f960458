/* pool2d_grad.c — what pooling sends back:

     maxima   dx[n,c,h,w] = sum of grad[n,c,p,q] over the windows (p, q) whose maximum stands at (h, w): of equal
              values, and of several NaN, the first in row-major order
     means    dx[n,c,h,w] = sum over the windows that see (h, w) of grad[n,c,p,q] / cells(p, q)

   A task is a band of rows of one plane. It goes through every window that reaches into the band, so no two tasks
   write the same cell and no bit depends on the threads; maxima are looked up again in x, row by row. Sums are formed
   in float64 (integers: in 64 bits, which wrap) and rounded once.

   The caller guarantees: options that cf_pool2d_geometry accepts for the shape of dx, x of that shape, grad of the
   result's shape, a dx of a dtype that results may have, overlapping no input. */
#include "convert.h"
#include "geometry.h"
#include "parallel.h"
#include "workspace.h"

#include <math.h>
#include <string.h>

#define BAND_CELLS 16384 /* 128 KiB of sums stay in a second-level cache; at least one row */
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
    ptrdiff_t rows, bands; /* of a plane */
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
    ptrdiff_t first, rows; /* of the band */
    cell *sums, *row, *best, *grads;
    ptrdiff_t *index;
    range *taps;
} band;

static int wins(number compare, cell a, cell b)
{
    if (compare == AS_REAL) return a.real > b.real || (isnan(a.real) && !isnan(b.real));
    return compare == AS_SIGNED ? a.whole > b.whole : a.bits > b.bits;
}

static const char *plane_of(const cf_array *a, ptrdiff_t plane)
{
    return a->data + plane / a->shape[1] * a->strides[0] + plane % a->shape[1] * a->strides[1];
}

/* The first and one past the last i < count for which 0 <= start + i * step < size. */
static void find_inside(ptrdiff_t start, ptrdiff_t step, ptrdiff_t size, ptrdiff_t count, ptrdiff_t *begin,
                        ptrdiff_t *end)
{
    *begin = start < 0 ? cf_min(count, cf_ceil_div(-start, step)) : 0;
    *end = start >= size ? *begin : cf_max(*begin, cf_min(count, cf_ceil_div(size - start, step)));
}

/* The taps of each window of a row that lie in the plane. */
static void find_taps(const band *b)
{
    const cf_axis *w = &b->job->w;
    for (ptrdiff_t q = 0; q < w->out; ++q)
        find_inside(q * w->stride - w->pad_before, w->dilation, w->in, w->size, &b->taps[q].begin, &b->taps[q].end);
}

/* index[q] = h * W + w of the maximum of window (p, q); -1 where it has no cell. */
static void find_maxima(const band *b, const char *plane, ptrdiff_t p)
{
    const pool_grad *job = b->job;
    const cf_axis *h = &job->h, *w = &job->w;
    const ptrdiff_t *strides = job->x->strides, top = p * h->stride - h->pad_before;
    for (ptrdiff_t q = 0; q < w->out; ++q) b->index[q] = -1;
    ptrdiff_t r, end;
    for (find_inside(top, h->dilation, h->in, h->size, &r, &end); r < end; ++r) {
        const ptrdiff_t row = top + r * h->dilation;
        job->load_x(b->row, plane + row * strides[2], strides[3], w->in);
        for (ptrdiff_t q = 0; q < w->out; ++q) {
            const ptrdiff_t left = q * w->stride - w->pad_before;
            cell best = b->best[q];
            ptrdiff_t index = b->index[q];
            for (ptrdiff_t s = b->taps[q].begin; s < b->taps[q].end; ++s) {
                const ptrdiff_t col = left + s * w->dilation;
                /* Cells come row by row: a tie changes nothing. */
                if (index < 0 || wins(job->compare, b->row[col], best)) best = b->row[col], index = row * w->in + col;
            }
            b->best[q] = best, b->index[q] = index;
        }
    }
}

static void add_maxima(const band *b, const char *plane, ptrdiff_t p)
{
    const pool_grad *job = b->job;
    find_maxima(b, plane, p);
    for (ptrdiff_t q = 0; q < job->w.out; ++q) {
        const ptrdiff_t place = b->index[q] - b->first * job->w.in;
        if (b->index[q] < 0 || place < 0 || place >= b->rows * job->w.in) continue;
        if (job->sum == AS_REAL)
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

/* The shares of row p of windows, spread over one row of cells, then added to each row that those windows see. */
static void add_means(const band *b, ptrdiff_t p)
{
    const pool_grad *job = b->job;
    const cf_axis *h = &job->h, *w = &job->w;
    const double rows = counted(job, h, p);
    memset(b->row, 0, (size_t)w->in * sizeof(cell));
    for (ptrdiff_t q = 0; q < w->out; ++q) {
        const double cells = job->options->divisor != 0 ? job->options->divisor : rows * counted(job, w, q);
        const double share = b->grads[q].real / cells;
        for (ptrdiff_t s = b->taps[q].begin; s < b->taps[q].end; ++s)
            b->row[q * w->stride + s * w->dilation - w->pad_before].real += share;
    }
    const ptrdiff_t top = p * h->stride - h->pad_before - b->first;
    ptrdiff_t r, end;
    for (find_inside(top, h->dilation, b->rows, h->size, &r, &end); r < end; ++r) {
        cell *sums = b->sums + (top + r * h->dilation) * w->in;
        for (ptrdiff_t i = 0; i < w->in; ++i) sums[i].real += b->row[i].real;
    }
}

static void run_band(const void *context, ptrdiff_t task, char *workspace)
{
    const pool_grad *job = context;
    const cf_axis *h = &job->h, *w = &job->w;
    const ptrdiff_t plane = task / job->bands, reach = (h->size - 1) * h->dilation;
    band b = {.job = job, .first = task % job->bands * job->rows};
    b.rows = cf_min(job->rows, h->in - b.first);
    b.sums = (cell *)workspace;
    b.row = b.sums + job->rows * w->in, b.best = b.row + w->in;
    b.grads = b.best + w->out, b.index = (ptrdiff_t *)(b.grads + w->out);
    b.taps = (range *)(b.index + w->out);
    find_taps(&b);
    memset(b.sums, 0, (size_t)(b.rows * w->in) * sizeof(cell));
    /* Windows p * stride - top .. + reach that meet rows first .. first + rows - 1. */
    const ptrdiff_t low = b.first + h->pad_before - reach, high = b.first + b.rows - 1 + h->pad_before;
    const ptrdiff_t end = cf_min(h->out, high / h->stride + 1);
    const char *grad = plane_of(job->grad, plane);
    for (ptrdiff_t p = low > 0 ? cf_ceil_div(low, h->stride) : 0; p < end; ++p) {
        job->load_grad(b.grads, grad + p * job->grad->strides[2], job->grad->strides[3], w->out);
        if (job->x != NULL)
            add_maxima(&b, plane_of(job->x, plane), p);
        else
            add_means(&b, p);
    }
    char *to = (char *)plane_of(job->dx, plane) + b.first * job->dx->strides[2];
    for (ptrdiff_t i = 0; i < b.rows; ++i, to += job->dx->strides[2])
        job->store(to, job->dx->strides[3], b.sums + i * w->in, w->in);
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
    job->rows = cf_max(1, cf_min(job->h.in, BAND_CELLS / job->w.in));
    job->bands = cf_ceil_div(job->h.in, job->rows);
    const ptrdiff_t planes = dx->shape[0] * dx->shape[1], tasks = planes * job->bands;
    const size_t bytes = (size_t)((job->rows + 1) * job->w.in + 5 * job->w.out) * sizeof(cell);
    const size_t each = (bytes + CF_ALIGNMENT - 1) / CF_ALIGNMENT * CF_ALIGNMENT;
    const double windows = (double)planes * (double)job->h.out * (double)job->w.out;
    const double cells = windows * (double)job->h.size * (double)job->w.size;
    int threads = cf_threads_for(cells / CELLS_PER_MICROSECOND, tasks);
    const ptrdiff_t most = cf_max(1, (ptrdiff_t)(CF_WORKSPACE_BYTES_MAX / each));
    if (threads > most) threads = (int)most;
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
