/* conv2d_depthwise.c — the algorithm "depthwise": one input channel to a sum, or few.

     y[n,g*K+k,p,q] = activation(bias[g*K+k] + sum over r, s and c < C of
                      x[n, g*C+c, p*stride + r*dilation - pad, q*stride + s*dilation - pad] * w[g*K+k,c,r,s])

   A task is a band of rows and columns of some planes of one image. Vectors lie along the rows or, with channels side
   by side (data_format="NHWC"), along the channels; a file each. There groups may have several channels (C > 1):
   filters of neighbouring groups share a vector, which those of one would leave half empty. The order of a sum is
   (r, s, c), in chains of CF_CHAIN; with one channel direct has it too, and so the same bits. Here: the filters, the
   cut into tasks and the workspace. */
#include "conv2d_depthwise.h"
#include "parallel.h"
#include "workspace.h"

#include <string.h>

/* ---- filters ---- */

/* Larger filters make the laid out frame of channels larger than the cache; rows share more loads then. */
#define CHANNELS_TAPS_MAX 121

/* The chunk that computes the fewest channels in vain; of equals the widest. NULL: vectors lie along the rows. */
static const cf_pixels_shape *choose_pixels(const cf_conv2d_plan *plan)
{
    const ptrdiff_t K = plan->shape.K, lanes = plan->leaves->lanes;
    const cf_pixels_shape *best = NULL;
    ptrdiff_t least = PTRDIFF_MAX;
    if (!plan->channels_last || plan->taps > CHANNELS_TAPS_MAX) return NULL;
    for (const cf_pixels_shape *s = plan->leaves->depthwise; s->M != 0; ++s) {
        const ptrdiff_t computed = cf_round_up(K, s->V * lanes);
        if (s->V * lanes <= K && computed < least) best = s, least = computed;
    }
    return best;
}

static void shape_filters(cf_conv2d_plan *plan)
{
    plan->pixels = choose_pixels(plan);
    plan->packed_bytes = (size_t)cf_mul(cf_mul(cf_add(plan->shape.K, cf_chunk(plan)), cf_mul(plan->taps, plan->C)),
                                        (ptrdiff_t)cf_compute_bytes(plan->compute));
}

/* Chunk by chunk, of which the last ends with the last filter and may overlap the one before. */
static void pack(const cf_conv2d_plan *plan, const cf_array *w, char *packed)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), C = cf_chunk(plan), S = plan->shape.w.size;
    const cf_load_run load = cf_loader(w->dtype, plan->compute);
    for (ptrdiff_t begin = 0; begin < plan->shape.K; begin += C) {
        const char *from = w->data + cf_min(begin, plan->shape.K - C) * w->strides[0];
        if (C == 1 && w->strides[2] == S * w->strides[3]) {
            load(packed, from, w->strides[3], plan->taps);
            packed += plan->taps * size;
            continue;
        }
        for (ptrdiff_t t = 0; t < plan->taps; ++t)
            for (ptrdiff_t c = 0; c < plan->C; ++c, packed += C * size)
                load(packed, from + t / S * w->strides[2] + t % S * w->strides[3] + c * w->strides[1], w->strides[0],
                     C);
    }
}

/* ---- tasks ---- */

#define SLAB_BYTES (128 << 10) /* of which mostly only the frame is used; 16 KiB are slower: bench_conv2d, planes */
#define SMALLEST_SLAB_BYTES (256 << 10) /* one output row, as of the direct algorithm */
#define SHARED_ROWS 4 /* output rows of a pass, where input rows are to be shared */

/* Estimates: vectors of two multiply-adds a cycle at 3 GHz, less what loads and short chains cost; laying out. */
#define CYCLES_PER_MICROSECOND 3000.0
#define TAPS_PER_CYCLE 1.25
#define LONG_TAPS_PER_CYCLE 1.6 /* where chains end within a sum, at another tap for every row of a pass */
#define LONG_ROW_CYCLES 9.0     /* so much more does a row of such a filter cost */
#define VECTOR_CYCLES 3.0
#define LAY_OUT_CYCLES 2.0 /* a vector */
#define PLANE_CYCLES 100.0

