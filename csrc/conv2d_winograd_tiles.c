/* conv2d_winograd_tiles.c — the two ends of a task of the algorithm "winograd": input cells to V, M to outputs.

   Tiles overlap by taps - 1 cells. Neighbours in a row of tiles are laid out together, as a strip; their outputs meet
   in the stage [outputs][col][filter of a panel] on the way to y. Where the channels of a pixel stand side by side,
   whole tiles inside the image are read from x, and written to y, without either. */
#include "conv2d_winograd.h"

#include "geometry.h"

#include <string.h>

cf_winograd_spot cf_winograd_locate(const cf_winograd_work *w, ptrdiff_t tile)
{
    const cf_conv2d_plan *plan = w->plan;
    const cf_axis *h = &plan->shape.h, *v = &plan->shape.w;
    const ptrdiff_t out = plan->winograd->outputs, index = w->task.first + tile;
    const ptrdiff_t col = index % plan->grid_cols, row = index / plan->grid_cols % plan->grid_rows;
    const ptrdiff_t phase = index / (plan->grid_cols * plan->grid_rows);
    return (cf_winograd_spot){.n = index / cf_winograd_grid(plan), .col = col,
                              .p = phase / v->dilation % h->dilation + row * out * h->dilation,
                              .q = phase % v->dilation + col * out * v->dilation};
}

/* Tiles from tile i of the task on that stand in one row of an image. */
static ptrdiff_t neighbours(const cf_winograd_work *w, ptrdiff_t i)
{
    return cf_min(w->task.tiles - i, w->plan->grid_cols - cf_winograd_locate(w, i).col);
}

/* Whether the channels of a pixel stand side by side, to be read or written as vectors. */
static int has_pixels(int plain, const cf_array *a) { return plain && a->strides[1] == (ptrdiff_t)sizeof(float); }
static int reads_pixels(const cf_winograd_work *w) { return has_pixels(w->job->x_plain, w->job->x); }
static int writes_pixels(const cf_winograd_work *w) { return has_pixels(w->job->y_plain, w->job->y); }

/* How many of `cells` cells from `first` on any output needs. Those beyond are taken as zero, whatever x has there. */
static ptrdiff_t needed(const cf_axis *axis, ptrdiff_t first, ptrdiff_t cells)
{
    return cf_min(cells, cf_steps(axis->in + axis->pad_after - first, axis->dilation));
}

static const char *plane(const cf_winograd_work *w, const cf_winograd_spot *s, ptrdiff_t c)
{
    const cf_array *x = w->job->x;
    return x->data + s->n * x->strides[0] + (w->task.g * w->plan->C + c) * x->strides[1];
}

void cf_winograd_load_cell(const cf_winograd_work *w, const cf_winograd_spot *s, ptrdiff_t i, ptrdiff_t j,
                           ptrdiff_t c, ptrdiff_t count, ptrdiff_t all, float *to)
{
    const cf_axis *h = &w->plan->shape.h, *v = &w->plan->shape.w;
    const ptrdiff_t row = s->p - h->pad_before + i * h->dilation, col = s->q - v->pad_before + j * v->dilation;
    const int inside = needed(h, row, 1) > 0 && needed(v, col, 1) > 0;
    if (inside) cf_conv2d_load_pixel(w->job, plane(w, s, c), row, col, count, to);
    const ptrdiff_t there = inside ? count : 0;
    memset(to + there, 0, (size_t)(all - there) * sizeof *to);
}

/* rows x cols elements, both multiples of `lanes`, rows to columns. */
static void turn(const cf_winograd_work *w, const float *from, ptrdiff_t from_step, ptrdiff_t rows, ptrdiff_t cols,
                 float *to, ptrdiff_t to_step)
{
    const ptrdiff_t lanes = w->plan->leaves->lanes;
    for (ptrdiff_t i = 0; i < rows; i += lanes)
        for (ptrdiff_t j = 0; j < cols; j += lanes)
            w->plan->leaves->transpose(from + i * from_step + j, from_step, to + j * to_step + i, to_step);
}

/* Input */

/* A strip is [cells][col][channel], some channels at a time: `row` elements from one row of cells to the next. Pixels
   of few columns leave room for more channels at a time. */
typedef struct {
    ptrdiff_t cols, channels, row;
} strip_shape;

static strip_shape shape_strip(const cf_winograd_work *w, ptrdiff_t tiles)
{
    const cf_conv2d_plan *plan = w->plan;
    const ptrdiff_t lanes = plan->leaves->lanes, room = w->at.strip_cols * STRIP_CHANNELS;
    const ptrdiff_t cols = tiles * plan->winograd->outputs + plan->winograd->taps - 1;
    if (!plan->channels_last) return (strip_shape){cols, STRIP_CHANNELS, room};
    const ptrdiff_t channels = cf_min(cf_round_up(plan->C, lanes), room / cols / lanes * lanes);
    return (strip_shape){cols, channels, cols * channels};
}

