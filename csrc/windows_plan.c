/* windows_plan.c — sliding windows before the work: what each window sees, in which type, by which tiles. */
#include "windows.h"

#include "dispatch.h"
#include "geometry.h"

#include <math.h>
#include <string.h>

/* A tile's rows: with its temporaries it should stay in the second-level cache. */
#define TILE_BYTES ((ptrdiff_t)128 << 10)
/* No single buffer of a tile is larger: six of them and 8 threads stay below 64 MiB. */
#define BUFFER_BYTES_MAX ((ptrdiff_t)1 << 20)
/* A row of a tile in the first-level cache. */
#define ROW_BYTES ((ptrdiff_t)16 << 10)
/* Rows that are reduced together: calls are few, and what stands between the two directions is in that cache too. */
#define BLOCK_BYTES ((ptrdiff_t)8 << 10)
/* Pixels shorter than this have tails that cost more than the rows between two passes. */
#define SMALL_BYTES 64
/* From this size on doubling (two loads and a store a level) beats taking every tap (bench_pool2d, 9x9 to 21x21). */
#define WIDE 16
/* Doubling goes down strips of columns: three buffers of a few dozen rows stay in the first two levels of cache. */
#define STRIP_BYTES 512
#define TAPS_MAX 65536 /* a table of 512 KiB */
#define LINE 64 /* bytes: rows begin on cache lines */

cf_span cf_windows_span(const cf_windows *windows, const cf_axis *axis, ptrdiff_t i)
{
    if (windows->adaptive) {
        const ptrdiff_t begin = (ptrdiff_t)((__int128)i * axis->in / axis->out);
        const ptrdiff_t end = (ptrdiff_t)(((__int128)(i + 1) * axis->in + axis->out - 1) / axis->out);
        return (cf_span){begin, end - begin};
    }
    const ptrdiff_t start = i * axis->stride - axis->pad_before;
    const ptrdiff_t skip = start < 0 ? cf_ceil_div(-start, axis->dilation) : 0;
    const ptrdiff_t begin = start + skip * axis->dilation;
    if (begin >= axis->in || skip >= axis->size) return (cf_span){0, 0};
    if (begin + (axis->size - skip - 1) * axis->dilation < axis->in) return (cf_span){begin, axis->size - skip};
    return (cf_span){begin, (axis->in - 1 - begin) / axis->dilation + 1};
}

ptrdiff_t cf_windows_counted(const cf_windows *windows, const cf_axis *axis, ptrdiff_t i)
{
    if (windows->adaptive || !windows->count_padding) return cf_windows_span(windows, axis, i).count;
    return cf_min(axis->size, axis->in + axis->pad_before + axis->pad_after - i * axis->stride);
}

void cf_windows_maxima(cf_windows *windows, const cf_array *x, cf_dtype dtype)
{
    static const int64_t least[CF_DTYPES] = {
        [CF_I8] = INT8_MIN, [CF_I16] = INT16_MIN, [CF_I32] = INT32_MIN, [CF_I64] = INT64_MIN,
    };
    const int is_half = dtype == CF_F16 || dtype == CF_BF16, changes = is_half || x->dtype != dtype;
    windows->x = x;
    windows->dtype = is_half ? CF_F32 : dtype;
    windows->sums = 0;
    windows->leaves = cf_kernels_now()->maxima[dtype];
    windows->size = is_half ? 4 : (ptrdiff_t)cf_dtype_bytes(dtype);
    windows->load = changes ? cf_loader(x->dtype, cf_compute_of(dtype)) : cf_copy_loader((size_t)windows->size);
    windows->nothing = (uint64_t)least[dtype];
    const float f32 = -INFINITY;
    const double f64 = -INFINITY;
    if (is_half || dtype == CF_F32) memcpy(&windows->nothing, &f32, sizeof f32);
    if (dtype == CF_F64) memcpy(&windows->nothing, &f64, sizeof f64);
}

void cf_windows_sums(cf_windows *windows, const cf_array *x, cf_compute compute)
{
    windows->x = x;
    windows->dtype = cf_dtype_of(compute);
    windows->sums = 1;
    windows->leaves = cf_kernels_now()->sums[compute];
    windows->lines = cf_kernels_now()->lines[compute];
    windows->size = (ptrdiff_t)cf_compute_bytes(compute);
    windows->load = cf_loader(x->dtype, compute);
    windows->nothing = 0;
}

/* Doubling computes every position, the taps only those that are outputs. */
static int is_wide(const cf_axis *axis)
{
    ptrdiff_t levels = 0;
    for (ptrdiff_t width = 1; width < axis->size; width *= 2) ++levels;
    return axis->size > WIDE && axis->out > 1 && cf_mul(2 * levels, axis->stride) < axis->size;
}

/* Whether elements lie as the leaves need them: of the compute type, cells without gaps. */
static int is_direct(const cf_windows *windows, const cf_array *a)
{
    const ptrdiff_t size = windows->size;
    if (a->dtype != windows->dtype || (uintptr_t)a->data % (uintptr_t)size != 0) return 0;
    for (int i = 0; i < 4; ++i)
        if (a->strides[i] % size != 0) return 0;
    return (windows->unit == 1 || a->strides[1] == size) && (a->strides[3] == windows->unit * size || a->shape[3] == 1);
}

