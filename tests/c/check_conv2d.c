/* check_conv2d.c — cf_conv2d and cf_conv2d_pack with cf_conv2d_packed against seven plain loops, exactly: the values
   are integers, which floats of every width here sum without rounding. With precision "high" float32 results may be
   off by as much as it allows.

   Each case runs on every ISA, with the arrays once at the end and once at the beginning of their pages. x, w and bias
   are read only, gaps of x and w hold NaN, and no byte of y beside its elements may change. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP_X 0xff /* NaN in every float */
#define GAP_Y 0xa5

typedef struct {
    cf_conv2d_options options;
    cf_conv2d_shape shape;
    tensor x, w, bias, y;
    int has_bias;
    int64_t magnitude; /* the largest abs(x) conv abs(w) + abs(bias) of all images */
} conv2d_case;

#define HIGH 1.5e-5 /* the promise of precision "high", times the magnitude */

/* Results and what may be convolved into them; the inputs' own dtype first. CF_DTYPES ends a row. */
static const cf_dtype inputs[][9] = {
    {CF_F32, CF_F32, CF_U8, CF_F16, CF_BF16, CF_I8, CF_BOOL, CF_U16, CF_I16},
    {CF_F64, CF_F64, CF_F32, CF_U8, CF_I32, CF_F16, CF_I64, CF_DTYPES},
    {CF_I32, CF_I32, CF_U8, CF_I8, CF_I16, CF_U16, CF_BOOL, CF_DTYPES},
    {CF_I64, CF_I64, CF_I32, CF_U32, CF_U8, CF_DTYPES},
    {CF_F16, CF_F16, CF_U8, CF_I8, CF_DTYPES},
    {CF_BF16, CF_BF16, CF_BOOL, CF_I8, CF_DTYPES},
};
/* Results are float32 as often as all others together. */
static const unsigned char results[] = {0, 0, 0, 0, 0, 1, 2, 3, 4, 5};

static cf_dtype input_of(uint64_t *random, const cf_dtype row[9])
{
    int n = 0;
    while (n < 9 && row[n] != CF_DTYPES) ++n;
    return one_in(random, 2) ? row[0] : row[between(random, 0, n - 1)];
}

/* Ordinary sizes and the places around the tails of tiles: 4, 6, 8, 12, 16 and 64 wide. */
static ptrdiff_t channels(uint64_t *random)
{
    static const ptrdiff_t tails[] = {1, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 97};
    return one_in(random, 2) ? between(random, 1, 9) : PICK(random, tails);
}

static void draw_options(uint64_t *random, cf_conv2d_options *o)
{
    static const cf_padding words[] = {CF_PAD_VALID, CF_PAD_SAME, CF_PAD_SAME_LOWER, CF_PAD_FULL};
    const int padded = one_in(random, 2);
    *o = (cf_conv2d_options){.padding = padded && one_in(random, 2) ? PICK(random, words) : CF_PAD_NUMBERS, .algorithm = "auto"};
    for (int i = 0; i < 2; ++i) {
        o->stride[i] = one_in(random, 2) ? 1 : between(random, 1, 4);
        o->dilation[i] = one_in(random, 2) ? 1 : between(random, 1, 4);
        if (one_in(random, 40)) o->stride[i] = (ptrdiff_t)1 << between(random, 30, 57);
        if (one_in(random, 40)) o->dilation[i] = (ptrdiff_t)1 << between(random, 30, 62);
        for (int j = 0; j < 2; ++j) o->pad[i][j] = padded ? between(random, 0, 4) : 0;
    }
    o->padding_mode = one_in(random, 2) ? CF_MODE_CONSTANT : (cf_padding_mode)between(random, 0, 4);
    o->activation = (cf_activation)between(random, 0, 2);
    o->channels_last = one_in(random, 2);
    int algorithms = 0;
    while (cf_conv2d_algorithm_name(algorithms) != NULL) ++algorithms;
    const int chosen = (int)between(random, -1, algorithms - 1);
    if (chosen >= 0) o->algorithm = cf_conv2d_algorithm_name(chosen);
}

/* So many terms of a sum, each of 255 * 9 at most, and a bias are exact in float32. */
#define TERMS_MAX 6000

