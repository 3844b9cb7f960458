/* check_geometry.c — cf_conv2d_geometry with extreme sizes against 128-bit arithmetic, and the plans made of what it
   accepts: nothing may overflow (the undefined-behaviour sanitizer watches) and no shape may be wrong. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

typedef __int128 wide;

#define LARGEST (PTRDIFF_MAX / 64) /* geometry.c */
#define SATURATED ((wide)1 << 64)

static wide ceil_div(wide a, wide b) { return (a + b - 1) / b; }
static wide larger(wide a, wide b) { return a > b ? a : b; }

/* Elements of an array; an empty axis hides no other. Factors are below 2^63, so a product of two never overflows. */
static wide elements(wide a, wide b, wide c, wide d)
{
    const wide factors[] = {a, b, c, d};
    wide product = 1;
    for (int i = 0; i < 4; ++i) {
        product *= larger(factors[i], 1);
        if (product > SATURATED) product = SATURATED;
    }
    return product;
}

/* What is wrong with one axis, as bits 1 << cf_status; 0: nothing, and then *out and *pads are the answer. */
static unsigned axis(wide in, wide size, wide stride, wide dilation, wide pads[2], cf_padding padding, wide *out)
{
    if (size < 1) return 1u << CF_EMPTY_WINDOW;
    const wide reach = dilation * (size - 1);
    unsigned wrong = reach > LARGEST || in > LARGEST || stride > LARGEST ? 1u << CF_TOO_LARGE : 0;
    if (padding == CF_PAD_SAME || padding == CF_PAD_SAME_LOWER) {
        const wide total = larger(0, (larger(1, ceil_div(in, stride)) - 1) * stride + reach + 1 - in);
        pads[0] = padding == CF_PAD_SAME ? total / 2 : total - total / 2;
        pads[1] = total - pads[0];
        if (in < 1) wrong |= 1u << CF_EMPTY_OUTPUT;
        if (total > LARGEST) wrong |= 1u << CF_TOO_LARGE;
    } else if (padding != CF_PAD_NUMBERS) {
        pads[0] = pads[1] = padding == CF_PAD_FULL ? reach : 0;
    }
    const wide padded = in + pads[0] + pads[1];
    if (padding != CF_PAD_SAME && padding != CF_PAD_SAME_LOWER && padded > LARGEST) wrong |= 1u << CF_TOO_LARGE;
    if (padded <= reach) wrong |= 1u << CF_EMPTY_OUTPUT;
    *out = (padded - reach - 1) / stride + 1;
    return wrong;
}

static ptrdiff_t extreme(uint64_t *random)
{
    static const ptrdiff_t ends[] = {0, 1, 2, INT32_MAX - 1, INT32_MAX, (ptrdiff_t)1 << 31, ((ptrdiff_t)1 << 31) + 1,
                                     (ptrdiff_t)1 << 32, LARGEST - 1, LARGEST, LARGEST + 1, (ptrdiff_t)1 << 62,
                                     PTRDIFF_MAX - 1, PTRDIFF_MAX};
    if (one_in(random, 2)) return between(random, 0, 9);
    return one_in(random, 2) ? PICK(random, ends) : (ptrdiff_t)(next(random) >> between(random, 1, 63));
}

static int resolved_axis(const cf_axis *a, const wide pads[2], wide out)
{
    return a->out == out && a->pad_before == pads[0] && a->pad_after == pads[1];
}

/* Plans are made without touching an array: on every ISA, for every compute type and algorithm. */
static void plan(cf_conv2d_options *o, const ptrdiff_t x[4], const ptrdiff_t w[4])
{
    static const cf_dtype computes[] = {CF_F32, CF_F64, CF_I32, CF_I64};
    cf_conv2d_explanation e;
    for (int isa = 0; cf_isa_name(isa) != NULL; ++isa) {
        cf_use_isa(cf_isa_name(isa));
        for (size_t i = 0; i < sizeof computes / sizeof *computes; ++i) {
            o->algorithm = "auto";
            cf_conv2d_explain(o, computes[i], x, w, &e);
            for (int a = 0; (o->algorithm = cf_conv2d_algorithm_name(a)) != NULL; ++a)
                cf_conv2d_explain(o, computes[i], x, w, &e);
        }
    }
    o->algorithm = "auto";
}

int check_geometry(uint64_t seed)
{
    uint64_t random = ~seed;
    cf_conv2d_options o = {.algorithm = "auto", .padding = (cf_padding)between(&random, 0, 4), .channels_last = one_in(&random, 2)};
    ptrdiff_t x[4], w[4];
    for (int i = 0; i < 4; ++i) x[i] = extreme(&random), w[i] = extreme(&random);
    for (int i = 0; i < 2; ++i) {
        o.stride[i] = (ptrdiff_t)larger(1, extreme(&random));
        o.dilation[i] = (ptrdiff_t)larger(1, extreme(&random));
        for (int j = 0; j < 2; ++j) o.pad[i][j] = extreme(&random);
    }
    o.groups = one_in(&random, 2) ? 1 : (ptrdiff_t)larger(1, extreme(&random));
    if (!one_in(&random, 4)) w[1] = x[1] / o.groups; /* mostly what fits */
    now_computing("geometry %llu: x %td %td %td %td, w %td %td %td %td, stride %td %td, dilation %td %td, pad %td %td "
                  "%td %td, groups %td, padding %d", (unsigned long long)seed, x[0], x[1], x[2], x[3], w[0], w[1], w[2],
                  w[3], o.stride[0], o.stride[1], o.dilation[0], o.dilation[1], o.pad[0][0], o.pad[0][1], o.pad[1][0],
                  o.pad[1][1], o.groups, (int)o.padding);

    cf_conv2d_shape shape;
    const cf_status status = cf_conv2d_geometry(&o, x, w, &shape);
    wide h_pads[2] = {o.pad[0][0], o.pad[0][1]}, w_pads[2] = {o.pad[1][0], o.pad[1][1]}, P = 0, Q = 0;
    unsigned wrong = axis(x[2], w[2], o.stride[0], o.dilation[0], h_pads, o.padding, &P) |
                     axis(x[3], w[3], o.stride[1], o.dilation[1], w_pads, o.padding, &Q);
    if (x[1] % o.groups != 0 || w[0] % o.groups != 0) wrong |= 1u << CF_BAD_GROUPS;
    if (x[1] / o.groups != w[1]) wrong |= 1u << CF_BAD_CHANNELS;
    if (larger(elements(x[0], x[1], x[2], x[3]), elements(w[0], w[1], w[2], w[3])) > LARGEST ||
        (wrong == 0 && elements(x[0], w[0], P, Q) > LARGEST))
        wrong |= 1u << CF_TOO_LARGE;
    if (status != CF_OK)
        return (wrong >> status & 1) || failed("status %d, but of all that is wrong it is not (%#x)", (int)status, wrong);
    if (wrong != 0) return failed("accepted, but wrong is %#x", wrong);
    if (!resolved_axis(&shape.h, h_pads, P) || !resolved_axis(&shape.w, w_pads, Q) || shape.N != x[0] ||
        shape.C != x[1] || shape.K != w[0])
        return failed("a wrong shape");
    plan(&o, x, w);
    return 1;
}
