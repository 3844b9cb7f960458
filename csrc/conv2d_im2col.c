/* conv2d_im2col.c — the algorithm "im2col": each block of terms is laid out as a matrix, one input for every term of
   every output, and multiplied with the filters. The whole matrix never exists: a block is at most CF_TAPS_MAX terms
   of one task's outputs.

   Pixels orientation: [term][output]; channels orientation: [output][term]. It applies to every shape, wastes nothing
   between rows, and costs R * S copies of the input. */
#include "geometry.h"
#include "plan.h"

static ptrdiff_t block_terms(const cf_conv2d_plan *plan)
{
    return plan->taps <= CF_TAPS_MAX ? plan->block_channels * plan->taps : CF_BLOCK_TERMS;
}

static const char *refuses(const cf_conv2d_plan *plan)
{
    (void)plan;
    return NULL;
}

static ptrdiff_t elements(const cf_conv2d_plan *plan, ptrdiff_t rows, ptrdiff_t cols)
{
    return cf_mul(cf_mul(rows, cols), block_terms(plan));
}

static void steps(const cf_conv2d_plan *plan, const cf_conv2d_task *task, ptrdiff_t *row, ptrdiff_t *col)
{
    *col = plan->filters_are_vectors ? block_terms(plan) : 1;
    *row = task->cols * *col;
}

static void lay_out(const cf_conv2d_job *job, const cf_conv2d_task *task, const cf_term_block *block, void *slab,
                    cf_conv2d_input *input)
{
    const cf_conv2d_plan *plan = job->plan;
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), terms = block_terms(plan);
    const ptrdiff_t top = task->p * h->stride - h->pad_before, left = task->q * w->stride - w->pad_before;
    const cf_array *x = job->x;
    const char *plane = x->data + task->n * x->strides[0] + (task->g * plan->C + block->c) * x->strides[1];
    input->x = slab;
    if (plan->filters_are_vectors) {
        char *to = slab;
        for (ptrdiff_t p = 0; p < task->rows; ++p)
            for (ptrdiff_t q = 0; q < task->cols; ++q, to += (terms - block->taps * block->channels) * size)
                for (ptrdiff_t tap = block->tap, run; tap < block->tap + block->taps; tap += run) {
                    const ptrdiff_t row = top + p * h->stride + tap / w->size * h->dilation;
                    const ptrdiff_t col = left + q * w->stride + tap % w->size * w->dilation;
                    run = block->channels != 1 ? 1 : cf_min(w->size - tap % w->size, block->tap + block->taps - tap);
                    if (block->channels != 1)
                        cf_conv2d_load_pixel(job, plane, row, col, block->channels, to);
                    else /* a run of taps */
                        cf_conv2d_load_row(job, plane, row, col, w->dilation, run, to);
                    to += run * block->channels * size;
                }
        for (ptrdiff_t t = 0; t < block->terms; ++t) input->taps[t] = t;
        return;
    }
    char *to = slab;
    for (ptrdiff_t c = 0; c < block->channels; ++c, plane += x->strides[1])
        for (ptrdiff_t tap = block->tap; tap < block->tap + block->taps; ++tap) {
            const cf_conv2d_span span =
                cf_conv2d_span_of(w, left + tap % w->size * w->dilation, w->stride, task->cols);
            const ptrdiff_t row = top + tap / w->size * h->dilation;
            for (ptrdiff_t p = 0; p < task->rows; ++p, to += task->cols * size)
                cf_conv2d_load_span(job, plane, row + p * h->stride, &span, to);
        }
    for (ptrdiff_t t = 0; t < block->terms; ++t) input->taps[t] = t * task->rows * task->cols;
}

static double cycles(const cf_conv2d_plan *plan)
{
    if (!plan->filters_are_vectors) return cf_conv2d_load_cycles(plan->shape.w.stride, plan->cols);
    return cf_conv2d_load_cycles(1, plan->taps > CF_TAPS_MAX ? plan->shape.w.size : plan->block_channels);
}

static const cf_conv2d_layout layout = {.elements = elements, .steps = steps, .lay_out = lay_out, .cycles = cycles};

static void cut(cf_conv2d_plan *plan) { cf_conv2d_cut_tiles(plan, &layout); }

const cf_conv2d_algorithm cf_conv2d_im2col = {
    .name = "im2col", .shape_filters = cf_conv2d_shape_filters, .pack = cf_conv2d_pack_filters, .refuses = refuses,
    .cut = cut, .share = cf_conv2d_share_tiles, .run = cf_conv2d_run_tiles,
};