static void lay_out_pixels(const cf_winograd_work *w, const cf_winograd_spot *s, const strip_shape *strip, ptrdiff_t c,
                           ptrdiff_t count, ptrdiff_t all)
{
    const cf_axis *h = &w->plan->shape.h, *v = &w->plan->shape.w;
    const ptrdiff_t top = s->p - h->pad_before, left = s->q - v->pad_before, pitch = strip->channels;
    const ptrdiff_t cells = w->plan->winograd->cells, rows_needed = needed(h, top, cells);
    const cf_conv2d_span span = cf_conv2d_span_of(v, left, v->dilation, needed(v, left, strip->cols));
    float *to = cf_floats(w, w->at.strip);
    for (ptrdiff_t i = 0; i < cells; ++i, to += strip->row) {
        const ptrdiff_t there = i < rows_needed ? span.count : 0;
        if (there > 0) cf_conv2d_load_pixels(w->job, plane(w, s, c), top + i * h->dilation, &span, count, pitch, to);
        memset(to + there * pitch, 0, (size_t)((strip->cols - there) * pitch) * sizeof *to);
        for (ptrdiff_t j = 0; j < there && count < all; ++j)
            memset(to + j * pitch + count, 0, (size_t)(all - count) * sizeof *to);
    }
}

/* The same plane by plane, then turned. */
static void lay_out_planes(const cf_winograd_work *w, const cf_winograd_spot *s, const strip_shape *strip, ptrdiff_t c,
                           ptrdiff_t count, ptrdiff_t all)
{
    const cf_axis *h = &w->plan->shape.h, *v = &w->plan->shape.w;
    const ptrdiff_t top = s->p - h->pad_before, left = s->q - v->pad_before;
    const ptrdiff_t cells = w->plan->winograd->cells, pitch = w->at.strip_cols;
    const ptrdiff_t rows_needed = needed(h, top, cells), cols_needed = needed(v, left, strip->cols);
    float *planes = cf_floats(w, w->at.turned);
    memset(planes, 0, (size_t)(all * pitch) * sizeof *planes);
    for (ptrdiff_t i = 0; i < cells; ++i) {
        for (ptrdiff_t l = 0; l < count; ++l)
            if (i < rows_needed)
                cf_conv2d_load_row(w->job, plane(w, s, c + l), top + i * h->dilation, left, v->dilation, cols_needed,
                                   planes + l * pitch);
            else
                memset(planes + l * pitch, 0, (size_t)cols_needed * sizeof *planes);
        turn(w, planes, pitch, all, cf_round_up(strip->cols, w->plan->leaves->lanes),
             cf_floats(w, w->at.strip) + i * strip->row, strip->channels);
    }
}

/* Tiles [i, i + tiles), which stand in one row of an image. */
static void transform_strip(const cf_winograd_work *w, ptrdiff_t i, ptrdiff_t tiles)
{
    const cf_conv2d_plan *plan = w->plan;
    const cf_winograd_spot s = cf_winograd_locate(w, i);
    const strip_shape strip = shape_strip(w, tiles);
    for (ptrdiff_t c = 0; c < plan->C; c += strip.channels) {
        const ptrdiff_t count = cf_min(strip.channels, plan->C - c), all = cf_round_up(count, plan->leaves->lanes);
        (plan->channels_last ? lay_out_pixels : lay_out_planes)(w, &s, &strip, c, count, all);
        for (ptrdiff_t t = 0; t < tiles; ++t)
            plan->winograd->input(cf_floats(w, w->at.strip) + t * plan->winograd->outputs * strip.channels, strip.row,
                                  strip.channels, all, cf_floats(w, w->at.v) + (i + t) * w->at.v_tile + c, w->at.v_run);
    }
}

/* Whether tile i was transformed, straight from x: its cells must stand there, and whole vectors of channels. */
static int transform_in_place(const cf_winograd_work *w, ptrdiff_t i)
{
    const cf_conv2d_plan *plan = w->plan;
    const cf_axis *h = &plan->shape.h, *v = &plan->shape.w;
    const cf_winograd_spot s = cf_winograd_locate(w, i);
    const ptrdiff_t top = s.p - h->pad_before, left = s.q - v->pad_before, *strides = w->job->x->strides;
    const ptrdiff_t last = plan->winograd->cells - 1;
    if (!reads_pixels(w) || plan->C % plan->leaves->lanes != 0 || top < 0 || top + last * h->dilation >= h->in ||
        left < 0 || left + last * v->dilation >= v->in)
        return 0;
    const char *x = plane(w, &s, 0) + top * strides[2] + left * strides[3];
    plan->winograd->input((const float *)x, h->dilation * strides[2] / (ptrdiff_t)sizeof(float),
                          v->dilation * strides[3] / (ptrdiff_t)sizeof(float), plan->C,
                          cf_floats(w, w->at.v) + i * w->at.v_tile, w->at.v_run);
    return 1;
}

void cf_winograd_inputs(const cf_winograd_work *w)
{
    for (ptrdiff_t i = 0, tiles; i < w->task.tiles; i += tiles) {
        tiles = reads_pixels(w) ? 1 : neighbours(w, i);
        if (!transform_in_place(w, i)) transform_strip(w, i, tiles);
    }
    for (ptrdiff_t i = 0; i < w->task.tiles; ++i) cf_winograd_measure(w, i);
}

