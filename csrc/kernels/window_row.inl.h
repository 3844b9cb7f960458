/* window_row.inl.h — one row of windows reduced to one value each; the contract is cf_window_leaves in table.h.
   Included with simd.h set, for maxima (CF_MAXIMUM 1) or sums (CF_MAXIMUM 0). */
#define WINDOW_UNROLL _Pragma("GCC unroll 4")

#if CF_MAXIMUM
/* The larger of two, of equals the first; NaN is larger than everything. */
static inline __attribute__((always_inline)) vec CF_NAME(larger)(vec a, vec b)
{
    typedef __typeof__((vec){0} < (vec){0}) mask;
    const vec same = b; /* compilers warn of integers compared with themselves */
    const mask take = (mask)((CF_NAME(signed_vec))b > (CF_NAME(signed_vec))a) | (mask)(b != same);
    return (vec)(((mask)b & take) | ((mask)a & ~take));
}

#define COMBINE(a, b) CF_NAME(larger)(a, b)
#define COMBINE_ONE(a, b) CF_NAME(larger_one)(a, b)

static inline CF_REAL CF_NAME(larger_one)(CF_REAL a, CF_REAL b)
{
    const CF_REAL same = b;
    return (CF_SIGNED)b > (CF_SIGNED)a || b != same ? b : a;
}

static inline __attribute__((always_inline)) vec CF_NAME(reduce)(const CF_REAL *from, const ptrdiff_t *taps,
                                                                 const ptrdiff_t count)
{
    vec best = vec_load(from + taps[0]);
    WINDOW_UNROLL for (ptrdiff_t t = 1; t < count; ++t) best = CF_NAME(larger)(best, vec_load(from + taps[t]));
    return best;
}

static inline CF_REAL CF_NAME(reduce_one)(const CF_REAL *from, const ptrdiff_t *taps, ptrdiff_t count)
{
    CF_REAL best = from[taps[0]];
    for (ptrdiff_t t = 1; t < count; ++t) best = CF_NAME(larger_one)(best, from[taps[t]]);
    return best;
}

static void CF_NAME(run)(void *to, const void *from, ptrdiff_t n)
{
    const CF_REAL *x = from;
    CF_REAL best = x[0];
    ptrdiff_t i = 1;
    if (n >= LANES) {
        vec lanes = vec_load(x);
        for (i = LANES; i + LANES <= n; i += LANES) lanes = CF_NAME(larger)(lanes, vec_load(x + i));
        best = lanes[0];
        for (ptrdiff_t lane = 1; lane < LANES; ++lane) best = CF_NAME(larger_one)(best, lanes[lane]);
    }
    for (; i < n; ++i) best = CF_NAME(larger_one)(best, x[i]);
    *(CF_REAL *)to = best;
}

static ptrdiff_t CF_NAME(first)(const void *from, ptrdiff_t n)
{
    const CF_REAL *x = from;
    ptrdiff_t place = 0;
    for (ptrdiff_t i = 1; i < n; ++i) {
        const CF_REAL best = x[place], same = best;
        if (best != same) break;
        if (CF_NAME(larger_one)(best, x[i]) != best) place = i;
    }
    return place;
}
#else
#define COMBINE(a, b) ((a) + (b))
#define COMBINE_ONE(a, b) ((a) + (b))

/* Chains of CF_SUM_CHAIN terms; their sums are added with the error of every addition kept (Knuth's TwoSum), so that
   the length of a window costs no accuracy. Where the sum is infinite the error is NaN and is left out. */
#define SUM_OF_CHAINS(TYPE, TERM, RESULT)                                                    \
    TYPE high = TERM(0), low = {0};                                                          \
    ptrdiff_t t = 1;                                                                         \
    for (; t < count && t < CF_SUM_CHAIN; ++t) high += TERM(t);                              \
    if (t < count) {                                                                         \
        while (t < count) {                                                                  \
            TYPE chain = TERM(t);                                                            \
            const ptrdiff_t end = count - t < CF_SUM_CHAIN ? count : t + CF_SUM_CHAIN;       \
            for (++t; t < end; ++t) chain += TERM(t);                                        \
            const TYPE sum = high + chain, part = sum - high;                                \
            low += (high - (sum - part)) + (chain - part);                                   \
            high = sum;                                                                      \
        }                                                                                    \
        const TYPE error = low;                                                              \
        RESULT                                                                               \
    }                                                                                        \
    return high;

