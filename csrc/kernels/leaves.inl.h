/* leaves.inl.h — every leaf of one ISA for one compute type. Included by table.inl.h once per type with CF_REAL,
   CF_SIGNED and CF_NAME(x) (a name of this type's own) defined; they are used up here.

   Tile sizes: CF_PIXEL_TILES, CF_CHANNEL_TILES and CF_DEPTHWISE_TILES of the stub, X(M, V) each; CF_ROWS rows by each
   X(V) of CF_ROW_VECTORS. CF_WINOGRAD: this type has Winograd's transforms. */
#include "simd.h"

#include "copy_rows.inl.h"
#include "depthwise_pixel.inl.h"
#include "depthwise_row.inl.h"
#include "dot_rows.inl.h"
#include "gemm_tile.inl.h"
#include "row_pairs.inl.h"
#include "spread.inl.h"
#include "transpose.inl.h"

#define X(M, V) \
    static void CF_NAME(pixels_##M##x##V)(const cf_tile *t) { CF_NAME(tiles)(t, M, V, 0); }
CF_PIXEL_TILES
#undef X
#define X(M, V) \
    static void CF_NAME(channels_##M##x##V)(const cf_tile *t) { CF_NAME(tiles)(t, M, V, 1); } \
    static void CF_NAME(shorter_##M##x##V)(const cf_tile *t) { CF_NAME(tiles)(t, M - 1, V, 1); }
CF_CHANNEL_TILES
#undef X
#define X(M, V) \
    static void CF_NAME(depthwise_##M##x##V)(const cf_pixels *t) { CF_NAME(pixels)(t, M, V); }
CF_DEPTHWISE_TILES
#undef X

#define ROWS(NAME, M, V, R, S, SHIFT) \
    static void CF_NAME(rows_##NAME##_##V)(const cf_rows *t) { CF_NAME(rows)(t, M, V, R, S, SHIFT); }
#define X(V)                            \
    ROWS(3x3, CF_ROWS, V, 3, 3, 1)      \
    ROWS(3x3_s2, CF_ROWS, V, 3, 3, 2)   \
    ROWS(5x5, CF_ROWS, V, 5, 5, 1)      \
    ROWS(7x7, CF_ROWS, V, 7, 7, 1)      \
    ROWS(any, CF_ROWS, V, 0, 0, 0)
CF_ROW_VECTORS
#undef X
#define X(V) ROWS(single, 1, V, 0, 0, 0)
CF_SINGLE_VECTORS
#undef X
#undef ROWS

#ifdef CF_WINOGRAD
#include "largest.inl.h"
#include "winograd_tile.inl.h"
#endif

static const cf_leaves CF_NAME(leaves) = {
    .lanes = LANES,
    .transpose = CF_NAME(transpose),
#define X(M, V) {M, V, CF_NAME(pixels_##M##x##V), NULL},
    .pixels = {CF_PIXEL_TILES},
#undef X
#define X(M, V) {M, V, CF_NAME(channels_##M##x##V), CF_NAME(shorter_##M##x##V)},
    .channels = {CF_CHANNEL_TILES},
#undef X
#define X(M, V) {M, V, CF_NAME(depthwise_##M##x##V)},
    .depthwise = {CF_DEPTHWISE_TILES},
#undef X
    .rows = {
#define X(V) CF_NAME(rows_3x3_##V),
        {3, 3, 1, CF_ROWS, {NULL, CF_ROW_VECTORS}},
#undef X
#define X(V) CF_NAME(rows_3x3_s2_##V),
        {3, 3, 2, CF_ROWS, {NULL, CF_ROW_VECTORS}},
#undef X
#define X(V) CF_NAME(rows_5x5_##V),
        {5, 5, 1, CF_ROWS, {NULL, CF_ROW_VECTORS}},
#undef X
#define X(V) CF_NAME(rows_7x7_##V),
        {7, 7, 1, CF_ROWS, {NULL, CF_ROW_VECTORS}},
#undef X
#define X(V) CF_NAME(rows_any_##V),
        {0, 0, 0, CF_ROWS, {NULL, CF_ROW_VECTORS}},
#undef X
#define X(V) CF_NAME(rows_single_##V),
        {0, 0, 0, 1, {NULL, CF_SINGLE_VECTORS}},
#undef X
    },
    .copy_rows = CF_NAME(copy_rows),
    .row_pairs = CF_NAME(row_pairs),
    .spread = CF_NAME(spread),
#define X(M) {M, CF_NAME(dot_##M)},
    .dots = {CF_DOT_SIZES},
#undef X
#ifdef CF_WINOGRAD
    .winograds = winograds,
    .largest_of_runs = largest_of_runs,
    .largest_product = largest_product,
#endif
};

#undef LANES
#undef vec
#undef vec_load
#undef vec_store
#undef vec_fill
#undef vec_clamp
#undef vec_or_zero
#undef vec_keeps_sums
#undef vec_multiply_add
#undef vec_store_first
#undef CF_REAL
#undef CF_SIGNED
#undef CF_WINOGRAD
#undef CF_NAME
