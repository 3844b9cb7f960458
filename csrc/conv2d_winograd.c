/* conv2d_winograd.c — the family "winograd": F(4x4, 3x3), 36 products for 16 outputs that take 144 directly;
   F(2x2, 3x3), 16 for 4 that take 36; F(2x2, 5x5), 36 for 4 that take 100.

     Y = A^T [ sum over c of (G g G^T) * (B^T d B) ] A      d: cells, g: taps, Y: outputs, all square;
                                                            * element by element

   Lavin, Gray, "Fast algorithms for convolutional neural networks", arXiv 1509.09308; Toom and Cook before them.
   Derivation of the one-dimensional F(m, r): the transpose of the product of two polynomials, of degree m - 1 and
   r - 1, found from its values at m + r - 1 points p: 0, pairs +-a (and +-b), and infinity.
     A^T[i][j] = p_j^i,  G[j][i] = p_j^i / N_j with N_j = prod over finite l != j of (p_j - p_l);  infinity sees the
     leading coefficients alone: the last entries of A^T and G are 1;
     B^T[j] = the coefficients of prod over finite l != j of (t - p_l), the last row those of prod over all finite l.
     A row of B^T and that of G may change their signs together: N_0 is made 1.
   B^T depends on the points alone: both members with 6 cells have the same. a = 2/3 and b = 3/2 keep the powers near
   one, and with them the rounding errors small (Barabasz et al., arXiv 1803.10986). They give exactly
           | 1    0  -97/36    0   1  0 |   F(4, 3): |    1       0       0   |
           | 0 -3/2    -9/4  2/3   1  0 |            | -81/130 -27/65 -18/65  |         | 1   1     1    1     1   0 |
     B^T = | 0  3/2    -9/4 -2/3   1  0 |        G = | -81/130  27/65 -18/65  |   A^T = | 0  2/3  -2/3  3/2  -3/2  0 |
           | 0 -2/3    -4/9  3/2   1  0 |            |   8/65   12/65  18/65  |         | 0  4/9   4/9  9/4   9/4  0 |
           | 0  2/3    -4/9 -3/2   1  0 |            |   8/65  -12/65  18/65  |         | 0 8/27 -8/27 27/8 -27/8  1 |
           | 0    1    0  -97/36   0  1 |            |    0       0       1   |
     F(2, 5): |    1       0       0      0       0   |
              | -81/130 -27/65 -18/65 -12/65   -8/65  |
          G = | -81/130  27/65 -18/65  12/65   -8/65  |   A^T = | 1   1    1   1    1  0 |
              |   8/65   12/65  18/65  27/65  81/130  |         | 0  2/3 -2/3 3/2 -3/2 1 |
              |   8/65  -12/65  18/65 -27/65  81/130  |
              |    0       0       0      0       1   |
   and with 4 cells, a = 1:
                    | 1  0 -1  0 |       |  1    0   0  |
     F(2, 3): B^T = | 0  1  1  0 |   G = | 1/2  1/2 1/2 |   A^T = | 1  1  1  0 |
                    | 0 -1  1  0 |       | 1/2 -1/2 1/2 |         | 0  1 -1  1 |
                    | 0 -1  0  1 |       |  0    0   1  |

   With a dilation of d, outputs whose rows and columns are equal mod d are a convolution of their own, of cells d
   apart: a phase. Tiles are of one phase.

   A task takes a block of tiles (of one group; they may be of several images) through all three steps, the last two for
   so many filters at a time that M stays in the second-level cache:
     V [product][tile][channel]   input tiles, transformed
     M [product][tile][filter]    = V * U, 16 or 36 matrix products by the register tile of direct convolutions; sums
                                  are formed in chains of CF_CHAIN channels, which halves the error (the transform back
                                  amplifies it)
     y                            M, transformed back; bias, activation
   Packed filters (conv2d_winograd_filters.c) hold the plain ones and their largest taps too, for tiles that are
   computed directly (conv2d_winograd_mend.c):
     - those with an output that is not a finite number, which NaN, infinity or an overflow in a transform spread to
       outputs whose window does not hold it. Every output whose window does hold NaN or infinity is among them.
     - those at the image's border whose outputs are all far smaller than the numbers they come from: a huge cell that
       few windows hold, with small taps only, would leave rounding errors that the promise forbids. */
#include "conv2d_winograd.h"

#include "geometry.h"
#include "workspace.h"

#include <string.h>

static size_t take(size_t *at, ptrdiff_t elements, size_t size)
{
    const size_t here = *at;
    *at += cf_aligned_bytes(elements, size);
    return here;
}

cf_winograd_layout cf_winograd_lay_out(const cf_conv2d_plan *plan)
{
    const ptrdiff_t lanes = plan->leaves->lanes, filters = plan->panels_held * plan->panel;
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

/* M = V * U, product by product. A panel of filters is fetched while the tiles before it are computed, a share by
   each. */
static void multiply(const cf_winograd_work *w)
{
    const cf_conv2d_plan *plan = w->plan;
    const ptrdiff_t panels = w->task.panels, term = plan->panel * (ptrdiff_t)sizeof(float);
    const ptrdiff_t products = cf_winograd_products(plan);
    const cf_places places = cf_conv2d_places(plan, w->task.tiles);
    cf_tile tile = {.terms = plan->C, .chain = CF_CHAIN, .runs = 1, .taps = cf_indices(w, w->at.channels), .first = 1,
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

static void run(const void *context, ptrdiff_t index, char *workspace)
{
    const cf_conv2d_job *job = context;
    const cf_conv2d_plan *plan = job->plan;
    cf_winograd_work w = {.job = job, .plan = plan, .filters = cf_winograd_pieces(plan, job->packed),
                          .at = cf_winograd_lay_out(plan), .workspace = workspace};
    /* Neighbouring tasks share filters: tiles change fastest. */
    w.task.first = index % plan->row_tasks * plan->tiles, index /= plan->row_tasks;
    w.task.panel = index % plan->panel_tasks * plan->panels_each, w.task.g = index / plan->panel_tasks;
    w.task.tiles = cf_min(plan->tiles, plan->shape.N * cf_winograd_grid(plan) - w.task.first);
    const ptrdiff_t end = cf_min(plan->panels, w.task.panel + plan->panels_each);
    place(&w);
    cf_winograd_inputs(&w);
    for (; w.task.panel < end; w.task.panel += plan->panels_held) {
        w.task.panels = cf_min(plan->panels_held, end - w.task.panel);
        load_bias(&w);
        multiply(&w);
        cf_winograd_outputs(&w);
    }
}

const cf_conv2d_algorithm cf_conv2d_winograd = {
    .name = "winograd", .shape_filters = cf_winograd_shape_filters, .pack = cf_winograd_pack,
    .refuses = cf_winograd_refuses, .cut = cf_winograd_cut, .share = cf_winograd_share, .run = run,
};
