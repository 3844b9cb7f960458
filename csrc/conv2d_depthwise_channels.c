/* conv2d_depthwise_channels.c — a band of depthwise outputs, vectors along the channels.

   Where no window leaves the array x is read where it stands; the frame around that is laid out with its padding as
   [row][column][channel of the chunk]. Of groups with several filters or several channels everything is laid out, as
   [row][column][channel of a group][filter of the chunk]: so the leaf finds a vector for every vector of filters.
   Filters are packed [chunk][tap][channel of a group][filter of the chunk]. */
#include "conv2d_depthwise.h"

/* Chunks of the task. The last task ends with one that overlaps the one before, if whole chunks do not come out. */
static ptrdiff_t chunks(const cf_band *b)
{
    const cf_conv2d_plan *plan = b->job->plan;
    return b->planes + (b->plane + b->planes == plan->planes && plan->shape.K % cf_chunk(plan) != 0);
}

static ptrdiff_t first_channel(const cf_band *b, ptrdiff_t i)
{
    const cf_conv2d_plan *plan = b->job->plan;
    return cf_min((b->plane + i) * cf_chunk(plan), plan->shape.K - cf_chunk(plan));
}

/* `count` pixels of a row, of which `from` is the first channel that b->channels counts from, to the lanes. */
static void spread(const cf_band *b, const char *from, ptrdiff_t from_pixel, ptrdiff_t readable, ptrdiff_t count,
                   char *to)
{
    const cf_conv2d_plan *plan = b->job->plan;
    const cf_spread run = {.to = to, .from = from, .channels = b->channels, .pixels = count, .inputs = plan->C,
                           .vectors = plan->pixels->V, .from_pixel = from_pixel, .readable = readable};
    plan->leaves->spread(&run);
}

/* For filters [k, k + chunk). Pixels inside the array are read where they stand, others by way of b->read. */
static void lay_out_groups(const cf_band *b, const char *image, ptrdiff_t k)
{
    const cf_conv2d_job *job = b->job;
    const cf_conv2d_plan *plan = job->plan;
    const cf_array *x = job->x;
    const cf_axis *w = &plan->shape.w;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), cols = cf_axis_covered(w, b->cols);
    const ptrdiff_t first = k / plan->K * plan->C, end = (k + cf_chunk(plan) - 1) / plan->K * plan->C + plan->C;
    const ptrdiff_t pixel = plan->C * cf_chunk(plan) * size;
    const cf_conv2d_span span = cf_conv2d_span_of(w, b->q * w->stride - w->pad_before, 1, cols);
    const cf_row_range r = cf_band_rows(b);
    const char *const plane = image + first * x->strides[1];
    char *to = b->slab;
    for (ptrdiff_t i = 0; i < cf_chunk(plan); ++i) b->channels[i] = (k + i) / plan->K * plan->C - first;
    for (ptrdiff_t i = 0; i < r.count; ++i, to += cols * pixel) {
        const int in_place = job->x_plain && x->strides[1] == size && i >= r.first && i < r.last;
        const ptrdiff_t inside = in_place ? span.begin : cols, outside = in_place ? span.end : cols;
        for (ptrdiff_t j = 0; j < cols; ++j) {
            if (j == inside) j = outside;
            if (j == cols) break;
            cf_conv2d_load_pixel(job, plane, r.top + i, span.first + j, end - first, b->read);
            spread(b, b->read, 0, end - first, 1, to + j * pixel);
        }
        if (inside < outside)
            spread(b, plane + (r.top + i) * x->strides[2] + (span.first + inside) * x->strides[3], x->strides[3] / size,
                   plan->shape.C - first, outside - inside, to + inside * pixel);
    }
}

static void lay_out_pixels(const cf_band *b, const char *image, ptrdiff_t k)
{
    const cf_conv2d_job *job = b->job;
    const cf_conv2d_plan *plan = job->plan;
    const cf_axis *w = &plan->shape.w;
    const ptrdiff_t pixel = cf_chunk(plan) * (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t cols = cf_axis_covered(w, b->cols);
    const cf_conv2d_span span = cf_conv2d_span_of(w, b->q * w->stride - w->pad_before, 1, cols);
    const cf_row_range r = cf_band_rows(b);
    char *to = b->slab;
    for (ptrdiff_t i = 0; i < r.count; ++i, to += cols * pixel)
        cf_conv2d_load_pixels(job, image + k * job->x->strides[1], r.top + i, &span, cf_chunk(plan), cf_chunk(plan),
                              to);
}

void cf_band_by_channels(const cf_band *b, int view)
{
    const cf_conv2d_job *job = b->job;
    const cf_conv2d_plan *plan = job->plan;
    const cf_array *x = job->x, *y = job->y;
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), M = plan->pixels->M, C = cf_chunk(plan);
    const int staged = !job->y_plain || y->strides[1] != size;
    const ptrdiff_t pixel = C * plan->C, terms = plan->taps * plan->C;
    const ptrdiff_t row = view ? x->strides[2] / size : cf_axis_covered(w, b->cols) * pixel;
    const ptrdiff_t col = view ? x->strides[3] / size : pixel;
    for (ptrdiff_t i = 0; i < terms; ++i) {
        const ptrdiff_t t = i / plan->C, c = i % plan->C;
        b->taps[i] = t / w->size * h->dilation * row + t % w->size * w->dilation * col + c * C;
    }
    ptrdiff_t count = 0;
    for (ptrdiff_t p = 0; p < b->rows; ++p)
        for (ptrdiff_t q = 0; q < b->cols; ++q, ++count) {
            b->x_at[count] = p * h->stride * row + q * w->stride * col;
            b->y_at[count] = staged ? count * C : (p * y->strides[2] + q * y->strides[3]) / size;
        }
    for (; count % M != 0; ++count) { /* fill the last tile up with its last pixel */
        b->x_at[count] = b->x_at[count - 1];
        b->y_at[count] = b->y_at[count - 1];
    }
    cf_pixels tile = {.terms = terms, .taps = b->taps, .bias = b->bias, .limits = job->limits};
    const char *image = x->data + b->n * x->strides[0];
    for (ptrdiff_t i = 0; i < chunks(b); ++i) {
        const ptrdiff_t k = first_channel(b, i);
        char *to = y->data + b->n * y->strides[0] + k * y->strides[1] + b->p * y->strides[2] + b->q * y->strides[3];
        if (view)
            tile.x = image + k * size + (b->p * h->stride - h->pad_before) * x->strides[2] +
                     (b->q * w->stride - w->pad_before) * x->strides[3];
        else
            (plan->K == 1 && plan->C == 1 ? lay_out_pixels : lay_out_groups)(b, image, k), tile.x = b->slab;
        tile.w = job->packed + (b->plane + i) * terms * C * size;
        cf_band_bias(b, k, C);
        tile.y = staged ? b->stage : to;
        for (ptrdiff_t j = 0; j < count; j += M) {
            tile.x_at = b->x_at + j;
            tile.y_at = b->y_at + j;
            plan->pixels->run(&tile);
        }
        for (ptrdiff_t j = 0; staged && j < b->rows * b->cols; ++j)
            job->store(to + j / b->cols * y->strides[2] + j % b->cols * y->strides[3], y->strides[1],
                       b->stage + j * C * size, C);
    }
}
