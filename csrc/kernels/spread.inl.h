/* spread.inl.h — channels to the lanes of the filters that read them; the contract is cf_spread in table.h. */

static inline __attribute__((always_inline)) vec CF_NAME(pick)(vec from, CF_NAME(mask) which)
{
#ifdef __clang__
    vec picked;
    for (int i = 0; i < LANES; ++i) picked[i] = from[which[i]];
    return picked;
#else
    return __builtin_shuffle(from, which);
#endif
}

static void CF_NAME(spread)(const cf_spread *t)
{
    for (ptrdiff_t v = 0; v < t->vectors; ++v) {
        const ptrdiff_t *const channel = t->channels + v * LANES;
        const ptrdiff_t first = channel[0] <= t->readable - LANES ? channel[0] : t->readable - LANES;
        const int in_one_vector = first >= 0 && channel[LANES - 1] + t->inputs - first <= LANES;
        const CF_REAL *from = t->from;
        CF_REAL *to = (CF_REAL *)t->to + v * LANES;
        CF_NAME(mask) which;
        for (int i = 0; i < LANES; ++i) which[i] = channel[i] - first;
        for (ptrdiff_t pixel = 0; pixel < t->pixels; ++pixel, from += t->from_pixel) {
            CF_NAME(mask) lane = which;
            for (ptrdiff_t c = 0; c < t->inputs; ++c, lane += 1, to += t->vectors * LANES)
                if (in_one_vector)
                    vec_store(to, CF_NAME(pick)(vec_load(from + first), lane));
                else
                    for (int i = 0; i < LANES; ++i) to[i] = from[channel[i] + c];
        }
    }
}
