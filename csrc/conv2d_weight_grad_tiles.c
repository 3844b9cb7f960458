/* conv2d_weight_grad_tiles.c — sums over pixels on the tile of the forward pass, in its channels orientation.

     for each block of pixels:  copy the input's rows with their padding (or read x itself: a "view")
       for each panel of filters:  pack grad as [pixel][k]
         for each few (c, r, s):  one tile
     store the sums

   Vectors are `lanes` neighbouring filters k; broadcast are cells of x at (c, r, s), found through the table of the
   pixels' offsets. float32 sums: chains of CF_CHAIN in a tile; many blocks are added without loss (table.h). */
#include "weight_grad.h"
#include "workspace.h"

#include <math.h>
#include <string.h>

/* What a task owns, and its pieces of the workspace. */
typedef struct {
    ptrdiff_t g, k, panels, c, channels, tap, taps, terms;
    char *copy, *packed, *sums, *column;
    ptrdiff_t *pixels, *cells, *y_row;
} weight_task;

static void copy_input(const cf_weight_grad *job, const weight_task *task, const cf_pixel_block *block)
{
    const cf_conv2d_plan *window = &job->window;
    const cf_axis *h = &window->shape.h, *w = &window->shape.w;
    const cf_array *x = &job->x;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(window->compute);
    const ptrdiff_t rows = cf_axis_covered(h, block->rows), cols = cf_axis_covered(w, block->cols);
    const ptrdiff_t top = block->p * h->stride - h->pad_before, left = block->q * w->stride - w->pad_before;
    for (ptrdiff_t n = 0; n < block->images; ++n)
        for (ptrdiff_t c = 0; c < task->channels; ++c) {
            const char *plane = x->data + (block->n + n) * x->strides[0] +
                                (task->g * window->C + task->c + c) * x->strides[1];
            char *to = task->copy + (n * job->image + c * job->plane) * size;
            if (job->by_cells)
                for (ptrdiff_t t = task->tap; t < task->tap + task->taps; ++t, to += job->rows * job->row * size)
                    for (ptrdiff_t p = 0; p < block->rows; ++p)
                        cf_conv2d_load_row(&job->source, plane, top + p * h->stride + t / w->size * h->dilation,
                                           left + t % w->size * w->dilation, w->stride, block->cols,
                                           to + p * job->row * size);
            else
                for (ptrdiff_t i = 0; i < rows; ++i, to += job->row * size)
                    cf_conv2d_load_row(&job->source, plane, top + i, left, 1, cols, to);
        }
}

/* Where (c, r, s) stands from the first cell of a pixel on; the last tile is filled up with its last cell. */
static void place_cells(const cf_weight_grad *job, const weight_task *task, ptrdiff_t step)
{
    const cf_axis *h = &job->window.shape.h, *w = &job->window.shape.w;
    const ptrdiff_t col = job->view ? job->x.strides[3] / (ptrdiff_t)cf_compute_bytes(job->window.compute) : 1;
    for (ptrdiff_t i = 0; i < cf_round_up(task->terms, step); ++i) {
        const ptrdiff_t term = cf_min(i, task->terms - 1), c = term / task->taps;
        const ptrdiff_t t = term % task->taps + (job->by_cells ? 0 : task->tap);
        task->cells[i] = c * job->plane;
        if (job->by_cells)
            task->cells[i] += t * job->rows * job->row;
        else
            task->cells[i] += t / w->size * h->dilation * job->row + t % w->size * w->dilation * col;
    }
}

static void place_pixels(const cf_weight_grad *job, const weight_task *task, const cf_pixel_block *block)
{
    const ptrdiff_t down = job->by_cells ? job->row : job->window.shape.h.stride * job->row;
    ptrdiff_t *to = task->pixels;
    for (ptrdiff_t n = 0; n < block->images; ++n)
        for (ptrdiff_t p = 0; p < block->rows; ++p)
            for (ptrdiff_t q = 0; q < block->cols; ++q) *to++ = n * job->image + p * down + q * job->col;
}

