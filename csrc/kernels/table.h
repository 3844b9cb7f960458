/* table.h — the leaves of one ISA, and what each is promised. */
#ifndef CF_TABLE_H
#define CF_TABLE_H

#include <stddef.h>

/* The terms that are added up before a sum starts afresh. Short chains keep the promise of precision="highest": a chain
   of n float32 additions of numbers of one sign errs by up to n * 2e-8 of their sum (half a unit in the last place of a
   growing sum at every step), so 72 terms, then the sums of a few chains, stay within 2e-6. 72 is 8 channels of 3x3.
   "high" promises 1.5e-5: its chains may be as long as a block, at less cost. */
#define CF_CHAIN 72
#define CF_LONG_CHAIN 288

/* So many offsets of terms, of channels side by side, say: a leaf reads the first of them only. */
#define CF_TAP_RUN 8

/* Whether each of them is one more than the one before; the last run may be shorter. */
static inline int cf_in_runs(const ptrdiff_t *taps, ptrdiff_t terms)
{
    ptrdiff_t breaks = 0;
    for (ptrdiff_t i = 1; i < terms; ++i) breaks += i % CF_TAP_RUN != 0 && taps[i] != taps[i - 1] + 1;
    return breaks == 0;
}

/* y[row m, column v] (=, or += if !first) sum over i < terms of  filter * input,
   then, if last:  y = clamp(y + bias, limits).

   Two orientations, one struct. V vectors stand side by side in memory, M numbers are broadcast.
     pixels:    vectors are `lanes` neighbouring pixels, broadcast are M filters.
                w [terms][M];  input of term i, vector v at x + x_base[v] + taps[i];  bias[m]
     channels:  vectors are `lanes` neighbouring filters, broadcast are M pixels.
                w [terms][V * lanes];  input of term i, pixel m at x + x_base[m] + taps[i];  bias[v * lanes + lane]
   Output vector (m, v) is stored at y + y_row[m] + y_col[v], in the channels orientation at y + y_row[m] + v * lanes.
   Offsets are in elements. No alignment is assumed. `count` such tiles follow each other in x_base and y_col (pixels)
   or x_base and y_row (channels).
   With `error` != 0 the sums of many calls are added without loss: y + error keeps what rounding took away from y
   (Knuth's two-sum), and the last call adds it.
   The caller guarantees that all these addresses are readable or writeable for a whole vector (inputs in the channels
   orientation: for one element), and that y overlaps nothing. */
typedef struct {
    ptrdiff_t terms, chain, count; /* a sum starts afresh after `chain` terms, 1 or more */
    const ptrdiff_t *taps, *x_base, *y_row, *y_col;
    const void *x, *w, *bias, *limits; /* limits: {low, high}, or NULL: do not clamp */
    void *y;
    ptrdiff_t error;
    int first, last;
    int runs; /* channels: taps come in runs of CF_TAP_RUN, cf_in_runs; `chain` is a multiple of it */
    const char *ahead; /* channels: memory from here on is fetched, ahead_step bytes for each term (not every line) */
    ptrdiff_t ahead_step;
    int fetch_y; /* y is fetched, two tiles before it is written */
} cf_tile;

typedef struct {
    int M, V; /* M = 0 ends a list */
    void (*run)(const cf_tile *tile);
    void (*run_shorter)(const cf_tile *tile); /* channels only: M - 1 pixels */
} cf_tile_shape;

#define CF_TILE_SHAPES 5

/* One plane, one filter, vectors along the row: for m < M output rows and v < tiles * V vectors of columns,
     y[m * y_row + at[v] + lane] = clamp(bias + sum over r, s of  w[r * S + s] * input, limits)
     input of (m, v, r, s) at x + (r + m * shift) * x_row + cols[s] + at[v]
   Stored are whole vectors; if V = 1 and count < lanes, the first `count` lanes. The caller guarantees that the inputs
   are readable for whole vectors and, to leaves for any size, (M - 1) * shift < R or M = 1: then every input row meets
   the first output row or the last. */
typedef struct {
    ptrdiff_t R, S, shift;
    ptrdiff_t x_row, y_row, count, tiles;
    const ptrdiff_t *cols, *at;
    const void *x, *w, *bias, *limits;
    void *y;
} cf_rows;

typedef void (*cf_rows_leaf)(const cf_rows *rows);
#define CF_ROWS_VECTORS 8
#define CF_ROWS_SHAPES 6

/* Leaves for one filter size: M rows by [V] vectors, V from 1 on, NULL behind the last. R = 0: any size. */
typedef struct {
    int R, S, shift, M;
    cf_rows_leaf run[CF_ROWS_VECTORS + 2];
} cf_rows_shape;