/* Output */

static void finish(const cf_winograd_work *w, ptrdiff_t tile, ptrdiff_t panel, const cf_winograd_target *to)
{
    const ptrdiff_t P = w->plan->panel;
    const int finite = w->plan->winograd->output(
        cf_floats(w, w->at.m) + tile * w->at.m_tile + panel * P, w->at.m_run, P, cf_floats(w, w->at.bias) + panel * P,
        w->job->limits, to->y, to->row, to->col);
    if (!finite || !cf_winograd_trusted(w, tile, panel)) cf_winograd_mend(w, tile, panel, to);
}

static char *output_at(const cf_winograd_work *w, const cf_winograd_spot *s, ptrdiff_t panel)
{
    const cf_array *y = w->job->y;
    const ptrdiff_t k = w->task.g * w->plan->K + (w->task.panel + panel) * w->plan->panel;
    return y->data + s->n * y->strides[0] + k * y->strides[1] + s->p * y->strides[2] + s->q * y->strides[3];
}

/* A panel of a row of tiles from the stage to y. */
static void copy_out(const cf_winograd_work *w, const cf_winograd_spot *s, ptrdiff_t tiles, ptrdiff_t panel)
{
    const cf_conv2d_plan *plan = w->plan;
    const cf_axis *h = &plan->shape.h, *v = &plan->shape.w;
    const ptrdiff_t *strides = w->job->y->strides, P = plan->panel, pitch = w->at.strip_cols;
    const ptrdiff_t filters = cf_min(P, plan->K - (w->task.panel + panel) * P), out = plan->winograd->outputs;
    const ptrdiff_t rows = cf_min(out, cf_winograd_left(h, s->p)), col = v->dilation * strides[3];
    const ptrdiff_t cols = cf_min(tiles * out, cf_winograd_left(v, s->q));
    float *turned = cf_floats(w, w->at.turned);
    char *to = output_at(w, s, panel);
    for (ptrdiff_t i = 0; i < rows && cols > 0; ++i, to += h->dilation * strides[2]) {
        const float *from = cf_floats(w, w->at.stage) + i * pitch * P;
        if (plan->channels_last) {
            for (ptrdiff_t j = 0; j < cols; ++j) w->job->store(to + j * col, strides[1], from + j * P, filters);
            continue;
        }
        turn(w, from, P, cf_round_up(cols, plan->leaves->lanes), P, turned, pitch);
        for (ptrdiff_t k = 0; k < filters; ++k)
            w->job->store(to + k * strides[1], col, turned + k * pitch, cols);
    }
}

/* Whether whole vectors of this panel may be written to all outputs of a tile. */
static int writes(const cf_winograd_work *w, const cf_winograd_spot *s, ptrdiff_t panel)
{
    const cf_conv2d_plan *plan = w->plan;
    const ptrdiff_t out = plan->winograd->outputs;
    return writes_pixels(w) && cf_winograd_left(&plan->shape.h, s->p) >= out &&
           cf_winograd_left(&plan->shape.w, s->q) >= out && (w->task.panel + panel + 1) * plan->panel <= plan->K;
}

/* Fetches the lines that the next tile of the row writes. */
static void fetch_next(const cf_winograd_work *w, const cf_winograd_target *y)
{
    const ptrdiff_t out = w->plan->winograd->outputs;
    for (ptrdiff_t i = 0; i < out; ++i)
        for (ptrdiff_t j = out; j < 2 * out; ++j) __builtin_prefetch(y->y + i * y->row + j * y->col, 1);
}

void cf_winograd_outputs(const cf_winograd_work *w)
{
    const ptrdiff_t *strides = w->job->y->strides, P = w->plan->panel, out = w->plan->winograd->outputs;
    const ptrdiff_t row = w->plan->shape.h.dilation * strides[2] / (ptrdiff_t)sizeof(float);
    const ptrdiff_t col = w->plan->shape.w.dilation * strides[3] / (ptrdiff_t)sizeof(float);
    for (ptrdiff_t i = 0, tiles; i < w->task.tiles; i += tiles) {
        const cf_winograd_spot s = cf_winograd_locate(w, i);
        tiles = writes_pixels(w) ? 1 : neighbours(w, i);
        for (ptrdiff_t panel = 0; panel < w->task.panels; ++panel) {
            if (writes(w, &s, panel)) {
                const cf_winograd_target y = {(float *)output_at(w, &s, panel), row, col};
                if (w->job->fetch_y && neighbours(w, i) > 1) fetch_next(w, &y);
                finish(w, i, panel, &y);
                continue;
            }
            for (ptrdiff_t t = 0; t < tiles; ++t) {
                const cf_winograd_target stage = {cf_floats(w, w->at.stage) + t * out * P, w->at.strip_cols * P, P};
                finish(w, i + t, panel, &stage);
            }
            copy_out(w, &s, tiles, panel);
        }
    }
}
