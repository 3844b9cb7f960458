/* conv2d_tiles.c — one task of a convolution: some outputs of one image and group, tile by tile.

     for each block of terms:  lay the input out (or read x itself: a "view")
       for each vector operand, for each broadcast operand:  one tile
     copy the stage to y (unless tiles can write y themselves)

   The vector operand of the tile (pixels or filters, see table.h) stays in the first-level cache while the broadcast
   operand streams past it from the second. */
#include "geometry.h"
#include "plan.h"

#include <string.h>

/* The pieces of a task's workspace. */
typedef struct {
    char *slab, *stage, *tail, *bias;
    ptrdiff_t *taps, *x_base, *y_row, *y_col, *tail_row, *tail_col;
} pieces;

/* The outputs of a task as the tiles see them. */
typedef struct {
    ptrdiff_t count; /* vectors of pixels, or pixels: a multiple of what a tile takes */
    ptrdiff_t pitch; /* elements between output rows in the stage (pixels orientation) */
    ptrdiff_t ld;    /* elements between filters in the stage; channels orientation: between pixels */
    char *y;         /* output (0, 0, 0) of the task, in y or in the stage */
    ptrdiff_t panel; /* bytes between panels there */
} outputs;

static cf_conv2d_task locate(const cf_conv2d_plan *plan, ptrdiff_t index)
{
    cf_conv2d_task task;
    /* Neighbouring tasks share filters: rows change fastest. */
    task.p = index % plan->row_tasks * plan->rows, index /= plan->row_tasks;
    task.q = index % plan->col_tasks * plan->cols, index /= plan->col_tasks;
    task.panel = index % plan->panel_tasks * plan->panels_each, index /= plan->panel_tasks;
    task.g = index % plan->shape.groups, task.n = index / plan->shape.groups;
    task.rows = cf_min(plan->rows, plan->shape.h.out - task.p);
    task.cols = cf_min(plan->cols, plan->shape.w.out - task.q);
    task.panels = cf_min(plan->panels_each, plan->panels - task.panel);
    return task;
}

static pieces carve(const cf_conv2d_plan *plan, char *workspace)
{
    const size_t tile = (size_t)(plan->tile->M * plan->tile->V * plan->leaves->lanes) * cf_compute_bytes(plan->compute);
    const size_t bias = (size_t)(plan->panels_each * plan->panel) * cf_compute_bytes(plan->compute);
    pieces parts = {.slab = workspace, .stage = workspace + plan->slab_bytes};
    parts.tail = parts.stage + plan->stage_bytes;
    parts.bias = parts.tail + tile;
    parts.taps = (ptrdiff_t *)(parts.bias + (bias + 63) / 64 * 64);
    const size_t table = plan->table_bytes / sizeof(ptrdiff_t) / 6;
    parts.x_base = parts.taps + table, parts.y_row = parts.x_base + table, parts.y_col = parts.y_row + table;
    parts.tail_row = parts.y_col + table, parts.tail_col = parts.tail_row + table;
    return parts;
}

static void load_bias(const cf_conv2d_job *job, const cf_conv2d_task *task, void *bias)
{
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t k = task->panel * plan->panel, filters = task->panels * plan->panel;
    memset(bias, 0, (size_t)filters * cf_compute_bytes(plan->compute));
    if (job->bias.data != NULL)
        cf_loader(job->bias.dtype, plan->compute)(bias, job->bias.data + (task->g * plan->K + k) * job->bias.stride,
                                                  job->bias.stride, cf_min(filters, plan->K - k));
}

/* x itself as the input: every term of every block is an offset into it. */
static void view(const cf_conv2d_job *job, const cf_conv2d_task *task, cf_conv2d_input *input)
{
    const cf_conv2d_plan *plan = job->plan;
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), *strides = job->x->strides;
    const ptrdiff_t C = strides[1] / size, H = strides[2] / size, W = strides[3] / size;
    input->x = job->x->data + task->n * strides[0] + task->g * plan->C * strides[1] +
               task->p * h->stride * strides[2] + task->q * w->stride * strides[3];
    input->row = cf_mul(h->stride, H); /* saturating: with one output nobody takes the step */
    input->col = cf_mul(w->stride, W);
    ptrdiff_t *taps = input->taps;
    for (ptrdiff_t b = 0; b < plan->blocks; ++b) {
        const cf_term_block block = cf_conv2d_block(plan, b);
        for (ptrdiff_t i = 0; i < block.terms; ++i) {
            const ptrdiff_t c = block.c + (plan->channels_innermost ? i % block.channels : i / block.taps);
            const ptrdiff_t tap = block.tap + (plan->channels_innermost ? i / block.channels : i % block.taps);
            *taps++ = c * C + tap / w->size * h->dilation * H + tap % w->size * w->dilation * W;
        }
    }
}

