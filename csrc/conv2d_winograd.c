/* conv2d_winograd.c — the algorithm "winograd": F(4x4, 3x3), 36 products for 16 outputs that take 144 directly.

     Y = A^T [ sum over c of (G g G^T) * (B^T d B) ] A      d: 6x6 cells, g: 3x3 taps, Y: 4x4 outputs;
                                                            * element by element

   Lavin, Gray, "Fast algorithms for convolutional neural networks", arXiv 1509.09308; Toom and Cook before them.
   Derivation of the one-dimensional F(4, 3): the transpose of the product of two polynomials, of degree 3 and 2, found
   from its values at six points p: 0, +-a, +-b and infinity.
     A^T[i][j] = p_j^i,  G[j][i] = p_j^i / N_j with N_j = prod over finite l != j of (p_j - p_l);  infinity sees the
     leading coefficients alone: A^T[3][5] = G[5][2] = 1;
     B^T[j] = the coefficients of prod over finite l != j of (t - p_l),  B^T[5] those of prod over all finite l.
   a = 2/3 and b = 3/2 keep the powers near one, and with them the rounding errors small (Barabasz et al., arXiv
   1803.10986). They give exactly
           | 1    0  -97/36    0   1  0 |        |    1       0       0   |
           | 0 -3/2    -9/4  2/3   1  0 |        | -81/130 -27/65 -18/65  |         | 1   1     1    1     1   0 |
     B^T = | 0  3/2    -9/4 -2/3   1  0 |    G = | -81/130  27/65 -18/65  |   A^T = | 0  2/3  -2/3  3/2  -3/2  0 |
           | 0 -2/3    -4/9  3/2   1  0 |        |   8/65   12/65  18/65  |         | 0  4/9   4/9  9/4   9/4  0 |
           | 0  2/3    -4/9 -3/2   1  0 |        |   8/65  -12/65  18/65  |         | 0 8/27 -8/27 27/8 -27/8  1 |
           | 0    1    0  -97/36   0  1 |        |    0       0       1   |

   A task takes a block of tiles (of one group; they may be of several images) through all three steps, so that V and M
   stay in the second-level cache:
     V [36][tile][channel]   input tiles, transformed
     M [36][tile][filter]    = V * U, 36 matrix products by the register tile of direct convolutions; sums are formed in
                             chains of CF_CHAIN channels, which halves the error (the transform back amplifies it)
     y                       M, transformed back; bias, activation
   Packed filters (conv2d_winograd_filters.c) hold the plain ones and their largest taps too, for tiles that are
   computed directly (conv2d_winograd_mend.c):
     - those with an output that is not a finite number, which NaN, infinity or an overflow in a transform spread to
       outputs whose window does not hold it. Every output whose window does hold NaN or infinity is among them.
     - those at the image's border whose outputs are all far smaller than the numbers they come from: a huge cell that
       few windows hold, with small taps only, would leave rounding errors that the promise forbids. */
#include "conv2d_winograd.h"

#include "dispatch.h"
#include "geometry.h"
#include "parallel.h"
#include "workspace.h"

#include <math.h>
#include <string.h>

/* What V and M of one task may hold together: each is passed over twice, so that half of it in a second-level cache of
   512 KiB is as good as all, and more tiles read the filters less often. On Zen 3 no size from 256 to 1280 KiB was best
   for all of seven 3x3 layers. */
#define TASK_BYTES (1 << 20)
#define TILES_MAX 30
/* So many at least, that filters read from the third-level cache keep up with the products. */
#define TILES_LEAST 18
#define TASK_BYTES_MAX (16 << 20) /* of these: beyond, there are too many channels for this algorithm */

static size_t take(size_t *at, ptrdiff_t elements, size_t size)
{
    const size_t here = *at;
    *at += ((size_t)elements * size + CF_ALIGNMENT - 1) / CF_ALIGNMENT * CF_ALIGNMENT;
    return here;
}

