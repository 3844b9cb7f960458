/* conv2d_winograd_plan.c — which member of the family "winograd" computes a convolution, and in which tasks.

   The member depends on the filters and the size of one image, never on the batch or the threads: it changes bits. */
#include "conv2d_winograd.h"

#include "dispatch.h"
#include "geometry.h"
#include "parallel.h"
#include "workspace.h"

#include <math.h>
#include <string.h>

/* Winograd tiles of a task, whole register tiles of five and six pixels: enough that filters from the third-level
   cache or from beyond keep up with the products. 18 took 1.04 of the time with 320 and 512 channels, 48 as much as 30.
   V then exceeds a second-level cache of 512 KiB from 120 channels on, but filters read more often cost more. */
#define TILES 30
#define V_BYTES_MAX (16 << 20) /* beyond, there are too many channels for this algorithm */
/* M of so many filters is transformed back before it grows: 256->256 at 56x56 and 512->512 at 28x28 in 0.9 of the time,
   64->64 and 128->128 as before or a little slower. */
#define M_BYTES (320 << 10)

const cf_winograd *cf_winograd_named(const char *name)
{
    const cf_winograd *f = cf_kernels_now()->leaves[CF_COMPUTE_F32]->winograds;
    for (int i = 0; i < CF_WINOGRADS; ++i)
        if (strcmp(name, f[i].name) == 0) return f + i;
    return NULL;
}

int cf_winograd_suits(const cf_conv2d_plan *plan, const cf_winograd *f)
{
    return plan->shape.h.size == f->taps && plan->shape.w.size == f->taps &&
           (plan->winograd == NULL || plan->winograd == f);
}

static int holds(const cf_conv2d_plan *plan, const cf_winograd *f)
{
    return cf_mul(plan->C, TILES * f->cells * f->cells * (ptrdiff_t)sizeof(float)) <= V_BYTES_MAX;
}

const char *cf_winograd_refuses(const cf_conv2d_plan *plan)
{
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    const cf_winograd *f = plan->leaves->winograds;
    const char *reason = "winograd needs a 3x3 or 5x5 filter and stride 1";
    if (f == NULL) return "winograd computes float32 only";
    if (plan->precision == CF_PRECISION_HIGHEST) return "winograd needs precision='high' or 'medium'";
    if (h->stride != 1 || w->stride != 1) return reason;
    if (h->dilation > h->out || w->dilation > w->out) return "with such a dilation no two outputs share a cell";
    for (int i = 0; i < CF_WINOGRADS; ++i) {
        if (!cf_winograd_suits(plan, f + i)) continue;
        if (holds(plan, f + i)) return NULL;
        reason = "so many channels exceed the cache";
    }
    return reason;
}

/* Estimates, in the units of conv2d_tasks.c, of one thread: of both transforms, for a vector of one product; of a row
   of planes that is laid out or copied to y; of a tile beside that. Filters are read for every block of tiles, from the
   third-level cache or from beyond. Measured by Conv2D with 3x3 and 5x5 filters, 16 to 832 channels, 4x4 to 56x56
   pixels; benchmarks/estimates.py compares. A raw call transforms its filters first; since it must give the bits of
   Conv2D, whose filters are transformed once, and of any batch, that counts as if they served so many images. */
#define CYCLES_PER_MICROSECOND 3000.0
#define VECTORS_PER_CYCLE 2.0
#define TRANSFORM_CYCLES 7.5
#define ROW_CYCLES 40.0
#define TILE_CYCLES 600.0
#define NEAR_BYTES (24 << 20)
#define NEAR_BYTES_PER_CYCLE 20.0
#define FAR_BYTES_PER_CYCLE 8.0
#define TRANSFORMED_BYTES_PER_CYCLE 1.0
#define IMAGES_OF_FILTERS 8.0
#define TASK_CYCLES 1000.0

static void count_tasks(cf_conv2d_plan *plan)
{
    plan->row_tasks = cf_ceil_div(plan->shape.N * cf_winograd_grid(plan), plan->tiles);
    plan->panel_tasks = cf_ceil_div(plan->panels, plan->panels_each);
    plan->tasks = plan->shape.groups * plan->row_tasks * plan->panel_tasks;
}

