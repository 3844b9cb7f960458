/* conv2d_weight_grad.c — what a convolution sends back to its filters:

     dw[k,c,r,s] = sum over n, p, q of grad[n,k,p,q] * x[n, c, p*stride + r*dilation - pad, q*stride + s*dilation - pad]

   A matrix product whose terms are pixels (n, p, q), on the tile of the forward pass in its channels orientation:
   vectors are `lanes` neighbouring filters k of grad, packed [pixel][k]; broadcast are cells of x at (c, r, s), found
   through the table of the pixels' offsets, in x itself or in a padded copy of the rows in hand. For 1x1 filters the
   two exchange their roles where that packs less.

   A task owns some k and some (c, r, s) and goes through all pixels, in blocks whose limits depend on the shape alone:
   so no bit of a sum depends on the threads. Many blocks are added without loss, as in the forward pass.

   The caller guarantees: shapes that belong together, a dw of the compute type (or float16, bfloat16, computed in
   float32) which overlaps no input. Compare Georganas et al., arXiv 1808.05567, section II.J. */
#include "dispatch.h"
#include "geometry.h"
#include "parallel.h"
#include "plan.h"
#include "workspace.h"

#include <math.h>
#include <string.h>

/* A packed panel of 16 filters x 288 pixels takes 18 KiB of a first-level cache of 32. */
#define BLOCK_PIXELS 288
#define TASK_TERMS 288    /* (c, r, s) of a task, unless one channel has more: each packed number is used so often */
#define TASK_BYTES (128 << 10) /* of sums (twice that with their errors): a second-level cache has 512 KiB */
#define COPY_BYTES (128 << 10) /* of padded input */
#define TASKS_PER_THREAD 4

#define PANEL_MAX 64 /* V * lanes of a tile, and more than its M */

#define PRODUCTS_PER_MICROSECOND 20000.0 /* of one thread, for the decision on threads */

typedef struct {
    cf_conv2d_plan window; /* shape, padding mode, compute type: what loading rows of x needs; C, K, taps of a group */
    cf_array x, grad, dw;  /* dw by (k, c, r, s) whatever its layout */
    cf_conv2d_job source;  /* of x, for cf_conv2d_load_row */
    cf_load_run load;      /* of grad */
    cf_store_run store;
    int view, exact;                                 /* x is read in place; blocks are added without loss */
    ptrdiff_t images, rows, cols;                    /* pixels of a block */
    ptrdiff_t channels, taps, panels;                /* of a task */
    ptrdiff_t channel_tasks, tap_tasks, panel_tasks; /* of a group */
    ptrdiff_t image, plane, row, col;                /* strides of the copy, or of x, in elements */
    size_t copy_bytes, pack_bytes, sum_bytes, column_bytes, table_bytes, workspace_each;
} weight_job;

/* What a task owns, and its pieces of the workspace. */
typedef struct {
    ptrdiff_t g, k, filters, panels, c, channels, tap, taps, terms;
    char *copy, *packed, *sums, *column;
    ptrdiff_t *pixels, *cells, *y_row, *y_col;
} weight_task;

typedef struct {
    ptrdiff_t n, images, p, rows, q, cols;
} pixel_block;

static ptrdiff_t block_count(const weight_job *job)
{
    const cf_conv2d_shape *s = &job->window.shape;
    return cf_ceil_div(s->N, job->images) * cf_ceil_div(s->h.out, job->rows) * cf_ceil_div(s->w.out, job->cols);
}

static pixel_block find_block(const weight_job *job, ptrdiff_t index)
{
    const cf_conv2d_shape *s = &job->window.shape;
    const ptrdiff_t across = cf_ceil_div(s->w.out, job->cols), down = cf_ceil_div(s->h.out, job->rows);
    pixel_block b = {.q = index % across * job->cols, .p = index / across % down * job->rows,
                     .n = index / across / down * job->images};
    b.images = cf_min(job->images, s->N - b.n);
    b.rows = cf_min(job->rows, s->h.out - b.p);
    b.cols = cf_min(job->cols, s->w.out - b.q);
    return b;
}

