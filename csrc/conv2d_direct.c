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

/* Whether channels are laid out side by side, pixel by pixel: so a tile that reads pixels one by one touches fewer
   cache lines. From planes it takes a vector of channels to do so by squares. */
static int is_by_pixels(const cf_conv2d_plan *plan)
{
    return plan->filters_are_vectors && (plan->channels_last || plan->block_channels >= plan->leaves->lanes);
}

/* How one axis is laid out for `outputs` outputs: every `step`th cell makes a phase of `length` cells; tap i stands in
   phase i mod `phases`, as tap i + phases does. Where pixels are read one by one a single phase may hold every cell:
   it does unless the taps leave some out. */
typedef struct {
    ptrdiff_t step, phases, length;
} spread;

static spread spread_of(const cf_conv2d_plan *plan, const cf_axis *a, ptrdiff_t outputs)
{
    const ptrdiff_t phases = cf_phases(a);
    const int whole = plan->filters_are_vectors && (phases == a->stride || (phases > 1 && is_by_pixels(plan)));
    if (whole) return (spread){1, 1, cf_axis_covered(a, outputs)};
    return (spread){a->stride, phases, cf_phase_length(a, outputs)};
}

/* A channel's plane is an odd number of cache lines long, so that channels do not fall into the same cache set. */
#define LINE 16
static ptrdiff_t plane_elements(spread h, spread w)
{
    const ptrdiff_t cells = cf_mul(cf_mul(h.phases, h.length), cf_mul(w.phases, w.length));
    return cells > PTRDIFF_MAX / 2 ? PTRDIFF_MAX : (cf_ceil_div(cells, LINE) | 1) * LINE;
}

static ptrdiff_t elements(const cf_conv2d_plan *plan, ptrdiff_t rows, ptrdiff_t cols)
{
    const spread h = spread_of(plan, &plan->shape.h, rows), w = spread_of(plan, &plan->shape.w, cols);
    const ptrdiff_t plane = is_by_pixels(plan) ? cf_mul(h.length, w.length) : plane_elements(h, w);
    return cf_mul(plane, plan->block_channels);
}

static double cycles(const cf_conv2d_plan *plan)
{
    const spread w = spread_of(plan, &plan->shape.w, plan->cols);
    if (!is_by_pixels(plan)) return cf_conv2d_load_cycles(w.step, w.length);
    if (plan->channels_last) return cf_conv2d_load_cycles(1, cf_mul(plan->block_channels, w.length));
    return cf_conv2d_load_cycles(w.length < plan->leaves->lanes ? 2 : w.step, plan->block_channels);
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
    const spread h = spread_of(plan, &plan->shape.h, task->rows), w = spread_of(plan, &plan->shape.w, task->cols);
    const ptrdiff_t cell = is_by_pixels(plan) ? plan->block_channels : 1;
    /* Saturating: the step of an axis with one output may be anything, nobody takes it. */
    *row = cf_mul(plan->shape.h.stride / h.step, cf_mul(w.length, cell));
    *col = cf_mul(plan->shape.w.stride / w.step, cell);
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
    const spread rows = spread_of(plan, h, task->rows), cols = spread_of(plan, w, task->cols);
    const ptrdiff_t plane = plane_elements(rows, cols), phase = rows.length * cols.length;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t top = task->p * h->stride - h->pad_before, left = task->q * w->stride - w->pad_before;
    const char *source = first_plane(job, task, block);
    for (ptrdiff_t j = 0; j < cols.phases; ++j) {
        const cf_conv2d_span span = cf_conv2d_span_of(w, left + j * w->dilation % cols.step, cols.step, cols.length);
        for (ptrdiff_t i = 0; i < rows.phases; ++i) {
            const ptrdiff_t first = top + i * h->dilation % rows.step;
            cf_conv2d_load_planes(job, source, first, rows.step, rows.length, &span, block->channels, plane,
                                  slab + (i * cols.phases + j) * phase * size);
        }
    }
    ptrdiff_t *tap = taps;
    for (ptrdiff_t r = 0; r < h->size; ++r)
        for (ptrdiff_t s = 0; s < w->size; ++s)
            *tap++ = (r % rows.phases * cols.phases + s % cols.phases) * phase +
                     r * h->dilation / rows.step * cols.length + s * w->dilation / cols.step;
    for (ptrdiff_t c = 1; c < block->channels; ++c)
        for (ptrdiff_t t = 0; t < plan->taps; ++t) *tap++ = c * plane + taps[t];
}

