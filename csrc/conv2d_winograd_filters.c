/* conv2d_winograd_filters.c — filters for the algorithm "winograd".

   packed: transformed [group][product][panel][channel][filter of the panel], products `run` elements apart;
           plain, as conv2d_filters.c packs them for direct convolution;
           largest [group][panel][channel]: the largest tap.
   The transform is computed in float64 and rounded once. */
#include "conv2d_winograd.h"

#include "geometry.h"
#include "parallel.h"

#include <math.h>

ptrdiff_t cf_winograd_run(ptrdiff_t elements) { return (cf_ceil_div(elements, LINE) | 1) * LINE; }

cf_winograd_filters cf_winograd_pieces(const cf_conv2d_plan *plan, const char *packed)
{
    const ptrdiff_t elements = plan->C * plan->panel;
    cf_winograd_filters f = {.transformed = (float *)packed, .run = cf_winograd_run(plan->panels * elements)};
    f.plain = f.transformed + plan->shape.groups * cf_winograd_products(plan) * f.run;
    f.largest = f.plain + plan->shape.groups * plan->panels * plan->taps * elements;
    return f;
}

size_t cf_winograd_packed_bytes(const cf_conv2d_plan *plan)
{
    const ptrdiff_t products = cf_winograd_products(plan);
    const ptrdiff_t filters = cf_mul(plan->shape.groups, plan->panels * plan->panel), size = sizeof(float);
    const ptrdiff_t ends = cf_mul(plan->shape.groups, products * 2 * LINE * size);
    return (size_t)cf_add(cf_mul(cf_mul(filters, plan->C), (products + plan->taps + 1) * size), ends);
}

void cf_winograd_shape_filters(cf_conv2d_plan *plan)
{
    cf_conv2d_shape_filters(plan); /* the order of terms of "direct": tiles computed directly have its bits */
    plan->filters_are_vectors = 1;
    cf_conv2d_shape_panels(plan);
    if (plan->winograd != NULL) plan->packed_bytes = cf_winograd_packed_bytes(plan);
}

/* Of packed filters that are used once: so many that the third-level cache keeps them from the packing to the products.
   Every part transforms the input anew. */
#define PART_BYTES (5 << 20)

ptrdiff_t cf_winograd_part(const cf_conv2d_plan *plan)
{
    const ptrdiff_t parts = (ptrdiff_t)(plan->packed_bytes / PART_BYTES);
    return plan->shape.groups > 1 || parts < 2 ? plan->K : cf_round_up(cf_ceil_div(plan->K, parts), plan->panel);
}

void cf_winograd_take(cf_conv2d_plan *plan, ptrdiff_t filters)
{
    plan->K = plan->shape.K = filters;
    plan->panels = cf_ceil_div(filters, plan->panel);
    plan->algorithm->cut(plan);
    plan->algorithm->share(plan);
}

typedef struct {
    const cf_conv2d_plan *plan;
    cf_winograd_filters f;
} transform_job;

/* The largest abs of `taps` runs of n numbers, by four running maxima, which become a vector; n is a multiple of 4. */
static float largest(const float *w, ptrdiff_t taps, ptrdiff_t pitch, ptrdiff_t n)
{
    float most[4] = {0};
    for (ptrdiff_t t = 0; t < taps; ++t)
        for (ptrdiff_t i = 0; i < n; i += 4)
            for (int j = 0; j < 4; ++j) {
                const float size = fabsf(w[t * pitch + i + j]);
                most[j] = size > most[j] ? size : most[j];
            }
    for (int j = 1; j < 4; ++j) most[0] = most[j] > most[0] ? most[j] : most[0];
    return most[0];
}

/* From the plain filters: packing has put them side by side, whatever the layout of w. */
static void transform_panel(const void *context, ptrdiff_t index, char *workspace)
{
    (void)workspace;
    const transform_job *job = context;
    const cf_conv2d_plan *plan = job->plan;
    const cf_winograd_filters *f = &job->f;
    const ptrdiff_t g = index / plan->panels, panel = index % plan->panels, P = plan->panel;
    float *to = f->transformed + g * cf_winograd_products(plan) * f->run + panel * plan->C * P;
    for (ptrdiff_t b = 0; b < plan->blocks; ++b) {
        const cf_term_block block = cf_conv2d_block(plan, b);
        const ptrdiff_t pitch = plan->channels_innermost ? block.channels * P : P;
        const ptrdiff_t step = plan->channels_innermost ? P : plan->taps * P;
        const float *taps = f->plain + (index * plan->C * plan->taps + block.first) * P;
        for (ptrdiff_t c = 0; c < block.channels; ++c, taps += step, to += P) {
            f->largest[index * plan->C + block.c + c] = largest(taps, plan->taps, pitch, P);
            plan->winograd->filters(taps, pitch, P, to, f->run);
        }
    }
}

/* Filters transformed in a microsecond, order of magnitude: to tell whether threads pay. */
#define TRANSFORMED_PER_MICROSECOND 80.0

void cf_winograd_pack(const cf_conv2d_plan *plan, const cf_array *w, char *packed)
{
    const transform_job job = {plan, cf_winograd_pieces(plan, packed)};
    const ptrdiff_t panels = plan->shape.groups * plan->panels;
    const double filters = (double)plan->shape.K * (double)plan->C;
    cf_conv2d_pack_filters(plan, w, (char *)job.f.plain);
    const int threads = cf_threads_for(filters / TRANSFORMED_PER_MICROSECOND, panels);
    cf_parallel_for(panels, threads, transform_panel, &job, NULL, 0);
}