/* Where tiles write: y, or the stage. */
static void aim(const cf_conv2d_job *job, const cf_conv2d_task *task, const pieces *parts, outputs *out)
{
    const cf_conv2d_plan *plan = job->plan;
    const cf_array *y = job->y;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    if (job->staged) {
        out->ld = plan->filters_are_vectors ? task->panels * plan->panel : out->count * plan->leaves->lanes;
        out->y = parts->stage;
        out->panel = plan->panel * size * (plan->filters_are_vectors ? 1 : out->ld);
    } else {
        out->y = y->data + task->n * y->strides[0] + (task->g * plan->K + task->panel * plan->panel) * y->strides[1] +
                 task->p * y->strides[2] + task->q * y->strides[3];
        out->panel = plan->panel * y->strides[1];
    }
}

/* Pixels orientation: vectors of `lanes` neighbours. Tiles that write y end a row's last vector exactly at the row's
   end: it overlaps the one before, with the same values. In the stage rows may run on into each other ("flat": the
   lanes between two rows hold nothing of use) where that takes fewer vectors. */
static void place_vectors(const cf_conv2d_job *job, const cf_conv2d_task *task, const cf_conv2d_input *input,
                          const pieces *parts, outputs *out)
{
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t lanes = plan->leaves->lanes, V = plan->tile->V, each = cf_ceil_div(task->cols, lanes);
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), *strides = job->y->strides;
    const ptrdiff_t flat = cf_ceil_div((task->rows - 1) * input->row + task->cols, lanes);
    ptrdiff_t count = 0;
    if (job->staged && flat < task->rows * each) {
        out->pitch = input->row;
        for (; count < flat; ++count) parts->x_base[count] = count * lanes;
    } else {
        out->pitch = each * lanes;
        for (ptrdiff_t p = 0; p < task->rows; ++p)
            for (ptrdiff_t i = 0; i < each; ++i, ++count) {
                const ptrdiff_t q = job->staged ? i * lanes : cf_min(i * lanes, task->cols - lanes);
                parts->x_base[count] = p * input->row + q;
                parts->y_col[count] = (p * strides[2] + q * strides[3]) / size;
            }
    }
    for (; count % V != 0; ++count) { /* fill the last tile up with its last vector */
        parts->x_base[count] = parts->x_base[count - 1];
        parts->y_col[count] = parts->y_col[count - 1];
    }
    out->count = count;
    aim(job, task, parts, out);
    if (job->staged)
        for (ptrdiff_t i = 0; i < count; ++i) parts->y_col[i] = i * lanes;
    for (ptrdiff_t m = 0; m < plan->tile->M; ++m) parts->y_row[m] = m * (job->staged ? out->ld : strides[1] / size);
}

/* Channels orientation: single pixels. */
static void place_pixels(const cf_conv2d_job *job, const cf_conv2d_task *task, const cf_conv2d_input *input,
                         const pieces *parts, outputs *out)
{
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), *strides = job->y->strides;
    ptrdiff_t count = 0;
    for (ptrdiff_t p = 0; p < task->rows; ++p)
        for (ptrdiff_t q = 0; q < task->cols; ++q, ++count) {
            parts->x_base[count] = p * input->row + q * input->col;
            parts->y_row[count] = (p * strides[2] + q * strides[3]) / size;
        }
    for (; count % plan->tile->M != 0; ++count) {
        parts->x_base[count] = parts->x_base[count - 1];
        parts->y_row[count] = parts->y_row[count - 1];
    }
    out->count = count;
    aim(job, task, parts, out);
    if (job->staged)
        for (ptrdiff_t i = 0; i < count; ++i) parts->y_row[i] = i * out->ld;
    for (ptrdiff_t v = 0; v < plan->tile->V; ++v) parts->y_col[v] = v * plan->leaves->lanes;
}

/* The last panel may hold fewer filters than a tile computes: a tile that may not write past them into y writes here. */
static void copy_tail(const cf_conv2d_plan *plan, const cf_tile *tile, const ptrdiff_t *y_row, const ptrdiff_t *y_col,
                      ptrdiff_t filters, char *y)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), vector = plan->leaves->lanes * size;
    const char *from = tile->y;
    if (plan->filters_are_vectors)
        for (ptrdiff_t m = 0; m < plan->tile->M; ++m)
            memcpy(y + y_row[m] * size, from + m * plan->tile->V * vector, (size_t)(filters * size));
    else
        for (ptrdiff_t m = 0; m < filters; ++m)
            for (ptrdiff_t v = 0; v < plan->tile->V; ++v)
                memcpy(y + (y_row[m] + y_col[v]) * size, from + (m * plan->tile->V + v) * vector, (size_t)vector);
}

