/* plan.c — decides how a convolution is computed: orientation, algorithm, sizes of tasks. Once, for everybody.

   Orientation, tile and block sizes depend on the filters, the data format and the ISA alone, because packed filters
   and the order of sums hang on them. The algorithm depends on the sizes of one image. Only the cut into tasks looks
   at the batch and the threads: it changes no bit of the result. */
#include "plan.h"

#include "dispatch.h"
#include "geometry.h"

#include <string.h>

/* In order of preference among equals; the last one applies to everything. */
static const cf_conv2d_algorithm *const algorithms[] = {&cf_conv2d_direct, &cf_conv2d_im2col, NULL};

const char *cf_conv2d_algorithm_name(int index)
{
    for (int i = 0; i <= index; ++i)
        if (algorithms[i] == NULL) return NULL;
    return algorithms[index]->name;
}

cf_term_block cf_conv2d_block(const cf_conv2d_plan *plan, ptrdiff_t index)
{
    cf_term_block block = {.c = index * plan->block_channels, .taps = plan->taps};
    if (plan->taps > CF_TAPS_MAX) {
        const ptrdiff_t runs = cf_ceil_div(plan->taps, CF_BLOCK_TERMS);
        block.c = index / runs;
        block.tap = index % runs * CF_BLOCK_TERMS;
        block.taps = cf_min(CF_BLOCK_TERMS, plan->taps - block.tap);
    }
    block.channels = cf_min(plan->block_channels, plan->C - block.c);
    block.terms = block.channels * block.taps;
    block.first = block.c * plan->taps + block.tap;
    return block;
}

/* The tile that computes the fewest filters in vain; of equals the first, which is the widest. */
static const cf_tile_shape *best_tile(const cf_tile_shape *shapes, ptrdiff_t K, ptrdiff_t lanes_or_zero)
{
    const cf_tile_shape *best = shapes;
    ptrdiff_t least = PTRDIFF_MAX;
    for (const cf_tile_shape *s = shapes; s->M != 0; ++s) {
        const ptrdiff_t panel = lanes_or_zero == 0 ? s->M : s->V * lanes_or_zero, computed = cf_round_up(cf_max(K, 1), panel);
        /* An eighth more work is cheaper than a narrower tile. */
        if (computed < least - least / 8) best = s, least = computed;
    }
    return best;
}

cf_status cf_conv2d_plan_filters(const cf_conv2d_options *options, cf_compute compute, const ptrdiff_t w_shape[4],
                                 cf_conv2d_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->shape.K = w_shape[0];
    plan->shape.groups = options->groups;
    plan->shape.h.size = w_shape[2];
    plan->shape.w.size = w_shape[3];
    plan->compute = compute;
    plan->leaves = cf_kernels_now()->leaves[compute];
    plan->C = w_shape[1];
    plan->K = w_shape[0] / options->groups;
    plan->taps = cf_mul(w_shape[2], w_shape[3]);
    /* Vectors of filters need channels side by side, and enough of them. */
    plan->filters_are_vectors = options->channels_last && plan->K >= plan->leaves->lanes;
    plan->tile = plan->filters_are_vectors ? best_tile(plan->leaves->channels, plan->K, plan->leaves->lanes)
                                           : best_tile(plan->leaves->pixels, plan->K, 0);
    plan->panel = plan->filters_are_vectors ? plan->tile->V * plan->leaves->lanes : plan->tile->M;
    plan->panels = cf_ceil_div(cf_max(plan->K, 1), plan->panel);
    if (plan->taps > CF_TAPS_MAX) {
        plan->block_channels = 1;
        plan->blocks = cf_max(1, cf_mul(plan->C, cf_ceil_div(plan->taps, CF_BLOCK_TERMS)));
    } else {
        plan->block_channels = cf_max(1, cf_min(plan->C, CF_BLOCK_TERMS / plan->taps));
        plan->blocks = cf_max(1, cf_ceil_div(plan->C, plan->block_channels));
    }
    plan->exact_blocks =
        plan->blocks > CF_BLOCKS_PLAIN && (compute == CF_COMPUTE_F32 || compute == CF_COMPUTE_F64);
    const ptrdiff_t packed = cf_mul(cf_mul(options->groups, plan->panels * plan->panel),
                                    cf_mul(cf_mul(plan->C, plan->taps), (ptrdiff_t)cf_compute_bytes(compute)));
    plan->packed_bytes = (size_t)packed;
    return packed == PTRDIFF_MAX ? CF_TOO_LARGE : CF_OK;
}

