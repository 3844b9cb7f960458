/* convert.c — runs of numbers between dtypes.

   Elements are read and written through types without alignment, so any address is right.
   float16 and bfloat16 are rounded once, to nearest even, as NumPy does. */
#include "convert.h"

#include <string.h>

typedef uint16_t half;
typedef uint16_t brain;

/* float16 has 5 exponent bits with bias 15, float32 8 with bias 127. Shifting the bits into place and multiplying by
   2^112 moves the bias and normalises subnormals in one step; infinities and NaN are what then reaches 2^16. */
static inline float from_half(half h)
{
    const uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    float value;
    memcpy(&value, &magnitude, 4);
    value *= 0x1p112f;
    uint32_t bits;
    memcpy(&bits, &value, 4);
    bits |= (value >= 0x1p16f ? 0x7f800000u : 0) | sign;
    memcpy(&value, &bits, 4);
    return value;
}

static inline half to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    const uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000u) return (half)(sign | 0x7e00 | ((magnitude >> 13) & 0x3ff));
    if (magnitude >= 0x477ff000u) return (half)(sign | 0x7c00); /* 65520 and more round to infinity */
    if (magnitude < 0x38800000u) { /* below 2^-14: adding 0.5 leaves the rounded subnormal in the low bits */
        float shifted;
        memcpy(&shifted, &magnitude, 4);
        shifted += 0.5f;
        memcpy(&bits, &shifted, 4);
        return (half)(sign | (bits - 0x3f000000u));
    }
    const uint32_t odd = (magnitude >> 13) & 1;
    return (half)(sign | ((magnitude - 0x38000000u + 0xfff + odd) >> 13));
}

