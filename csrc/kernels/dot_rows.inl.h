/* dot_rows.inl.h — dot products of one row of numbers with M shifted ones, kept apart by lane; see cf_dot in table.h.

   For every vector of g one load, for every product one more: M sums stay in registers over CF_CHAIN vectors. Lanes
   behind the end of a row are cut off on the side of x too, because zero times NaN is NaN. */

#define DOT_MAX 9
#define DOT_UNROLL _Pragma("GCC unroll 16")

typedef __typeof__((vec){0} == (vec){0}) CF_NAME(dot_mask);

static inline __attribute__((always_inline)) void CF_NAME(dot)(const cf_dot *d, const int M)
{
    const CF_REAL *g = d->g, *x[DOT_MAX];
    DOT_UNROLL for (int m = 0; m < M; ++m) x[m] = (const CF_REAL *)d->x + d->x_base[m];
    CF_NAME(dot_mask) inside;
    for (ptrdiff_t i = 0; i < LANES; ++i) inside[i] = i < d->tail ? -1 : 0;

    vec acc[DOT_MAX], chains[DOT_MAX];
    DOT_UNROLL for (int m = 0; m < M; ++m) chains[m] = acc[m] = (vec){0};
    ptrdiff_t chain = 0;
    for (ptrdiff_t row = 0; row < d->rows; ++row) {
        for (ptrdiff_t v = 0; v < d->vectors; ++v) {
            const vec b = vec_load(g + v * LANES);
            DOT_UNROLL for (int m = 0; m < M; ++m) acc[m] += b * vec_load(x[m] + v * LANES);
        }
        if (d->tail > 0) {
            const vec b = vec_load(g + d->vectors * LANES);
            DOT_UNROLL for (int m = 0; m < M; ++m)
                acc[m] += b * (vec)((CF_NAME(dot_mask))vec_load(x[m] + d->vectors * LANES) & inside);
        }
        g += d->g_row;
        DOT_UNROLL for (int m = 0; m < M; ++m) x[m] += d->x_row;
        chain += d->vectors + (d->tail > 0);
        if (chain + d->vectors + (d->tail > 0) > CF_CHAIN || row + 1 == d->rows) {
            DOT_UNROLL for (int m = 0; m < M; ++m) chains[m] += acc[m], acc[m] = (vec){0};
            chain = 0;
        }
    }
    DOT_UNROLL for (int m = 0; m < M; ++m) vec_store((CF_REAL *)d->y + m * LANES, chains[m]);
}

#define X(M) \
    static void CF_NAME(dot_##M)(const cf_dot *d) { CF_NAME(dot)(d, M); }
CF_DOT_SIZES
#undef X

#undef DOT_UNROLL
#undef DOT_MAX
