/* columns.c — every window as a column, and back:

     im2col  cols[n, c, r*S + s, p*Q + q] = x[n, c, p*stride + r*dilation - top, q*stride + s*dilation - left]
     col2im  x[n, c, ...] += cols[n, c, r*S + s, p*Q + q],  its adjoint

   `cols` is described as (N, C, taps, outputs). col2im adds, for every cell of x, the taps of a row of the window and
   then the rows: chains as short as the sides of the window, and floats in float64 where those are longer than
   CF_CHAIN. Integers wrap, bool is true where any is.

   The caller guarantees resolved axes, arrays of these shapes and of one dtype, which do not overlap. */
#include "cells.h"
#include "convert.h"
#include "dispatch.h"
#include "geometry.h"
#include "parallel.h"
#include "workspace.h"

#include <string.h>

#define BYTES_PER_MICROSECOND 4000.0 /* one core, roughly: for choosing threads */
#define BLOCK 4096                   /* numbers of a row of x that col2im sums at a time: its buffers stay in cache */

typedef struct {
    const cf_axis *h, *w;
    const cf_array *x, *cols;
    ptrdiff_t unit, size;
    cf_load_run load;
    cf_store_run store;
    const cf_line_leaves *lines;
    cf_compute compute;
    int direct; /* runs of cols are numbers of the compute type side by side */
} job;

/* The windows q0 <= q < q1 whose tap s lies at columns begin <= w < end of x. */
static void columns_of(const cf_axis *w, ptrdiff_t s, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t *q0, ptrdiff_t *q1)
{
    const ptrdiff_t shift = w->pad_before - s * w->dilation; /* column = q * stride - shift */
    *q0 = begin + shift <= 0 ? 0 : cf_min(w->out, cf_ceil_div(begin + shift, w->stride));
    *q1 = end + shift <= 0 ? 0 : cf_min(w->out, cf_ceil_div(end + shift, w->stride));
}

static void gather(const void *context, ptrdiff_t task, char *workspace)
{
    const job *j = context;
    const cf_axis *h = j->h, *w = j->w;
    const ptrdiff_t p = task % h->out, step = j->cols->strides[3], unit = j->unit, size = j->size;
    const char *plane = cf_cell_plane(j->x, unit, task / h->out);
    char *to = cf_cell_plane(j->cols, unit, task / h->out) + p * w->out * step;
    (void)workspace;
    for (ptrdiff_t r = 0; r < h->size; ++r) {
        const ptrdiff_t row = p * h->stride + r * h->dilation - h->pad_before;
        for (ptrdiff_t s = 0; s < w->size; ++s, to += j->cols->strides[2]) {
            ptrdiff_t q0 = 0, q1 = 0;
            if (row >= 0 && row < h->in) columns_of(w, s, 0, w->in, &q0, &q1);
            cf_fill_cells(to, step, 0, q0, unit, size);
            cf_fill_cells(to + q1 * step, step, 0, w->out - q1, unit, size);
            const ptrdiff_t col = q0 * w->stride + s * w->dilation - w->pad_before;
            if (q1 > q0)
                cf_copy_cells(to + q0 * step, step, plane + row * j->x->strides[2] + col * j->x->strides[3],
                              w->stride * j->x->strides[3], q1 - q0, unit, size);
        }
    }
}

/* part[column - begin] += tap (r, s) of the windows of row p, for begin <= column < end */
static void add_tap(const job *j, const char *from, ptrdiff_t s, ptrdiff_t begin, ptrdiff_t end, char *part,
                    char *buffer)
{
    const cf_axis *w = j->w;
    const ptrdiff_t unit = j->unit, size = (ptrdiff_t)cf_compute_bytes(j->compute), step = j->cols->strides[3];
    ptrdiff_t q0, q1;
    columns_of(w, s, begin, end, &q0, &q1);
    if (q1 <= q0) return;
    char *to = part + (q0 * w->stride + s * w->dilation - w->pad_before - begin) * unit * size;
    from += q0 * step;
    if (unit == 1) {
        if (!j->direct) j->load(buffer, from, step, q1 - q0);
        j->lines->add(to, w->stride, j->direct ? from : buffer, q1 - q0);
        return;
    }
    for (ptrdiff_t q = q0; q < q1; ++q, to += w->stride * unit * size, from += step) {
        if (!j->direct) j->load(buffer, from, j->cols->strides[1], unit);
        j->lines->add(to, 1, j->direct ? from : buffer, unit);
    }
}

