/* window_four.inl.h — four vectors of windows at a time, for windows of many cells: four sums wait for one another less
   than one, and pixels that share a set of the first-level cache are read by whole lines. Included by
   window_row.inl.h; the same numbers are combined in the same order as for one vector. */
#define FOUR _Pragma("GCC unroll 4") for (int k = 0; k < 4; ++k)

static inline __attribute__((always_inline)) void CF_NAME(reduce_four)(CF_REAL *restrict to, const CF_REAL *from,
                                                                       const ptrdiff_t *taps, ptrdiff_t count,
                                                                       CF_REAL divisor)
{
#if CF_MAXIMUM
    vec best[4];
    FOUR best[k] = vec_load(from + taps[0] + k * LANES);
    for (ptrdiff_t t = 1; t < count; ++t)
        FOUR best[k] = CF_NAME(larger)(best[k], vec_load(from + taps[t] + k * LANES));
    FOUR vec_store(to + k * LANES, best[k]);
    (void)divisor;
#else
    typedef __typeof__((vec){0} < (vec){0}) mask;
    vec high[4], low[4] = {{0}};
    FOUR high[k] = vec_load(from + taps[0] + k * LANES);
    ptrdiff_t t = 1;
    for (; t < count && t < CF_SUM_CHAIN; ++t) FOUR high[k] += vec_load(from + taps[t] + k * LANES);
    while (t < count) {
        vec chain[4];
        const ptrdiff_t end = count - t < CF_SUM_CHAIN ? count : t + CF_SUM_CHAIN;
        FOUR chain[k] = vec_load(from + taps[t] + k * LANES);
        for (++t; t < end; ++t) FOUR chain[k] += vec_load(from + taps[t] + k * LANES);
        FOUR
        {
            const vec sum = high[k] + chain[k], part = sum - high[k];
            low[k] += (high[k] - (sum - part)) + (chain[k] - part);
            high[k] = sum;
        }
    }
    FOUR
    {
        const vec error = low[k]; /* compilers warn of numbers compared with themselves */
        if (count > CF_SUM_CHAIN) high[k] += (vec)((mask)low[k] & (mask)(low[k] == error));
        vec_store(to + k * LANES, divisor == 1 ? high[k] : high[k] / vec_fill(divisor));
    }
#endif
}

#undef FOUR
