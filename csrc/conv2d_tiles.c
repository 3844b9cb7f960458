/* conv2d_tiles.c — one task of a convolution: some outputs of one image and group, tile by tile.

     for each block of terms:  lay the input out (or read x itself: a "view")
       for each panel of filters:  all tiles
     copy the stage to y (unless tiles can write y themselves)

   A panel of filters stays in the first-level cache while the input streams past it from the second. */
#include "geometry.h"
#include "plan.h"
#include "workspace.h"

#include <string.h>

/* The pieces of a task's workspace. */
typedef struct {
    char *slab, *stage, *tail, *bias, *filters;
    ptrdiff_t *taps, *x_base, *y_row, *y_col, *tail_row, *tail_col;
} pieces;

/* The outputs of a task as the tiles see them. */
typedef struct {
    cf_places places; /* vectors of pixels, or pixels */
    ptrdiff_t pitch; /* elements between output rows in the stage (pixels orientation) */
    ptrdiff_t ld;    /* elements between filters in the stage; channels orientation: between pixels */
    char *y;         /* output (0, 0, 0) of the task, in y or in the stage */
    ptrdiff_t panel; /* bytes between panels there */
} outputs;

static pieces carve(const cf_conv2d_plan *plan, char *workspace)
{
    const size_t tile = (size_t)(plan->tile->M * plan->tile->V * plan->leaves->lanes) * cf_compute_bytes(plan->compute);
    const size_t bias = cf_aligned_bytes(plan->panels_each * plan->panel, cf_compute_bytes(plan->compute));
    pieces parts = {.slab = workspace, .stage = workspace + plan->slab_bytes};
    parts.tail = parts.stage + plan->stage_bytes;
    parts.bias = parts.tail + tile;
    parts.filters = workspace + plan->workspace_each;
    parts.taps = (ptrdiff_t *)(parts.bias + bias);
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

/* x itself as the input: every term is an offset into it. */
static void view(const cf_conv2d_job *job, const cf_conv2d_task *task, const cf_term_block *block,
                 cf_conv2d_input *input)
{
    const cf_conv2d_plan *plan = job->plan;
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), *strides = job->x->strides;
    const ptrdiff_t C = strides[1] / size, H = strides[2] / size, W = strides[3] / size;
    const ptrdiff_t next_tap = plan->channels_innermost ? block->channels : 1;
    const ptrdiff_t next_channel = plan->channels_innermost ? 1 : block->taps;
    input->x = job->x->data + task->n * strides[0] + (task->g * plan->C + block->c) * strides[1] +
               task->p * h->stride * strides[2] + task->q * w->stride * strides[3];
    for (ptrdiff_t i = 0; i < block->taps; ++i) {
        const ptrdiff_t r = (block->tap + i) / w->size, s = (block->tap + i) % w->size;
        for (ptrdiff_t c = 0; c < block->channels; ++c)
            input->taps[i * next_tap + c * next_channel] = r * h->dilation * H + s * w->dilation * W + c * C;
    }
}

static void view_steps(const cf_conv2d_job *job, ptrdiff_t *row, ptrdiff_t *col)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(job->plan->compute), *strides = job->x->strides;
    *row = cf_mul(job->plan->shape.h.stride, strides[2] / size); /* saturating: with one output nobody takes the step */
    *col = cf_mul(job->plan->shape.w.stride, strides[3] / size);
}

/* Where tiles write: y, or the stage. */
static void aim(const cf_conv2d_job *job, const cf_conv2d_task *task, const pieces *parts, outputs *out)
{
    const cf_conv2d_plan *plan = job->plan;
    const cf_array *y = job->y;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    if (job->staged) {
        out->ld = plan->filters_are_vectors ? task->panels * plan->panel : out->places.count * plan->leaves->lanes;
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
    out->places = (cf_places){count, count};
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
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t row = job->y->strides[2] / size, col = job->y->strides[3] / size;
    ptrdiff_t count = 0;
    for (ptrdiff_t p = 0; p < task->rows; ++p)
        for (ptrdiff_t q = 0; q < task->cols; ++q, ++count) {
            parts->x_base[count] = p * input->row + q * input->col;
            parts->y_row[count] = p * row + q * col;
        }
    out->places = cf_conv2d_places(plan, count);
    for (; count < out->places.count; ++count) { /* fill the last tile up with its last pixel */
        parts->x_base[count] = parts->x_base[count - 1];
        parts->y_row[count] = parts->y_row[count - 1];
    }
    aim(job, task, parts, out);
    if (job->staged)
        for (ptrdiff_t i = 0; i < count; ++i) parts->y_row[i] = i * out->ld;
}

/* The last panel may hold fewer filters than a tile computes: one that may not write past them into y writes here. */
static void copy_tail(const cf_conv2d_plan *plan, const cf_tile *tile, ptrdiff_t pixels, const ptrdiff_t *y_row,
                      const ptrdiff_t *y_col, ptrdiff_t filters, char *y)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), vector = plan->leaves->lanes * size;
    const char *from = tile->y;
    if (plan->filters_are_vectors)
        for (ptrdiff_t m = 0; m < pixels; ++m)
            memcpy(y + y_row[m] * size, from + m * plan->tile->V * vector, (size_t)(filters * size));
    else
        for (ptrdiff_t m = 0; m < filters; ++m)
            for (ptrdiff_t v = 0; v < plan->tile->V; ++v)
                memcpy(y + (y_row[m] + y_col[v]) * size, from + (m * plan->tile->V + v) * vector, (size_t)vector);
}