static ptrdiff_t slab_elements(const cf_conv2d_plan *plan, ptrdiff_t rows, ptrdiff_t cols)
{
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    const ptrdiff_t row = plan->pixels != NULL ? cf_mul(cf_axis_covered(w, cols), plan->C * cf_chunk(plan))
                                               : cf_mul(cf_phases(w), cf_phase_length(w, cols));
    return cf_mul(cf_axis_covered(h, rows), row);
}

static ptrdiff_t slab_bytes(const cf_conv2d_plan *plan, ptrdiff_t rows, ptrdiff_t cols)
{
    return cf_mul(slab_elements(plan, rows, cols), (ptrdiff_t)cf_compute_bytes(plan->compute));
}

static const char *refuses(const cf_conv2d_plan *plan)
{
    if (plan->C != 1 && plan->pixels == NULL) return "each filter has more than one input channel";
    if (plan->C > plan->leaves->lanes) return "each filter has more input channels than a vector";
    if (plan->taps > CF_TAPS_MAX) return "the filter has more than 1024 taps";
    if (plan->channels_last && plan->K >= plan->leaves->lanes) return "the filters of a group fill vectors";
    if (slab_bytes(plan, 1, cf_min(plan->shape.w.out, plan->leaves->lanes)) > SMALLEST_SLAB_BYTES)
        return "stride and dilation spread the filter over more input than the cache holds";
    return NULL;
}

/* As many columns as leave room for some rows, then as many rows as fit. */
static void size_band(cf_conv2d_plan *plan)
{
    const cf_conv2d_shape *s = &plan->shape;
    const ptrdiff_t lanes = plan->leaves->lanes;
    const ptrdiff_t narrow = plan->pixels != NULL ? plan->pixels->M : 8 * lanes;
    ptrdiff_t rows = cf_min(s->h.out, SLAB_BYTES), cols = cf_min(s->w.out, SLAB_BYTES);
    while (cols > narrow && slab_bytes(plan, cf_min(rows, 2 * SHARED_ROWS), cols) > SLAB_BYTES)
        cols = cf_ceil_div(cols, 2);
    if (plan->pixels == NULL) cols = cf_min(s->w.out, cf_round_up(cols, lanes));
    while (rows > SHARED_ROWS && slab_bytes(plan, rows, cols) > SLAB_BYTES) rows -= cf_ceil_div(rows, 8);
    while (rows > 1 && slab_bytes(plan, rows, cols) > SMALLEST_SLAB_BYTES) --rows;
    while (cols > lanes && slab_bytes(plan, rows, cols) > SMALLEST_SLAB_BYTES) cols = cf_max(lanes, cols / 2);
    if (rows > SHARED_ROWS && rows < s->h.out) rows -= rows % SHARED_ROWS; /* only the last band repeats rows */
    plan->rows = cf_min(rows, cf_round_up(cf_ceil_div(s->h.out, cf_ceil_div(s->h.out, rows)), SHARED_ROWS));
    plan->row_tasks = cf_ceil_div(s->h.out, plan->rows);
    plan->cols = cols;
    plan->col_tasks = cf_ceil_div(s->w.out, cols);
}

static void cut(cf_conv2d_plan *plan)
{
    const cf_conv2d_shape *s = &plan->shape;
    const ptrdiff_t lanes = plan->leaves->lanes;
    size_band(plan);
    plan->planes = plan->pixels != NULL ? s->K / cf_chunk(plan) : s->groups;
    const double bands = (double)(s->N * plan->planes) * (double)(plan->row_tasks * plan->col_tasks);
    const double filters = plan->pixels != NULL ? plan->pixels->V : (double)plan->K;
    const double row_vectors = (double)(plan->pixels != NULL ? plan->cols : cf_ceil_div(plan->cols, lanes));
    const double vectors = (double)plan->rows * row_vectors;
    const double inputs = (double)slab_elements(plan, plan->rows, plan->cols) / (double)lanes;
    const double taps = (double)(plan->taps * plan->C);
    const double sum = plan->pixels == NULL && plan->taps > CF_CHAIN
                           ? taps / LONG_TAPS_PER_CYCLE + (double)s->h.size * LONG_ROW_CYCLES
                           : taps / TAPS_PER_CYCLE;
    plan->microseconds = bands * (filters * vectors * (sum + VECTOR_CYCLES) +
                                  inputs * LAY_OUT_CYCLES + PLANE_CYCLES) / CYCLES_PER_MICROSECOND;
}