/* Rows of a tile whose columns are reduced by doubling; 0 if its temporaries would be too large. */
static int plan_wide_rows(cf_windows *windows)
{
    const cf_axis *h = &windows->h;
    const ptrdiff_t line = windows->pitch * windows->size, fitting = TILE_BYTES / line;
    const ptrdiff_t reached = cf_axis_reach(h) / h->stride; /* half of the work is for the rims */
    windows->strip = cf_max(1, STRIP_BYTES / (windows->unit * windows->size));
    windows->rows = cf_min(h->out, cf_max(1, cf_min(cf_max(reached, fitting), BUFFER_BYTES_MAX / line)));
    windows->stage_rows = cf_axis_covered(h, windows->rows);
    windows->stage_pitch = windows->strip * windows->unit;
    return cf_mul(windows->stage_rows, windows->stage_pitch * windows->size) <= BUFFER_BYTES_MAX;
}

/* Rows of a tile whose columns are reduced tap by tap. They come from the sizes alone, as does every order of
   additions: where x lies in memory only decides whether its rows are staged, and how. */
static void plan_rows(cf_windows *windows)
{
    const cf_axis *h = &windows->h;
    const ptrdiff_t line = windows->pitch * windows->size, reach = cf_axis_reach(h), fitting = TILE_BYTES / line;
    windows->rows = fitting <= reach ? 1 : cf_min(h->out, (fitting - reach - 1) / h->stride + 1);
    const ptrdiff_t covered = cf_axis_covered(h, windows->rows);
    const int fits = cf_mul(covered, line) <= BUFFER_BYTES_MAX;
    windows->small = windows->small && fits;
    windows->piece = windows->direct || fits ? 0 : cf_min(windows->pitch, BUFFER_BYTES_MAX / (h->size * windows->size));
    windows->stage_rows = windows->direct ? 0 : fits ? covered : h->size;
    windows->stage_pitch = fits ? windows->pitch : windows->piece;
}

static void plan_full(const cf_windows *windows, const cf_axis *axis, ptrdiff_t full[2], ptrdiff_t inside[2])
{
    const ptrdiff_t counted = axis->in + axis->pad_before + (windows->count_padding ? axis->pad_after : 0);
    full[0] = windows->count_padding ? 0 : cf_ceil_div(axis->pad_before, axis->stride);
    full[1] = counted < axis->size ? full[0] : (counted - axis->size) / axis->stride + 1;
    const ptrdiff_t last = axis->in - 1 - cf_axis_reach(axis) + axis->pad_before; /* where a window may begin */
    inside[0] = cf_ceil_div(axis->pad_before, axis->stride);
    inside[1] = last < 0 ? inside[0] : last / axis->stride + 1;
}

int cf_windows_plan(cf_windows *windows)
{
    const cf_axis *h = &windows->h, *w = &windows->w;
    const ptrdiff_t cell = cf_mul(windows->unit, windows->size);
    windows->direct = is_direct(windows, windows->x);
    if (windows->adaptive) return 0;
    plan_full(windows, h, windows->full[0], windows->inside[0]);
    plan_full(windows, w, windows->full[1], windows->inside[1]);
    windows->wide_w = is_wide(w);
    windows->halves = windows->unit == 1 && w->stride == 2 && w->dilation == 1 && (w->size == 2 || w->size == 3);
    windows->split = windows->unit == 1 && w->stride > 1 && !windows->halves;
    const ptrdiff_t small = windows->sums ? CF_WINDOW_SMALL : CF_WINDOW_SMALL_MAXIMA;
    windows->small = w->stride > 1 && cell >= SMALL_BYTES && cf_mul(h->size, w->size) <= small;
    if (!windows->wide_w && w->size > TAPS_MAX) return 0;
    const ptrdiff_t most = ROW_BYTES / cell, few = cf_min(cf_axis_reach(w) / w->stride, most);
    windows->cols = cf_max(1, cf_min(w->out, cf_max(few, (most - cf_axis_reach(w)) / w->stride)));
    const ptrdiff_t width = cf_mul(cf_axis_covered(w, windows->cols), windows->unit);
    if (width > BUFFER_BYTES_MAX / windows->size / 2) return 0;
    const ptrdiff_t phases = cf_min(w->stride, cf_axis_reach(w) + 1);
    windows->pitch = cf_round_up((width + phases + 2) * windows->size, LINE) / windows->size; /* for the last phases */
    windows->phase_pitch = windows->cols + cf_axis_reach(w) / w->stride;
    windows->piece = 0;
    windows->wide_h = is_wide(h) && plan_wide_rows(windows);
    if (!windows->wide_h && h->size > TAPS_MAX) return 0;
    if (!windows->wide_h) plan_rows(windows);
    const ptrdiff_t stages = windows->wide_h ? 3 : 1;
    windows->block = cf_max(1, cf_min(windows->rows, BLOCK_BYTES / (windows->pitch * windows->size)));
    const ptrdiff_t lines = (windows->wide_w ? 5 : 2) * windows->block + (windows->wide_h ? windows->rows : 0);
    const ptrdiff_t elements = stages * windows->stage_rows * windows->stage_pitch + lines * windows->pitch +
                               (windows->split ? phases * windows->phase_pitch : 0);
    const ptrdiff_t taps = (windows->wide_h ? 1 : h->size) + (windows->wide_w ? 2 : w->size) + 1;
    windows->workspace_each =
        (size_t)cf_round_up(elements * windows->size + taps * (ptrdiff_t)sizeof(ptrdiff_t), LINE);
    return 1;
}

cf_window_output cf_windows_output(const cf_windows *windows, const cf_array *y, cf_store_run store)
{
    const cf_store_run unless_direct = is_direct(windows, y) ? NULL : store;
    return (cf_window_output){y->data, y->strides[2], y->strides[3], y->strides[1], unless_direct};
}