/* to[pixel * panel + k] = grad of filter k, for cols pixels of a row. */
static void pack_row(const cf_weight_grad *job, const char *row, ptrdiff_t count, ptrdiff_t cols, char *to)
{
    const cf_array *grad = &job->grad;
    const cf_leaves *leaves = job->window.leaves;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(job->window.compute), panel = job->window.panel;
    const ptrdiff_t lanes = leaves->lanes, along = grad->strides[3];
    const int plain = cf_is_plain(grad, job->window.compute);
    if (plain && grad->strides[1] == size) { /* filters side by side */
        leaves->copy_rows(&(cf_row_copy){.to = to, .to_row = panel, .from = row, .from_row = along / size, .rows = cols,
                                         .step = 1, .count = count});
        return;
    }
    ptrdiff_t k = 0;
    if (plain && along == size && cols >= lanes) /* squares, the last of which overlaps the one before */
        for (; k + lanes <= count; k += lanes)
            for (ptrdiff_t i = 0; i < cols; i += lanes) {
                const ptrdiff_t q = cf_min(i, cols - lanes);
                leaves->transpose(row + k * grad->strides[1] + q * size, grad->strides[1] / size,
                                  to + (q * panel + k) * size, panel);
            }
    for (ptrdiff_t q = 0; k < count && q < cols; ++q)
        job->load(to + (q * panel + k) * size, row + k * grad->strides[1] + q * along, grad->strides[1], count - k);
}

static void pack_panel(const cf_weight_grad *job, const weight_task *task, const cf_pixel_block *block, ptrdiff_t k)
{
    const cf_conv2d_plan *window = &job->window;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(window->compute), panel = window->panel;
    const ptrdiff_t count = cf_min(panel, window->K - k), *strides = job->grad.strides;
    /* Whole rows that follow each other are one row. */
    const int joined = block->cols == window->shape.w.out && strides[2] == block->cols * strides[3];
    const ptrdiff_t rows = joined ? 1 : block->rows, cols = joined ? block->rows * block->cols : block->cols;
    char *to = task->packed;
    if (count < panel) memset(to, 0, (size_t)(block->images * block->rows * block->cols * panel * size));
    for (ptrdiff_t n = 0; n < block->images; ++n)
        for (ptrdiff_t p = 0; p < rows; ++p, to += cols * panel * size)
            pack_row(job, job->grad.data + (block->n + n) * strides[0] + (task->g * window->K + k) * strides[1] +
                              (block->p + p) * strides[2] + block->q * strides[3], count, cols, to);
}

static void add_block(const cf_weight_grad *job, const weight_task *task, const cf_pixel_block *block, int first,
                      int last)
{
    static const float no_bias[CF_GRAD_PANEL_MAX];
    const cf_conv2d_plan *window = &job->window;
    const cf_tile_shape *shape = window->tile;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(window->compute), length = cf_round_up(task->terms, shape->M);
    const cf_axis *h = &window->shape.h, *w = &window->shape.w;
    const char *x = task->copy;
    if (job->view)
        x = job->x.data + block->n * job->x.strides[0] + (task->g * window->C + task->c) * job->x.strides[1] +
            block->p * h->stride * job->x.strides[2] + block->q * w->stride * job->x.strides[3];
    else
        copy_input(job, task, block);
    place_pixels(job, task, block);
    cf_tile tile = {.terms = block->images * block->rows * block->cols, .chain = window->chain, .count = 1,
                    .taps = task->pixels, .x = x, .w = task->packed, .y_row = task->y_row, .bias = no_bias,
                    .first = first, .last = job->exact && last,
                    .error = job->exact ? task->panels * length * window->panel : 0};
    tile.runs = cf_in_runs(tile.taps, tile.terms);
    for (ptrdiff_t panel = 0; panel < task->panels; ++panel) {
        pack_panel(job, task, block, task->k + panel * window->panel);
        for (ptrdiff_t i = 0; i < length; i += shape->M) {
            tile.x_base = task->cells + i;
            tile.y = task->sums + (panel * length + i) * window->panel * size;
            shape->run(&tile);
        }
    }
}

