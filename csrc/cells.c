/* cells.c — copying and filling runs of cells; everything through memcpy, so any alignment is right. */
#include "cells.h"

#include "convert.h"

#include <string.h>

ptrdiff_t cf_cell_unit(const cf_array *a, const cf_array *b)
{
    const ptrdiff_t size = (ptrdiff_t)cf_dtype_bytes(a->dtype);
    return a->strides[1] == size && b->strides[1] == (ptrdiff_t)cf_dtype_bytes(b->dtype) ? a->shape[1] : 1;
}

ptrdiff_t cf_cell_planes(const cf_array *a, ptrdiff_t unit)
{
    return a->shape[0] * (unit == a->shape[1] ? 1 : a->shape[1]);
}

char *cf_cell_plane(const cf_array *a, ptrdiff_t unit, ptrdiff_t plane)
{
    const ptrdiff_t C = unit == a->shape[1] ? 1 : a->shape[1];
    return a->data + plane / C * a->strides[0] + plane % C * a->strides[1];
}

void cf_copy_cells(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step, ptrdiff_t n, ptrdiff_t unit,
                   ptrdiff_t size)
{
    const ptrdiff_t bytes = unit * size;
    if (to_step == bytes && from_step == bytes)
        memcpy(to, from, (size_t)(n * bytes));
    else if (unit == 1 && to_step == size)
        cf_copy_loader((size_t)size)(to, from, from_step, n);
    else if (unit == 1 && from_step == size)
        cf_copy_storer((size_t)size)(to, to_step, from, n);
    else
        for (ptrdiff_t i = 0; i < n; ++i, to += to_step, from += from_step) memcpy(to, from, (size_t)bytes);
}

/* Loops of a known size become vectors. */
#define FILL(TYPE)                                                    \
    do {                                                              \
        typedef TYPE unaligned __attribute__((aligned(1), may_alias)); \
        for (ptrdiff_t i = 0; i < n; ++i) ((unaligned *)to)[i] = (TYPE)bits; \
    } while (0)

static void fill_run(char *to, uint64_t bits, ptrdiff_t n, ptrdiff_t size)
{
    if (bits == 0) memset(to, 0, (size_t)(n * size));
    else if (size == 1) memset(to, (int)bits, (size_t)n);
    else if (size == 2) FILL(uint16_t);
    else if (size == 4) FILL(uint32_t);
    else FILL(uint64_t);
}

void cf_fill_cells(char *to, ptrdiff_t step, uint64_t bits, ptrdiff_t n, ptrdiff_t unit, ptrdiff_t size)
{
    if (step == unit * size) n *= unit, unit = 1, step = size; /* no gaps: one long run */
    if (unit == 1 && step == size)
        fill_run(to, bits, n, size);
    else
        for (ptrdiff_t i = 0; i < n; ++i, to += step)
            for (ptrdiff_t c = 0; c < unit; ++c) memcpy(to + c * size, &bits, (size_t)size);
}