static void lay_out_pixels(const cf_conv2d_job *job, const cf_conv2d_task *task, const cf_term_block *block, char *slab,
                           ptrdiff_t *taps)
{
    const cf_conv2d_plan *plan = job->plan;
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    const spread rows = spread_of(plan, h, task->rows), cols = spread_of(plan, w, task->cols);
    const ptrdiff_t top = task->p * h->stride - h->pad_before, left = task->q * w->stride - w->pad_before;
    const ptrdiff_t C = plan->block_channels, size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const char *source = first_plane(job, task, block);
    const cf_conv2d_span span = cf_conv2d_span_of(w, left, cols.step, cols.length);
    for (ptrdiff_t row = 0; row < rows.length; ++row, slab += cols.length * C * size)
        cf_conv2d_load_pixels(job, source, top + row * rows.step, &span, block->channels, C, slab);
    const ptrdiff_t next_tap = plan->channels_innermost ? block->channels : 1;
    const ptrdiff_t next_channel = plan->channels_innermost ? 1 : plan->taps;
    for (ptrdiff_t r = 0; r < h->size; ++r)
        for (ptrdiff_t s = 0; s < w->size; ++s, taps += next_tap) {
            const ptrdiff_t shift = r * h->dilation / rows.step * cols.length + s * w->dilation / cols.step;
            for (ptrdiff_t c = 0; c < block->channels; ++c) taps[c * next_channel] = shift * C + c;
        }
}

static void lay_out(const cf_conv2d_job *job, const cf_conv2d_task *task, const cf_term_block *block, void *slab,
                    cf_conv2d_input *input)
{
    if (is_by_pixels(job->plan))
        lay_out_pixels(job, task, block, slab, input->taps);
    else
        lay_out_planes(job, task, block, slab, input->taps);
    input->x = slab;
}

static const cf_conv2d_layout layout = {.elements = elements, .steps = steps, .lay_out = lay_out, .cycles = cycles};

static void cut(cf_conv2d_plan *plan) { cf_conv2d_cut_tiles(plan, &layout); }

const cf_conv2d_algorithm cf_conv2d_direct = {
    .name = "direct", .shape_filters = cf_conv2d_shape_filters, .pack = cf_conv2d_pack_filters, .refuses = refuses,
    .cut = cut, .share = cf_conv2d_share_tiles, .run = cf_conv2d_run_tiles,
};

/* "narrow": vectors of filters for NCHW too. Rows of a few pixels leave most of a vector of pixels empty; reading
   pixels one by one leaves none, at the price of a transposed copy to y. */

/* Tiles read one offset for many channels that are laid out side by side. Fewer taps than a vector holds would take
   longer to pack in that order. */
static void shape_narrow_filters(cf_conv2d_plan *plan)
{
    plan->filters_are_vectors = 1;
    cf_conv2d_shape_panels(plan);
    plan->channels_innermost = plan->taps >= plan->leaves->lanes && is_by_pixels(plan);
}

static const char *narrow_refuses(const cf_conv2d_plan *plan)
{
    if (plan->channels_last) return "vectors of filters are what direct uses with NHWC";
    if (plan->K < plan->leaves->lanes) return "a group has fewer filters than a vector";
    return refuses(plan);
}

const cf_conv2d_algorithm cf_conv2d_narrow = {
    .name = "narrow", .shape_filters = shape_narrow_filters, .pack = cf_conv2d_pack_filters, .refuses = narrow_refuses,
    .cut = cut, .share = cf_conv2d_share_tiles, .run = cf_conv2d_run_tiles,
};