static ptrdiff_t reach(const cf_axis *a, ptrdiff_t outputs)
{
    return cf_add(cf_mul(outputs - 1, a->stride), (a->size - 1) * a->dilation + 1);
}

/* Rows with their padding, as they stand; or, where filters are so spread that this is less, one cell for every
   (c, r, s) of every pixel. */
static int by_cells(const weight_job *job)
{
    const cf_conv2d_shape *s = &job->window.shape;
    return job->taps < job->window.taps ||
           cf_mul(reach(&s->h, job->rows), reach(&s->w, job->cols)) > cf_mul(job->taps, job->rows * job->cols);
}

static ptrdiff_t copied_plane(const weight_job *job)
{
    const cf_conv2d_shape *s = &job->window.shape;
    return by_cells(job) ? job->taps * job->rows * job->cols : reach(&s->h, job->rows) * reach(&s->w, job->cols);
}

static void copy_input(const weight_job *job, const weight_task *task, const pixel_block *block)
{
    const cf_conv2d_plan *window = &job->window;
    const cf_axis *h = &window->shape.h, *w = &window->shape.w;
    const cf_array *x = &job->x;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(window->compute);
    const ptrdiff_t top = block->p * h->stride - h->pad_before, left = block->q * w->stride - w->pad_before;
    const int cells = by_cells(job);
    for (ptrdiff_t n = 0; n < block->images; ++n)
        for (ptrdiff_t c = 0; c < task->channels; ++c) {
            const char *plane = x->data + (block->n + n) * x->strides[0] +
                                (task->g * window->C + task->c + c) * x->strides[1];
            char *to = task->copy + (n * job->image + c * job->plane) * size;
            if (cells)
                for (ptrdiff_t t = task->tap; t < task->tap + task->taps; ++t, to += job->rows * job->row * size)
                    for (ptrdiff_t p = 0; p < block->rows; ++p)
                        cf_conv2d_load_row(&job->source, plane, top + p * h->stride + t / w->size * h->dilation,
                                           left + t % w->size * w->dilation, w->stride, block->cols,
                                           to + p * job->row * size);
            else
                for (ptrdiff_t i = 0; i < reach(h, block->rows); ++i, to += job->row * size)
                    cf_conv2d_load_row(&job->source, plane, top + i, left, 1, reach(w, block->cols), to);
        }
}

/* Where (c, r, s) stands from the first cell of a pixel on; the last tile is filled up with its last cell. */
static void place_cells(const weight_job *job, const weight_task *task, ptrdiff_t step)
{
    const cf_axis *h = &job->window.shape.h, *w = &job->window.shape.w;
    const int cells = !job->view && by_cells(job);
    const ptrdiff_t col = job->view ? job->x.strides[3] / (ptrdiff_t)cf_compute_bytes(job->window.compute) : 1;
    for (ptrdiff_t i = 0; i < cf_round_up(task->terms, step); ++i) {
        const ptrdiff_t term = cf_min(i, task->terms - 1), c = term / task->taps, t = term % task->taps + task->tap;
        task->cells[i] = c * job->plane + (cells ? (t - task->tap) * job->rows * job->row
                                                 : t / w->size * h->dilation * job->row + t % w->size * w->dilation * col);
    }
}

static void place_pixels(const weight_job *job, const weight_task *task, const pixel_block *block)
{
    const cf_axis *h = &job->window.shape.h;
    const ptrdiff_t down = job->view || !by_cells(job) ? h->stride * job->row : job->row;
    ptrdiff_t *to = task->pixels;
    for (ptrdiff_t n = 0; n < block->images; ++n)
        for (ptrdiff_t p = 0; p < block->rows; ++p)
            for (ptrdiff_t q = 0; q < block->cols; ++q) *to++ = n * job->image + p * down + q * job->col;
}

/* Filters [k, k + count) of grad as [pixel][panel], filled up with zeros. */
#define RUN 64
#define INTERLEAVE(TYPE)                                                                    \
    do {                                                                                    \
        const TYPE *from = (const TYPE *)runs;                                              \
        TYPE *out = (TYPE *)to;                                                             \
        for (ptrdiff_t i = 0; i < cols; ++i, out += panel)                                  \
            for (ptrdiff_t k = 0; k < count; ++k) out[k] = from[k * RUN + i];               \
    } while (0)