static cf_winograd_layout lay_out(const cf_conv2d_plan *plan)
{
    const ptrdiff_t lanes = plan->leaves->lanes, filters = plan->panels_each * plan->panel;
    const ptrdiff_t out = plan->winograd->outputs, cells = plan->winograd->cells, products = cells * cells;
    const ptrdiff_t outputs = cf_round_up(out * out, plan->tile->M);
    cf_winograd_layout l = {.v_tile = cf_round_up(plan->C, lanes), .m_tile = filters};
    l.v_run = cf_winograd_run(plan->tiles * l.v_tile);
    l.m_run = cf_winograd_run(plan->tiles * l.m_tile);
    l.strip_cols = cf_round_up(plan->tiles * out + cells - out, lanes);
    size_t at = 0;
    l.v = take(&at, products * l.v_run, sizeof(float));
    l.m = take(&at, products * l.m_run, sizeof(float));
    l.sizes = take(&at, plan->tiles * l.v_tile, sizeof(float));
    l.strip = take(&at, cells * l.strip_cols * STRIP_CHANNELS, sizeof(float));
    l.stage = take(&at, out * l.strip_cols * plan->panel, sizeof(float));
    l.turned = take(&at, cf_max(STRIP_CHANNELS, plan->panel) * l.strip_cols, sizeof(float));
    l.bias = take(&at, filters, sizeof(float));
    l.window = take(&at, products * plan->block_channels, sizeof(float));
    l.mended = take(&at, 2 * outputs * plan->panel, sizeof(float));
    l.channels = take(&at, plan->C, sizeof(ptrdiff_t));
    l.v_tiles = take(&at, plan->tiles + plan->tile->M, sizeof(ptrdiff_t));
    l.m_tiles = take(&at, plan->tiles + plan->tile->M, sizeof(ptrdiff_t));
    l.vectors = take(&at, plan->tile->V, sizeof(ptrdiff_t));
    l.places = take(&at, 2 * outputs + plan->block_channels * plan->taps, sizeof(ptrdiff_t));
    l.bytes = at;
    return l;
}

/* Where the register tile finds V and M. The last one of a task is filled up with the last Winograd tile. */
static void place(const cf_winograd_work *w)
{
    const cf_conv2d_plan *plan = w->plan;
    for (ptrdiff_t c = 0; c < plan->C; ++c) cf_indices(w, w->at.channels)[c] = c;
    for (ptrdiff_t i = 0; i < cf_round_up(w->task.tiles, plan->tile->M); ++i) {
        cf_indices(w, w->at.v_tiles)[i] = cf_min(i, w->task.tiles - 1) * w->at.v_tile;
        cf_indices(w, w->at.m_tiles)[i] = cf_min(i, w->task.tiles - 1) * w->at.m_tile;
    }
    for (ptrdiff_t v = 0; v < plan->tile->V; ++v) cf_indices(w, w->at.vectors)[v] = v * plan->leaves->lanes;
}

static void load_bias(const cf_winograd_work *w)
{
    const cf_conv2d_plan *plan = w->plan;
    const cf_vector *bias = &w->job->bias;
    const ptrdiff_t k = w->task.panel * plan->panel, filters = w->task.panels * plan->panel;
    float *to = cf_floats(w, w->at.bias);
    memset(to, 0, (size_t)filters * sizeof *to);
    if (bias->data != NULL)
        cf_loader(bias->dtype, plan->compute)(to, bias->data + (w->task.g * plan->K + k) * bias->stride, bias->stride,
                                              cf_min(filters, plan->K - k));
}

/* Of product e with a panel of the task. */
static const float *filters_of(const cf_winograd_work *w, ptrdiff_t e, ptrdiff_t panel)
{
    return w->filters.transformed + (w->task.g * cf_winograd_products(w->plan) + e) * w->filters.run +
           (w->task.panel + panel) * w->plan->C * w->plan->panel;
}

