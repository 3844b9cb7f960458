/* table.inl.h — the table of one ISA. A stub defines CF_ISA, CF_VECTOR_BYTES and its tile sizes, then includes this;
   the only external name that comes out is cf_kernels_<isa>. */
#include "table.h"

#include <stdint.h>

#define CF_REAL float
#define CF_SIGNED float
#define CF_NAME(x) x##_f32
#define CF_WINOGRAD
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

/* Maxima keep their type: ten of them. */
#define CF_MAXIMUM 1
#define CF_REAL int8_t
#define CF_SIGNED int8_t
#define CF_NAME(x) x##_max_i8
#include "window_leaves.inl.h"

#define CF_MAXIMUM 1
#define CF_REAL uint8_t
#define CF_SIGNED uint8_t
#define CF_NAME(x) x##_max_u8
#include "window_leaves.inl.h"

#define CF_MAXIMUM 1
#define CF_REAL int16_t
#define CF_SIGNED int16_t
#define CF_NAME(x) x##_max_i16
#include "window_leaves.inl.h"

#define CF_MAXIMUM 1
#define CF_REAL uint16_t
#define CF_SIGNED uint16_t
#define CF_NAME(x) x##_max_u16
#include "window_leaves.inl.h"

#define CF_MAXIMUM 1
#define CF_REAL int32_t
#define CF_SIGNED int32_t
#define CF_NAME(x) x##_max_i32
#define CF_PLACE int32_t
#include "window_leaves.inl.h"

#define CF_MAXIMUM 1
#define CF_REAL uint32_t
#define CF_SIGNED uint32_t
#define CF_NAME(x) x##_max_u32
#define CF_PLACE int32_t
#include "window_leaves.inl.h"

#define CF_MAXIMUM 1
#define CF_REAL int64_t
#define CF_SIGNED int64_t
#define CF_NAME(x) x##_max_i64
#define CF_PLACE int64_t
#include "window_leaves.inl.h"

#define CF_MAXIMUM 1
#define CF_REAL uint64_t
#define CF_SIGNED uint64_t
#define CF_NAME(x) x##_max_u64
#define CF_PLACE int64_t
#include "window_leaves.inl.h"

#define CF_MAXIMUM 1
#define CF_REAL float
#define CF_SIGNED float
#define CF_NAME(x) x##_max_f32
#define CF_PLACE int32_t
#include "window_leaves.inl.h"

#define CF_MAXIMUM 1
#define CF_REAL double
#define CF_SIGNED double
#define CF_NAME(x) x##_max_f64
#define CF_PLACE int64_t
#include "window_leaves.inl.h"

/* Sums are formed in the compute types. */
#define CF_MAXIMUM 0
#define CF_REAL float
#define CF_SIGNED float
#define CF_NAME(x) x##_sum_f32
#include "window_leaves.inl.h"

#define CF_MAXIMUM 0
#define CF_REAL double
#define CF_SIGNED double
#define CF_NAME(x) x##_sum_f64
#include "window_leaves.inl.h"

#define CF_MAXIMUM 0
#define CF_REAL uint32_t
#define CF_SIGNED int32_t
#define CF_NAME(x) x##_sum_i32
#include "window_leaves.inl.h"

#define CF_MAXIMUM 0
#define CF_REAL uint64_t
#define CF_SIGNED int64_t
#define CF_NAME(x) x##_sum_i64
#include "window_leaves.inl.h"

#define CF_REAL float
#define CF_SIGNED float
#define CF_NAME(x) x##_line_f32
#include "lines.inl.h"

#define CF_REAL double
#define CF_SIGNED double
#define CF_NAME(x) x##_line_f64
#include "lines.inl.h"

#define CF_REAL uint32_t
#define CF_SIGNED int32_t
#define CF_NAME(x) x##_line_i32
#include "lines.inl.h"

#define CF_REAL uint64_t
#define CF_SIGNED int64_t
#define CF_NAME(x) x##_line_i64
#include "lines.inl.h"

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
    .maxima = {&leaves_max_u8, &leaves_max_i8, &leaves_max_u8, &leaves_max_i16, &leaves_max_u16, &leaves_max_i32,
               &leaves_max_u32, &leaves_max_i64, &leaves_max_u64, &leaves_max_f32, &leaves_max_f32, &leaves_max_f32,
               &leaves_max_f64},
    .sums = {&leaves_sum_f32, &leaves_sum_f64, &leaves_sum_i32, &leaves_sum_i64},
    .lines = {&lines_line_f32, &lines_line_f64, &lines_line_i32, &lines_line_i64},
    .fma_burst = fma_burst,
    .burst_flops = BURST_FLOPS,
    .stream_add = stream_add,
};
