/* plan.c — decides how a convolution is computed: orientation, algorithm, sizes of tasks. Once, for everybody.

   Orientation, tile and block sizes depend on the filters, the data format and the ISA alone, because packed filters
   and the order of sums hang on them. The algorithm depends on the sizes of one image. Only the cut into tasks looks
   at the batch and the threads: it changes no bit of the result. */
#include "plan.h"

#include "dispatch.h"
#include "geometry.h"
#include "parallel.h"
#include "workspace.h"

#include <string.h>

/* In order of preference among equals; the last one applies to everything. */
static const cf_conv2d_algorithm *const algorithms[] = {&cf_conv2d_direct, &cf_conv2d_im2col, NULL};

/* What one task may hold of each, so that together they stay in a second-level cache of 512 KiB
   (bench_conv2d, resnet50: within 3 % from 64 to 192 KiB each). */
#define SLAB_BYTES (128 << 10)
#define STAGE_BYTES (128 << 10)
#define FILTER_BYTES (192 << 10)
#define WORKSPACE_BYTES_MAX ((size_t)64 << 20) /* of all threads: the contract's limit */

/* Estimates, for thresholds and for explain_conv2d: a core at 3 GHz that multiplies and adds two vectors a cycle. */
#define CYCLES_PER_MICROSECOND 3000.0
#define TILES_PER_CYCLE 2.0
#define TASK_CYCLES 300.0

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
    const ptrdiff_t packed = cf_mul(cf_mul(options->groups, plan->panels * plan->panel),
                                    cf_mul(cf_mul(plan->C, plan->taps), (ptrdiff_t)cf_compute_bytes(compute)));
    plan->packed_bytes = (size_t)packed;
    return packed == PTRDIFF_MAX ? CF_TOO_LARGE : CF_OK;
}

static ptrdiff_t vectors(const cf_conv2d_plan *plan, ptrdiff_t rows, ptrdiff_t cols)
{
    return cf_round_up(rows * cf_ceil_div(cols, plan->leaves->lanes), plan->tile->V);
}

static ptrdiff_t stage_elements(const cf_conv2d_plan *plan, ptrdiff_t rows, ptrdiff_t cols)
{
    const ptrdiff_t filters = plan->panels_each * plan->panel;
    return plan->filters_are_vectors ? cf_round_up(rows * cols, plan->tile->M) * filters
                                     : vectors(plan, rows, cols) * plan->leaves->lanes * filters;
}

static int fits(const cf_conv2d_plan *plan)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    return cf_mul(plan->algorithm->elements(plan, plan->rows, plan->cols), size) <= SLAB_BYTES &&
           stage_elements(plan, plan->rows, plan->cols) * size <= STAGE_BYTES;
}

/* The largest task that fits: all filters of a group if a block of them does, then as many rows, then columns. */
static void size_task(cf_conv2d_plan *plan)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t panel_bytes = plan->panel * cf_min(CF_TAPS_MAX, plan->block_channels * plan->taps) * size;
    plan->panels_each = cf_max(1, cf_min(plan->panels, FILTER_BYTES / panel_bytes));
    plan->panel_tasks = cf_ceil_div(plan->panels, plan->panels_each);
    plan->panels_each = cf_ceil_div(plan->panels, plan->panel_tasks);
    plan->rows = cf_min(plan->shape.h.out, STAGE_BYTES);
    plan->cols = cf_min(plan->shape.w.out, STAGE_BYTES);
    while (!fits(plan)) {
        const ptrdiff_t narrowest = plan->tile->V * plan->leaves->lanes;
        if (plan->cols > 8 * narrowest)
            plan->cols = cf_ceil_div(plan->cols, 2);
        else if (plan->rows > 1)
            plan->rows -= cf_ceil_div(plan->rows, 8);
        else if (plan->cols > narrowest)
            plan->cols = cf_ceil_div(plan->cols, 2);
        else if (plan->panels_each > 1)
            plan->panels_each = cf_ceil_div(plan->panels_each, 2);
        else
            break;
    }
}

static void count_tasks(cf_conv2d_plan *plan)
{
    const cf_conv2d_shape *s = &plan->shape;
    plan->row_tasks = cf_ceil_div(s->h.out, plan->rows);
    plan->col_tasks = cf_ceil_div(s->w.out, plan->cols);
    plan->rows = cf_ceil_div(s->h.out, plan->row_tasks);
    plan->cols = cf_ceil_div(s->w.out, plan->col_tasks);
    plan->panel_tasks = cf_ceil_div(plan->panels, plan->panels_each);
    plan->tasks = cf_mul(cf_mul(s->N, s->groups), cf_mul(cf_mul(plan->row_tasks, plan->col_tasks), plan->panel_tasks));
}