static void use(cf_conv2d_plan *plan, const cf_conv2d_algorithm *algorithm)
{
    plan->algorithm = algorithm;
    algorithm->cut(plan);
}

static void choose(cf_conv2d_plan *plan)
{
    const cf_conv2d_algorithm *best = NULL;
    double least = 0;
    for (int i = 0; algorithms[i] != NULL; ++i) {
        if (algorithms[i]->refuses(plan) != NULL) continue;
        use(plan, algorithms[i]);
        /* Per image: the choice, and with it the bits, must not depend on the batch. */
        if (best == NULL || plan->microseconds < least) best = algorithms[i], least = plan->microseconds;
    }
    use(plan, best);
}

static cf_status prepare(const cf_conv2d_options *options, cf_compute compute, const ptrdiff_t x_shape[4],
                         const ptrdiff_t w_shape[4], cf_conv2d_plan *plan)
{
    cf_conv2d_shape shape;
    cf_status status = cf_conv2d_geometry(options, x_shape, w_shape, &shape);
    if (status == CF_OK) status = cf_conv2d_plan_filters(options, compute, w_shape, plan);
    plan->shape = shape;
    plan->padding_mode = options->padding_mode;
    plan->activation = options->activation;
    return status;
}

cf_status cf_conv2d_plan_make(const cf_conv2d_options *options, cf_compute compute, const ptrdiff_t x_shape[4],
                              const ptrdiff_t w_shape[4], cf_conv2d_plan *plan)
{
    const cf_status status = prepare(options, compute, x_shape, w_shape, plan);
    if (status != CF_OK) return status;
    if (strcmp(options->algorithm, "auto") == 0)
        choose(plan);
    else
        for (int i = 0; algorithms[i] != NULL; ++i)
            if (strcmp(options->algorithm, algorithms[i]->name) == 0 && algorithms[i]->refuses(plan) == NULL)
                use(plan, algorithms[i]);
    if (plan->algorithm == NULL) return CF_NOT_APPLICABLE;
    plan->algorithm->share(plan);
    return CF_OK;
}

cf_status cf_conv2d_explain(const cf_conv2d_options *options, cf_dtype compute, const ptrdiff_t x_shape[4],
                            const ptrdiff_t w_shape[4], cf_conv2d_explanation *explanation)
{
    cf_conv2d_plan plan;
    memset(explanation, 0, sizeof *explanation);
    cf_status status = prepare(options, cf_compute_of(compute), x_shape, w_shape, &plan);
    if (status != CF_OK) return status;
    for (int i = 0; algorithms[i] != NULL; ++i) {
        const char *reason = algorithms[i]->refuses(&plan);
        if (reason == NULL) use(&plan, algorithms[i]);
        explanation->candidates[i] = (cf_conv2d_candidate){algorithms[i]->name, reason == NULL, reason == NULL ? "" : reason,
                                                           reason == NULL ? plan.microseconds : 0};
        explanation->candidate_count = i + 1;
    }
    status = cf_conv2d_plan_make(options, cf_compute_of(compute), x_shape, w_shape, &plan);
    if (status != CF_OK) return status;
    explanation->shape = plan.shape;
    explanation->algorithm = plan.algorithm->name;
    explanation->isa = cf_isa();
    explanation->threads = plan.threads;
    explanation->workspace_bytes = plan.workspace_each * (size_t)plan.threads;
    explanation->packed_bytes = plan.packed_bytes;
    return CF_OK;
}