static inline __attribute__((always_inline)) vec CF_NAME(reduce)(const CF_REAL *from, const ptrdiff_t *taps,
                                                                 const ptrdiff_t count)
{
    typedef __typeof__((vec){0} < (vec){0}) mask;
#define TERM(t) vec_load(from + taps[t])
    SUM_OF_CHAINS(vec, TERM, high += (vec)((mask)low & (mask)(low == error));)
#undef TERM
}

static inline CF_REAL CF_NAME(reduce_one)(const CF_REAL *from, const ptrdiff_t *taps, ptrdiff_t count)
{
#define TERM(t) from[taps[t]]
    SUM_OF_CHAINS(CF_REAL, TERM, if (low == error) high += low;)
#undef TERM
}
#undef SUM_OF_CHAINS

static void CF_NAME(run)(void *to, const void *from, ptrdiff_t n)
{
    const CF_REAL *x = from;
    vec lanes[4] = {{0}};
    ptrdiff_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        WINDOW_UNROLL for (int k = 0; k < 4; ++k) lanes[k] += vec_load(x + i + k * LANES);
    for (; i + LANES <= n; i += LANES) lanes[0] += vec_load(x + i);
    const vec all = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
    double total = 0;
    for (ptrdiff_t lane = 0; lane < LANES; ++lane) total += (double)all[lane];
    for (; i < n; ++i) total += (double)x[i];
    *(double *)to = total;
}
#endif

#include "window_four.inl.h"

static inline __attribute__((always_inline)) void CF_NAME(reduce_row)(CF_REAL *restrict to, const CF_REAL *from,
                                                                      const ptrdiff_t *taps, const ptrdiff_t count,
                                                                      ptrdiff_t n, CF_REAL divisor)
{
    if (n < LANES) {
        for (ptrdiff_t i = 0; i < n; ++i) {
            const CF_REAL value = CF_NAME(reduce_one)(from + i, taps, count);
            to[i] = CF_MAXIMUM || divisor == 1 ? value : value / divisor;
        }
        return;
    }
    ptrdiff_t i = 0;
    const int far = !__builtin_constant_p(count) && (taps[1] - taps[0]) * (ptrdiff_t)sizeof(CF_REAL) >= FAR;
    for (; far && i + 8 * LANES <= n; i += 8 * LANES)
        CF_NAME(reduce_some)(to + i, from + i, taps, count, 8, divisor);
    for (; !__builtin_constant_p(count) && i + 4 * LANES <= n; i += 4 * LANES)
        CF_NAME(reduce_some)(to + i, from + i, taps, count, 4, divisor);
    for (; i < n; i += LANES) {
        if (i > n - LANES) i = n - LANES; /* the last vector overlaps the one before it */
        const vec value = CF_NAME(reduce)(from + i, taps, count);
        vec_store(to + i, CF_MAXIMUM || divisor == 1 ? value : value / vec_fill(divisor));
    }
}

static inline __attribute__((always_inline)) void CF_NAME(reduce_rows)(const cf_window_block *b, const ptrdiff_t count)
{
    CF_REAL *to = b->to;
    const CF_REAL *from = b->from;
    for (ptrdiff_t row = 0; row < b->rows; ++row, to += b->to_row, from += b->from_row)
        CF_NAME(reduce_row)(to, from, b->taps, count, b->n, (CF_REAL)b->divisor);
}

static void CF_NAME(block)(const cf_window_block *b)
{
    switch (b->count) { /* the usual windows, with all taps in registers */
    case 1: CF_NAME(reduce_rows)(b, 1); break;
    case 2: CF_NAME(reduce_rows)(b, 2); break;
    case 3: CF_NAME(reduce_rows)(b, 3); break;
    case 4: CF_NAME(reduce_rows)(b, 4); break;
    case 9: CF_NAME(reduce_rows)(b, 9); break;
    default: CF_NAME(reduce_rows)(b, b->count);
    }
}

static void CF_NAME(taps)(void *to, const void *from, const ptrdiff_t *taps, ptrdiff_t count, ptrdiff_t n,
                          double divisor)
{
    CF_NAME(block)(&(cf_window_block){to, from, taps, count, n, 1, 0, 0, divisor});
}

