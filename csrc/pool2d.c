/* pool2d.c — maxima and means of windows:

     y[n,c,p,q] = max over r, s of   x[n, c, p*stride + r*dilation - top, q*stride + s*dilation - left]
     y[n,c,p,q] = sum over r, s of   x[...] / cells(p, q)

   cells(p, q) is `divisor`, or the number of cells that the window has in the plane, or in the padded plane. Padding is
   never chosen and adds nothing; a window without a cell gives the least value. Windows of a regular grid are computed
   in tiles (windows.c); whole planes, adaptive windows and giants one by one, in pieces of CF_RUN numbers.

   The caller guarantees shapes that cf_pool2d_geometry accepts, a y of that shape and of the dtype of x (maxima) or of
   float16, bfloat16, float32 or float64 (means), which overlaps no input. */
#include "dispatch.h"
#include "geometry.h"
#include "parallel.h"
#include "windows.h"
#include "workspace.h"

#include <string.h>

/* Cells that one core pools in a microsecond, roughly: for choosing threads and the size of tasks. */
#define CELLS_PER_MICROSECOND 2000.0
#define TASK_CELLS 32768 /* 16 us: much longer than handing out a task takes */
/* Channels and cells of a window at a time, one by one with channels last: 7x7 maps at once. */
#define EACH_CHANNELS 256
#define EACH_TAPS 64

typedef struct {
    cf_windows windows;
    const cf_array *y;
    cf_store_run store;
    cf_window_output output;
    ptrdiff_t planes, row_tiles, col_tiles, items, grain; /* an item: a tile, or a row of outputs one by one */
} job;

static const char *plane_of(const job *j, const cf_array *a, ptrdiff_t plane)
{
    const ptrdiff_t C = j->windows.unit == 1 ? a->shape[1] : 1;
    if (a->strides[0] == C * a->strides[1]) return a->data + plane * a->strides[1]; /* without a division */
    return a->data + plane / C * a->strides[0] + plane % C * a->strides[1];
}

static void run_tiles(const void *context, ptrdiff_t task, char *workspace)
{
    const job *j = context;
    const cf_windows *windows = &j->windows;
    const ptrdiff_t tiles = j->row_tiles * j->col_tiles, end = cf_min(j->items, (task + 1) * j->grain);
    for (ptrdiff_t item = task * j->grain; item < end; ++item) {
        const ptrdiff_t plane = item / tiles, at = item % tiles;
        const ptrdiff_t p = at / j->col_tiles * windows->rows, q = at % j->col_tiles * windows->cols;
        cf_window_output output = j->output;
        output.data = (char *)plane_of(j, j->y, plane) + p * output.row + q * output.cell;
        cf_windows_tile(windows, plane_of(j, windows->x, plane), p, cf_min(p + windows->rows, windows->h.out), q,
                        cf_min(q + windows->cols, windows->w.out), &output, workspace);
    }
}

/* Numbers `begin` to `begin + n` of a plane or row of `cols` in a row, gathered if they do not lie side by side. */
static const void *piece(const job *j, const char *plane, ptrdiff_t begin, ptrdiff_t n, char *buffer)
{
    const cf_windows *windows = &j->windows;
    const cf_array *x = windows->x;
    const ptrdiff_t cols = windows->w.in, step = x->strides[2];
    if (windows->direct && step == cols * windows->size) return plane + begin * windows->size;
    if (windows->direct && begin / cols == (begin + n - 1) / cols)
        return plane + begin / cols * step + begin % cols * windows->size;
    for (ptrdiff_t done = 0; done < n;) {
        const ptrdiff_t col = (begin + done) % cols, count = cf_min(n - done, cols - col);
        cf_windows_load(windows, plane + (begin + done) / cols * step, col, 1, count, buffer + done * windows->size);
        done += count;
    }
    return buffer;
}

