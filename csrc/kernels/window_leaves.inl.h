/* window_leaves.inl.h — the leaves of sliding windows for one type. Included by table.inl.h once per type and kind with
   CF_MAXIMUM, CF_REAL, CF_SIGNED and CF_NAME(x) defined, and CF_PLACE for maxima of 4 and 8 bytes, which have places;
   they are used up here. */
#include "simd.h"

#ifdef CF_PLACE
#include "window_places.inl.h"
#define CF_PLACES CF_NAME(places)
#else
#define CF_PLACES NULL
#endif
#include "window_row.inl.h"

#undef LANES
#undef vec
#undef vec_load
#undef vec_store
#undef vec_fill
#undef vec_clamp
#undef vec_keeps_sums
#undef vec_multiply_add
#undef CF_PLACES
#undef CF_MAXIMUM
#undef CF_REAL
#undef CF_SIGNED
#undef CF_NAME