/* Vectors along the channels: for m < M pixels and V vectors of channels,
     y[y_at[m] + v * lanes + lane] = clamp(bias[v * lanes + lane] + sum over i < terms of  w * input, limits)
     w [terms][V * lanes];  input at x + x_at[m] + taps[i] + v * lanes + lane */
typedef struct {
    ptrdiff_t terms;
    const ptrdiff_t *taps, *x_at, *y_at;
    const void *x, *w, *bias, *limits;
    void *y;
} cf_pixels;

typedef struct {
    int M, V; /* M = 0 ends a list */
    void (*run)(const cf_pixels *pixels);
} cf_pixels_shape;

/* to[row * to_row + i] = from[row * from_row + i * step] for row < rows, i < count. */
typedef struct {
    void *to;
    const void *from;
    ptrdiff_t to_row, from_row, rows, step, count;
} cf_row_copy;

/* to[((pixel * inputs + c) * vectors + v) * lanes + i] = from[pixel * from_pixel + channels[v * lanes + i] + c]
   for pixels, c < inputs, v < vectors, i < lanes. `channels` never falls; `readable` elements stand at every pixel. */
typedef struct {
    void *to;
    const void *from;
    const ptrdiff_t *channels;
    ptrdiff_t pixels, inputs, vectors, from_pixel, readable;
} cf_spread;

/* y[2 * i + j] = sum over t < terms[j] of  w * x[at + i]  for i < n and j = 0, 1; terms[j] <= CF_CHAIN, n >= lanes.
   w and at hold the terms of the even elements, then those of the odd ones. */
typedef struct {
    ptrdiff_t n, terms[2];
    const ptrdiff_t *at;
    const void *x, *w;
    void *y;
} cf_row_pairs;

/* y[m][lane] = sum over rows, and over every lane-th number of a row, of  g[i] * x[x_base[m] + i].
   A row has `vectors` whole vectors and `tail` numbers more; from row to row g moves by g_row and x by x_row. Offsets
   are in elements. The caller guarantees that a tail may be read as a whole vector, that g is zero there, and that
   a row has at most CF_CHAIN vectors. */
typedef struct {
    ptrdiff_t rows, vectors, tail, g_row, x_row;
    const void *g, *x;
    const ptrdiff_t *x_base;
    void *y;
} cf_dot;

typedef struct {
    int M; /* 0 ends a list */
    void (*run)(const cf_dot *dot);
} cf_dot_size;

/* 3x3, 5x5 and 7x7 taps are 9, 9 9 7 and five times 9 and 4; a vector of g and one of x go beside the 9 sums. */
#define CF_DOT_SIZES X(9) X(7) X(4) X(2) X(1)

/* A member of the family of conv2d_winograd.c and its transforms. Tiles stand in memory as runs of channels (or
   filters), n of them, a multiple of `lanes`; V, M and U have cells * cells such runs, `pitch` elements apart. No
   alignment is assumed; nothing overlaps.
     input      V = B^T d B of the cells d at x + i * row + j * col
     output     y + i * row + j * col = clamp(A^T M A + bias, limits) for the outputs (i, j); limits as in cf_tile;
                0 if one of them, before bias and clamp, is not a finite number
     filters    U = G g G^T of filters g, the taps `tap` elements apart, computed in float64, rounded once */
typedef struct {
    const char *name;               /* "F(4x4, 3x3)" */
    ptrdiff_t outputs, taps, cells; /* of a tile, a filter and a tile, in each direction: cells = outputs + taps - 1 */
    void (*input)(const float *x, ptrdiff_t row, ptrdiff_t col, ptrdiff_t n, float *v, ptrdiff_t pitch);
    int (*output)(const float *m, ptrdiff_t pitch, ptrdiff_t n, const float *bias, const float *limits, float *y,
                  ptrdiff_t row, ptrdiff_t col);
    void (*filters)(const float *g, ptrdiff_t tap, ptrdiff_t n, float *u, ptrdiff_t pitch);
} cf_winograd;

#define CF_WINOGRADS 3

/* All leaves for one compute type. */
typedef struct {
    ptrdiff_t lanes;
    cf_tile_shape pixels[CF_TILE_SHAPES];   /* from many filters to one */
    cf_tile_shape channels[CF_TILE_SHAPES]; /* from many filters to few */
    cf_dot_size dots[6];                    /* from many sums to one */
    /* to[j * to_step + i] = from[i * from_step + j] for i, j < lanes; steps in elements, any alignment */
    void (*transpose)(const void *from, ptrdiff_t from_step, void *to, ptrdiff_t to_step);
    cf_rows_shape rows[CF_ROWS_SHAPES];     /* the first that fits; the last one, of one row, always does */
    cf_pixels_shape depthwise[CF_TILE_SHAPES]; /* from many channels to few */
    void (*copy_rows)(const cf_row_copy *copy);
    void (*row_pairs)(const cf_row_pairs *pairs);
    void (*spread)(const cf_spread *spread);
    const cf_winograd *winograds;           /* CF_WINOGRADS of them; float32 only, else NULL, as are: */
    /* sizes[i] = the largest abs(v[t * pitch + i]) of t < runs, for i < n; NaN is passed over, here and below */
    void (*largest_of_runs)(const float *v, ptrdiff_t runs, ptrdiff_t pitch, ptrdiff_t n, float *sizes);
    float (*largest_product)(const float *a, const float *b, ptrdiff_t n); /* abs(a[i] * b[i]), abs(a[i]) without b */
} cf_leaves;