static void scatter(const void *context, ptrdiff_t task, char *workspace)
{
    const job *j = context;
    const cf_axis *h = j->h, *w = j->w;
    const cf_array *cols = j->cols;
    const ptrdiff_t unit = j->unit, size = (ptrdiff_t)cf_compute_bytes(j->compute), block = BLOCK / unit;
    const ptrdiff_t row = task % h->in;
    const char *plane = cf_cell_plane(cols, unit, task / h->in);
    char *const total = workspace, *const part = total + BLOCK * size, *const buffer = part + BLOCK * size;
    char *to = cf_cell_plane(j->x, unit, task / h->in) + row * j->x->strides[2];
    for (ptrdiff_t begin = 0; begin < w->in; begin += block) {
        const ptrdiff_t end = cf_min(w->in, begin + block), n = (end - begin) * unit;
        memset(total, 0, (size_t)(n * size));
        for (ptrdiff_t r = 0; r < h->size; ++r) {
            const ptrdiff_t at = row + h->pad_before - r * h->dilation; /* = p * stride */
            if (at < 0 || at % h->stride != 0 || at / h->stride >= h->out) continue;
            const char *from = plane + r * w->size * cols->strides[2] + at / h->stride * w->out * cols->strides[3];
            memset(part, 0, (size_t)(n * size));
            for (ptrdiff_t s = 0; s < w->size; ++s, from += cols->strides[2])
                add_tap(j, from, s, begin, end, part, buffer);
            j->lines->add(total, 1, part, n);
        }
        for (ptrdiff_t i = 0; i < n && unit > 1; i += unit, to += j->x->strides[3])
            j->store(to, j->x->strides[1], total + i * size, unit);
        if (unit == 1) j->store(to, j->x->strides[3], total, n), to += n * j->x->strides[3];
    }
}

static int is_direct(const job *j)
{
    const cf_array *cols = j->cols;
    const ptrdiff_t size = (ptrdiff_t)cf_dtype_bytes(cols->dtype);
    const int same = size == (ptrdiff_t)cf_compute_bytes(j->compute) && (size == 8 || cols->dtype == CF_F32);
    for (int i = 0; i < 4; ++i)
        if (cols->strides[i] % size != 0) return 0;
    return same && (uintptr_t)cols->data % (uintptr_t)size == 0 && (j->unit > 1 || cols->strides[3] == size);
}

static double microseconds(const cf_array *cols, ptrdiff_t size)
{
    const ptrdiff_t *n = cols->shape;
    return (double)n[0] * (double)n[1] * (double)n[2] * (double)n[3] * (double)size / BYTES_PER_MICROSECOND;
}

cf_status cf_im2col(const cf_axis axes[2], const cf_array *x, const cf_array *cols)
{
    if (x->shape[0] == 0 || x->shape[1] == 0) return CF_OK;
    const job j = {.h = &axes[0], .w = &axes[1], .x = x, .cols = cols, .unit = cf_cell_unit(x, cols),
                   .size = (ptrdiff_t)cf_dtype_bytes(x->dtype)};
    const ptrdiff_t tasks = cf_cell_planes(x, j.unit) * axes[0].out;
    cf_parallel_for(tasks, cf_threads_for(microseconds(cols, j.size), tasks), gather, &j, NULL, 0);
    return CF_OK;
}

/* What sums are formed in. */
static cf_compute compute_of(const cf_axis axes[2], cf_dtype dtype)
{
    if (dtype < CF_F16) return CF_COMPUTE_I64;
    return cf_max(axes[0].size, axes[1].size) > CF_CHAIN ? CF_COMPUTE_F64 : cf_compute_of(dtype);
}

cf_status cf_col2im(const cf_axis axes[2], const cf_array *cols, const cf_array *x)
{
    if (x->shape[0] == 0 || x->shape[1] == 0) return CF_OK;
    job j = {.h = &axes[0], .w = &axes[1], .x = x, .cols = cols, .unit = cf_cell_unit(x, cols),
             .size = (ptrdiff_t)cf_dtype_bytes(x->dtype),
             .compute = compute_of(axes, x->dtype)};
    if (j.unit > BLOCK) j.unit = 1;
    j.direct = is_direct(&j);
    j.load = cf_loader(cols->dtype, j.compute);
    j.store = cf_storer(j.compute, x->dtype);
    j.lines = cf_kernels_now()->lines[j.compute];
    const ptrdiff_t tasks = cf_cell_planes(x, j.unit) * axes[0].in;
    const size_t each = 3 * BLOCK * cf_compute_bytes(j.compute);
    const int threads = cf_threads_within(cf_threads_for(microseconds(cols, j.size), tasks), each);
    char *workspace = cf_acquire(each * (size_t)threads);
    if (workspace == NULL) return CF_NO_MEMORY;
    cf_parallel_for(tasks, threads, scatter, &j, workspace, each);
    cf_release(workspace);
    return CF_OK;
}