static double divisor_of(const cf_windows *windows, ptrdiff_t p, ptrdiff_t q)
{
    return windows->divisor != 0 ? windows->divisor
                                 : (double)cf_windows_counted(windows, &windows->h, p) *
                                       (double)cf_windows_counted(windows, &windows->w, q);
}

/* A mean, divided and rounded to the compute type once. */
static void put_mean(const cf_windows *windows, double sum, double divisor, char *to)
{
    const double mean = sum / divisor;
    const float rounded = (float)mean;
    if (windows->size == 4)
        memcpy(to, &rounded, 4);
    else
        memcpy(to, &mean, 8);
}

/* Whether +0 or -0 of a floating type may be among n maxima: rare, so that one quick look spares settling each. */
static int any_zero(const cf_windows *windows, const char *maxima, ptrdiff_t n)
{
    uint32_t bits, found = windows->dtype == CF_F64;
    for (ptrdiff_t i = 0; i < n && windows->dtype == CF_F32; ++i) {
        memcpy(&bits, maxima + 4 * i, 4);
        found |= bits << 1 == 0;
    }
    return found != 0;
}

/* Of +0 and -0, which are equal, a maximum shows the first column by column, as in windows.c. `first` is the first cell
   of the window. */
static void settle_zero(const cf_windows *windows, const char *first, cf_span rows, cf_span cols, char *maximum)
{
    const ptrdiff_t down = windows->h.dilation * windows->x->strides[2];
    const ptrdiff_t across = windows->w.dilation * windows->x->strides[3];
    const uint64_t sign = (uint64_t)1 << (8 * windows->size - 1);
    uint64_t bits = 0;
    memcpy(&bits, maximum, (size_t)windows->size);
    if ((windows->dtype != CF_F32 && windows->dtype != CF_F64) || (bits & ~sign) != 0) return;
    for (ptrdiff_t w = 0; w < cols.count; ++w)
        for (ptrdiff_t h = 0; h < rows.count; ++h) {
            windows->load(&bits, first + h * down + w * across, windows->size, 1);
            if ((bits & ~sign) != 0) continue;
            memcpy(maximum, &bits, (size_t)windows->size);
            return;
        }
}

static void one_of_plane(const job *j, const char *plane, ptrdiff_t p, ptrdiff_t q, char *buffer, char *to)
{
    const cf_windows *windows = &j->windows;
    const cf_span rows = cf_windows_span(windows, &windows->h, p), cols = cf_windows_span(windows, &windows->w, q);
    const ptrdiff_t W = windows->w.in, size = windows->size, across = windows->w.dilation, down = windows->h.dilation;
    const int flat = cols.count == W && across == 1 && down == 1; /* whole rows: one long run */
    const ptrdiff_t runs = flat ? 1 : rows.count, length = flat ? rows.count * W : cols.count;
    double sum = 0;
    uint64_t best[2] = {0};
    memcpy(best, &windows->nothing, (size_t)size);
    for (ptrdiff_t run = 0; run < runs; ++run) {
        const ptrdiff_t begin = (rows.begin + run * down) * W + cols.begin;
        for (ptrdiff_t i = 0; i < length; i += CF_RUN) {
            const ptrdiff_t n = cf_min(CF_RUN, length - i);
            const void *from = buffer;
            if (across == 1)
                from = piece(j, plane, begin + i, n, buffer);
            else
                cf_windows_load(windows, plane + begin / W * windows->x->strides[2], cols.begin + i * across, across, n,
                                buffer);
            if (windows->sums) {
                double part;
                windows->leaves->run(&part, from, n);
                sum += part;
            } else {
                windows->leaves->run((char *)best + size, from, n);
                windows->leaves->run(best, best, 2);
            }
        }
    }
    if (windows->sums)
        put_mean(windows, sum, divisor_of(windows, p, q), to);
    else {
        memcpy(to, best, (size_t)size);
        settle_zero(windows, plane + rows.begin * windows->x->strides[2] + cols.begin * windows->x->strides[3], rows,
                    cols, to);
    }
}

