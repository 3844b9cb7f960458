/* conv2d_winograd_filters.c — filters for the algorithm "winograd".

   packed: transformed [group][36][panel][channel][filter of the panel], the 36 `run` elements apart;
           plain, as conv2d_filters.c packs them for direct convolution;
           largest [group][panel][channel]: the largest tap.
   The transform is computed in float64 and rounded once. */
#include "conv2d_winograd.h"

#include "geometry.h"
#include "parallel.h"

#include <math.h>
#include <string.h>

ptrdiff_t cf_winograd_run(ptrdiff_t elements) { return (cf_ceil_div(elements, LINE) | 1) * LINE; }

cf_winograd_filters cf_winograd_pieces(const cf_conv2d_plan *plan, const char *packed)
{
    const ptrdiff_t elements = plan->C * plan->panel;
    cf_winograd_filters f = {.transformed = (float *)packed, .run = cf_winograd_run(plan->panels * elements)};
    f.plain = f.transformed + plan->shape.groups * PRODUCTS * f.run;
    f.largest = f.plain + plan->shape.groups * plan->panels * TAPS * elements;
    return f;
}

static size_t bytes(const cf_conv2d_plan *plan)
{
    const ptrdiff_t filters = cf_mul(plan->shape.groups, plan->panels * plan->panel), size = sizeof(float);
    const ptrdiff_t ends = cf_mul(plan->shape.groups, PRODUCTS * 2 * LINE * size);
    return (size_t)cf_add(cf_mul(cf_mul(filters, plan->C), (PRODUCTS + TAPS + 1) * size), ends);
}

void cf_winograd_shape_filters(cf_conv2d_plan *plan)
{
    cf_conv2d_shape_filters(plan); /* the order of terms of "direct": tiles computed directly have its bits */
    plan->filters_are_vectors = 1;
    cf_conv2d_shape_panels(plan);
    plan->packed_bytes = bytes(plan);
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
    plan->packed_bytes = bytes(plan);
    plan->algorithm->cut(plan);
    plan->algorithm->share(plan);
}

typedef struct {
    const cf_conv2d_plan *plan;
    const cf_array *w;
    cf_winograd_filters to;
    cf_load_run load;
} pack_job;

#define PANEL_MAX 64 /* filters: V * lanes of a register tile */
#define LOADED 16    /* channels at once, so that their taps fill whole vectors */
#define LOADED_TAPS (LOADED * TAPS)

/* taps [channel][tap][filter of the panel] of `count` channels. */
static void load_taps(const pack_job *job, const char *w, ptrdiff_t filters, ptrdiff_t count, float *taps)
{
    const ptrdiff_t *strides = job->w->strides, P = job->plan->panel;
    for (ptrdiff_t c = 0; c < count; ++c)
        for (ptrdiff_t tap = 0; tap < TAPS; ++tap, taps += P)
            job->load(taps, w + c * strides[1] + tap / 3 * strides[2] + tap % 3 * strides[3], strides[0], filters);
}

/* The same where the taps of a filter stand side by side. */
static void turn_taps(const pack_job *job, const char *w, ptrdiff_t filters, ptrdiff_t count, float *taps)
{
    const cf_leaves *leaves = job->plan->leaves;
    const ptrdiff_t P = job->plan->panel, used = count * TAPS;
    float rows[PANEL_MAX * LOADED_TAPS];
    for (ptrdiff_t k = 0; k < P; ++k) {
        float *row = rows + k * LOADED_TAPS;
        const ptrdiff_t there = k < filters ? used : 0;
        if (there > 0) job->load(row, w + k * job->w->strides[0], job->w->strides[3], there);
        memset(row + there, 0, (size_t)(LOADED_TAPS - there) * sizeof *row);
    }
    for (ptrdiff_t i = 0; i < used; i += leaves->lanes)
        for (ptrdiff_t k = 0; k < P; k += leaves->lanes)
            leaves->transpose(rows + k * LOADED_TAPS + i, LOADED_TAPS, taps + i * P + k, P);
}

/* The largest abs(a[i]), by four running maxima, which become a vector; n is a multiple of 4. */
static float largest(const float *a, ptrdiff_t n)
{
    float most[4] = {0};
    for (ptrdiff_t i = 0; i < n; i += 4)
        for (int j = 0; j < 4; ++j) most[j] = fabsf(a[i + j]) > most[j] ? fabsf(a[i + j]) : most[j];
    for (int j = 1; j < 4; ++j) most[0] = most[j] > most[0] ? most[j] : most[0];
    return most[0];
}

static void pack_panel(const void *context, ptrdiff_t index, char *workspace)
{
    (void)workspace;
    const pack_job *job = context;
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t g = index / plan->panels, panel = index % plan->panels, P = plan->panel, *strides = job->w->strides;
    const ptrdiff_t filters = cf_min(P, plan->K - panel * P);
    const int one_run = strides[2] == 3 * strides[3] && strides[1] == TAPS * strides[3];
    const char *from = job->w->data + (g * plan->K + panel * P) * strides[0];
    float *to = job->to.transformed + g * PRODUCTS * job->to.run + panel * plan->C * P;
    float taps[LOADED_TAPS * PANEL_MAX];
    memset(taps, 0, sizeof taps);
    for (ptrdiff_t c = 0; c < plan->C; c += LOADED) {
        const ptrdiff_t count = cf_min(LOADED, plan->C - c);
        (one_run ? turn_taps : load_taps)(job, from + c * strides[1], filters, count, taps);
        for (ptrdiff_t i = 0; i < count; ++i, to += P) {
            job->to.largest[index * plan->C + c + i] = largest(taps + i * TAPS * P, TAPS * P);
            plan->leaves->winograd->filters(taps + i * TAPS * P, P, to, job->to.run);
        }
    }
}

/* Filters transformed in a microsecond, order of magnitude: to tell whether threads pay. */
#define TRANSFORMED_PER_MICROSECOND 80.0

void cf_winograd_pack(const cf_conv2d_plan *plan, const cf_array *w, char *packed)
{
    const pack_job job = {plan, w, cf_winograd_pieces(plan, packed), cf_loader(w->dtype, plan->compute)};
    const ptrdiff_t panels = plan->shape.groups * plan->panels;
    const double filters = (double)plan->shape.K * (double)plan->C;
    cf_parallel_for(panels, cf_threads_for(filters / TRANSFORMED_PER_MICROSECOND, panels), pack_panel, &job, NULL, 0);
    cf_conv2d_pack_filters(plan, w, (char *)job.to.plain);
}