/* Two vectors in, one of the even and one of the odd elements out: stride 2 without scalar steps. */
static void CF_NAME(split)(void *to, ptrdiff_t pitch, const void *from, ptrdiff_t stride, ptrdiff_t phases, ptrdiff_t n)
{
    typedef __typeof__((vec){0} < (vec){0}) mask;
    const CF_REAL *restrict x = from;
    CF_REAL *restrict y = to;
    if (stride == 2 && n >= LANES) {
        mask even, odd;
        _Pragma("GCC unroll 64") for (ptrdiff_t lane = 0; lane < LANES; ++lane)
            even[lane] = 2 * lane, odd[lane] = 2 * lane + 1;
        for (ptrdiff_t i = 0; i < n; i += LANES) {
            if (i > n - LANES) i = n - LANES;
            const vec a = vec_load(x + 2 * i), b = vec_load(x + 2 * i + LANES);
            vec_store(y + i, __builtin_shuffle(a, b, even));
            if (phases > 1) vec_store(y + pitch + i, __builtin_shuffle(a, b, odd));
        }
        return;
    }
    for (ptrdiff_t phase = 0; phase < phases; ++phase)
        for (ptrdiff_t i = 0; i < n; ++i) y[phase * pitch + i] = x[i * stride + phase];
}

/* Windows of two or three columns at stride 2: columns are reduced, split and combined in registers. */
static inline __attribute__((always_inline)) void CF_NAME(halves_row)(
    CF_REAL *restrict y, const CF_REAL *x, const ptrdiff_t *taps, const ptrdiff_t count, const ptrdiff_t size,
    ptrdiff_t n, CF_REAL divisor)
{
    typedef __typeof__((vec){0} < (vec){0}) mask;
    mask even, odd;
    _Pragma("GCC unroll 64") for (ptrdiff_t lane = 0; lane < LANES; ++lane)
        even[lane] = 2 * lane, odd[lane] = 2 * lane + 1;
    for (ptrdiff_t i = 0; i < n && n >= LANES; i += LANES) {
        if (i > n - LANES) i = n - LANES;
        const CF_REAL *from = x + 2 * i;
        vec a = CF_NAME(reduce)(from, taps, count), b = CF_NAME(reduce)(from + LANES, taps, count);
        vec value = COMBINE(__builtin_shuffle(a, b, even), __builtin_shuffle(a, b, odd));
        if (size == 3) {
            a = CF_NAME(reduce)(from + 2, taps, count), b = CF_NAME(reduce)(from + 2 + LANES, taps, count);
            value = COMBINE(value, __builtin_shuffle(a, b, even));
        }
        vec_store(y + i, CF_MAXIMUM || divisor == 1 ? value : value / vec_fill(divisor));
    }
    for (ptrdiff_t i = 0; i < n && n < LANES; ++i) {
        const CF_REAL *from = x + 2 * i;
        CF_REAL value = CF_NAME(reduce_one)(from, taps, count);
        for (ptrdiff_t s = 1; s < size; ++s) value = COMBINE_ONE(value, CF_NAME(reduce_one)(from + s, taps, count));
        y[i] = CF_MAXIMUM || divisor == 1 ? value : value / divisor;
    }
}

static void CF_NAME(halves)(void *to, const void *from, const ptrdiff_t *taps, ptrdiff_t count, ptrdiff_t size,
                            ptrdiff_t n, double divisor)
{
    if (size == 3) CF_NAME(halves_row)(to, from, taps, 1, 3, n, (CF_REAL)divisor);
    else if (count == 1) CF_NAME(halves_row)(to, from, taps, 1, 2, n, (CF_REAL)divisor);
    else if (count == 2) CF_NAME(halves_row)(to, from, taps, 2, 2, n, (CF_REAL)divisor);
    else CF_NAME(halves_row)(to, from, taps, count, 2, n, (CF_REAL)divisor);
}

static const cf_window_leaves CF_NAME(leaves) = {
    .lanes = LANES, .block = CF_NAME(block), .taps = CF_NAME(taps), .run = CF_NAME(run), .split = CF_NAME(split),
    .halves = CF_NAME(halves),
#if CF_MAXIMUM
    .first = CF_NAME(first), .places = CF_PLACES,
#endif
};

#undef COMBINE
#undef COMBINE_ONE
#undef FAR
#undef WINDOW_UNROLL
