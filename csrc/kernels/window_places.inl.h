/* window_places.inl.h — where the maxima of one row of windows stand; the contract is cf_window_leaves in table.h.
   Included with simd.h set and CF_PLACE defined, a signed integer as wide as an element. */
typedef CF_PLACE CF_NAME(whole_vec) __attribute__((vector_size(CF_VECTOR_BYTES)));
typedef CF_PLACE CF_NAME(unaligned_whole_vec) __attribute__((vector_size(CF_VECTOR_BYTES), aligned(1), may_alias));

/* Of equals, and of several NaN, the earlier stays. */
static void CF_NAME(places)(void *best, void *place, const void *from, const void *places, const ptrdiff_t *taps,
                            ptrdiff_t count, ptrdiff_t step, ptrdiff_t n)
{
    typedef CF_NAME(whole_vec) whole;
    typedef CF_NAME(unaligned_whole_vec) unaligned;
    CF_REAL *restrict y = best;
    CF_PLACE *restrict at = place;
    const CF_REAL *x = from;
    const CF_PLACE *before = places;
    for (ptrdiff_t i = 0; i < n && n >= LANES; i += LANES) {
        if (i > n - LANES) i = n - LANES; /* the last vector overlaps the one before it */
        vec value = vec_load(x + taps[0] + i);
        whole where = before ? (whole) * (const unaligned *)(before + taps[0] + i) : (whole){0};
        for (ptrdiff_t t = 1; t < count; ++t) {
            const vec other = vec_load(x + taps[t] + i), same = other, old = value;
            const whole larger = (whole)((CF_NAME(signed_vec))other > (CF_NAME(signed_vec))value);
            const whole take = larger | ((whole)(other != same) & (whole)(value == old));
            whole there = (CF_PLACE)(t * step) - (whole){0};
            if (before) there += (whole) * (const unaligned *)(before + taps[t] + i);
            value = (vec)(((whole)other & take) | ((whole)value & ~take));
            where = (there & take) | (where & ~take);
        }
        vec_store(y + i, value);
        *(unaligned *)(at + i) = where;
    }
    for (ptrdiff_t i = 0; i < n && n < LANES; ++i) {
        y[i] = x[taps[0] + i], at[i] = before ? before[taps[0] + i] : 0;
        for (ptrdiff_t t = 1; t < count; ++t) {
            const CF_REAL other = x[taps[t] + i], same = other, old = y[i], itself = old;
            if ((CF_SIGNED)other > (CF_SIGNED)old || (other != same && old == itself))
                y[i] = other, at[i] = (CF_PLACE)(t * step) + (before ? before[taps[t] + i] : 0);
        }
    }
}

#undef CF_PLACE
