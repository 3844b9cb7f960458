/* conv2d_tasks.c — cuts a convolution by tiles into tasks, sizes their workspace and estimates their time.

   The cut changes no bit of the result, so it may look at the batch, the threads and the caches. The estimate chooses
   the algorithm, and bits with it: it must be proportional to N, and know nothing of threads. */
#include "geometry.h"
#include "parallel.h"
#include "plan.h"
#include "workspace.h"

#include <math.h>

/* What one task may hold of each, so that together they stay in a second-level cache of 512 KiB. */
#define SLAB_BYTES (128 << 10)
#define STAGE_BYTES (128 << 10)
#define FILTER_BYTES (192 << 10)
#define OUTPUT_BYTES (512 << 10) /* of a task whose tiles write y themselves: they pass the cache by */

/* Estimates, for thresholds and for explain_conv2d: a core at 3 GHz that multiplies and adds two vectors a cycle. */
#define CYCLES_PER_MICROSECOND 3000.0
#define TILES_PER_CYCLE 2.0
#define PIXEL_TILES_PER_CYCLE 1.8 /* vectors of pixels: benchmarks/estimates.py rn50_s1_3x3 vgg1_2 incv3_3x3_valid */
#define LOAD_CYCLES 1.0 /* of a vector of pixels, half of which straddle two cache lines: a tile of one filter waits */
#define TILE_CYCLES 20.0 /* of one tile and block, beside its terms: bench_conv2d, planes */
#define TASK_CYCLES 300.0
#define STORE_CYCLES 0.2            /* of one output, after its sum */
#define TRANSPOSED_STORE_CYCLES 1.0 /* the same from pixels to planes */
#define SCATTERED_CYCLES 8.0        /* of a cell, one in a cache line: benchmarks/estimates.py resnext_g32 */
#define LINE_CHANNELS 16            /* float32 numbers of a cache line */

cf_places cf_conv2d_places(const cf_conv2d_plan *plan, ptrdiff_t pixels)
{
    const ptrdiff_t M = plan->tile->M, tiles = cf_ceil_div(pixels, M), shorter = cf_min(tiles, tiles * M - pixels);
    return (cf_places){tiles * M - shorter, (tiles - shorter) * M};
}

static ptrdiff_t vectors(const cf_conv2d_plan *plan, ptrdiff_t rows, ptrdiff_t cols)
{
    return cf_round_up(rows * cf_ceil_div(cols, plan->leaves->lanes), plan->tile->V);
}

/* With exact_blocks twice: sums, then their errors. */
static ptrdiff_t stage_elements(const cf_conv2d_plan *plan, ptrdiff_t rows, ptrdiff_t cols)
{
    const ptrdiff_t filters = plan->panels_each * plan->panel * (plan->exact_blocks ? 2 : 1);
    return plan->filters_are_vectors ? cf_round_up(rows * cols, plan->tile->M) * filters
                                     : vectors(plan, rows, cols) * plan->leaves->lanes * filters;
}

/* Whether tiles can write an ordinary y themselves. */
static int writes(const cf_conv2d_plan *plan)
{
    return plan->blocks == 1 && plan->filters_are_vectors == plan->channels_last;
}

static int fits(const cf_conv2d_plan *plan)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    return cf_mul(plan->layout->elements(plan, plan->rows, plan->cols), size) <= SLAB_BYTES &&
           stage_elements(plan, plan->rows, plan->cols) * size <= (writes(plan) ? OUTPUT_BYTES : STAGE_BYTES);
}

/* The largest task that fits: all filters of a group if a block of them does, then as many rows, then columns. A task
   that is a whole image takes more filters, if there is room for their outputs: so its input is laid out less often. */
static void size_task(cf_conv2d_plan *plan)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t panel_bytes = plan->panel * cf_min(CF_TAPS_MAX, plan->block_channels * plan->taps) * size;
    plan->panels_each = cf_max(1, cf_min(plan->panels, FILTER_BYTES / panel_bytes));
    plan->panel_tasks = cf_ceil_div(plan->panels, plan->panels_each);
    plan->panels_each = cf_ceil_div(plan->panels, plan->panel_tasks);
    plan->rows = cf_min(plan->shape.h.out, OUTPUT_BYTES);
    plan->cols = cf_min(plan->shape.w.out, OUTPUT_BYTES);
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
    const int whole = plan->rows == plan->shape.h.out && plan->cols == plan->shape.w.out;
    const ptrdiff_t panel_stage = stage_elements(plan, plan->rows, plan->cols) / plan->panels_each * size;
    if (whole) plan->panels_each = cf_max(plan->panels_each, cf_min(plan->panels, STAGE_BYTES / panel_stage));
}

/* Tasks share out evenly what there is. */
static void count_tasks(cf_conv2d_plan *plan)
{
    const cf_conv2d_shape *s = &plan->shape;
    plan->rows = cf_ceil_div(s->h.out, plan->row_tasks);
    plan->cols = cf_ceil_div(s->w.out, plan->col_tasks);
    plan->panels_each = cf_ceil_div(plan->panels, plan->panel_tasks);
    plan->tasks = cf_mul(cf_mul(s->N, s->groups), cf_mul(cf_mul(plan->row_tasks, plan->col_tasks), plan->panel_tasks));
}

/* Threads should have equally many tasks: cut a little finer. Each cut of rows reads the filters once more, each cut of
   filters the input. */