/* Options and shapes that take between `least` and `most` multiplications; in the big, more pixels. */
static void draw_shapes(uint64_t *random, int64_t least, int64_t most, conv2d_case *c, ptrdiff_t x[4], ptrdiff_t w[4])
{
    for (;;) {
        draw_options(random, &c->options);
        const int depthwise = one_in(random, 8), pointwise = one_in(random, 5), huge = one_in(random, 25);
        const int square = one_in(random, 5) ? one_in(random, 3) ? 5 : 3 : 0; /* what Winograd's algorithm is for */
        const int deep = pointwise && one_in(random, 4); /* more terms than any table holds */
        const ptrdiff_t most_pixels = most > 1000000 ? 64 : 20;
        c->options.groups = depthwise ? channels(random) : one_in(random, 3) ? between(random, 2, 4) : 1;
        const ptrdiff_t C = depthwise ? 1 : one_in(random, 30) ? 0 : deep ? between(random, 4000, 5000) : channels(random);
        const ptrdiff_t K = depthwise ? between(random, 1, 2) : one_in(random, 30) ? 0 : channels(random);
        x[0] = one_in(random, 30) ? 0 : between(random, 1, 3);
        x[1] = C * c->options.groups;
        x[2] = between(random, 1, huge ? 40 : most_pixels);
        x[3] = between(random, 1, huge ? 40 : 2 * most_pixels);
        w[0] = K * c->options.groups;
        w[1] = C;
        for (int i = 2; i < 4; ++i) w[i] = pointwise ? 1 : huge ? between(random, 31, 36) : between(random, 1, 5);
        for (int i = 0; square && i < 2; ++i) w[2 + i] = square, c->options.stride[i] = 1;
        if (cf_conv2d_geometry(&c->options, x, w, &c->shape) != CF_OK) continue;
        const int far = c->shape.h.pad_before > 1000 || c->shape.w.pad_before > 1000;
        if (far && c->options.padding_mode != CF_MODE_CONSTANT) continue; /* `source` walks */
        const int64_t terms = C * w[2] * w[3], sums = x[0] * w[0] * c->shape.h.out * c->shape.w.out;
        if (terms <= TERMS_MAX && sums * terms <= most && sums * terms >= least && sums <= most && x[1] * x[2] * x[3] <= most)
            return;
    }
}

static conv2d_case case_make(uint64_t seed, int64_t least, int64_t most)
{
    static const int nchw[4] = {0, 1, 2, 3}, nhwc[4] = {0, 2, 3, 1}, rsck[4] = {2, 3, 1, 0};
    uint64_t random = seed;
    conv2d_case c = {0};
    ptrdiff_t x[4], w[4];
    draw_shapes(&random, least, most, &c, x, w);
    /* Every integer up to 256 is a bfloat16, up to 2048 a float16. */
    const ptrdiff_t terms = w[1] * w[2] * w[3];
    int number = PICK(&random, results);
    if (terms >= (inputs[number][0] == CF_BF16 ? 256 : inputs[number][0] == CF_F16 ? 2048 : TERMS_MAX)) number = 0;
    const cf_dtype *row = inputs[number], result = row[0];
    const int *order = c.options.channels_last ? nhwc : nchw;
    const ptrdiff_t y[4] = {c.shape.N, c.shape.K, c.shape.h.out, c.shape.w.out}, bias[4] = {1, 1, 1, c.shape.K};
    c.x = tensor_make(&random, input_of(&random, row), x, order, GAP_X, 1);
    c.w = tensor_make(&random, input_of(&random, row), w, c.options.channels_last ? rsck : nchw, GAP_X, 1);
    c.bias = tensor_make(&random, input_of(&random, row), bias, nchw, GAP_X, 1);
    c.y = tensor_make(&random, result, y, order, GAP_Y, 0);
    c.has_bias = one_in(&random, 2);
    if (result == CF_F32 && one_in(&random, 2)) c.options.precision = CF_PRECISION_HIGH;
    /* Integers may wrap. */
    const int wraps = (result == CF_I32 || result == CF_I64) && one_in(&random, 2);
    const int narrow = result == CF_F16 || result == CF_BF16;
    const int64_t wide = c.x.array.dtype == CF_BOOL ? 1 : c.x.array.dtype == CF_I8 ? 127 : 255;
    tensor_fill(&c.x, &random, wraps ? 0 : narrow ? 1 : wide);
    tensor_fill(&c.w, &random, wraps ? 0 : narrow ? 1 : c.w.array.dtype == CF_BOOL ? 1 : 9);
    tensor_fill(&c.bias, &random, wraps ? 0 : narrow || c.bias.array.dtype == CF_BOOL ? 1 : 100);
    return c;
}

static void case_free(conv2d_case *c)
{
    tensor_free(&c->x), tensor_free(&c->w), tensor_free(&c->bias), tensor_free(&c->y);
}

