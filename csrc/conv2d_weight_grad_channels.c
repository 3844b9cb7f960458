/* conv2d_weight_grad_channels.c — the weight gradient of depthwise filters where the channels of a pixel stand side by
   side: the dot products of conv2d_weight_grad_narrow.c, but a vector is `lanes` channels of one pixel, and every lane
   is the sum of a channel.

   A task owns a cache line of channels and goes through all images, some rows at a time. For each vector of channels
   the cells of x are copied with their padding and by phase (column mod stride), those of grad as they are: [row][col]
   [lane]. Sums of at most BLOCK_PIXELS pixels are added up in float64, in a fixed order. */
#include "parallel.h"
#include "weight_grad.h"
#include "workspace.h"

#include <string.h>

#define BLOCK_PIXELS 288 /* four chains; 9 KiB of grad with 256-bit vectors */
#define ROW_PIXELS 64    /* less than CF_CHAIN */
#define LINE_BYTES 64
#define LANES_MAX 16
#define DOTS_MAX 9
#define COPY_BYTES_MAX ((ptrdiff_t)256 << 10) /* of x; filters more spread than this take the other way */

typedef struct {
    const cf_array *array;
    cf_load_run load;
    int vectors; /* the array is of the compute type, channels side by side */
} source;

typedef struct {
    cf_weight_grad *job;
    source x, grad;
    ptrdiff_t lanes, size, channels;      /* of a task: channels */
    ptrdiff_t phases, phase, x_row;       /* of the copy of x, in pixels: phase and rows' pitches */
    size_t x_bytes, g_bytes, total_bytes;
} channels;

/* Pixels of a row, `step` apart, `count` channels of each. */
static void copy_pixels(const channels *plan, const source *from, const char *row, ptrdiff_t step, ptrdiff_t pixels,
                        ptrdiff_t count, char *to)
{
    const ptrdiff_t *strides = from->array->strides;
    if (from->vectors)
        plan->job->window.leaves->copy_rows(&(cf_row_copy){
            .to = to, .to_row = plan->lanes, .from = row, .from_row = step * strides[3] / plan->size,
            .rows = pixels, .step = 1, .count = count,
        });
    else
        for (ptrdiff_t i = 0; i < pixels; ++i)
            from->load(to + i * plan->lanes * plan->size, row + i * step * strides[3], strides[1], count);
}

/* The columns first, first + stride, ... of one row, zeros outside the plane. */
static void copy_phase(const channels *plan, const char *plane, ptrdiff_t row, ptrdiff_t first, ptrdiff_t length,
                       ptrdiff_t count, char *to)
{
    const cf_weight_grad *job = plan->job;
    const cf_axis *h = &job->window.shape.h, *w = &job->window.shape.w;
    const ptrdiff_t pixel = plan->lanes * plan->size, *strides = job->x.strides;
    ptrdiff_t begin = first < 0 ? cf_min(length, cf_ceil_div(-first, w->stride)) : 0;
    ptrdiff_t end = first < w->in ? cf_max(begin, cf_min(length, cf_ceil_div(w->in - first, w->stride))) : begin;
    if (row < 0 || row >= h->in) begin = end = 0;
    memset(to, 0, (size_t)(begin * pixel));
    memset(to + end * pixel, 0, (size_t)((length - end) * pixel));
    if (begin < end)
        copy_pixels(plan, &plan->x, plane + row * strides[2] + (first + begin * w->stride) * strides[3], w->stride,
                    end - begin, count, to + begin * pixel);
}

static void copy_block(const channels *plan, const cf_pixel_block *block, ptrdiff_t c, ptrdiff_t count, char *x,
                       char *g)
{
    const cf_weight_grad *job = plan->job;
    const cf_axis *h = &job->window.shape.h, *w = &job->window.shape.w;
    const cf_array *grad = &job->grad;
    const ptrdiff_t top = block->p * h->stride - h->pad_before, left = block->q * w->stride - w->pad_before;
    const ptrdiff_t length = cf_phase_length(w, block->cols), pixel = plan->lanes * plan->size;
    const char *plane = job->x.data + block->n * job->x.strides[0] + c * job->x.strides[1];
    for (ptrdiff_t i = 0; i < cf_axis_covered(h, block->rows); ++i)
        for (ptrdiff_t phase = 0; phase < plan->phases; ++phase)
            copy_phase(plan, plane, top + i, left + phase, length, count,
                       x + (i * plan->x_row + phase * plan->phase) * pixel);
    for (ptrdiff_t p = 0; p < block->rows; ++p)
        copy_pixels(plan, &plan->grad, grad->data + block->n * grad->strides[0] + c * grad->strides[1] +
                                    (block->p + p) * grad->strides[2] + block->q * grad->strides[3],
                    1, block->cols, count, g + p * job->cols * pixel);
}