#define TASKS_PER_THREAD 8
static void balance(cf_conv2d_plan *plan)
{
    const int threads = plan->threads;
    for (int step = 1; step < 2 * threads; ++step) {
        if (plan->tasks >= TASKS_PER_THREAD * threads || plan->tasks % threads == 0) return;
        const ptrdiff_t filters = plan->panels_each * plan->panel * plan->taps;
        const int by_rows = plan->rows >= 2 * plan->tile->V && plan->rows * plan->cols > filters;
        if (plan->panels_each > 1 && !by_rows)
            ++plan->panel_tasks;
        else if (plan->rows > 1)
            ++plan->row_tasks;
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
    plan->layout->steps(plan, &task, &row, &col);
    const ptrdiff_t flat = cf_ceil_div((plan->rows - 1) * row + plan->cols, plan->leaves->lanes);
    const ptrdiff_t outputs = plan->filters_are_vectors
                                  ? cf_conv2d_places(plan, plan->rows * plan->cols).count * plan->tile->V
                                  : cf_min(cf_round_up(flat, plan->tile->V), vectors(plan, plan->rows, plan->cols)) *
                                        plan->tile->M;
    const double each = plan->filters_are_vectors
                            ? 1 / TILES_PER_CYCLE
                            : fmax(1 / PIXEL_TILES_PER_CYCLE, LOAD_CYCLES / (double)plan->tile->M);
    const double tiles = (double)(outputs * plan->panels_each * plan->blocks) / (double)(plan->tile->M * plan->tile->V);
    const double multiply = (double)outputs * (double)plan->panels_each * terms * each + tiles * TILE_CYCLES;
    const int transposed = plan->filters_are_vectors && !plan->channels_last;
    /* Groups narrower than a vector, with channels last: cells are moved one by one. */
    const int scattered = plan->channels_last && !plan->filters_are_vectors && plan->C < plan->leaves->lanes &&
                          plan->shape.C >= LINE_CHANNELS;
    const double lay_out = (double)plan->layout->elements(plan, plan->rows, plan->cols) * (double)plan->blocks *
                           (scattered ? SCATTERED_CYCLES : plan->layout->cycles(plan));
    const double store = (double)(plan->rows * plan->cols * plan->panels_each * plan->panel) *
                         (scattered ? SCATTERED_CYCLES : transposed ? TRANSPOSED_STORE_CYCLES : STORE_CYCLES);
    return tasks * (multiply + lay_out + store + TASK_CYCLES) / CYCLES_PER_MICROSECOND;
}

void cf_conv2d_share_tiles(cf_conv2d_plan *plan)
{
    plan->threads = cf_threads_for(plan->microseconds, PTRDIFF_MAX);
    balance(plan);
    if (plan->tasks < 2) plan->threads = 1;

    const size_t size = cf_compute_bytes(plan->compute);
    const ptrdiff_t lanes = plan->leaves->lanes;
    plan->slab_bytes = cf_aligned_bytes(plan->layout->elements(plan, plan->rows, plan->cols) + lanes, size);
    plan->stage_bytes = cf_aligned_bytes(stage_elements(plan, plan->rows, plan->cols), size);
    const ptrdiff_t places = plan->filters_are_vectors ? plan->rows * plan->cols + plan->tile->M
                                                       : vectors(plan, plan->rows, plan->cols) + plan->tile->V;
    plan->table_bytes = 6 * cf_aligned_bytes(cf_max(places, CF_TAPS_MAX), sizeof(ptrdiff_t));
    plan->workspace_each = plan->slab_bytes + plan->stage_bytes + plan->table_bytes +
                           cf_aligned_bytes(plan->tile->M * plan->tile->V * lanes, size) +
                           cf_aligned_bytes(plan->panels_each * plan->panel, size);
    plan->threads = cf_threads_within(plan->threads, plan->workspace_each);
}

void cf_conv2d_cut_tiles(cf_conv2d_plan *plan, const cf_conv2d_layout *layout)
{
    plan->layout = layout;
    size_task(plan);
    plan->row_tasks = cf_ceil_div(plan->shape.h.out, plan->rows);
    plan->col_tasks = cf_ceil_div(plan->shape.w.out, plan->cols);
    plan->panel_tasks = cf_ceil_div(plan->panels, plan->panels_each);
    count_tasks(plan);
    plan->microseconds = estimate(plan);
}

/* Where part `index` begins if `count` things are shared out evenly among `parts`. */
static ptrdiff_t part(ptrdiff_t count, ptrdiff_t parts, ptrdiff_t index)
{
    return count / parts * index + cf_min(count % parts, index);
}

/* The number, one of `count`, that changes fastest in *index; it is taken off. */
static ptrdiff_t take(ptrdiff_t *index, ptrdiff_t count)
{
    const ptrdiff_t number = *index % count;
    *index /= count;
    return number;
}

cf_conv2d_task cf_conv2d_task_at(const cf_conv2d_plan *plan, ptrdiff_t index)
{
    const ptrdiff_t H = plan->shape.h.out, W = plan->shape.w.out;
    cf_conv2d_task task;
    /* Panels first: neighbours run side by side, and filters that two of them stream at once go from core to core. */
    const ptrdiff_t panel = take(&index, plan->panel_tasks), row = take(&index, plan->row_tasks);
    const ptrdiff_t col = take(&index, plan->col_tasks);
    task.panel = part(plan->panels, plan->panel_tasks, panel);
    task.panels = part(plan->panels, plan->panel_tasks, panel + 1) - task.panel;
    task.p = part(H, plan->row_tasks, row), task.rows = part(H, plan->row_tasks, row + 1) - task.p;
    task.q = part(W, plan->col_tasks, col), task.cols = part(W, plan->col_tasks, col + 1) - task.q;
    task.g = take(&index, plan->shape.groups), task.n = index;
    return task;
}
