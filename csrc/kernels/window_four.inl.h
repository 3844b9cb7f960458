/* window_four.inl.h — four or eight vectors of windows at a time, for windows of many cells: several sums wait for one
   another less than one, and pixels that share a set of the first-level cache are read by whole lines. Included by
   window_row.inl.h; the same numbers are combined in the same order as for one vector. */
/* Bytes from one cell to the next from which on eight are taken: the cells share sets, and neighbouring lines that the
   processor fetches of its own accord are used before they are lost (bench_pool2d, avg_global_2048x7). */
#define FAR 4096
#define EACH _Pragma("GCC unroll 8") for (int k = 0; k < vectors; ++k)

static inline __attribute__((always_inline)) void CF_NAME(reduce_some)(CF_REAL *restrict to, const CF_REAL *from,
                                                                       const ptrdiff_t *taps, ptrdiff_t count,
                                                                       const int vectors, CF_REAL divisor)
{
#if CF_MAXIMUM
    vec best[8];
    EACH best[k] = vec_load(from + taps[0] + k * LANES);
    for (ptrdiff_t t = 1; t < count; ++t)
        EACH best[k] = CF_NAME(larger)(best[k], vec_load(from + taps[t] + k * LANES));
    EACH vec_store(to + k * LANES, best[k]);
    (void)divisor;
#else
    typedef __typeof__((vec){0} < (vec){0}) mask;
    vec high[8], low[8] = {{0}};
    EACH high[k] = vec_load(from + taps[0] + k * LANES);
    ptrdiff_t t = 1;
    for (; t < count && t < CF_SUM_CHAIN; ++t) EACH high[k] += vec_load(from + taps[t] + k * LANES);
    while (t < count) {
        vec chain[8];
        const ptrdiff_t end = count - t < CF_SUM_CHAIN ? count : t + CF_SUM_CHAIN;
        EACH chain[k] = vec_load(from + taps[t] + k * LANES);
        for (++t; t < end; ++t) EACH chain[k] += vec_load(from + taps[t] + k * LANES);
        EACH
        {
            const vec sum = high[k] + chain[k], part = sum - high[k];
            low[k] += (high[k] - (sum - part)) + (chain[k] - part);
            high[k] = sum;
        }
    }
    EACH
    {
        const vec error = low[k]; /* compilers warn of numbers compared with themselves */
        if (count > CF_SUM_CHAIN) high[k] += (vec)((mask)low[k] & (mask)(low[k] == error));
        vec_store(to + k * LANES, divisor == 1 ? high[k] : high[k] / vec_fill(divisor));
    }
#endif
}

#undef EACH