/* A sum of a window is formed in chains of this many terms, whose sums are added without loss: 16 additions err by
   16 * 2e-8 of the sum, in each direction of the window. */
#define CF_SUM_CHAIN 16

/* to[row * to_row + i] = reduction over t < count of from[row * from_row + taps[t] + i], divided by `divisor` if it is
   a sum, for row < rows, i < n; count >= 1. Rows of a plane, steps along a row and phases are all just other taps. */
typedef struct {
    void *to;
    const void *from;
    const ptrdiff_t *taps;
    ptrdiff_t count, n, rows, to_row, from_row;
    double divisor;
} cf_window_block;

/* Windows of one type, reduced by the maximum (NaN is larger than everything, of equals the first wins) or the sum.
   Offsets, pitches and strides are in elements; no alignment is assumed; `to` overlaps nothing. */
typedef struct {
    ptrdiff_t lanes;
    void (*block)(const cf_window_block *block);
    /* The same for one row. */
    void (*taps)(void *to, const void *from, const ptrdiff_t *taps, ptrdiff_t count, ptrdiff_t n, double divisor);
    /* The reduction of n >= 1 neighbours: the maximum as one element; the sum as a double, of at most CF_RUN numbers
       lest its chains grow long. */
    void (*run)(void *to, const void *from, ptrdiff_t n);
    /* to[phase * pitch + i] = from[i * stride + phase] for phase < phases and i < n; reads from[0 .. n * stride). */
    void (*split)(void *to, ptrdiff_t pitch, const void *from, ptrdiff_t stride, ptrdiff_t phases, ptrdiff_t n);
    /* to[i] = reduction over t < count and s < size of from[taps[t] + 2 * i + s], divided as above; size is 2, or 3
       with count 1. Reads two elements beyond the last window of 3. */
    void (*halves)(void *to, const void *from, const ptrdiff_t *taps, ptrdiff_t count, ptrdiff_t size, ptrdiff_t n,
                   double divisor);
    /* Maxima only: the place of the first maximum of n >= 1 neighbours. */
    ptrdiff_t (*first)(const void *from, ptrdiff_t n);
    /* Maxima of elements of 4 or 8 bytes, and where they stand: best[i] = from[taps[t] + i] and
       place[i] = t * step (+ places[taps[t] + i], if that is not NULL) for the first t that gives a maximum. Places are
       integers as wide as the elements. */
    void (*places)(void *best, void *place, const void *from, const void *places, const ptrdiff_t *taps,
                   ptrdiff_t count, ptrdiff_t step, ptrdiff_t n);
} cf_window_leaves;

#define CF_RUN 512

/* Lines of numbers of one compute type, n long; nothing overlaps. */
typedef struct {
    void (*add)(void *to, ptrdiff_t stride, const void *from, ptrdiff_t n); /* to[i * stride] += from[i] */
    /* to[i] = 0 unless cells[i] == best[i] or best[i] is NaN */
    void (*peaks)(void *to, const void *cells, const void *best, ptrdiff_t n);
    /* to[i] = (1 - share) * a[i] + share * b[i] */
    void (*blend)(void *to, const void *a, const void *b, double share, ptrdiff_t n);
    /* to[i] = rests[i] * from[near[i]] + shares[i] * from[far[i]], or from[near[i]] where the share is 0 */
    void (*pick_blend)(void *to, const void *from, const ptrdiff_t *near, const ptrdiff_t *far, const void *shares,
                       const void *rests, ptrdiff_t n);
} cf_line_leaves;

typedef struct {
    const char *name;
    const cf_leaves *leaves[4];        /* by cf_compute */
    const cf_window_leaves *maxima[13]; /* by cf_dtype; float16 and bfloat16 as float32, bool as a byte */
    const cf_window_leaves *sums[4];   /* by cf_compute */
    const cf_line_leaves *lines[4];    /* by cf_compute */
    float (*fma_burst)(ptrdiff_t n);   /* n rounds of independent multiply-adds of whole vectors */
    ptrdiff_t burst_flops;             /* of one round */
    void (*stream_add)(ptrdiff_t n, const float *a, const float *b, float *y); /* y = a + b; n a multiple of 16 */
} cf_kernels;

#endif