/* M = V * U, for each product. A panel of filters is fetched while the tiles before it are computed, a share by each. */
static void multiply(const cf_winograd_work *w)
{
    const cf_conv2d_plan *plan = w->plan;
    const ptrdiff_t panels = w->task.panels, term = plan->panel * (ptrdiff_t)sizeof(float);
    const ptrdiff_t products = cf_winograd_products(plan);
    const cf_places places = cf_conv2d_places(plan, w->task.tiles);
    cf_tile tile = {.terms = plan->C, .chain = CF_CHAIN, .taps = cf_indices(w, w->at.channels),
                    .y_col = cf_indices(w, w->at.vectors), .first = 1,
                    .ahead_step = cf_ceil_div(term, cf_ceil_div(places.count, plan->tile->M))};
    for (ptrdiff_t i = 0; i < products * panels; ++i) {
        const ptrdiff_t e = i / panels, panel = i % panels, next = cf_min(i + 1, products * panels - 1);
        tile.x = cf_floats(w, w->at.v) + e * w->at.v_run;
        tile.y = cf_floats(w, w->at.m) + e * w->at.m_run + panel * plan->panel;
        tile.w = filters_of(w, e, panel);
        tile.ahead = (const char *)filters_of(w, next / panels, next % panels);
        tile.x_base = cf_indices(w, w->at.v_tiles);
        tile.y_row = cf_indices(w, w->at.m_tiles);
        cf_conv2d_run_places(plan, places, &tile);
    }
}

static ptrdiff_t all_tiles(const cf_conv2d_plan *plan) { return plan->shape.N * plan->grid_rows * plan->grid_cols; }

static void run(const void *context, ptrdiff_t index, char *workspace)
{
    const cf_conv2d_job *job = context;
    const cf_conv2d_plan *plan = job->plan;
    cf_winograd_work w = {.job = job, .plan = plan, .filters = cf_winograd_pieces(plan, job->packed),
                          .at = lay_out(plan), .workspace = workspace};
    /* Neighbouring tasks share filters: tiles change fastest. */
    w.task.first = index % plan->row_tasks * plan->tiles, index /= plan->row_tasks;
    w.task.panel = index % plan->panel_tasks * plan->panels_each, w.task.g = index / plan->panel_tasks;
    w.task.tiles = cf_min(plan->tiles, all_tiles(plan) - w.task.first);
    w.task.panels = cf_min(plan->panels_each, plan->panels - w.task.panel);
    place(&w);
    load_bias(&w);
    cf_winograd_inputs(&w);
    multiply(&w);
    cf_winograd_outputs(&w);
}

const cf_winograd *cf_winograd_named(const char *name)
{
    const cf_winograd *f = cf_kernels_now()->leaves[CF_COMPUTE_F32]->winograds;
    for (int i = 0; i < CF_WINOGRADS; ++i)
        if (strcmp(name, f[i].name) == 0) return f + i;
    return NULL;
}

/* Of V and M of one tile. */
static ptrdiff_t tile_bytes(const cf_conv2d_plan *plan, const cf_winograd *f)
{
    return cf_mul(cf_add(cf_round_up(plan->C, plan->leaves->lanes), plan->panels * plan->panel),
                  f->cells * f->cells * (ptrdiff_t)sizeof(float));
}

int cf_winograd_suits(const cf_conv2d_plan *plan, const cf_winograd *f)
{
    return plan->shape.h.size == f->taps && plan->shape.w.size == f->taps &&
           (plan->winograd == NULL || plan->winograd == f);
}

static int holds(const cf_conv2d_plan *plan, const cf_winograd *f)
{
    return cf_mul(tile_bytes(plan, f), TILES_LEAST) <= TASK_BYTES_MAX;
}

static const char *refuses(const cf_conv2d_plan *plan)
{
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    const cf_winograd *f = plan->leaves->winograds;
    const char *reason = "winograd needs a 3x3 or 5x5 filter, stride 1 and dilation 1";
    if (f == NULL) return "winograd computes float32 only";
    if (plan->precision == CF_PRECISION_HIGHEST) return "winograd needs precision='high' or 'medium'";
    if (h->stride != 1 || w->stride != 1 || h->dilation != 1 || w->dilation != 1) return reason;
    for (int i = 0; i < CF_WINOGRADS; ++i) {
        if (!cf_winograd_suits(plan, f + i)) continue;
        if (holds(plan, f + i)) return NULL;
        reason = "so many channels or filters of a tile exceed the cache";
    }
    return reason;
}