/* to[k * terms + i] = from[i * panel + k] for k < count */
static void turn(const cf_leaves *leaves, ptrdiff_t size, const char *from, ptrdiff_t panel, ptrdiff_t count,
                 ptrdiff_t terms, char *to)
{
    const ptrdiff_t lanes = leaves->lanes;
    ptrdiff_t i = 0;
    if (count == lanes)
        for (; i + lanes <= terms; i += lanes) leaves->transpose(from + i * panel * size, panel, to + i * size, terms);
    for (; i < terms; ++i)
        for (ptrdiff_t k = 0; k < count; ++k)
            memcpy(to + (k * terms + i) * size, from + (i * panel + k) * size, (size_t)size);
}

/* Sums [(c, r, s)][k] of `count` filters to dw: runs along k where filters stand side by side, else along (c, r, s). */
static void store_filters(const cf_weight_grad *job, const weight_task *task, const char *sums, ptrdiff_t first,
                          ptrdiff_t count)
{
    const cf_conv2d_plan *window = &job->window;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(window->compute), panel = window->panel;
    const ptrdiff_t R = window->shape.h.size, S = window->shape.w.size, *strides = job->dw.strides;
    /* How many (c, r, s) stand at equal distances, and at which. */
    const ptrdiff_t step = S > 1 ? strides[3] : R > 1 ? strides[2] : strides[1];
    const int taps_joined = task->taps == window->taps && (R == 1 || S == 1 || strides[2] == S * step);
    const int all_joined = taps_joined && (task->channels == 1 || strides[1] == R * S * step);
    const int along_k = strides[0] == (ptrdiff_t)cf_dtype_bytes(job->dw.dtype) && count > 1;
    const ptrdiff_t run = along_k ? 1 : all_joined ? task->terms : taps_joined ? task->taps : 1;
    if (!along_k) turn(window->leaves, size, sums, panel, count, task->terms, task->column);
    for (ptrdiff_t i = 0; i < task->terms; i += run) {
        const ptrdiff_t t = i % task->taps + task->tap;
        char *dw = job->dw.data + (task->g * window->K + first) * strides[0] +
                   (task->c + i / task->taps) * strides[1] + t / S * strides[2] + t % S * strides[3];
        if (along_k)
            job->store(dw, strides[0], sums + i * panel * size, count);
        else
            for (ptrdiff_t k = 0; k < count; ++k, dw += strides[0])
                job->store(dw, step, task->column + (k * task->terms + i) * size, run);
    }
}

static weight_task locate(const cf_weight_grad *job, ptrdiff_t index, char *workspace)
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
    task.cells = task.pixels + CF_BLOCK_PIXELS;
    task.y_row = task.cells + job->channels * job->taps + CF_GRAD_PANEL_MAX;
    return task;
}

void cf_weight_grad_run_task(const void *context, ptrdiff_t index, char *workspace)
{
    const cf_weight_grad *job = context;
    const cf_conv2d_plan *window = &job->window;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(window->compute), lanes = window->leaves->lanes;
    const weight_task task = locate(job, index, workspace);
    const ptrdiff_t length = cf_round_up(task.terms, window->tile->M) * window->panel;
    for (ptrdiff_t m = 0; m < window->tile->M; ++m) task.y_row[m] = m * window->panel;
    place_cells(job, &task, window->tile->M);
    if (job->blocks == 0) memset(task.sums, 0, (size_t)(task.panels * length * size));
    for (ptrdiff_t b = 0; b < job->blocks; ++b) {
        const cf_pixel_block block = cf_find_block(job, b);
        add_block(job, &task, &block, b == 0, b + 1 == job->blocks);
    }
    for (ptrdiff_t panel = 0; panel < task.panels; ++panel)
        for (ptrdiff_t i = 0; i < window->panel; i += lanes) {
            const ptrdiff_t k = task.k + panel * window->panel + i;
            if (k < window->K)
                store_filters(job, &task, task.sums + (panel * length + i) * size, k, cf_min(lanes, window->K - k));
        }
}
