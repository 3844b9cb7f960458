/* cells.h — runs of cells that only move: a cell is one element, or all channels of a pixel. */
#ifndef CF_CELLS_H
#define CF_CELLS_H

#include "convfast.h"

/* Elements of a cell: all C channels where both arrays have them side by side, else one. */
ptrdiff_t cf_cell_unit(const cf_array *a, const cf_array *b);
/* How many planes there are then: of N images with C channels, or of N images of pixels. */
ptrdiff_t cf_cell_planes(const cf_array *a, ptrdiff_t unit);
char *cf_cell_plane(const cf_array *a, ptrdiff_t unit, ptrdiff_t plane);

/* n cells of `unit` elements of `size` bytes (1, 2, 4 or 8); steps in bytes. */
void cf_copy_cells(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step, ptrdiff_t n, ptrdiff_t unit,
                   ptrdiff_t size);
void cf_fill_cells(char *to, ptrdiff_t step, uint64_t bits, ptrdiff_t n, ptrdiff_t unit, ptrdiff_t size);

#endif
