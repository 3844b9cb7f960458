/* leaves.inl.h — every leaf of one ISA for one compute type. Included by table.inl.h once per type with CF_REAL,
   CF_SIGNED and CF_NAME(x) (a name of this type's own) defined; they are used up here.

   Tile sizes: CF_PIXEL_TILES and CF_CHANNEL_TILES of the stub, X(M, V) each. */
#include "simd.h"

#include "gemm_tile.inl.h"
#include "transpose.inl.h"

#define X(M, V) \
    static void CF_NAME(pixels_##M##x##V)(const cf_tile *t) { CF_NAME(tile)(t, M, V, 0); }
CF_PIXEL_TILES
#undef X
#define X(M, V) \
    static void CF_NAME(channels_##M##x##V)(const cf_tile *t) { CF_NAME(tile)(t, M, V, 1); }
CF_CHANNEL_TILES
#undef X

static const cf_leaves CF_NAME(leaves) = {
    .lanes = LANES,
    .transpose = CF_NAME(transpose),
#define X(M, V) {M, V, CF_NAME(pixels_##M##x##V)},
    .pixels = {CF_PIXEL_TILES},
#undef X
#define X(M, V) {M, V, CF_NAME(channels_##M##x##V)},
    .channels = {CF_CHANNEL_TILES},
#undef X
};

#undef LANES
#undef vec
#undef vec_load
#undef vec_store
#undef vec_fill
#undef vec_clamp
#undef vec_or_zero
#undef CF_REAL
#undef CF_SIGNED
#undef CF_NAME