static inline float from_brain(brain b)
{
    const uint32_t bits = (uint32_t)b << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline brain to_brain(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if ((bits & 0x7fffffff) > 0x7f800000u) return (brain)((bits >> 16) | 0x40);
    return (brain)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

#define PLAIN(value) (value)
#define IS_TRUE(value) ((value) != 0)

/* A contiguous run is a loop of its own: that one the compiler makes vectors of. */
#define LOADER(NAME, FROM, TO, CONVERT)                                                                   \
    static void load_##NAME(void *restrict to, const char *restrict from, ptrdiff_t stride, ptrdiff_t n) \
    {                                                                                                     \
        typedef FROM unaligned __attribute__((aligned(1), may_alias));                                    \
        TO *restrict out = to;                                                                            \
        const unaligned *restrict in = (const unaligned *)from;                                           \
        if (stride == (ptrdiff_t)sizeof *in)                                                              \
            for (ptrdiff_t i = 0; i < n; ++i) out[i] = (TO)CONVERT(in[i]);                                \
        else                                                                                              \
            for (ptrdiff_t i = 0; i < n; ++i) out[i] = (TO)CONVERT(*(const unaligned *)(from + i * stride)); \
    }

#define STORER(NAME, FROM, TO, CONVERT)                                                                   \
    static void store_##NAME(char *restrict to, ptrdiff_t stride, const void *restrict from, ptrdiff_t n) \
    {                                                                                                     \
        typedef TO unaligned __attribute__((aligned(1), may_alias));                                      \
        const FROM *restrict in = from;                                                                   \
        unaligned *restrict out = (unaligned *)to;                                                        \
        if (stride == (ptrdiff_t)sizeof *out)                                                             \
            for (ptrdiff_t i = 0; i < n; ++i) out[i] = (TO)CONVERT(in[i]);                                \
        else                                                                                              \
            for (ptrdiff_t i = 0; i < n; ++i) *(unaligned *)(to + i * stride) = (TO)CONVERT(in[i]);       \
    }

/* One row a source dtype: what it is in C, how its value is read, and the compute types it can reach. */
#define INTEGER_LOADERS(NAME, FROM)         \
    LOADER(NAME##_f32, FROM, float, PLAIN)        \
    LOADER(NAME##_f64, FROM, double, PLAIN)       \
    LOADER(NAME##_i32, FROM, uint32_t, PLAIN)     \
    LOADER(NAME##_i64, FROM, uint64_t, PLAIN)

INTEGER_LOADERS(u8, uint8_t)
INTEGER_LOADERS(i8, int8_t)
INTEGER_LOADERS(u16, uint16_t)
INTEGER_LOADERS(i16, int16_t)
INTEGER_LOADERS(u32, uint32_t)
INTEGER_LOADERS(i32, int32_t)
INTEGER_LOADERS(i64, int64_t)
INTEGER_LOADERS(u64, uint64_t)
LOADER(f16_f32, half, float, from_half)
LOADER(f16_f64, half, double, from_half)
LOADER(bf16_f32, brain, float, from_brain)
LOADER(bf16_f64, brain, double, from_brain)
LOADER(f32_f32, float, float, PLAIN)
LOADER(f32_f64, float, double, PLAIN)
LOADER(f64_f32, double, float, PLAIN)
LOADER(f64_f64, double, double, PLAIN)
LOADER(f32_i32, float, int32_t, PLAIN)
LOADER(f64_i32, double, int32_t, PLAIN)
LOADER(f32_i64, float, int64_t, PLAIN)
LOADER(f64_i64, double, int64_t, PLAIN)
LOADER(f16_i32, half, int32_t, from_half)
LOADER(f16_i64, half, int64_t, from_half)
LOADER(bf16_i32, brain, int32_t, from_brain)
LOADER(bf16_i64, brain, int64_t, from_brain)

STORER(f32_f16, float, half, to_half)
STORER(f32_bf16, float, brain, to_brain)
STORER(f32_f32, float, float, PLAIN)
STORER(f64_f16, double, half, to_half)
STORER(f64_bf16, double, brain, to_brain)
STORER(f64_f32, double, float, PLAIN)
STORER(f64_f64, double, double, PLAIN)
STORER(i32_i32, uint32_t, uint32_t, PLAIN)
STORER(i64_i64, uint64_t, uint64_t, PLAIN)
STORER(i64_i32, uint64_t, uint32_t, PLAIN)
STORER(i64_i16, uint64_t, uint16_t, PLAIN)
STORER(i64_i8, uint64_t, uint8_t, PLAIN)
STORER(i64_bool, uint64_t, uint8_t, IS_TRUE)

#define ROW(NAME) {load_##NAME##_f32, load_##NAME##_f64, load_##NAME##_i32, load_##NAME##_i64}

static const cf_load_run loaders[CF_DTYPES][CF_COMPUTES] = {
    [CF_BOOL] = ROW(u8), [CF_I8] = ROW(i8),   [CF_U8] = ROW(u8),   [CF_I16] = ROW(i16),   [CF_U16] = ROW(u16),
    [CF_I32] = ROW(i32), [CF_U32] = ROW(u32), [CF_I64] = ROW(i64), [CF_U64] = ROW(u64),
    [CF_F16] = ROW(f16), [CF_BF16] = ROW(bf16), [CF_F32] = ROW(f32), [CF_F64] = ROW(f64),
};

static const cf_store_run storers[CF_COMPUTES][CF_DTYPES] = {
    [CF_COMPUTE_F32] = {[CF_F16] = store_f32_f16, [CF_BF16] = store_f32_bf16, [CF_F32] = store_f32_f32},
    [CF_COMPUTE_F64] = {[CF_F16] = store_f64_f16, [CF_BF16] = store_f64_bf16, [CF_F32] = store_f64_f32,
                        [CF_F64] = store_f64_f64},
    [CF_COMPUTE_I32] = {[CF_I32] = store_i32_i32},
    [CF_COMPUTE_I64] = {[CF_BOOL] = store_i64_bool, [CF_I8] = store_i64_i8, [CF_U8] = store_i64_i8,
                        [CF_I16] = store_i64_i16, [CF_U16] = store_i64_i16, [CF_I32] = store_i64_i32,
                        [CF_U32] = store_i64_i32, [CF_I64] = store_i64_i64, [CF_U64] = store_i64_i64},
};

cf_load_run cf_loader(cf_dtype from, cf_compute to) { return loaders[from][to]; }
cf_store_run cf_storer(cf_compute from, cf_dtype to) { return storers[from][to]; }

#define BY_BYTES(runs, bytes) ((bytes) == 1 ? runs[0] : (bytes) == 2 ? runs[1] : (bytes) == 4 ? runs[2] : runs[3])

LOADER(1, uint8_t, uint8_t, PLAIN)
LOADER(2, uint16_t, uint16_t, PLAIN)
LOADER(4, uint32_t, uint32_t, PLAIN)
LOADER(8, uint64_t, uint64_t, PLAIN)
STORER(1, uint8_t, uint8_t, PLAIN)
STORER(2, uint16_t, uint16_t, PLAIN)
STORER(4, uint32_t, uint32_t, PLAIN)
STORER(8, uint64_t, uint64_t, PLAIN)

cf_load_run cf_copy_loader(size_t bytes)
{
    static const cf_load_run runs[] = {load_1, load_2, load_4, load_8};
    return BY_BYTES(runs, bytes);
}

cf_store_run cf_copy_storer(size_t bytes)
{
    static const cf_store_run runs[] = {store_1, store_2, store_4, store_8};
    return BY_BYTES(runs, bytes);
}

cf_compute cf_compute_of(cf_dtype dtype)
{
    return dtype == CF_F64 ? CF_COMPUTE_F64 : dtype == CF_I32 ? CF_COMPUTE_I32
         : dtype == CF_I64 ? CF_COMPUTE_I64 : CF_COMPUTE_F32;
}

size_t cf_dtype_bytes(cf_dtype dtype)
{
    static const unsigned char bytes[CF_DTYPES] = {
        [CF_BOOL] = 1, [CF_I8] = 1,  [CF_U8] = 1,  [CF_I16] = 2, [CF_U16] = 2, [CF_I32] = 4,
        [CF_U32] = 4,  [CF_I64] = 8, [CF_U64] = 8, [CF_F16] = 2, [CF_BF16] = 2, [CF_F32] = 4, [CF_F64] = 8,
    };
    return bytes[dtype];
}
