/* conv2d_input_grad_fold.c — the adjoint of padding that repeats cells: edge, reflect, symmetric, wrap.

   The gradient of the padded plane is computed in bands of rows, and every cell of it added to the cell from which it
   was copied (cf_source_index says which); the sums are rounded once. */
#include "input_grad.h"
#include "workspace.h"

#include <string.h>

#define BAND_BYTES ((ptrdiff_t)16 << 20) /* of the padded gradient at once; at least one row of all channels */

/* sums[c][source of row - first][source of col] += band[c][row][col], in the compute type. */
#define FOLD(TYPE)                                                                                     \
    do {                                                                                               \
        const TYPE *from = (const TYPE *)band;                                                         \
        TYPE *to = (TYPE *)sums + (cf_source_index(i - h->pad_before, h->in, mode) - first) * w->in;   \
        for (ptrdiff_t c = 0; c < C; ++c, from += plane, to += rows * w->in)                           \
            for (ptrdiff_t j = 0; j < cols; ++j)                                                       \
                to[cf_source_index(j - w->pad_before, w->in, mode)] += from[j];                        \
    } while (0)

static void fold_row(const cf_axis *h, const cf_axis *w, cf_padding_mode mode, cf_compute compute, ptrdiff_t C,
                     ptrdiff_t i, const char *band, ptrdiff_t plane, ptrdiff_t cols, char *sums, ptrdiff_t first,
                     ptrdiff_t rows)
{
    switch (compute) {
    case CF_COMPUTE_F32: FOLD(float); break;
    case CF_COMPUTE_F64: FOLD(double); break;
    case CF_COMPUTE_I32: FOLD(uint32_t); break;
    default: FOLD(uint64_t); break;
    }
}

/* Image n of dx, rows [first, first + rows): all rows of the padded plane that repeat one of these are computed, run
   by run, and added to `sums`. */
static cf_status fold_rows(const cf_input_grad *image, cf_padding_mode mode, const cf_array *dx, ptrdiff_t n,
                           ptrdiff_t first, ptrdiff_t rows, char *sums, char *band)
{
    static const cf_dtype types[CF_COMPUTES] = {CF_F32, CF_F64, CF_I32, CF_I64};
    const cf_axis *h = &image->h, *w = &image->w_axis;
    const cf_compute compute = cf_compute_of(dx->dtype);
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(compute), C = dx->shape[1];
    const ptrdiff_t padded = h->in + h->pad_before + h->pad_after, cols = w->in + w->pad_before + w->pad_after;
    memset(sums, 0, (size_t)(C * rows * w->in * size));
    for (ptrdiff_t i = 0, end; i < padded; i = end) {
        for (end = i; end < padded && end - i < rows; ++end) {
            const ptrdiff_t source = cf_source_index(end - h->pad_before, h->in, mode);
            if (source < first || source >= first + rows) break;
        }
        if (end == i) {
            ++end;
            continue;
        }
        const ptrdiff_t plane = (end - i) * cols;
        const cf_array part = {band, types[compute], {1, C, end - i, cols}, {C * plane * size, plane * size, cols * size, size}};
        const cf_status status = cf_input_grad_region(image, i, 0, &part);
        if (status != CF_OK) return status;
        for (ptrdiff_t row = i; row < end; ++row)
            fold_row(h, w, mode, compute, C, row, band + (row - i) * cols * size, plane, cols, sums, first, rows);
    }
    const cf_store_run store = cf_storer(compute, dx->dtype);
    for (ptrdiff_t c = 0; c < C; ++c)
        for (ptrdiff_t i = 0; i < rows; ++i)
            store(dx->data + n * dx->strides[0] + c * dx->strides[1] + (first + i) * dx->strides[2], dx->strides[3],
                  sums + (c * rows + i) * w->in * size, w->in);
    return CF_OK;
}

cf_status cf_fold_padding(const cf_input_grad *job, cf_padding_mode mode, const cf_array *dx)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(cf_compute_of(dx->dtype)), C = dx->shape[1];
    const ptrdiff_t cols = job->w_axis.in + job->w_axis.pad_before + job->w_axis.pad_after, row = C * cols * size;
    const ptrdiff_t rows = cf_max(1, cf_min(job->h.in, BAND_BYTES / row));
    /* Of a plane that fits, the padded one is computed in as many runs of `rows` rows as it takes. */
    char *sums = cf_acquire((size_t)(2 * rows * row));
    if (sums == NULL) return CF_NO_MEMORY;
    cf_status status = CF_OK;
    cf_input_grad image = *job;
    image.grad.shape[0] = 1;
    for (ptrdiff_t n = 0; n < dx->shape[0] && status == CF_OK; ++n, image.grad.data += job->grad.strides[0])
        for (ptrdiff_t i = 0; i < job->h.in && status == CF_OK; i += rows)
            status = fold_rows(&image, mode, dx, n, i, cf_min(rows, job->h.in - i), sums, sums + rows * row);
    cf_release(sums);
    return status;
}
