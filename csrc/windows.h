/* windows.h — sliding windows over planes, reduced by maximum or sum: what pooling and its relatives share. */
#ifndef CF_WINDOWS_H
#define CF_WINDOWS_H

#include "convert.h"
#include "kernels/table.h"

/* Cells of a window that are taken at once where few are shared: comparisons with NaN cost more than additions, so that
   maxima of 3x3 gain by sharing (bench_pool2d, max_3x3s2_64x112). */
#define CF_WINDOW_SMALL 9
#define CF_WINDOW_SMALL_MAXIMA 4

/* Where the rows or columns of results go. */
typedef struct {
    char *data;           /* of the first cell of the tile */
    ptrdiff_t row, cell;  /* bytes from one row, and from one cell, to the next */
    ptrdiff_t channel;    /* bytes from one element of a cell to the next */
    cf_store_run store;   /* NULL: elements of the compute type, cells without gaps, are written in place */
} cf_window_output;

/* A reduction over the windows of h and w, in separate passes: down the columns, then along the rows. A cell is `unit`
   neighbouring elements: one, or all channels of a pixel. */
typedef struct {
    const cf_array *x;
    cf_dtype dtype;                  /* of an element at work */
    cf_axis h, w;
    ptrdiff_t unit, size;            /* elements of a cell, bytes of an element */
    const cf_window_leaves *leaves;
    const cf_line_leaves *lines;     /* for sums */
    cf_load_run load;
    int sums, adaptive;
    int count_padding;               /* what a mean divides by: 1 the cells of the padded plane, 0 those of the plane */
    double divisor;                  /* or this, if it is not 0 */
    uint64_t nothing;                /* the bits of what padding holds: zero, or the least value */
    /* set by cf_windows_plan */
    int direct, wide_h, wide_w, split;
    int small;                       /* all cells of a window at once, few of them */
    int halves;                      /* stride 2, two or three neighbours: split and combined in registers */
    ptrdiff_t full[2][2];            /* the outputs [begin, end) of each axis whose windows count all their cells */
    ptrdiff_t inside[2][2];          /* those whose windows lie in the plane */
    ptrdiff_t rows, cols;            /* the largest tile of outputs */
    ptrdiff_t block;                 /* rows of it that are reduced together */
    ptrdiff_t pitch, phase_pitch;    /* elements from one row, and one phase, to the next */
    ptrdiff_t strip;                 /* cells of a row that are widened downwards at a time */
    ptrdiff_t stage_rows, stage_pitch;
    ptrdiff_t piece;                 /* elements of each row that are staged at a time; 0: rows as long as a tile's */
    size_t workspace_each;
} cf_windows;

/* The cells of an axis that window i sees: begin, begin + dilation, ... */
typedef struct {
    ptrdiff_t begin, count;
} cf_span;

cf_span cf_windows_span(const cf_windows *windows, const cf_axis *axis, ptrdiff_t i);
/* How many cells of window i a mean counts along an axis. */
ptrdiff_t cf_windows_counted(const cf_windows *windows, const cf_axis *axis, ptrdiff_t i);

/* Sets leaves, load and what padding holds, for computing maxima in a dtype or sums in a compute type. */
void cf_windows_maxima(cf_windows *windows, const cf_array *x, cf_dtype dtype);
void cf_windows_sums(cf_windows *windows, const cf_array *x, cf_compute compute);

/* Chooses the tile; 0 if no tile of bounded size does the job (then each output is computed on its own). */
int cf_windows_plan(cf_windows *windows);
/* The outputs p0 <= p < p1, q0 <= q < q1 of the plane at `plane`. */
void cf_windows_tile(const cf_windows *windows, const char *plane, ptrdiff_t p0, ptrdiff_t p1, ptrdiff_t q0,
                     ptrdiff_t q1, const cf_window_output *output, char *workspace);

/* `count` cells of one row of x, `step` cells apart, from column `first` on, one after another in the compute type. */
void cf_windows_load(const cf_windows *windows, const char *row, ptrdiff_t first, ptrdiff_t step, ptrdiff_t count,
                     void *to);
/* to[i] = reduction over `rows` of element first + i of a row, i < count, for rows that do not fit into the stage
   together: piece by piece. No result sees what is beside it, so that the bits are those of rows reduced in place. */
void cf_windows_reduce_pieces(const cf_windows *windows, const char *plane, cf_span rows, ptrdiff_t first,
                              ptrdiff_t count, ptrdiff_t *taps, char *stage, char *to);
void cf_windows_store(const cf_windows *windows, const cf_window_output *output, ptrdiff_t row, ptrdiff_t cells,
                      const void *from);
/* The place of a result when x has channels last in memory or not. */
cf_window_output cf_windows_output(const cf_windows *windows, const cf_array *y, cf_store_run store);

#endif
