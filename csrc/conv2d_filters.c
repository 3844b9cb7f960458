/* conv2d_filters.c — filters in panels: which tile reads them, and who packs them.

   packed [group][panel][term][filter of the panel], terms in the order of plan.h. The last panel of a group is filled
   up with zero filters. conv2d_filters_pack.c packs a block of a panel. */
#include "geometry.h"
#include "parallel.h"
#include "plan.h"

/* The tile that computes the fewest filters in vain; of equals the first, which is the widest. */
static const cf_tile_shape *best_tile(const cf_tile_shape *shapes, ptrdiff_t K, ptrdiff_t lanes_or_zero)
{
    const cf_tile_shape *best = shapes;
    ptrdiff_t least = PTRDIFF_MAX;
    for (const cf_tile_shape *s = shapes; s->M != 0; ++s) {
        const ptrdiff_t panel = lanes_or_zero == 0 ? s->M : s->V * lanes_or_zero;
        const ptrdiff_t computed = cf_round_up(cf_max(K, 1), panel);
        /* A fiftieth more work is cheaper than a narrower panel, an eighth than a tile of fewer sums. */
        if (computed < least - least / (s->M * s->V < best->M * best->V ? 8 : 50)) best = s, least = computed;
    }
    return best;
}

void cf_conv2d_shape_panels(cf_conv2d_plan *plan)
{
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
        plan->blocks > CF_BLOCKS_PLAIN && (plan->compute == CF_COMPUTE_F32 || plan->compute == CF_COMPUTE_F64);
    const ptrdiff_t filters = cf_mul(plan->shape.groups, plan->panels * plan->panel);
    plan->packed_bytes = (size_t)cf_mul(cf_mul(filters, cf_mul(plan->C, plan->taps)),
                                        (ptrdiff_t)cf_compute_bytes(plan->compute));
}

void cf_conv2d_shape_filters(cf_conv2d_plan *plan)
{
    /* Vectors of filters need channels side by side, and enough of them. */
    plan->filters_are_vectors = plan->channels_innermost = plan->channels_last && plan->K >= plan->leaves->lanes;
    cf_conv2d_shape_panels(plan);
}

cf_raw_filters cf_raw_filters_of(const cf_conv2d_plan *plan, const cf_array *w)
{
    return (cf_raw_filters){plan, w, cf_loader(w->dtype, plan->compute), cf_is_plain(w, plan->compute)};
}

/* Panels of one task, at most: long reads from each row of filters, not too many places to write to at once. */
#define PANELS_EACH 8

typedef struct {
    cf_raw_filters raw;
    char *packed;
    ptrdiff_t panels; /* of a task */
} pack_job;

static void pack_panels(const void *context, ptrdiff_t task, char *workspace)
{
    (void)workspace;
    const pack_job *job = context;
    const cf_conv2d_plan *plan = job->raw.plan;
    const ptrdiff_t tasks = cf_ceil_div(plan->panels, job->panels), g = task / tasks;
    const ptrdiff_t first = task % tasks * job->panels;
    const ptrdiff_t term = plan->panel * (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t panel_bytes = plan->C * plan->taps * term;
    char *to = job->packed + (g * plan->panels + first) * panel_bytes;
    for (ptrdiff_t b = 0; b < plan->blocks; ++b) {
        const cf_term_block block = cf_conv2d_block(plan, b);
        cf_conv2d_pack_block(&job->raw, g, first, cf_min(job->panels, plan->panels - first), &block, panel_bytes,
                      to + block.first * term);
    }
}

/* Elements packed in a microsecond, order of magnitude: to tell whether threads pay. */
#define PACKED_PER_MICROSECOND 1000.0

void cf_conv2d_pack_filters(const cf_conv2d_plan *plan, const cf_array *w, char *packed)
{
    const double elements = (double)plan->packed_bytes / (double)cf_compute_bytes(plan->compute);
    const ptrdiff_t panels = cf_mul(plan->shape.groups, plan->panels);
    const int threads = cf_threads_for(elements / PACKED_PER_MICROSECOND, panels);
    const ptrdiff_t each = cf_min(cf_min(PANELS_EACH, plan->panels), cf_ceil_div(panels, threads));
    const pack_job job = {cf_raw_filters_of(plan, w), packed, each};
    cf_parallel_for(plan->shape.groups * cf_ceil_div(plan->panels, each), threads, pack_panels, &job, NULL, 0);
}
