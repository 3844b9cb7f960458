/* plan.c — decides how a convolution is computed: orientation, algorithm, sizes of tasks. Once, for everybody.

   Orientation, tile and block sizes depend on the filters, the data format and the ISA alone, because packed filters
   and the order of sums hang on them. The algorithm depends on the sizes of one image. Only the cut into tasks looks
   at the batch and the threads: it changes no bit of the result. */
#include "plan.h"

#include "dispatch.h"
#include "geometry.h"

#include <string.h>

/* In order of preference among equals; the last one applies to everything. */
static const cf_conv2d_algorithm *const algorithms[] = {
    &cf_conv2d_depthwise, &cf_conv2d_direct, &cf_conv2d_narrow, &cf_conv2d_winograd, &cf_conv2d_im2col, NULL,
};

const char *cf_conv2d_algorithm_name(int index)
{
    const cf_winograd *members = cf_kernels_now()->leaves[CF_COMPUTE_F32]->winograds;
    int count = 0;
    while (algorithms[count] != NULL) ++count;
    if (index < count) return algorithms[index]->name;
    return index < count + CF_WINOGRADS ? members[index - count].name : NULL;
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

static const cf_conv2d_algorithm *named(const char *name)
{
    for (int i = 0; algorithms[i] != NULL; ++i)
        if (strcmp(name, algorithms[i]->name) == 0) return algorithms[i];
    return cf_winograd_named(name) != NULL ? &cf_conv2d_winograd : NULL;
}

static void prepare_filters(const cf_conv2d_options *options, cf_compute compute, const ptrdiff_t w_shape[4],
                            cf_conv2d_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->shape.K = w_shape[0];
    plan->shape.groups = options->groups;
    plan->shape.h.size = w_shape[2];
    plan->shape.w.size = w_shape[3];
    plan->padding_mode = options->padding_mode;
    plan->activation = options->activation;
    plan->precision = options->precision;
    plan->channels_last = options->channels_last;
    plan->compute = compute;
    plan->leaves = cf_kernels_now()->leaves[compute];
    plan->chain = cf_chain(compute, options->precision);
    plan->algorithm = named(options->algorithm);
    plan->winograd = cf_winograd_named(options->algorithm);
    plan->C = w_shape[1];
    plan->K = w_shape[0] / options->groups;
    plan->taps = cf_mul(w_shape[2], w_shape[3]);
}

/* Two plans prepared alike are the same bytes: all that is decided hangs on them. */
static cf_status prepare(const cf_conv2d_options *options, cf_compute compute, const ptrdiff_t x_shape[4],
                         const ptrdiff_t w_shape[4], cf_conv2d_plan *plan)
{
    cf_conv2d_shape shape;
    const cf_status status = cf_conv2d_geometry(options, x_shape, w_shape, &shape);
    if (status != CF_OK) return status;
    prepare_filters(options, compute, w_shape, plan);
    plan->shape = shape;
    return CF_OK;
}

int cf_conv2d_is_chosen(const cf_conv2d_options *options)
{
    return strcmp(options->algorithm, "auto") != 0 && strcmp(options->algorithm, cf_conv2d_winograd.name) != 0;
}

cf_status cf_conv2d_plan_filters(const cf_conv2d_options *options, cf_compute compute, const ptrdiff_t w_shape[4],
                                 cf_conv2d_plan *plan)
{
    if (options->algorithm == NULL) return CF_BAD_OPTION;
    if (w_shape[2] < 1 || w_shape[3] < 1) return CF_EMPTY_WINDOW;
    if (options->groups < 1 || w_shape[0] % options->groups != 0) return CF_BAD_GROUPS;
    prepare_filters(options, compute, w_shape, plan);
    if (plan->algorithm == NULL || !cf_conv2d_is_chosen(options)) return CF_NOT_APPLICABLE;
    if (plan->winograd != NULL && !cf_winograd_suits(plan, plan->winograd)) return CF_NOT_APPLICABLE;
    plan->algorithm->shape_filters(plan);
    return plan->packed_bytes >= PTRDIFF_MAX ? CF_TOO_LARGE : CF_OK;
}

/* Completes a prepared plan, or says why the algorithm does not apply. */
static const char *use(cf_conv2d_plan *plan, const cf_conv2d_algorithm *algorithm)
{
    plan->algorithm = algorithm;
    algorithm->shape_filters(plan);
    const char *reason = algorithm->refuses(plan);
    if (reason == NULL) algorithm->cut(plan);
    return reason;
}

/* The lowest estimate; of equals the first. Estimates are per image: the choice, and with it the bits, must not depend
   on the batch. */
static void choose(cf_conv2d_plan *plan)
{
    const cf_conv2d_plan prepared = *plan;
    for (int i = 0; algorithms[i] != NULL; ++i) {
        cf_conv2d_plan candidate = prepared;
        if (use(&candidate, algorithms[i]) == NULL &&
            (plan->algorithm == NULL || candidate.microseconds < plan->microseconds))
            *plan = candidate;
    }
}

/* What a prepared plan leaves open. */
static cf_status decide(cf_conv2d_plan *plan)
{
    if (plan->algorithm == NULL)
        choose(plan);
    else if (use(plan, plan->algorithm) != NULL)
        return CF_NOT_APPLICABLE;
    return plan->packed_bytes >= PTRDIFF_MAX ? CF_TOO_LARGE : CF_OK;
}

cf_status cf_conv2d_plan_make(const cf_conv2d_options *options, cf_compute compute, const ptrdiff_t x_shape[4],
                              const ptrdiff_t w_shape[4], cf_conv2d_plan *plan)
{
    /* Most calls are like the one before, and small ones took a quarter of their time to decide. */
    static _Thread_local cf_conv2d_plan last_prepared, last_decided;
    cf_status status = prepare(options, compute, x_shape, w_shape, plan);
    if (status != CF_OK) return status;
    if (plan->algorithm == NULL && strcmp(options->algorithm, "auto") != 0) return CF_NOT_APPLICABLE;
    if (memcmp(plan, &last_prepared, sizeof *plan) == 0) {
        *plan = last_decided;
    } else {
        const cf_conv2d_plan prepared = *plan;
        status = decide(plan);
        if (status != CF_OK) return status;
        last_prepared = prepared, last_decided = *plan;
    }
    plan->algorithm->share(plan);
    return CF_OK;
}

cf_status cf_conv2d_explain(const cf_conv2d_options *options, cf_dtype compute, const ptrdiff_t x_shape[4],
                            const ptrdiff_t w_shape[4], cf_conv2d_explanation *explanation)
{
    cf_conv2d_plan plan;
    memset(explanation, 0, sizeof *explanation);
    cf_status status = cf_conv2d_geometry(options, x_shape, w_shape, &explanation->shape);
    if (status != CF_OK) return status;
    ptrdiff_t shape[4] = {x_shape[0], x_shape[1], x_shape[2], x_shape[3]};
    if (cf_is_pointwise(options, x_shape, w_shape)) cf_join_rows(shape);
    status = prepare(options, cf_compute_of(compute), shape, w_shape, &plan);
    if (status != CF_OK) return status;
    for (int i = 0; algorithms[i] != NULL; ++i) {
        cf_conv2d_plan candidate = plan;
        const char *reason = use(&candidate, algorithms[i]);
        explanation->candidates[i] = (cf_conv2d_candidate){
            algorithms[i]->name, reason == NULL && candidate.winograd != NULL ? candidate.winograd->name : "",
            reason == NULL, reason == NULL ? "" : reason, reason == NULL ? candidate.microseconds : 0};
        explanation->candidate_count = i + 1;
    }
    const cf_conv2d_algorithm *asked_for = named(options->algorithm);
    if (asked_for != NULL) explanation->algorithm = asked_for->name; /* for the reason why it does not apply */
    status = cf_conv2d_plan_make(options, cf_compute_of(compute), shape, w_shape, &plan);
    if (status != CF_OK) return status;
    explanation->algorithm = plan.algorithm->name;
    explanation->isa = cf_isa();
    explanation->threads = plan.threads;
    explanation->workspace_bytes = plan.workspace_each * (size_t)plan.threads;
    explanation->packed_bytes = plan.packed_bytes;
    return CF_OK;
}