/* Tasks of equal size should share out evenly: cut rows, or filters where rows are few, a little finer. */
#define TASKS_PER_THREAD 8
static void balance(cf_conv2d_plan *plan)
{
    const int threads = plan->threads;
    for (int step = 1; step < 2 * threads && plan->tasks < TASKS_PER_THREAD * threads && plan->tasks % threads != 0; ++step) {
        const int by_rows = plan->rows >= 2 * plan->tile->V && plan->rows > 1;
        if (by_rows)
            plan->rows = cf_max(1, cf_ceil_div(plan->shape.h.out, plan->row_tasks + 1));
        else if (plan->panels_each > 1)
            plan->panels_each = cf_ceil_div(plan->panels, plan->panel_tasks + 1);
        else if (plan->rows > 1)
            plan->rows = cf_ceil_div(plan->shape.h.out, plan->row_tasks + 1);
        else
            return;
        count_tasks(plan);
    }
}

static double estimate(const cf_conv2d_plan *plan)
{
    const double terms = (double)(plan->C * plan->taps), tasks = (double)plan->tasks;
    ptrdiff_t row, col;
    const cf_conv2d_task task = {.rows = plan->rows, .cols = plan->cols};
    plan->algorithm->steps(plan, &task, &row, &col);
    const ptrdiff_t flat = cf_ceil_div((plan->rows - 1) * row + plan->cols, plan->leaves->lanes);
    const ptrdiff_t outputs = plan->filters_are_vectors
                                  ? cf_round_up(plan->rows * plan->cols, plan->tile->M) * plan->tile->V
                                  : cf_min(cf_round_up(flat, plan->tile->V), vectors(plan, plan->rows, plan->cols)) *
                                        plan->tile->M;
    const double multiply = (double)outputs * (double)plan->panels_each * terms / TILES_PER_CYCLE;
    const double lay_out = (double)plan->algorithm->elements(plan, plan->rows, plan->cols) * (double)plan->blocks *
                           plan->algorithm->cycles;
    return tasks * (multiply + lay_out + TASK_CYCLES) / CYCLES_PER_MICROSECOND;
}

static size_t aligned(ptrdiff_t elements, size_t size)
{
    return ((size_t)elements * size + CF_ALIGNMENT - 1) / CF_ALIGNMENT * CF_ALIGNMENT;
}

static void size_workspace(cf_conv2d_plan *plan)
{
    const size_t size = cf_compute_bytes(plan->compute);
    const ptrdiff_t lanes = plan->leaves->lanes;
    plan->slab_bytes = aligned(plan->algorithm->elements(plan, plan->rows, plan->cols) + lanes, size);
    plan->stage_bytes = aligned(stage_elements(plan, plan->rows, plan->cols), size);
    const ptrdiff_t places = plan->filters_are_vectors ? plan->rows * plan->cols + plan->tile->M
                                                       : vectors(plan, plan->rows, plan->cols) + plan->tile->V;
    const ptrdiff_t terms = cf_max(CF_TAPS_MAX, cf_min(plan->C * plan->taps, CF_VIEW_TERMS_MAX));
    plan->table_bytes = 6 * aligned(cf_max(cf_max(places, terms), 16), sizeof(ptrdiff_t));
    plan->workspace_each = plan->slab_bytes + plan->stage_bytes + plan->table_bytes +
                           aligned(plan->tile->M * plan->tile->V * lanes, size) +
                           aligned(plan->panels_each * plan->panel, size);
    const size_t most = WORKSPACE_BYTES_MAX / plan->workspace_each;
    if ((size_t)plan->threads > most) plan->threads = (int)(most > 1 ? most : 1);
}

static void use(cf_conv2d_plan *plan, const cf_conv2d_algorithm *algorithm)
{
    plan->algorithm = algorithm;
    size_task(plan);
    count_tasks(plan);
    plan->microseconds = estimate(plan);
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
    plan->threads = cf_threads_for(plan->microseconds, PTRDIFF_MAX);
    balance(plan);
    if (plan->tasks < 2) plan->threads = 1;
    size_workspace(plan);
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