static void pack_panel(const weight_job *job, const weight_task *task, const pixel_block *block, ptrdiff_t k)
{
    const cf_conv2d_plan *window = &job->window;
    const cf_array *grad = &job->grad;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(window->compute), panel = window->panel;
    const ptrdiff_t count = cf_min(panel, window->K - k);
    char *to = task->packed;
    _Alignas(CF_ALIGNMENT) char runs[PANEL_MAX * RUN * 8];
    if (count < panel) memset(to, 0, (size_t)(block->images * block->rows * block->cols * panel * size));
    for (ptrdiff_t n = 0; n < block->images; ++n)
        for (ptrdiff_t p = 0; p < block->rows; ++p) {
            const char *row = grad->data + (block->n + n) * grad->strides[0] +
                              (task->g * window->K + k) * grad->strides[1] + (block->p + p) * grad->strides[2] +
                              block->q * grad->strides[3];
            if (grad->strides[1] == (ptrdiff_t)cf_dtype_bytes(grad->dtype))
                for (ptrdiff_t q = 0; q < block->cols; ++q, to += panel * size)
                    job->load(to, row + q * grad->strides[3], grad->strides[1], count);
            else
                for (ptrdiff_t q = 0; q < block->cols; q += RUN) {
                    const ptrdiff_t cols = cf_min(RUN, block->cols - q);
                    for (ptrdiff_t i = 0; i < count; ++i)
                        job->load(runs + i * RUN * size, row + i * grad->strides[1] + q * grad->strides[3],
                                  grad->strides[3], cols);
                    if (size == 4)
                        INTERLEAVE(uint32_t);
                    else
                        INTERLEAVE(uint64_t);
                    to += cols * panel * size;
                }
        }
}

static void add_block(const weight_job *job, const weight_task *task, const pixel_block *block, int first, int last)
{
    const cf_conv2d_plan *window = &job->window;
    const cf_tile_shape *shape = window->tile;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(window->compute), step = shape->M;
    const ptrdiff_t length = cf_round_up(task->terms, step);
    static const float no_bias[PANEL_MAX], no_limits[2] = {-INFINITY, INFINITY};
    const cf_axis *h = &window->shape.h, *w = &window->shape.w;
    const char *x = task->copy;
    if (job->view)
        x = job->x.data + block->n * job->x.strides[0] + (task->g * window->C + task->c) * job->x.strides[1] +
            block->p * h->stride * job->x.strides[2] + block->q * w->stride * job->x.strides[3];
    else
        copy_input(job, task, block);
    place_pixels(job, task, block);
    for (ptrdiff_t panel = 0; panel < task->panels; ++panel) {
        pack_panel(job, task, block, task->k + panel * window->panel);
        for (ptrdiff_t i = 0; i < length; i += step) {
            const cf_tile tile = {
                .terms = block->images * block->rows * block->cols, .taps = task->pixels, .x = x,
                .x_base = task->cells + i, .w = task->packed, .y_row = task->y_row, .y_col = task->y_col,
                .y = task->sums + (panel * length + i) * window->panel * size, .first = first,
                .error = job->exact ? task->panels * length * window->panel : 0, .last = job->exact && last,
                .bias = no_bias, .limits = no_limits,
            };
            shape->run(&tile);
        }
    }
}

/* Sums [panel][(c, r, s)][k of the panel] to dw: runs along k where its filters stand side by side, else along
   (c, r, s). */
#define COLUMN(TYPE)                                                                        \
    do {                                                                                    \
        const TYPE *from = (const TYPE *)sums + k;                                          \
        TYPE *out = (TYPE *)column;                                                         \
        for (ptrdiff_t i = 0; i < task->terms; ++i) out[i] = from[i * panel];               \
    } while (0)