/* Channels c to c + n of one output with channels last. */
static void one_of_pixels(const job *j, const char *plane, ptrdiff_t p, ptrdiff_t q, ptrdiff_t c, ptrdiff_t n,
                          char *buffer, char *to)
{
    const cf_windows *windows = &j->windows;
    const cf_array *x = windows->x;
    const cf_span rows = cf_windows_span(windows, &windows->h, p), cols = cf_windows_span(windows, &windows->w, q);
    const ptrdiff_t size = windows->size, cells = rows.count * cols.count;
    char *part = buffer + EACH_TAPS * EACH_CHANNELS * size, *best = part + EACH_CHANNELS * size;
    double *sums = (double *)(best + 2 * EACH_CHANNELS * size);
    const double divisor = windows->sums ? divisor_of(windows, p, q) : 1;
    const int at_once = cells > 0 && cells <= EACH_TAPS;
    ptrdiff_t taps[EACH_TAPS], h = 0, w = 0;
    for (ptrdiff_t i = 0; i < n && !at_once; ++i) memcpy(best + i * size, &windows->nothing, (size_t)size), sums[i] = 0;
    plane += c * x->strides[1] + rows.begin * x->strides[2] + cols.begin * x->strides[3];
    for (ptrdiff_t cell = 0; cell < cells; cell += EACH_TAPS) {
        const ptrdiff_t count = cf_min(EACH_TAPS, cells - cell);
        for (ptrdiff_t t = 0; t < count; ++t, ++w) {
            if (w == cols.count) w = 0, ++h;
            const ptrdiff_t offset = h * windows->h.dilation * x->strides[2] + w * windows->w.dilation * x->strides[3];
            taps[t] = windows->direct ? offset / size : t * EACH_CHANNELS;
            if (!windows->direct) windows->load(buffer + t * EACH_CHANNELS * size, plane + offset, x->strides[1], n);
        }
        windows->leaves->taps(at_once ? to : part, windows->direct ? plane : buffer, taps, count, n,
                              at_once ? divisor : 1);
        if (at_once) break;
        if (windows->sums) {
            for (ptrdiff_t i = 0; i < n; ++i)
                sums[i] += size == 4 ? (double)((const float *)part)[i] : ((const double *)part)[i];
        } else {
            const ptrdiff_t both[2] = {(best - part) / size, 0};
            windows->leaves->taps(best + EACH_CHANNELS * size, part, both, 2, n, 1);
            memcpy(best, best + EACH_CHANNELS * size, (size_t)(n * size));
        }
    }
    for (ptrdiff_t i = 0; i < n && windows->sums && !at_once; ++i) put_mean(windows, sums[i], divisor, best + i * size);
    if (!at_once) memcpy(to, best, (size_t)(n * size));
    const int zeros = !windows->sums && any_zero(windows, to, n);
    for (ptrdiff_t i = 0; i < n && zeros; ++i)
        settle_zero(windows, plane + i * x->strides[1], rows, cols, to + i * size);
}

static void run_each(const void *context, ptrdiff_t task, char *workspace)
{
    const job *j = context;
    const cf_windows *windows = &j->windows;
    const ptrdiff_t end = cf_min(j->items, (task + 1) * j->grain), P = windows->h.out, unit = windows->unit;
    const ptrdiff_t blocks = cf_ceil_div(unit, EACH_CHANNELS);
    char *const result = workspace, *const buffer = workspace + EACH_CHANNELS * sizeof(double);
    for (ptrdiff_t item = task * j->grain; item < end; ++item) {
        const ptrdiff_t c = item % blocks * EACH_CHANNELS, n = cf_min(EACH_CHANNELS, unit - c), row = item / blocks;
        const ptrdiff_t p = row % P, channel = j->y->strides[1];
        const char *plane = plane_of(j, windows->x, row / P);
        char *to = (char *)plane_of(j, j->y, row / P) + p * j->y->strides[2] + c * channel;
        for (ptrdiff_t q = 0; q < windows->w.out; ++q, to += j->y->strides[3]) {
            if (unit == 1)
                one_of_plane(j, plane, p, q, buffer, result);
            else
                one_of_pixels(j, plane, p, q, c, n, buffer, result);
            j->store(to, channel, result, n);
        }
    }
}