/* The cell that a position on a padded axis repeats, one step at a time; -1 for a zero. */
static ptrdiff_t source(ptrdiff_t i, ptrdiff_t n, cf_padding_mode mode)
{
    while (i < 0 || i >= n) {
        if (mode == CF_MODE_CONSTANT) return -1;
        if (mode == CF_MODE_EDGE || (mode == CF_MODE_REFLECT && n == 1)) return i < 0 ? 0 : n - 1;
        if (mode == CF_MODE_WRAP) i += i < 0 ? n : -n;
        if (mode == CF_MODE_SYMMETRIC) i = i < 0 ? -1 - i : 2 * n - 1 - i;
        if (mode == CF_MODE_REFLECT) i = i < 0 ? -i : 2 * n - 2 - i;
    }
    return i;
}

static int64_t activated(int64_t value, cf_activation activation)
{
    if (activation != CF_ACTIVATION_NONE && value < 0) return 0;
    return activation == CF_ACTIVATION_RELU6 && value > 6 ? 6 : value;
}

/* y[n,k,p,q] = activation(bias[k] + sum over c, r, s of x * w), modulo 2^64 and then in y's width. */
static void reference(conv2d_case *job)
{
    const cf_conv2d_shape *s = &job->shape;
    const ptrdiff_t C = s->C / s->groups, K = s->K / s->groups, R = s->h.size, S = s->w.size;
    const cf_padding_mode mode = job->options.padding_mode;
    const int rounds = job->options.precision != CF_PRECISION_HIGHEST;
    int64_t *y = job->y.cell;
    for (ptrdiff_t n = 0; n < s->N; ++n)
        for (ptrdiff_t k = 0; k < s->K; ++k)
            for (ptrdiff_t p = 0; p < s->h.out; ++p)
                for (ptrdiff_t q = 0; q < s->w.out; ++q) {
                    uint64_t sum = job->has_bias ? (uint64_t)job->bias.cell[k] : 0;
                    int64_t magnitude = rounds && job->has_bias ? llabs(job->bias.cell[k]) : 0;
                    for (ptrdiff_t r = 0; r < R; ++r)
                        for (ptrdiff_t t = 0; t < S; ++t) {
                            const ptrdiff_t h = source(p * s->h.stride + r * s->h.dilation - s->h.pad_before, s->h.in, mode);
                            const ptrdiff_t w = source(q * s->w.stride + t * s->w.dilation - s->w.pad_before, s->w.in, mode);
                            if (h < 0 || w < 0) continue;
                            for (ptrdiff_t c = 0; c < C; ++c) {
                                const uint64_t x = (uint64_t)job->x.cell[((n * s->C + k / K * C + c) * s->h.in + h) * s->w.in + w];
                                const uint64_t product = x * (uint64_t)job->w.cell[((k * C + c) * R + r) * S + t];
                                sum += product;
                                if (rounds) magnitude += llabs((int64_t)product);
                            }
                        }
                    const int64_t value = job->y.array.dtype == CF_I32 ? (int32_t)sum : (int64_t)sum;
                    *y++ = activated(value, job->options.activation);
                    if (magnitude > job->magnitude) job->magnitude = magnitude;
                }
    tensor_write(&job->y);
}

static void tell(const char *check, uint64_t seed, const conv2d_case *c)
{
    static const char *const paddings[] = {"numbers", "valid", "same", "same_lower", "full"};
    static const char *const modes[] = {"constant", "edge", "reflect", "symmetric", "wrap"};
    const cf_conv2d_shape *s = &c->shape;
    now_computing("%s %llu: %s x %s %s -> %s, N %td C %td K %td groups %td, h %tdx%td w %tdx%td, stride %td %td, "
                  "dilation %td %td, padding %s %td %td %td %td, %s, activation %d, %s, precision %d, x strides %td %td %td %td, "
                  "y strides %td %td %td %td, w strides %td %td %td %td",
                  check, (unsigned long long)seed, dtype_name(c->x.array.dtype), dtype_name(c->w.array.dtype),
                  c->has_bias ? dtype_name(c->bias.array.dtype) : "-", dtype_name(c->y.array.dtype), s->N, s->C, s->K,
                  s->groups, s->h.in, s->h.size, s->w.in, s->w.size, s->h.stride, s->w.stride, s->h.dilation,
                  s->w.dilation, paddings[c->options.padding], s->h.pad_before, s->h.pad_after, s->w.pad_before,
                  s->w.pad_after, modes[c->options.padding_mode], (int)c->options.activation, c->options.algorithm, (int)c->options.precision,
                  c->x.array.strides[0], c->x.array.strides[1], c->x.array.strides[2], c->x.array.strides[3],
                  c->y.array.strides[0], c->y.array.strides[1], c->y.array.strides[2], c->y.array.strides[3],
                  c->w.array.strides[0], c->w.array.strides[1], c->w.array.strides[2], c->w.array.strides[3]);
}