static void store_panel(const weight_job *job, const weight_task *task, const char *sums, ptrdiff_t first, char *column)
{
    const cf_conv2d_plan *window = &job->window;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(window->compute), panel = window->panel;
    const ptrdiff_t R = window->shape.h.size, S = window->shape.w.size;
    const ptrdiff_t *strides = job->dw.strides, count = cf_min(panel, window->K - first);
    /* Along (c, r, s): how many stand at equal distances, and which. */
    const ptrdiff_t step = S > 1 ? strides[3] : R > 1 ? strides[2] : strides[1];
    const int taps_joined = task->taps == window->taps && (R == 1 || S == 1 || strides[2] == S * step);
    const int all_joined = taps_joined && (task->channels == 1 || strides[1] == R * S * step);
    const int along_k = strides[0] == (ptrdiff_t)cf_dtype_bytes(job->dw.dtype) && count > 1;
    const ptrdiff_t run = along_k ? 1 : all_joined ? task->terms : taps_joined ? task->taps : 1;
    char *dw = job->dw.data + (task->g * window->K + first) * strides[0] + task->c * strides[1];
    for (ptrdiff_t k = 0; k < (along_k ? 1 : count); ++k, dw += strides[0]) {
        if (size == 4)
            COLUMN(uint32_t);
        else
            COLUMN(uint64_t);
        for (ptrdiff_t i = 0; i < task->terms; i += run) {
            const ptrdiff_t t = i % task->taps + task->tap;
            char *to = dw + i / task->taps * strides[1] + t / S * strides[2] + t % S * strides[3];
            if (along_k)
                job->store(to, strides[0], sums + i * panel * size, count);
            else
                job->store(to, step, column + i * size, run);
        }
    }
}

static weight_task locate(const weight_job *job, ptrdiff_t index, char *workspace)
{
    const cf_conv2d_plan *window = &job->window;
    weight_task task;
    const ptrdiff_t panel = index % job->panel_tasks * job->panels;
    index /= job->panel_tasks;
    task.tap = index % job->tap_tasks * job->taps, index /= job->tap_tasks;
    task.c = index % job->channel_tasks * job->channels, task.g = index / job->channel_tasks;
    task.k = panel * window->panel;
    task.panels = cf_min(job->panels, window->panels - panel);
    task.channels = cf_min(job->channels, window->C - task.c);
    task.taps = cf_min(job->taps, window->taps - task.tap);
    task.terms = task.channels * task.taps;
    task.copy = workspace;
    task.packed = task.copy + job->copy_bytes;
    task.sums = task.packed + job->pack_bytes;
    task.column = task.sums + job->sum_bytes;
    task.pixels = (ptrdiff_t *)(task.column + job->column_bytes);
    task.cells = task.pixels + BLOCK_PIXELS;
    task.y_row = task.cells + job->channels * job->taps + PANEL_MAX;
    task.y_col = task.y_row + PANEL_MAX;
    return task;
}

static void run_task(const void *context, ptrdiff_t index, char *workspace)
{
    const weight_job *job = context;
    const cf_conv2d_plan *window = &job->window;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(window->compute), blocks = block_count(job);
    weight_task task = locate(job, index, workspace);
    const ptrdiff_t length = cf_round_up(task.terms, window->tile->M) * window->panel;
    for (ptrdiff_t m = 0; m < window->tile->M; ++m) task.y_row[m] = m * window->panel;
    for (ptrdiff_t v = 0; v < window->tile->V; ++v) task.y_col[v] = v * window->leaves->lanes;
    place_cells(job, &task, window->tile->M);
    if (blocks == 0) memset(task.sums, 0, (size_t)(task.panels * length * size));
    for (ptrdiff_t b = 0; b < blocks; ++b) {
        const pixel_block block = find_block(job, b);
        add_block(job, &task, &block, b == 0, b + 1 == blocks);
    }
    for (ptrdiff_t panel = 0; panel < task.panels; ++panel)
        store_panel(job, &task, task.sums + panel * length * size, task.k + panel * window->panel, task.column);
}

