/* row_pairs.inl.h — a row whose even and odd elements are sums of their own; contract: cf_row_pairs in table.h. */

/* a0 b0 a1 b1 ...: the lower half of it, or the upper one. */
static inline __attribute__((always_inline)) vec CF_NAME(interleave)(vec a, vec b, const int upper)
{
#ifdef __clang__
    vec pairs;
    for (int i = 0; i < LANES; ++i) pairs[i] = i % 2 == 0 ? a[(i + upper * LANES) / 2] : b[(i + upper * LANES) / 2];
    return pairs;
#else
    CF_NAME(mask) which;
    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; ++i) which[i] = (i + upper * LANES) / 2 + i % 2 * LANES;
    return __builtin_shuffle(a, b, which);
#endif
}

static inline __attribute__((always_inline)) vec CF_NAME(pair_sum)(const CF_REAL *x, const CF_REAL *w,
                                                                   const ptrdiff_t *at, ptrdiff_t terms)
{
    vec sum = {0};
    for (ptrdiff_t t = 0; t < terms; ++t) sum += vec_fill(w[t]) * vec_load(x + at[t]);
    return sum + (vec){0}; /* no sum is -0, as after a bias */
}

static void CF_NAME(row_pairs)(const cf_row_pairs *t)
{
    const CF_REAL *const x = t->x, *const even = t->w, *const odd = even + t->terms[0];
    const ptrdiff_t *const even_at = t->at, *const odd_at = even_at + t->terms[0];
    CF_REAL *const y = t->y;
    for (ptrdiff_t next = 0; next < t->n; next += LANES) {
        const ptrdiff_t i = next + LANES <= t->n ? next : t->n - LANES;
        const vec a = CF_NAME(pair_sum)(x + i, even, even_at, t->terms[0]);
        const vec b = CF_NAME(pair_sum)(x + i, odd, odd_at, t->terms[1]);
        vec_store(y + 2 * i, CF_NAME(interleave)(a, b, 0));
        vec_store(y + 2 * i + LANES, CF_NAME(interleave)(a, b, 1));
    }
}
