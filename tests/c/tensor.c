/* tensor.c — tensors of integer values in any dtype with any strides, and the guard pages around them. */
#define _GNU_SOURCE
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

guarded guard(size_t bytes, int at_end)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page;
    guarded g = {.mapped = inner + 2 * page, .bytes = bytes};
    g.map = mmap(NULL, g.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED || (inner > 0 && mprotect(g.map + page, inner, PROT_READ | PROT_WRITE) != 0)) {
        perror("harness: guard pages");
        exit(2);
    }
    g.data = g.map + page + (at_end ? inner - bytes : 0);
    return g;
}

void guard_read_only(guarded g) { mprotect(g.map, g.mapped, PROT_READ); }
void guard_free(guarded g) { munmap(g.map, g.mapped); }

/* One row a dtype. */
static const struct {
    const char *name;
    unsigned char bytes, is_unsigned;
} dtypes[CF_DTYPES] = {
    [CF_BOOL] = {"bool", 1, 1}, [CF_I8] = {"int8", 1, 0},   [CF_U8] = {"uint8", 1, 1},   [CF_I16] = {"int16", 2, 0},
    [CF_U16] = {"uint16", 2, 1}, [CF_I32] = {"int32", 4, 0}, [CF_U32] = {"uint32", 4, 1}, [CF_I64] = {"int64", 8, 0},
    [CF_U64] = {"uint64", 8, 1}, [CF_F16] = {"float16", 2, 0}, [CF_BF16] = {"bfloat16", 2, 0},
    [CF_F32] = {"float32", 4, 0}, [CF_F64] = {"float64", 8, 0},
};

size_t dtype_bytes(cf_dtype dtype) { return dtypes[dtype].bytes; }
const char *dtype_name(cf_dtype dtype) { return dtypes[dtype].name; }

/* The bits of a small integer as a 16-bit float with so many bits of fraction and so much exponent bias. */
static uint16_t short_float(int64_t value, int fraction, int bias)
{
    const int64_t magnitude = value < 0 ? -value : value;
    if (magnitude == 0) return 0;
    int exponent = 0;
    while (magnitude >> exponent > 1) ++exponent;
    if (exponent > fraction && magnitude % (1 << (exponent - fraction)) != 0) {
        fprintf(stderr, "harness: %lld is no 16-bit float\n", (long long)value);
        exit(2);
    }
    const int64_t significand = exponent > fraction ? magnitude >> (exponent - fraction)
                                                    : magnitude << (fraction - exponent);
    return (uint16_t)((value < 0 ? 0x8000 : 0) | (exponent + bias) << fraction | (significand & ((1 << fraction) - 1)));
}

static void put(char *to, cf_dtype dtype, int64_t value)
{
    const float f32 = (float)value;
    const double f64 = (double)value;
    const uint16_t f16 = dtype == CF_F16 ? short_float(value, 10, 15) : dtype == CF_BF16 ? short_float(value, 7, 127) : 0;
    const uint8_t u8 = (uint8_t)value;
    const uint16_t u16 = (uint16_t)value;
    const uint32_t u32 = (uint32_t)value;
    const void *from = dtype == CF_F32 ? &f32 : dtype == CF_F64 ? &f64
                     : dtype == CF_F16 || dtype == CF_BF16 ? &f16 : dtypes[dtype].bytes == 1 ? &u8
                     : dtypes[dtype].bytes == 2 ? &u16 : dtypes[dtype].bytes == 4 ? (const void *)&u32 : &value;
    memcpy(to, from, dtypes[dtype].bytes);
}

/* The value that `put` leaves of an integer: floats keep all that the checks use. */
static int64_t kept(cf_dtype dtype, int64_t value)
{
    switch (dtype) {
    case CF_BOOL: return value & 1;
    case CF_I8: return (int8_t)value;
    case CF_U8: return (uint8_t)value;
    case CF_I16: return (int16_t)value;
    case CF_U16: return (uint16_t)value;
    case CF_I32: return (int32_t)value;
    case CF_U32: return (uint32_t)value;
    default: return value;
    }
}

static ptrdiff_t offset(const tensor *t, const ptrdiff_t at[4])
{
    ptrdiff_t sum = -t->lowest;
    for (int i = 0; i < 4; ++i) sum += at[i] * t->array.strides[i];
    return sum;
}