static double estimate(const cf_conv2d_plan *plan)
{
    const ptrdiff_t image = cf_winograd_grid(plan), lanes = plan->leaves->lanes;
    const double blocks = (double)cf_ceil_div(image, plan->tiles);
    const ptrdiff_t rest = image % plan->tiles;
    const double tiles = (double)(image - rest + cf_conv2d_places(plan, rest).count);
    const double filters = (double)(plan->panels * plan->panel), C = (double)plan->C;
    const double products = (double)cf_winograd_products(plan);
    const double multiply = products * tiles * C * filters / (double)lanes / VECTORS_PER_CYCLE;
    const double bytes = products * C * filters * sizeof(float);
    const double read = blocks * bytes / (bytes <= NEAR_BYTES ? NEAR_BYTES_PER_CYCLE : FAR_BYTES_PER_CYCLE);
    const double transform = products * tiles * ((double)cf_round_up(plan->C, lanes) + filters) / (double)lanes;
    const double pack = bytes / TRANSFORMED_BYTES_PER_CYCLE / IMAGES_OF_FILTERS;
    const double rows = (double)(image / plan->grid_cols * plan->winograd->cells) * C +
                        (double)(plan->shape.w.dilation * plan->shape.h.out) * filters;
    return (double)plan->shape.N * (double)plan->shape.groups *
           (pack + multiply + read + transform * TRANSFORM_CYCLES + (plan->channels_last ? 0 : rows * ROW_CYCLES) +
            (double)image * TILE_CYCLES + blocks * TASK_CYCLES) /
           CYCLES_PER_MICROSECOND;
}

static void cut_member(cf_conv2d_plan *plan, const cf_winograd *f)
{
    plan->winograd = f;
    plan->packed_bytes = cf_winograd_packed_bytes(plan);
    plan->grid_rows = cf_ceil_div(cf_winograd_left(&plan->shape.h, 0), f->outputs);
    plan->grid_cols = cf_ceil_div(cf_winograd_left(&plan->shape.w, 0), f->outputs);
    plan->panels_each = plan->panels;
    plan->tiles = TILES;
    count_tasks(plan);
    plan->microseconds = estimate(plan);
}

/* With the member of the lowest estimate. */
void cf_winograd_cut(cf_conv2d_plan *plan)
{
    const cf_conv2d_plan given = *plan;
    plan->microseconds = INFINITY;
    for (int i = 0; i < CF_WINOGRADS; ++i) {
        cf_conv2d_plan member = given;
        const cf_winograd *f = given.leaves->winograds + i;
        if (!cf_winograd_suits(&given, f) || !holds(&given, f)) continue;
        cut_member(&member, f);
        if (member.microseconds < plan->microseconds) *plan = member;
    }
}

/* M of all filters of a task: perhaps very many, of no channel. */
static ptrdiff_t m_bytes(const cf_conv2d_plan *plan)
{
    const ptrdiff_t filter = cf_winograd_products(plan) * plan->tiles * (ptrdiff_t)sizeof(float);
    return cf_mul(filter, cf_mul(plan->panels_each, plan->panel));
}

/* Equal tasks, as many for every thread: fewer filters each, then fewer tiles. Unequal ones, if they are many. Each
   transforms its input for itself: with two tasks for a thread 256->256 at 14x14 took 1.2 times as long as with one. */
#define PANELS_LEAST 2
void cf_winograd_share(cf_conv2d_plan *plan)
{
    const ptrdiff_t M = plan->tile->M;
    plan->threads = cf_threads_for(plan->microseconds, PTRDIFF_MAX);
    const ptrdiff_t even = cf_max(1, cf_ceil_div(plan->shape.N * cf_winograd_grid(plan), cf_max(plan->row_tasks, 1)));
    plan->tiles = plan->row_tasks < 2 * plan->threads ? even : cf_round_up(even, M); /* whole register tiles, if many */
    count_tasks(plan);
    while (plan->tasks % plan->threads != 0 && plan->tasks < 2 * plan->threads) {
        if (plan->panels_each > PANELS_LEAST)
            plan->panels_each = cf_ceil_div(plan->panels_each, 2);
        else if (plan->tiles > M)
            plan->tiles -= M;
        else
            break;
        count_tasks(plan);
    }
    if (plan->tasks < 2) plan->threads = 1;
    plan->panels_held = cf_ceil_div(plan->panels_each, cf_ceil_div(m_bytes(plan), M_BYTES));
    plan->workspace_each = cf_winograd_lay_out(plan).bytes;
    plan->threads = cf_threads_within(plan->threads, plan->workspace_each);
}