void cf_conv2d_run_places(const cf_conv2d_plan *plan, cf_places places, cf_tile *tile)
{
    const ptrdiff_t each = plan->filters_are_vectors ? plan->tile->M : plan->tile->V;
    tile->count = places.tall / each;
    plan->tile->run(tile);
    if (places.count == places.tall) return;
    tile->ahead += tile->count * tile->terms * tile->ahead_step;
    tile->count = (places.count - places.tall) / (each - 1);
    tile->x_base += places.tall, tile->y_row += places.tall;
    plan->tile->run_shorter(tile);
}

/* The tiles of one block: `tile` holds what all of them share. */
typedef struct {
    const cf_conv2d_job *job;
    const cf_conv2d_task *task;
    const pieces *parts;
    const outputs *out;
    const char *w; /* the block's terms of the task's first panel */
    ptrdiff_t panel_bytes;
    cf_tile tile;
} sweeper;

/* Tiles of a panel that would write past the filters of y: one at a time, and copied. */
static void run_tail(sweeper *s, ptrdiff_t filters, char *y)
{
    const cf_conv2d_plan *plan = s->job->plan;
    const ptrdiff_t M = plan->tile->M;
    cf_tile *tile = &s->tile;
    tile->count = 1;
    tile->y = s->parts->tail;
    tile->y_row = s->parts->tail_row, tile->y_col = s->parts->tail_col;
    for (ptrdiff_t i = 0, each; i < s->out->places.count; i += each) {
        const int shorter = plan->filters_are_vectors && i >= s->out->places.tall;
        const ptrdiff_t row = plan->filters_are_vectors ? i : 0, col = plan->filters_are_vectors ? 0 : i;
        each = plan->filters_are_vectors ? M - shorter : plan->tile->V;
        tile->x_base = s->parts->x_base + i;
        (shorter ? plan->tile->run_shorter : plan->tile->run)(tile);
        copy_tail(plan, tile, each, s->parts->y_row + row, s->parts->y_col + col, filters, y);
    }
}

static void run_panel(sweeper *s, ptrdiff_t panel)
{
    const cf_conv2d_plan *plan = s->job->plan;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t filters = plan->K - (s->task->panel + panel) * plan->panel;
    char *y = s->out->y + panel * s->out->panel;
    cf_tile *tile = &s->tile;
    tile->w = s->w + panel * s->panel_bytes;
    tile->bias = s->parts->bias + panel * plan->panel * size;
    if (!s->job->staged && filters < plan->panel) {
        run_tail(s, filters, y);
        return;
    }
    tile->x_base = s->parts->x_base;
    tile->y = y;
    tile->y_row = s->parts->y_row, tile->y_col = s->parts->y_col;
    cf_conv2d_run_places(plan, s->out->places, tile);
}

static void sweep(const cf_conv2d_job *job, const cf_conv2d_task *task, const pieces *parts,
                  const cf_conv2d_input *input, const outputs *out, ptrdiff_t b)
{
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), filters = plan->panel * size;
    const cf_term_block block = cf_conv2d_block(plan, b);
    sweeper s = {.job = job, .task = task, .parts = parts, .out = out, .panel_bytes = plan->C * plan->taps * filters,
                 .tile = {.x = input->x, .terms = block.terms, .chain = plan->chain, .taps = input->taps,
                          .limits = job->limits, .first = b == 0, .last = b == plan->blocks - 1,
                          .runs = cf_in_runs(input->taps, block.terms), .fetch_y = job->fetch_y && !job->staged,
                          .error = plan->exact_blocks ? (ptrdiff_t)(plan->stage_bytes / 2) / size : 0}};
    if (job->raw != NULL) /* every panel is packed to the same place, just before its tiles */
        s.w = parts->filters, s.panel_bytes = 0;
    else
        s.w = job->packed + (task->g * plan->panels + task->panel) * s.panel_bytes + block.first * filters;
    const char *next_block = s.w + (s.tile.last ? 0 : block.terms * filters);
    s.tile.ahead_step = cf_ceil_div(filters, cf_ceil_div(out->places.count, plan->tile->M));
    for (ptrdiff_t panel = 0; panel < task->panels; ++panel) {
        if (job->raw != NULL)
            cf_conv2d_pack_block(job->raw, task->g, task->panel + panel, 1, &block, 0, parts->filters);
        s.tile.ahead = panel + 1 < task->panels ? s.w + (panel + 1) * s.panel_bytes : next_block;
        run_panel(&s, panel);
    }
}

void cf_conv2d_run_tiles(const void *context, ptrdiff_t index, char *workspace)
{
    const cf_conv2d_job *job = context;
    const cf_conv2d_plan *plan = job->plan;
    const cf_conv2d_task task = cf_conv2d_task_at(plan, index);
    const pieces parts = carve(plan, workspace);
    cf_conv2d_input input = {.taps = parts.taps};
    outputs out = {0};

    load_bias(job, &task, parts.bias);
    for (ptrdiff_t m = 0; m < plan->tile->M; ++m) parts.tail_row[m] = m * plan->tile->V * plan->leaves->lanes;
    for (ptrdiff_t v = 0; v < plan->tile->V; ++v) parts.tail_col[v] = v * plan->leaves->lanes;
    if (job->view)
        view_steps(job, &input.row, &input.col);
    else
        plan->layout->steps(plan, &task, &input.row, &input.col);
    (plan->filters_are_vectors ? place_pixels : place_vectors)(job, &task, &input, &parts, &out);
    for (ptrdiff_t b = 0; b < plan->blocks; ++b) {
        const cf_term_block block = cf_conv2d_block(plan, b);
        if (job->view)
            view(job, &task, &block, &input);
        else
            plan->layout->lay_out(job, &task, &block, parts.slab, &input);
        sweep(job, &task, &parts, &input, &out, b);
    }
    if (job->staged) cf_conv2d_copy_stage(job, &task, out.y, out.ld, out.pitch);
}
