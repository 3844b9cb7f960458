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

void cf_winograd_shape_filters(cf_conv2d_plan *plan)
{
    cf_conv2d_shape_filters(plan); /* the order of terms of "direct": tiles computed directly have its bits */
    plan->filters_are_vectors = 1;
    cf_conv2d_shape_panels(plan);
    const ptrdiff_t each = (ptrdiff_t)plan->packed_bytes / TAPS;
    const ptrdiff_t ends = cf_mul(plan->shape.groups, PRODUCTS * 2 * LINE * (ptrdiff_t)sizeof(float));
    plan->packed_bytes = (size_t)cf_add(cf_mul(each, PRODUCTS + TAPS + 1), ends);
}

typedef struct {
    const cf_conv2d_plan *plan;
    const cf_array *w;
    cf_winograd_filters to;
    cf_load_run load; /* to float64 */
} pack_job;

#define PANEL_MAX 64 /* filters: V * lanes of a register tile */
#define LOADED 8     /* channels whose taps are loaded at once from each filter */

/* taps [filter][channel][tap] of `count` channels. */
static void load_taps(const pack_job *job, const char *w, ptrdiff_t filters, ptrdiff_t count, double *taps)
{
    const ptrdiff_t *strides = job->w->strides;
    const int one_run = strides[2] == 3 * strides[3] && strides[1] == TAPS * strides[3];
    for (ptrdiff_t k = 0; k < filters; ++k, w += strides[0]) {
        double *to = taps + k * LOADED * TAPS;
        if (one_run)
            job->load(to, w, strides[3], count * TAPS);
        else
            for (ptrdiff_t c = 0; c < count; ++c)
                for (ptrdiff_t r = 0; r < 3; ++r, to += 3)
                    job->load(to, w + c * strides[1] + r * strides[2], strides[3], 3);
    }
}

/* Channel c's taps of a panel, turned to [tap][filter]; the largest of them. */
static double turn_taps(const double *taps, ptrdiff_t c, ptrdiff_t filters, ptrdiff_t panel, double *turned)
{
    double largest = 0;
    for (ptrdiff_t k = 0; k < filters; ++k)
        for (ptrdiff_t tap = 0; tap < TAPS; ++tap) {
            const double value = taps[(k * LOADED + c) * TAPS + tap];
            turned[tap * panel + k] = value;
            largest = fabs(value) > largest ? fabs(value) : largest;
        }
    return largest;
}

static void pack_panel(const void *context, ptrdiff_t index, char *workspace)
{
    (void)workspace;
    const pack_job *job = context;
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t g = index / plan->panels, panel = index % plan->panels, P = plan->panel, *strides = job->w->strides;
    const ptrdiff_t filters = cf_min(P, plan->K - panel * P);
    const char *from = job->w->data + (g * plan->K + panel * P) * strides[0];
    float *to = job->to.transformed + g * PRODUCTS * job->to.run + panel * plan->C * P;
    double taps[PANEL_MAX * LOADED * TAPS], turned[TAPS * PANEL_MAX];
    memset(turned, 0, sizeof turned);
    for (ptrdiff_t c = 0; c < plan->C; ++c, to += P) {
        if (c % LOADED == 0) load_taps(job, from + c * strides[1], filters, cf_min(LOADED, plan->C - c), taps);
        job->to.largest[index * plan->C + c] = (float)turn_taps(taps, c % LOADED, filters, P, turned);
        plan->leaves->winograd->filters(turned, P, to, job->to.run);
    }
}

/* Filters transformed in a microsecond, order of magnitude: to tell whether threads pay. */
#define TRANSFORMED_PER_MICROSECOND 50.0

void cf_winograd_pack(const cf_conv2d_plan *plan, const cf_array *w, char *packed)
{
    const pack_job job = {plan, w, cf_winograd_pieces(plan, packed), cf_loader(w->dtype, CF_COMPUTE_F64)};
    const ptrdiff_t panels = plan->shape.groups * plan->panels;
    const double filters = (double)plan->shape.K * (double)plan->C;
    cf_parallel_for(panels, cf_threads_for(filters / TRANSFORMED_PER_MICROSECOND, panels), pack_panel, &job, NULL, 0);
    cf_conv2d_pack_filters(plan, w, (char *)job.to.plain);
}