/* Whole multiples make a regular grid. */
static void adapt(cf_windows *windows)
{
    cf_axis *axes[2] = {&windows->h, &windows->w};
    if (windows->h.in % windows->h.out != 0 || windows->w.in % windows->w.out != 0) return;
    for (int i = 0; i < 2; ++i) axes[i]->size = axes[i]->stride = axes[i]->in / axes[i]->out;
    windows->adaptive = 0;
}

static cf_status run(job *j, int tiled, size_t each)
{
    const cf_windows *windows = &j->windows;
    const double cells = (double)windows->x->shape[0] * (double)windows->x->shape[1] *
                         ((double)windows->h.in * (double)windows->w.in +
                          (double)windows->h.out * (double)windows->w.out);
    const double grain = TASK_CELLS / (cells / (double)j->items);
    j->grain = grain < 1 ? 1 : grain > (double)j->items ? j->items : (ptrdiff_t)grain;
    const ptrdiff_t tasks = cf_ceil_div(j->items, j->grain);
    const int threads = cf_threads_within(cf_threads_for(cells / CELLS_PER_MICROSECOND, tasks), each);
    char *workspace = cf_acquire(each * (size_t)threads);
    if (workspace == NULL) return CF_NO_MEMORY;
    cf_parallel_for(tasks, threads, tiled ? run_tiles : run_each, j, workspace, each);
    cf_release(workspace);
    return CF_OK;
}

cf_status cf_pool2d(const cf_pool2d_options *options, const cf_array *x, const cf_array *y)
{
    cf_axis axes[2];
    const cf_status status = cf_pool2d_geometry(options, x->shape, axes);
    if (status != CF_OK || x->shape[0] == 0 || x->shape[1] == 0) return status;
    job j = {.y = y, .windows = {.h = axes[0], .w = axes[1], .unit = options->channels_last ? x->shape[1] : 1,
                                 .adaptive = options->adaptive, .count_padding = options->count_padding,
                                 .divisor = options->divisor}};
    cf_windows *windows = &j.windows;
    if (options->kind == CF_POOL_MAX)
        cf_windows_maxima(windows, x, x->dtype);
    else
        cf_windows_sums(windows, x, cf_compute_of(y->dtype));
    if (windows->adaptive) adapt(windows);
    j.store = windows->dtype == y->dtype ? cf_copy_storer((size_t)windows->size)
                                         : cf_storer(cf_compute_of(y->dtype), y->dtype);
    j.output = cf_windows_output(windows, y, j.store);
    j.planes = x->shape[0] * (windows->unit == 1 ? x->shape[1] : 1);
    /* A whole plane is one long run: no passes, no temporaries. */
    const cf_axis *h = &windows->h, *w = &windows->w;
    const int whole = h->out == 1 && w->out == 1 && h->dilation == 1 && w->dilation == 1;
    if (cf_windows_plan(windows) && !whole) {
        j.row_tiles = cf_ceil_div(h->out, windows->rows);
        j.col_tiles = cf_ceil_div(w->out, windows->cols);
        j.items = j.planes * j.row_tiles * j.col_tiles;
        return run(&j, 1, windows->workspace_each);
    }
    j.items = j.planes * h->out * cf_ceil_div(windows->unit, EACH_CHANNELS);
    return run(&j, 0, (EACH_TAPS + 6) * EACH_CHANNELS * sizeof(double));
}