/* Entries of the larger tables: the pixels of a band, or vectors of a row. */
static ptrdiff_t places(const cf_conv2d_plan *plan)
{
    const ptrdiff_t vectors = cf_ceil_div(plan->cols, plan->leaves->lanes);
    return plan->pixels != NULL ? plan->rows * plan->cols + plan->pixels->M : vectors;
}

/* The bytes of a task's tables, one behind the other. Vectors along the channels need no copies and passes. */
static size_t carve(const cf_conv2d_plan *plan, char *tables, cf_band *b)
{
    const int by_rows = plan->pixels == NULL;
    const size_t taps = cf_aligned_bytes(plan->taps * plan->C, sizeof(ptrdiff_t));
    const size_t table = cf_aligned_bytes(places(plan), sizeof(ptrdiff_t));
    const size_t copies = by_rows ? cf_aligned_bytes(cf_phases(&plan->shape.w), sizeof(cf_phase_copy)) : 0;
    const size_t passes = by_rows ? cf_aligned_bytes(plan->rows * places(plan), sizeof(cf_pass)) : 0;
    const size_t bias = cf_aligned_bytes(cf_chunk(plan), cf_compute_bytes(plan->compute));
    const size_t channels = cf_aligned_bytes(cf_chunk(plan), sizeof(ptrdiff_t)), read = bias * (size_t)plan->C;
    if (tables != NULL) {
        b->taps = (ptrdiff_t *)tables;
        b->x_at = (ptrdiff_t *)(tables + taps);
        b->y_at = (ptrdiff_t *)(tables + taps + table);
        b->copies = (cf_phase_copy *)(tables + taps + 2 * table);
        b->passes = (cf_pass *)(tables + taps + 2 * table + copies);
        b->bias = tables + taps + 2 * table + copies + passes;
        b->channels = (ptrdiff_t *)(b->bias + bias);
        b->read = b->bias + bias + channels;
    }
    return taps + 2 * table + copies + passes + bias + channels + read;
}

#define TASKS_PER_THREAD 8 /* enough to even out what disturbs a thread */

static void share(cf_conv2d_plan *plan)
{
    const ptrdiff_t bands = plan->shape.N * plan->row_tasks * plan->col_tasks;
    plan->threads = cf_threads_for(plan->microseconds, PTRDIFF_MAX);
    const ptrdiff_t tasks = plan->threads > 1 ? plan->threads * TASKS_PER_THREAD : 1;
    plan->planes_each = cf_max(1, cf_min(plan->planes, bands * plan->planes / tasks));
    plan->plane_tasks = cf_ceil_div(plan->planes, plan->planes_each);
    plan->planes_each = cf_ceil_div(plan->planes, plan->plane_tasks);
    plan->plane_tasks = cf_ceil_div(plan->planes, plan->planes_each);
    plan->tasks = bands * plan->plane_tasks;
    if (plan->tasks < 2) plan->threads = 1;

    const size_t size = cf_compute_bytes(plan->compute);
    const ptrdiff_t lanes = plan->leaves->lanes;
    plan->slab_bytes = cf_aligned_bytes(slab_elements(plan, plan->rows, plan->cols) + lanes, size);
    plan->stage_bytes = cf_aligned_bytes(plan->pixels != NULL ? places(plan) * cf_chunk(plan)
                                                     : plan->rows * cf_round_up(plan->cols, lanes), size);
    plan->table_bytes = carve(plan, NULL, NULL);
    plan->workspace_each = plan->slab_bytes + plan->stage_bytes + plan->table_bytes;
    plan->threads = cf_threads_within(plan->threads, plan->workspace_each);
}

/* ---- a task ---- */

cf_row_range cf_band_rows(const cf_band *b)
{
    const cf_axis *h = &b->job->plan->shape.h;
    cf_row_range r = {.top = b->p * h->stride - h->pad_before, .count = cf_axis_covered(h, b->rows)};
    r.first = cf_min(r.count, cf_max(0, -r.top));
    r.last = cf_max(r.first, cf_min(r.count, h->in - r.top));
    return r;
}

int cf_pads_with_values(const cf_conv2d_plan *plan)
{
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    return plan->padding_mode != CF_MODE_CONSTANT &&
           (h->pad_before != 0 || h->pad_after != 0 || w->pad_before != 0 || w->pad_after != 0);
}

