/* conv2d_direct.c — the algorithm "direct": the input's rows, padded, are all that is laid out.

   Every tap of the filter is then a shift by a constant. In the pixels orientation a stride of s would make neighbours
   s cells apart, so rows and columns are laid out by phase (index mod stride), of which only those a tap meets:
   [channel][phase of h][phase of w][row][column]; tap (r, s) stands in phase (r * dilation) mod stride and is a shift
   by (r * dilation) div stride there. In the channels orientation pixels are read one by one and no phases are
   needed: [row][column][channel].

   Zero-memory-overhead direct convolution: Zhang, Franchetti, Low, arXiv 1809.10170; the padded rows are this one's
   own. */
#include "geometry.h"
#include "plan.h"

/* The smallest task (one row, one vector tile) must leave room for others in the second-level cache. */
#define SMALLEST_SLAB_BYTES (256 << 10)

/* Phases that the taps of one axis meet, and the length that `outputs` outputs need in each. Tap i and tap i + phases
   stand in the same phase. */
static ptrdiff_t gcd(ptrdiff_t a, ptrdiff_t b) { return b == 0 ? a : gcd(b, a % b); }
static ptrdiff_t phases(const cf_axis *a) { return cf_min(a->size, a->stride / gcd(a->dilation, a->stride)); }
static ptrdiff_t phase_length(const cf_axis *a, ptrdiff_t outputs)
{
    return cf_add(outputs, (a->size - 1) * a->dilation / a->stride);
}
static ptrdiff_t reach(const cf_axis *a, ptrdiff_t outputs)
{
    return cf_add(cf_mul(outputs - 1, a->stride), (a->size - 1) * a->dilation + 1);
}

/* A channel's plane is an odd number of cache lines long, so that channels do not fall into the same cache set. */
#define LINE 16
static ptrdiff_t plane_elements(const cf_conv2d_plan *plan, ptrdiff_t rows, ptrdiff_t cols)
{
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    const ptrdiff_t cells = cf_mul(cf_mul(phases(h), phase_length(h, rows)), cf_mul(phases(w), phase_length(w, cols)));
    return cells > PTRDIFF_MAX / 2 ? PTRDIFF_MAX : (cf_ceil_div(cells, LINE) | 1) * LINE;
}

static ptrdiff_t elements(const cf_conv2d_plan *plan, ptrdiff_t rows, ptrdiff_t cols)
{
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    const ptrdiff_t plane = plan->filters_are_vectors ? cf_mul(reach(h, rows), reach(w, cols))
                                                      : plane_elements(plan, rows, cols);
    return cf_mul(plane, plan->block_channels);
}

static const char *refuses(const cf_conv2d_plan *plan)
{
    if (plan->taps > CF_TAPS_MAX) return "the filter has more than 1024 taps";
    const ptrdiff_t vector_tile = cf_min(plan->shape.w.out, plan->tile->V * plan->leaves->lanes);
    if (cf_mul(elements(plan, 1, vector_tile), (ptrdiff_t)cf_compute_bytes(plan->compute)) > SMALLEST_SLAB_BYTES)
        return "stride and dilation spread the filter over more input than the cache holds";
    return NULL;
}

static void steps(const cf_conv2d_plan *plan, const cf_conv2d_task *task, ptrdiff_t *row, ptrdiff_t *col)
{
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    *row = plan->filters_are_vectors ? h->stride * reach(w, task->cols) * plan->block_channels
                                     : phase_length(w, task->cols);
    *col = plan->filters_are_vectors ? w->stride * plan->block_channels : 1;
}

static const char *first_plane(const cf_conv2d_job *job, const cf_conv2d_task *task, const cf_term_block *block)
{
    const cf_array *x = job->x;
    return x->data + task->n * x->strides[0] + (task->g * job->plan->C + block->c) * x->strides[1];
}

static void lay_out_planes(const cf_conv2d_job *job, const cf_conv2d_task *task, const cf_term_block *block, char *slab,
                           ptrdiff_t *taps)
{
    const cf_conv2d_plan *plan = job->plan;
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    const ptrdiff_t H = phases(h), W = phases(w), rows = phase_length(h, task->rows), cols = phase_length(w, task->cols);
    const ptrdiff_t plane = plane_elements(plan, task->rows, task->cols), size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t top = task->p * h->stride - h->pad_before, left = task->q * w->stride - w->pad_before;
    const char *source = first_plane(job, task, block);
    for (ptrdiff_t j = 0; j < W; ++j) {
        const cf_conv2d_span span = cf_conv2d_span_of(plan, left + j * w->dilation % w->stride, w->stride, cols);
        for (ptrdiff_t i = 0; i < H; ++i) {
            const ptrdiff_t first = top + i * h->dilation % h->stride;
            for (ptrdiff_t c = 0; c < block->channels; ++c) {
                char *to = slab + (c * plane + (i * W + j) * rows * cols) * size;
                for (ptrdiff_t row = 0; row < rows; ++row, to += cols * size)
                    cf_conv2d_load_span(job, source + c * job->x->strides[1], first + row * h->stride, &span, to);
            }
        }
    }
    ptrdiff_t *tap = taps;
    for (ptrdiff_t r = 0; r < h->size; ++r)
        for (ptrdiff_t s = 0; s < w->size; ++s)
            *tap++ = (r % H * W + s % W) * rows * cols + r * h->dilation / h->stride * cols + s * w->dilation / w->stride;
    for (ptrdiff_t c = 1; c < block->channels; ++c)
        for (ptrdiff_t t = 0; t < plan->taps; ++t) *tap++ = c * plane + taps[t];
}

static void lay_out_pixels(const cf_conv2d_job *job, const cf_conv2d_task *task, const cf_term_block *block, char *slab,
                           ptrdiff_t *taps)
{
    const cf_conv2d_plan *plan = job->plan;
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    const ptrdiff_t rows = reach(h, task->rows), cols = reach(w, task->cols), C = plan->block_channels;
    const ptrdiff_t top = task->p * h->stride - h->pad_before, left = task->q * w->stride - w->pad_before;
    const char *source = first_plane(job, task, block);
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    for (ptrdiff_t row = 0; row < rows; ++row)
        for (ptrdiff_t col = 0; col < cols; ++col, slab += C * size)
            cf_conv2d_load_pixel(job, source, top + row, left + col, block->channels, slab);
    for (ptrdiff_t r = 0; r < h->size; ++r)
        for (ptrdiff_t s = 0; s < w->size; ++s)
            for (ptrdiff_t c = 0; c < block->channels; ++c)
                *taps++ = (r * h->dilation * cols + s * w->dilation) * C + c;
}

static void lay_out(const cf_conv2d_job *job, const cf_conv2d_task *task, const cf_term_block *block, void *slab,
                    cf_conv2d_input *input)
{
    if (job->plan->filters_are_vectors)
        lay_out_pixels(job, task, block, slab, input->taps);
    else
        lay_out_planes(job, task, block, slab, input->taps);
    input->x = slab;
}

static const cf_conv2d_layout layout = {.elements = elements, .steps = steps, .lay_out = lay_out, .cycles = 0.5};

static void cut(cf_conv2d_plan *plan) { cf_conv2d_cut_tiles(plan, &layout); }

const cf_conv2d_algorithm cf_conv2d_direct = {
    .name = "direct", .shape_filters = cf_conv2d_shape_filters, .pack = cf_conv2d_pack_filters, .refuses = refuses,
    .cut = cut, .share = cf_conv2d_share_tiles, .run = cf_conv2d_run_tiles,
};