/* The widest tile whose last panel is not mostly empty. */
static const cf_tile_shape *best_tile(const cf_leaves *leaves, ptrdiff_t K)
{
    const cf_tile_shape *best = leaves->channels;
    ptrdiff_t least = PTRDIFF_MAX;
    for (const cf_tile_shape *s = leaves->channels; s->M != 0; ++s) {
        const ptrdiff_t computed = cf_round_up(K, s->V * leaves->lanes);
        if (computed < least - least / 8) best = s, least = computed;
    }
    return best;
}

static size_t aligned(ptrdiff_t elements, size_t size)
{
    return ((size_t)elements * size + CF_ALIGNMENT - 1) / CF_ALIGNMENT * CF_ALIGNMENT;
}

static void size_blocks(weight_job *job)
{
    const cf_conv2d_shape *s = &job->window.shape;
    job->cols = cf_min(s->w.out, BLOCK_PIXELS);
    job->rows = cf_min(s->h.out, BLOCK_PIXELS / job->cols);
    /* Whole images only: one that does not fit keeps its blocks to itself. */
    const int whole = job->rows == s->h.out && job->cols == s->w.out;
    job->images = whole ? cf_max(1, cf_min(s->N, BLOCK_PIXELS / (job->rows * job->cols))) : 1;
    job->exact = job->window.compute == CF_COMPUTE_F32 && block_count(job) > CF_BLOCKS_PLAIN;
}

static int can_view(const weight_job *job)
{
    const cf_array *x = &job->x;
    const cf_axis *h = &job->window.shape.h, *w = &job->window.shape.w;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(job->window.compute);
    int whole = (uintptr_t)x->data % (uintptr_t)size == 0;
    for (int i = 0; i < 4; ++i) whole = whole && x->strides[i] % size == 0;
    return whole && x->dtype == job->dw.dtype && cf_dtype_bytes(x->dtype) == (size_t)size &&
           h->pad_before == 0 && h->pad_after == 0 && w->pad_before == 0 && w->pad_after == 0;
}

static void size_tasks(weight_job *job, int threads)
{
    const cf_conv2d_plan *window = &job->window;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(window->compute), taps = window->taps;
    job->taps = taps > CF_TAPS_MAX ? TASK_TERMS : taps;
    job->channels = cf_max(1, cf_min(window->C, TASK_TERMS / job->taps));
    const ptrdiff_t copied = cf_mul(copied_plane(job), job->images * size);
    if (!job->view) job->channels = cf_max(1, cf_min(job->channels, COPY_BYTES / copied));
    job->panels = cf_max(1, cf_min(window->panels, TASK_BYTES / (job->channels * job->taps * window->panel * size)));
    for (;;) {
        job->channel_tasks = cf_ceil_div(window->C, job->channels);
        job->tap_tasks = cf_ceil_div(taps, job->taps);
        job->panel_tasks = cf_ceil_div(window->panels, job->panels);
        const ptrdiff_t tasks = window->shape.groups * job->channel_tasks * job->tap_tasks * job->panel_tasks;
        if (tasks >= TASKS_PER_THREAD * threads || tasks % threads == 0) break;
        if (job->panels > 1)
            job->panels = cf_min(job->panels - 1, cf_ceil_div(window->panels, job->panel_tasks + 1));
        else if (job->channels > 1)
            job->channels = cf_min(job->channels - 1, cf_ceil_div(window->C, job->channel_tasks + 1));
        else
            break;
    }
}

static void size_workspace(weight_job *job)
{
    const cf_conv2d_plan *window = &job->window;
    const size_t size = cf_compute_bytes(window->compute);
    const cf_conv2d_shape *s = &window->shape;
    if (job->view) {
        const ptrdiff_t *strides = job->x.strides, bytes = (ptrdiff_t)size;
        job->image = strides[0] / bytes, job->plane = strides[1] / bytes, job->row = strides[2] / bytes;
        job->col = s->w.stride * strides[3] / bytes;
    } else {
        job->plane = copied_plane(job), job->image = job->channels * job->plane;
        job->row = by_cells(job) ? job->cols : reach(&s->w, job->cols);
        job->col = by_cells(job) ? 1 : s->w.stride;
        job->copy_bytes = aligned(job->images * job->image, size);
    }
    const ptrdiff_t terms = job->channels * job->taps, sums = cf_round_up(terms, window->tile->M) * window->panel * job->panels;
    job->pack_bytes = aligned(BLOCK_PIXELS * window->panel, size);
    job->sum_bytes = aligned(job->exact ? 2 * sums : sums, size);
    job->column_bytes = aligned(terms, size);
    job->table_bytes = aligned(BLOCK_PIXELS + terms + 3 * PANEL_MAX, sizeof(ptrdiff_t));
    job->workspace_each = job->copy_bytes + job->pack_bytes + job->sum_bytes + job->column_bytes + job->table_bytes;
}