/* Estimates, in the units of conv2d_tasks.c: of both transforms, with laying out and copying to y, for one vector of one
   product, of a tile beside that, and of filters read from beyond the second-level cache. Measured by bench_conv2d. */
#define CYCLES_PER_MICROSECOND 3000.0
#define VECTORS_PER_CYCLE 2.0
#define PIXELS_CYCLES 10.0
#define PLANES_CYCLES 15.0
#define TILE_CYCLES 600.0
#define FILTER_BYTES_PER_CYCLE 4.0 /* 7 when packed; a raw call transforms what it then reads once or twice */
#define TASK_CYCLES 1000.0

static void count_tasks(cf_conv2d_plan *plan)
{
    plan->row_tasks = cf_ceil_div(all_tiles(plan), plan->tiles);
    plan->panel_tasks = cf_ceil_div(plan->panels, plan->panels_each);
    plan->tasks = plan->shape.groups * plan->row_tasks * plan->panel_tasks;
}

static double estimate(const cf_conv2d_plan *plan)
{
    const ptrdiff_t image = plan->grid_rows * plan->grid_cols, lanes = plan->leaves->lanes;
    const double blocks = (double)cf_ceil_div(image, plan->tiles);
    const ptrdiff_t rest = image % plan->tiles;
    const double tiles = (double)(image - rest + cf_conv2d_places(plan, rest).count);
    const double filters = (double)(plan->panels * plan->panel), C = (double)plan->C;
    const double products = (double)cf_winograd_products(plan);
    const double multiply = products * tiles * C * filters / (double)lanes / VECTORS_PER_CYCLE;
    const double read = blocks * products * C * filters * sizeof(float) / FILTER_BYTES_PER_CYCLE;
    const double transform = products * tiles * ((double)cf_round_up(plan->C, lanes) + filters) / (double)lanes *
                             (plan->channels_last ? PIXELS_CYCLES : PLANES_CYCLES);
    return (double)plan->shape.N * (double)plan->shape.groups *
           ((multiply > read ? multiply : read) + transform + (double)image * TILE_CYCLES + blocks * TASK_CYCLES) /
           CYCLES_PER_MICROSECOND;
}

static void cut_member(cf_conv2d_plan *plan, const cf_winograd *f)
{
    const ptrdiff_t M = plan->tile->M;
    plan->winograd = f;
    plan->packed_bytes = cf_winograd_packed_bytes(plan);
    plan->grid_rows = cf_ceil_div(plan->shape.h.out, f->outputs);
    plan->grid_cols = cf_ceil_div(plan->shape.w.out, f->outputs);
    plan->panels_each = plan->panels;
    plan->tiles = cf_round_up(cf_max(TILES_LEAST, cf_min(TILES_MAX, TASK_BYTES / tile_bytes(plan, f))), M);
    count_tasks(plan);
    plan->microseconds = estimate(plan);
}

/* With the member of the lowest estimate. */
static void cut(cf_conv2d_plan *plan)
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

/* Equal tasks, as many for every thread: fewer filters each, then fewer tiles. Unequal ones, if they are many. Each
   transforms its input for itself: with two tasks for a thread 256->256 at 14x14 took 1.2 times as long as with one. */
#define PANELS_LEAST 4
static void share(cf_conv2d_plan *plan)
{
    const ptrdiff_t M = plan->tile->M;
    plan->threads = cf_threads_for(plan->microseconds, PTRDIFF_MAX);
    plan->tiles = cf_max(1, cf_ceil_div(all_tiles(plan), cf_max(plan->row_tasks, 1)));
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
    plan->workspace_each = lay_out(plan).bytes;
    const size_t most = CF_WORKSPACE_BYTES_MAX / plan->workspace_each;
    if ((size_t)plan->threads > most) plan->threads = (int)(most > 1 ? most : 1);
}

const cf_conv2d_algorithm cf_conv2d_winograd = {
    .name = "winograd", .shape_filters = cf_winograd_shape_filters, .pack = cf_winograd_pack, .refuses = refuses,
    .cut = cut, .share = share, .run = run,
};