/* Whether the algorithm asked for may say no, and does: 1 yes, 0 no. */
static int refuses(const conv2d_case *c)
{
    cf_conv2d_explanation e;
    cf_conv2d_explain(&c->options, c->y.array.dtype, c->x.array.shape, c->w.array.shape, &e);
    for (int i = 0; i < e.candidate_count; ++i)
        if (strcmp(e.candidates[i].name, e.algorithm) == 0) return !e.candidates[i].applies;
    return 0;
}

enum { RAW_FILTERS, PACKED_FILTERS, ENTRIES };
static const char *const entries[ENTRIES] = {"cf_conv2d", "cf_conv2d_packed"};

/* One call between guard pages; 1 if y is right. */
static int compute(const conv2d_case *c, tensor *y, cf_vector bias, int entry, int at_end)
{
    guarded packed = {0};
    cf_status status;
    memset(y->array.data + y->lowest, GAP_Y, y->bytes);
    if (entry == PACKED_FILTERS) {
        cf_conv2d_options named;
        status = cf_conv2d_choose(&c->options, y->array.dtype, c->x.array.shape, c->w.array.shape, &named);
        packed = guard(cf_conv2d_packed_bytes(&named, y->array.dtype, c->w.array.shape), at_end);
        if (status == CF_OK) status = cf_conv2d_pack(&named, y->array.dtype, &c->w.array, packed.data);
        if (status == CF_OK) {
            guard_read_only(packed);
            status = cf_conv2d_packed(&named, &c->x.array, c->w.array.shape, packed.data, bias, &y->array);
        }
        guard_free(packed);
    } else {
        status = cf_conv2d(&c->options, &c->x.array, &c->w.array, bias, &y->array);
    }
    if (status == CF_NOT_APPLICABLE && refuses(c)) return 1;
    if (status != CF_OK) return failed("%s, %s: status %d", entries[entry], cf_isa(), (int)status);
    if (c->options.precision == CF_PRECISION_HIGH) tensor_snap(y, HIGH * (double)c->magnitude);
    const char *got = y->array.data + y->lowest;
    for (size_t i = 0; i < y->bytes; ++i)
        if (got[i] != y->image[i])
            return failed("%s, %s, %d threads, arrays at the %s: byte %zu of y", entries[entry], cf_isa(), cf_get_threads(),
                          at_end ? "end" : "beginning", i);
    return 1;
}

static int both_entries_on_every_isa(conv2d_case *c)
{
    int right = 1;
    for (int at_end = 0; at_end < 2; ++at_end) {
        const guarded x = tensor_place(&c->x, at_end), w = tensor_place(&c->w, at_end), y = tensor_place(&c->y, at_end);
        const guarded b = tensor_place(&c->bias, at_end);
        const cf_vector bias = {c->has_bias ? c->bias.array.data : NULL, c->bias.array.dtype, c->bias.array.strides[3]};
        guard_read_only(x), guard_read_only(w), guard_read_only(b);
        for (int isa = 0; cf_isa_name(isa) != NULL; ++isa) {
            if (!cf_use_isa(cf_isa_name(isa))) return failed("cf_use_isa(%s)", cf_isa_name(isa));
            for (int entry = 0; entry < ENTRIES; ++entry) right &= compute(c, &c->y, bias, entry, at_end);
        }
        guard_free(x), guard_free(w), guard_free(y), guard_free(b);
    }
    return right;
}

int check_conv2d(uint64_t seed)
{
    conv2d_case c = case_make(seed, 0, 100000);
    tell("conv2d", seed, &c);
    reference(&c);
    const int right = both_entries_on_every_isa(&c);
    case_free(&c);
    return right;
}

/* The same with cases large enough for several threads to share. */
int check_threads(uint64_t seed)
{
    if (strncmp(cf_openmp(), "off", 3) == 0) return 1;
    conv2d_case c = case_make(seed, 1500000, 4000000);
    tell("threads", seed, &c);
    reference(&c);
    int right = 1;
    for (int threads = 1; threads < 6; threads += 2) {
        cf_set_threads(threads);
        right &= cf_get_threads() == threads ? both_entries_on_every_isa(&c) : failed("cf_set_threads(%d)", threads);
    }
    cf_set_threads(0);
    case_free(&c);
    return right && (cf_get_threads() > 0 || failed("cf_get_threads() = %d", cf_get_threads()));
}