/* 1x1 without padding: x, but for the cells that the stride skips, is as grad is, and either may be the one to pack. */
static void exchange_roles(weight_job *job, cf_conv2d_shape *shape)
{
    const ptrdiff_t C = shape->C, K = shape->K, lanes = cf_kernels_now()->leaves[cf_compute_of(job->dw.dtype)]->lanes;
    cf_axis *const axes[2] = {&shape->h, &shape->w};
    if (shape->groups > 1 || C >= K || C < lanes || job->grad.strides[1] == (ptrdiff_t)cf_dtype_bytes(job->grad.dtype))
        return;
    for (int i = 0; i < 2; ++i)
        if (axes[i]->size > 1 || axes[i]->pad_before > 0 || axes[i]->pad_after > 0) return;
    for (int i = 0; i < 2; ++i) {
        job->x.strides[2 + i] *= axes[i]->stride;
        job->x.shape[2 + i] = axes[i]->in = axes[i]->out;
        axes[i]->stride = 1;
    }
    const cf_array x = job->x;
    const ptrdiff_t stride = job->dw.strides[0];
    job->x = job->grad, job->grad = x;
    job->dw.strides[0] = job->dw.strides[1], job->dw.strides[1] = stride;
    shape->C = K, shape->K = C;
}

cf_status cf_conv2d_weight_grad(const cf_conv2d_options *options, const cf_array *x, const cf_array *grad,
                                const cf_array *dw)
{
    if (dw->shape[0] == 0 || dw->shape[1] == 0) return CF_OK;
    weight_job job = {.x = *x, .grad = *grad, .dw = *dw};
    cf_conv2d_shape shape;
    cf_status status = cf_conv2d_geometry(options, x->shape, dw->shape, &shape);
    if (status != CF_OK) return status;
    exchange_roles(&job, &shape);
    cf_conv2d_plan *window = &job.window;
    window->shape = shape;
    window->padding_mode = options->padding_mode;
    window->compute = cf_compute_of(dw->dtype);
    window->leaves = cf_kernels_now()->leaves[window->compute];
    window->C = shape.C / shape.groups, window->K = shape.K / shape.groups;
    window->taps = shape.h.size * shape.w.size;
    window->tile = best_tile(window->leaves, window->K);
    window->panel = window->tile->V * window->leaves->lanes;
    window->panels = cf_ceil_div(window->K, window->panel);
    job.source = (cf_conv2d_job){.plan = window, .x = &job.x, .load = cf_loader(job.x.dtype, window->compute)};
    job.load = cf_loader(job.grad.dtype, window->compute);
    job.store = cf_storer(window->compute, dw->dtype);
    job.view = can_view(&job);
    size_blocks(&job);
    const double products = (double)shape.N * (double)shape.h.out * (double)shape.w.out * (double)shape.K *
                            (double)window->C * (double)window->taps;
    const int threads = cf_threads_for(products / PRODUCTS_PER_MICROSECOND, PTRDIFF_MAX);
    size_tasks(&job, threads);
    size_workspace(&job);
    char *workspace = cf_acquire(job.workspace_each * (size_t)threads);
    if (workspace == NULL) return CF_NO_MEMORY;
    const ptrdiff_t tasks = shape.groups * job.channel_tasks * job.tap_tasks * job.panel_tasks;
    cf_parallel_for(tasks, threads, run_task, &job, workspace, job.workspace_each);
    cf_release(workspace);
    return CF_OK;
}