void cf_band_bias(const cf_band *b, ptrdiff_t k, ptrdiff_t count)
{
    const cf_vector bias = b->job->bias;
    const cf_compute compute = b->job->plan->compute;
    if (bias.data != NULL)
        cf_loader(bias.dtype, compute)(b->bias, bias.data + k * bias.stride, bias.stride, count);
    else
        memset(b->bias, 0, (size_t)count * cf_compute_bytes(compute));
}

/* Whether vectors of x can be loaded as they stand: of neighbouring channels, or of neighbours in a row. */
static int has_vectors(const cf_conv2d_job *job)
{
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    if (plan->pixels != NULL) return job->x_plain && plan->K == 1 && plan->C == 1 && job->x->strides[1] == size;
    return job->x_plain && plan->shape.w.stride == 1 && job->x->strides[3] == size;
}

/* Whether `rows` x `cols` outputs of a band gain more by reading x in place than the frame around them costs. */
#define FRAMED_VECTORS 24 /* a strip beside a row costs a vector: bench_conv2d, planes and mobilenet */
static int is_worth_a_frame(const cf_band *b, ptrdiff_t rows, ptrdiff_t cols)
{
    const cf_conv2d_plan *plan = b->job->plan;
    if (3 * rows * cols < 2 * b->rows * b->cols) return 0;
    return plan->pixels != NULL || cols == b->cols || cols >= FRAMED_VECTORS * plan->leaves->lanes;
}

static void run_rectangle(const cf_band *band, ptrdiff_t top, ptrdiff_t bottom, ptrdiff_t left, ptrdiff_t right,
                          int view)
{
    cf_band b = *band;
    b.p = top, b.rows = bottom - top, b.q = left, b.cols = right - left;
    if (b.rows < 1 || b.cols < 1) return;
    if (b.job->plan->pixels != NULL)
        cf_band_by_channels(&b, view);
    else
        cf_band_by_rows(&b, view);
}

/* Where no window leaves the array x is read where it stands; only the frame around that is laid out. */
static void run_band(const cf_band *b)
{
    const cf_conv2d_plan *plan = b->job->plan;
    const ptrdiff_t p = b->p, q = b->q, p_end = p + b->rows, q_end = q + b->cols;
    ptrdiff_t top, bottom, left, right;
    cf_axis_inside(&plan->shape.h, p, b->rows, &top, &bottom);
    cf_axis_inside(&plan->shape.w, q, b->cols, &left, &right);
    const int narrow = plan->pixels == NULL && right - left < plan->leaves->lanes;
    if (!has_vectors(b->job) || narrow || !is_worth_a_frame(b, bottom - top, right - left)) {
        run_rectangle(b, p, p_end, q, q_end, 0);
        return;
    }
    run_rectangle(b, p, top, q, q_end, 0);
    run_rectangle(b, bottom, p_end, q, q_end, 0);
    run_rectangle(b, top, bottom, q, left, 0);
    run_rectangle(b, top, bottom, right, q_end, 0);
    run_rectangle(b, top, bottom, left, right, 1);
}

static void run(const void *context, ptrdiff_t index, char *workspace)
{
    const cf_conv2d_job *job = context;
    const cf_conv2d_plan *plan = job->plan;
    cf_band b = {.job = job, .slab = workspace, .stage = workspace + plan->slab_bytes};
    carve(plan, b.stage + plan->stage_bytes, &b);
    b.p = index % plan->row_tasks * plan->rows, index /= plan->row_tasks;
    b.q = index % plan->col_tasks * plan->cols, index /= plan->col_tasks;
    b.plane = index % plan->plane_tasks * plan->planes_each, b.n = index / plan->plane_tasks;
    b.rows = cf_min(plan->rows, plan->shape.h.out - b.p);
    b.cols = cf_min(plan->cols, plan->shape.w.out - b.q);
    b.planes = cf_min(plan->planes_each, plan->planes - b.plane);
    run_band(&b);
}

const cf_conv2d_algorithm cf_conv2d_depthwise = {
    .name = "depthwise", .shape_filters = shape_filters, .pack = pack, .refuses = refuses,
    .cut = cut, .share = share, .run = run,
};
