/* conv2d_input_grad_fold.c — the adjoint of padding that repeats cells: edge, reflect, symmetric, wrap.

   The gradient of the padded plane is computed in bands of rows, and every cell of it added to the cell from which it
   was copied (cf_source_index says which). A cell at the edge may be copied millions of times: floats are summed in
   float64, and all sums rounded once. */
#include "input_grad.h"
#include "workspace.h"

#include <string.h>

#define BAND_BYTES ((ptrdiff_t)16 << 20) /* of the sums at once; at least one pixel */
/* So many cells of the padded plane that no tap meets are computed all the same, since every piece between gaps is a
   call of its own; the number is a guess. */
#define GAP 32

/* A piece of the plane and its sums, and what of the padded plane repeats cells of it. */
typedef struct {
    const cf_input_grad *image; /* grad of one image */
    cf_padding_mode mode;
    cf_compute compute, sum;           /* the types of the padded gradient and of its sums */
    ptrdiff_t C, row, rows, col, cols; /* of the plane */
    ptrdiff_t most_rows, most_cols;    /* that the band holds */
    char *sums, *band;
} fold;

/* sums[c][source of row][source of col] += band[c][row][col]; (i, j) is the band's first cell. */
#define FOLD(TYPE, SUM)                                                                                     \
    do {                                                                                                    \
        const TYPE *from = (const TYPE *)f->band;                                                           \
        SUM *sums = (SUM *)f->sums;                                                                         \
        for (ptrdiff_t c = 0; c < f->C; ++c, sums += f->rows * f->cols)                                     \
            for (ptrdiff_t y = i; y < i + rows; ++y, from += cols) {                                        \
                SUM *to = sums + (cf_source_index(y - h->pad_before, h->in, f->mode) - f->row) * f->cols;   \
                for (ptrdiff_t x = 0; x < cols; ++x)                                                        \
                    to[cf_source_index(j + x - w->pad_before, w->in, f->mode) - f->col] += from[x];         \
            }                                                                                               \
    } while (0)

static void fold_band(const fold *f, ptrdiff_t i, ptrdiff_t rows, ptrdiff_t j, ptrdiff_t cols)
{
    const cf_axis *h = &f->image->h, *w = &f->image->w_axis;
    switch (f->compute) {
    case CF_COMPUTE_F32: FOLD(float, double); break;
    case CF_COMPUTE_F64: FOLD(double, double); break;
    case CF_COMPUTE_I32: FOLD(uint32_t, uint32_t); break;
    default: FOLD(uint64_t, uint64_t); break;
    }
}

/* The first padded cell from i on that a tap of some window meets; PTRDIFF_MAX if none does. */
static ptrdiff_t next_met(const cf_axis *axis, ptrdiff_t i)
{
    const ptrdiff_t span = (axis->out - 1) * axis->stride; /* that one tap meets */
    ptrdiff_t r = i > span ? cf_ceil_div(i - span, axis->dilation) : 0, met = PTRDIFF_MAX;
    for (ptrdiff_t first; r < axis->size && (first = r * axis->dilation) < met && met > i; ++r)
        met = cf_min(met, first + cf_steps(i - first, axis->stride) * axis->stride);
    return met;
}

/* How many padded cells from i on, at most `most`, repeat cells of [first, first + count), without a gap. */
static ptrdiff_t repeating(const cf_axis *axis, cf_padding_mode mode, ptrdiff_t i, ptrdiff_t first, ptrdiff_t count,
                           ptrdiff_t most)
{
    const ptrdiff_t end = cf_min(axis->in + axis->pad_before + axis->pad_after, i + most), begin = i;
    for (; i < end; ++i) {
        const ptrdiff_t source = cf_source_index(i - axis->pad_before, axis->in, mode);
        if (source < first || source >= first + count || next_met(axis, i) - i > GAP) break;
    }
    return i - begin;
}

static cf_status fold_piece(const fold *f)
{
    const cf_axis *h = &f->image->h, *w = &f->image->w_axis;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(f->compute);
    const ptrdiff_t height = h->in + h->pad_before + h->pad_after, width = w->in + w->pad_before + w->pad_after;
    memset(f->sums, 0, (size_t)(f->C * f->rows * f->cols * (ptrdiff_t)cf_compute_bytes(f->sum)));
    for (ptrdiff_t i = next_met(h, 0), rows; i < height; i = next_met(h, i + cf_max(1, rows))) {
        rows = repeating(h, f->mode, i, f->row, f->rows, f->most_rows);
        if (rows == 0) continue;
        for (ptrdiff_t j = next_met(w, 0), cols; j < width; j = next_met(w, j + cf_max(1, cols))) {
            cols = repeating(w, f->mode, j, f->col, f->cols, f->most_cols);
            if (cols == 0) continue;
            const cf_array part = {f->band, cf_dtype_of(f->compute), {1, f->C, rows, cols},
                                   {f->C * rows * cols * size, rows * cols * size, cols * size, size}};
            const cf_status status = cf_input_grad_region(f->image, i, j, &part);
            if (status != CF_OK) return status;
            fold_band(f, i, rows, j, cols);
        }
    }
    return CF_OK;
}

static void store_piece(const fold *f, const cf_array *dx, char *image)
{
    const cf_store_run store = cf_storer(f->sum, dx->dtype);
    const ptrdiff_t *strides = dx->strides;
    const char *from = f->sums;
    for (ptrdiff_t c = 0; c < f->C; ++c)
        for (ptrdiff_t i = f->row; i < f->row + f->rows; ++i, from += f->cols * (ptrdiff_t)cf_compute_bytes(f->sum))
            store(image + c * strides[1] + i * strides[2] + f->col * strides[3], strides[3], from, f->cols);
}

/* Rows as many as fit; where not even one does, some columns of it. */
cf_status cf_fold_padding(const cf_input_grad *job, cf_padding_mode mode, const cf_array *dx)
{
    const cf_axis *h = &job->h, *w = &job->w_axis;
    cf_input_grad image = *job;
    fold f = {.image = &image, .mode = mode, .compute = cf_compute_of(dx->dtype), .C = dx->shape[1]};
    f.sum = f.compute == CF_COMPUTE_F32 ? CF_COMPUTE_F64 : f.compute;
    const ptrdiff_t pixel = f.C * (ptrdiff_t)cf_compute_bytes(f.sum);
    f.most_cols = cf_max(1, cf_min(w->in + w->pad_before + w->pad_after, BAND_BYTES / pixel));
    f.most_rows = cf_max(1, cf_min(h->in, BAND_BYTES / (pixel * f.most_cols)));
    const ptrdiff_t cols = cf_min(w->in, f.most_cols), bytes = f.most_rows * f.most_cols * pixel;
    f.sums = cf_acquire((size_t)(2 * bytes));
    if (f.sums == NULL) return CF_NO_MEMORY;
    f.band = f.sums + bytes;
    cf_status status = CF_OK;
    image.grad.shape[0] = 1;
    for (ptrdiff_t n = 0; n < dx->shape[0]; ++n, image.grad.data += job->grad.strides[0])
        for (f.row = 0; f.row < h->in; f.row += f.most_rows)
            for (f.col = 0; f.col < w->in && status == CF_OK; f.col += cols) {
                f.rows = cf_min(f.most_rows, h->in - f.row), f.cols = cf_min(cols, w->in - f.col);
                status = fold_piece(&f);
                if (status == CF_OK) store_piece(&f, dx, dx->data + n * dx->strides[0]);
            }
    cf_release(f.sums);
    return status;
}