static void add_block(const channels *plan, const cf_pixel_block *block, const char *x, const char *g, double *totals)
{
    const cf_conv2d_plan *window = &plan->job->window;
    const cf_axis *h = &window->shape.h, *w = &window->shape.w;
    const ptrdiff_t lanes = plan->lanes;
    _Alignas(CF_ALIGNMENT) char sums[DOTS_MAX * LANES_MAX * sizeof(double)];
    ptrdiff_t cells[DOTS_MAX];
    const cf_dot_size *size = window->leaves->dots;
    cf_dot dot = {.rows = block->rows, .vectors = block->cols, .g = g, .x = x, .g_row = plan->job->cols * lanes,
                  .x_row = h->stride * plan->x_row * lanes, .x_base = cells, .y = sums};
    for (ptrdiff_t t = 0; t < window->taps; t += size->M) {
        while (size->M > window->taps - t) ++size;
        for (ptrdiff_t m = 0; m < size->M; ++m) {
            const ptrdiff_t down = (t + m) / w->size * h->dilation, across = (t + m) % w->size * w->dilation;
            cells[m] = (down * plan->x_row + across % w->stride * plan->phase + across / w->stride) * lanes;
        }
        size->run(&dot);
        for (ptrdiff_t i = 0; i < size->M * lanes; ++i)
            totals[t * lanes + i] += plan->size == sizeof(float) ? ((const float *)sums)[i] : ((const double *)sums)[i];
    }
}

static void store_totals(const channels *plan, ptrdiff_t c, ptrdiff_t count, const double *totals)
{
    const cf_weight_grad *job = plan->job;
    const ptrdiff_t *strides = job->dw.strides, S = job->window.shape.w.size;
    for (ptrdiff_t t = 0; t < job->window.taps; ++t, totals += plan->lanes) {
        float singles[LANES_MAX];
        for (ptrdiff_t i = 0; i < count; ++i) singles[i] = (float)totals[i];
        const void *const values = plan->size == sizeof(float) ? (const void *)singles : totals;
        job->store(job->dw.data + c * strides[0] + t / S * strides[2] + t % S * strides[3], strides[0], values, count);
    }
}

static void run_channels(const void *context, ptrdiff_t task, char *workspace)
{
    const channels *plan = context;
    const cf_weight_grad *job = plan->job;
    const ptrdiff_t first = task * plan->channels, end = cf_min(job->window.shape.C, first + plan->channels);
    const ptrdiff_t lanes = plan->lanes, sums = job->window.taps * lanes;
    char *x = workspace, *g = x + plan->x_bytes;
    double *totals = (double *)(g + plan->g_bytes);
    memset(workspace, 0, plan->x_bytes + plan->g_bytes + plan->total_bytes);
    for (ptrdiff_t b = 0; b < job->blocks; ++b) {
        const cf_pixel_block block = cf_find_block(job, b);
        for (ptrdiff_t c = first; c < end; c += lanes) {
            copy_block(plan, &block, c, cf_min(lanes, end - c), x, g);
            add_block(plan, &block, x, g, totals + (c - first) / lanes * sums);
        }
    }
    for (ptrdiff_t c = first; c < end; c += lanes)
        store_totals(plan, c, cf_min(lanes, end - c), totals + (c - first) / lanes * sums);
}

/* By the data format, not by the strides: arrays of any layout give the same bits. */
static int applies(const cf_conv2d_plan *window)
{
    return window->channels_last && window->C == 1 && window->K == 1 && window->shape.C >= window->leaves->lanes &&
           (window->compute == CF_COMPUTE_F32 || window->compute == CF_COMPUTE_F64) &&
           window->padding_mode == CF_MODE_CONSTANT;
}

static source source_of(const cf_array *array, cf_compute compute)
{
    const int vectors = cf_is_plain(array, compute) && array->strides[1] == (ptrdiff_t)cf_compute_bytes(compute);
    return (source){array, cf_loader(array->dtype, compute), vectors};
}

cf_status cf_weight_grad_channels(cf_weight_grad *job, int threads)
{
    const cf_conv2d_plan *window = &job->window;
    const cf_axis *h = &window->shape.h, *w = &window->shape.w;
    if (!applies(window)) return CF_NOT_APPLICABLE;
    channels plan = {.job = job, .x = source_of(&job->x, window->compute),
                     .grad = source_of(&job->grad, window->compute),
                     .lanes = window->leaves->lanes, .size = (ptrdiff_t)cf_compute_bytes(window->compute)};
    job->images = 1;
    job->cols = cf_ceil_div(w->out, cf_ceil_div(w->out, ROW_PIXELS));
    job->rows = cf_min(h->out, cf_max(1, BLOCK_PIXELS / job->cols));
    job->blocks = cf_count_blocks(job);
    plan.channels = cf_max(plan.lanes, LINE_BYTES / plan.size);
    plan.phases = cf_min(w->stride, cf_axis_reach(w) + 1);
    plan.phase = cf_phase_length(w, job->cols);
    plan.x_row = cf_mul(plan.phases, plan.phase);
    const ptrdiff_t cells = cf_mul(cf_axis_covered(h, job->rows), plan.x_row), pixel = plan.lanes * plan.size;
    if (cf_mul(cells, pixel) > COPY_BYTES_MAX) return CF_NOT_APPLICABLE;
    plan.x_bytes = cf_aligned_bytes(cells * plan.lanes, (size_t)plan.size);
    plan.g_bytes = cf_aligned_bytes(job->rows * job->cols * plan.lanes, (size_t)plan.size);
    plan.total_bytes = cf_aligned_bytes(window->taps * plan.channels, sizeof(double));
    const size_t each = plan.x_bytes + plan.g_bytes + plan.total_bytes;
    threads = cf_threads_within(threads, each);
    char *workspace = cf_acquire(each * (size_t)threads);
    if (workspace == NULL) return CF_NO_MEMORY;
    cf_parallel_for(cf_ceil_div(window->shape.C, plan.channels), threads, run_channels, &plan, workspace, each);
    cf_release(workspace);
    return CF_OK;
}
