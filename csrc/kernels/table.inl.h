/* table.inl.h — the table of one ISA. A stub defines CF_ISA, CF_VECTOR_BYTES and its tile sizes, then includes this;
   the only external name that comes out is cf_kernels_<isa>. */
#include "table.h"

#include <stdint.h>

#define CF_REAL float
#define CF_SIGNED float
#define CF_NAME(x) x##_f32
#include "leaves.inl.h"

#define CF_REAL double
#define CF_SIGNED double
#define CF_NAME(x) x##_f64
#include "leaves.inl.h"

#define CF_REAL uint32_t
#define CF_SIGNED int32_t
#define CF_NAME(x) x##_i32
#include "leaves.inl.h"

#define CF_REAL uint64_t
#define CF_SIGNED int64_t
#define CF_NAME(x) x##_i64
#include "leaves.inl.h"

#include "fma_burst.inl.h"
#include "stream_add.inl.h"

#define CF_TABLE_NAME_(isa) cf_kernels_##isa
#define CF_TABLE_NAME(isa) CF_TABLE_NAME_(isa)
#define CF_STRING_(isa) #isa
#define CF_STRING(isa) CF_STRING_(isa)

extern const cf_kernels CF_TABLE_NAME(CF_ISA);
const cf_kernels CF_TABLE_NAME(CF_ISA) = {
    .name = CF_STRING(CF_ISA),
    .leaves = {&leaves_f32, &leaves_f64, &leaves_i32, &leaves_i64},
    .fma_burst = fma_burst,
    .burst_flops = BURST_FLOPS,
    .stream_add = stream_add,
};