/* A tile of the task over the blocks [begin, end), of which `tile` holds what all tiles share. */
typedef struct {
    const cf_conv2d_job *job;
    const cf_conv2d_task *task;
    const pieces *parts;
    const outputs *out;
    const char *w;         /* the task's first panel */
    ptrdiff_t begin, end, panel_bytes;
    cf_term_block block;   /* the first */
    cf_tile tile;
} sweeper;

static void run_tile(sweeper *s, ptrdiff_t i, ptrdiff_t panel)
{
    const cf_conv2d_plan *plan = s->job->plan;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t filters = plan->K - (s->task->panel + panel) * plan->panel;
    const ptrdiff_t *y_row = s->parts->y_row + (plan->filters_are_vectors ? i : 0);
    const ptrdiff_t *y_col = s->parts->y_col + (plan->filters_are_vectors ? 0 : i);
    const char *w = s->w + panel * s->panel_bytes;
    char *y = s->out->y + panel * s->out->panel;
    const int tail = !s->job->staged && filters < plan->panel;
    cf_tile *tile = &s->tile;
    tile->x_base = s->parts->x_base + i;
    tile->bias = s->parts->bias + panel * plan->panel * size;
    tile->y = tail ? s->parts->tail : y;
    tile->y_row = tail ? s->parts->tail_row : y_row;
    tile->y_col = tail ? s->parts->tail_col : y_col;
    cf_term_block block = s->block;
    for (ptrdiff_t b = s->begin;;) {
        tile->terms = block.terms;
        tile->taps = s->parts->taps + (block.first - s->block.first);
        tile->w = w + block.first * plan->panel * size;
        tile->first = b == 0;
        tile->last = b == plan->blocks - 1;
        plan->tile->run(tile);
        if (++b == s->end) break;
        block = cf_conv2d_block(plan, b);
    }
    if (tail) copy_tail(plan, tile, y_row, y_col, filters, y);
}

static void sweep(const cf_conv2d_job *job, const cf_conv2d_task *task, const pieces *parts,
                  const cf_conv2d_input *input, const outputs *out, ptrdiff_t begin, ptrdiff_t end)
{
    const cf_conv2d_plan *plan = job->plan;
    const cf_tile_shape *shape = plan->tile;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    sweeper s = {.job = job, .task = task, .parts = parts, .out = out, .begin = begin, .end = end,
                 .block = cf_conv2d_block(plan, begin),
                 .panel_bytes = plan->C * plan->taps * plan->panel * size,
                 .tile = {.x = input->x, .limits = job->limits,
                          .error = plan->exact_blocks ? (ptrdiff_t)(plan->stage_bytes / 2) / size : 0}};
    s.w = job->packed + (task->g * plan->panels + task->panel) * s.panel_bytes;
    if (plan->filters_are_vectors)
        for (ptrdiff_t panel = 0; panel < task->panels; ++panel)
            for (ptrdiff_t i = 0; i < out->count; i += shape->M) run_tile(&s, i, panel);
    else
        for (ptrdiff_t i = 0; i < out->count; i += shape->V)
            for (ptrdiff_t panel = 0; panel < task->panels; ++panel) run_tile(&s, i, panel);
}

void cf_conv2d_run_tiles(const void *context, ptrdiff_t index, char *workspace)
{
    const cf_conv2d_job *job = context;
    const cf_conv2d_plan *plan = job->plan;
    const cf_conv2d_task task = locate(plan, index);
    const pieces parts = carve(plan, workspace);
    cf_conv2d_input input = {.taps = parts.taps};
    outputs out = {0};

    load_bias(job, &task, parts.bias);
    for (ptrdiff_t m = 0; m < plan->tile->M; ++m) parts.tail_row[m] = m * plan->tile->V * plan->leaves->lanes;
    for (ptrdiff_t v = 0; v < plan->tile->V; ++v) parts.tail_col[v] = v * plan->leaves->lanes;
    if (job->view)
        view(job, &task, &input);
    else
        plan->layout->steps(plan, &task, &input.row, &input.col);
    (plan->filters_are_vectors ? place_pixels : place_vectors)(job, &task, &input, &parts, &out);
    if (job->view)
        sweep(job, &task, &parts, &input, &out, 0, plan->blocks);
    else
        for (ptrdiff_t b = 0; b < plan->blocks; ++b) {
            const cf_term_block block = cf_conv2d_block(plan, b);
            plan->layout->lay_out(job, &task, &block, parts.slab, &input);
            sweep(job, &task, &parts, &input, &out, b, b + 1);
        }
    if (job->staged) cf_conv2d_copy_stage(job, &task, out.y, out.ld, out.pitch);
}