/* Calls for every index in logical order. */
#define EACH_INDEX(t, at)                                                    \
    for (ptrdiff_t at[4] = {0}; at[0] < (t)->array.shape[0]; ++at[0])        \
        for (at[1] = 0; at[1] < (t)->array.shape[1]; ++at[1])                \
            for (at[2] = 0; at[2] < (t)->array.shape[2]; ++at[2])            \
                for (at[3] = 0; at[3] < (t)->array.shape[3]; ++at[3])

tensor tensor_make(uint64_t *random, cf_dtype dtype, const ptrdiff_t shape[4], const int order[4], int gap, int input)
{
    tensor t = {.array = {.dtype = dtype}, .cells = 1};
    const int plain = !one_in(random, 2), ragged = !plain && one_in(random, 4), turned = !plain && one_in(random, 4);
    ptrdiff_t *strides = t.array.strides, step = (ptrdiff_t)dtype_bytes(dtype), highest = 0;
    if (!plain && one_in(random, 3)) step *= between(random, 2, 3);
    for (int i = 3; i >= 0; --i) {
        const int axis = order[turned ? 3 - i : i];
        t.array.shape[axis] = shape[axis];
        t.cells *= shape[axis];
        strides[axis] = step;
        step *= shape[axis] > 1 ? shape[axis] : 1;
        if (!plain && one_in(random, 3)) step += between(random, 1, 5) * (ptrdiff_t)dtype_bytes(dtype);
        if (ragged) step += between(random, 0, 3);
        if (!plain && one_in(random, 5)) strides[axis] = -strides[axis];
        if (!plain && input && one_in(random, 8)) strides[axis] = 0;
    }
    for (int i = 0; i < 4; ++i) {
        const ptrdiff_t reach = (shape[i] - 1) * strides[i];
        *(reach < 0 ? &t.lowest : &highest) += reach;
    }
    t.bytes = t.cells == 0 ? 0 : (size_t)(highest - t.lowest) + dtype_bytes(dtype);
    t.image = malloc(t.bytes + 1);
    t.cell = calloc((size_t)t.cells + 1, sizeof *t.cell);
    if (t.image == NULL || t.cell == NULL) exit(2);
    memset(t.image, gap, t.bytes);
    return t;
}

void tensor_write(tensor *t)
{
    const int64_t *cell = t->cell;
    EACH_INDEX(t, at) put(t->image + offset(t, at), t->array.dtype, *cell++);
}

void tensor_fill(tensor *t, uint64_t *random, int64_t span)
{
    const cf_dtype dtype = t->array.dtype;
    EACH_INDEX(t, at) {
        const int64_t value = kept(dtype, span == 0 ? (int64_t)next(random)
                                                    : between(random, dtypes[dtype].is_unsigned ? 0 : -span, span));
        /* Cells that share memory, with stride zero, share the first one's value. */
        ptrdiff_t first[4], at_first = 0;
        for (int i = 0; i < 4; ++i) {
            first[i] = t->array.strides[i] == 0 ? 0 : at[i];
            at_first = at_first * t->array.shape[i] + first[i];
        }
        const ptrdiff_t here = ((at[0] * t->array.shape[1] + at[1]) * t->array.shape[2] + at[2]) * t->array.shape[3] + at[3];
        t->cell[here] = here == at_first ? value : t->cell[at_first];
    }
    tensor_write(t);
}

void tensor_snap(tensor *t, double reach)
{
    const int64_t *cell = t->cell;
    EACH_INDEX(t, at) {
        char *here = t->array.data + t->lowest + offset(t, at);
        float value;
        memcpy(&value, here, sizeof value);
        const double off = (double)value - (double)*cell;
        if (off <= reach && off >= -reach) put(here, CF_F32, *cell);
        ++cell;
    }
}

void tensor_free(tensor *t)
{
    free(t->image);
    free(t->cell);
}

guarded tensor_place(tensor *t, int at_end)
{
    const guarded g = guard(t->bytes, at_end);
    memcpy(g.data, t->image, t->bytes);
    t->array.data = g.data - t->lowest;
    return g;
}
