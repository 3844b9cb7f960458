/* gemm_tile.inl.h — register tiles of a convolution or matrix product; the contract is cf_tile in table.h.

   The M x V accumulators stay in registers over a chain of terms; each term costs V vector loads, M broadcasts and
   M * V multiply-adds, so a tile is as large as the register file allows. The input is found through a table of offsets
   (`taps`), one per term: stride, dilation, phases and im2col are all just other tables. Vectors of filters that the
   next tiles read come into the second-level cache meanwhile, at no cost: a load has room beside the multiply-adds. */

#define TILE_MAX 16 /* M, V and M * V / 2 are at most this */
#define TILE_UNROLL _Pragma("GCC unroll 16")

/* The sum so far plus v; what rounding loses stays at y + error. An infinite sum has none (lost - lost is
   zero but for NaN). */
static inline __attribute__((always_inline)) vec CF_NAME(add_exactly)(vec v, CF_REAL *y, const cf_tile *t)
{
    if (t->first) {
        vec_store(y + t->error, (vec){0});
        return v;
    }
    const vec rest = v + vec_load(y + t->error), old = vec_load(y);
    const vec sum = old + rest, added = sum - old;
    const vec lost = (old - (sum - added)) + (rest - added);
    const vec kept = vec_or_zero(lost, lost - lost);
    vec_store(y + t->error, kept);
    return t->last ? sum + kept : sum;
}

/* acc += the products of one term. */
static inline __attribute__((always_inline)) void CF_NAME(add_term)(
    const int M, const int V, const int filters_are_vectors, const CF_REAL *const *x, const ptrdiff_t offset,
    const CF_REAL *w, vec (*acc)[TILE_MAX])
{
    vec b[TILE_MAX];
    TILE_UNROLL for (int v = 0; v < V; ++v)
        b[v] = vec_load(filters_are_vectors ? w + v * LANES : x[v] + offset);
    TILE_UNROLL for (int m = 0; m < M; ++m) {
        const vec a = vec_fill(filters_are_vectors ? x[m][offset] : w[m]);
        TILE_UNROLL for (int v = 0; v < V; ++v)
            acc[m][v] = vec_multiply_add(a, b[v], acc[m][v]);
    }
}

/* acc += the products of the terms up to `end`; tap, w and ahead go on behind them. A core whose other hardware thread
   is busy decodes half as much: counting and fetching ahead for every single term would take it a fifth of the time.
   The terms are spelled out, for gcc moves the sums of an inner loop that it unrolls from register to register. */
static inline __attribute__((always_inline)) void CF_NAME(add_terms)(
    const cf_tile *t, const int M, const int V, const int filters_are_vectors, const int runs, const CF_REAL *const *x,
    const ptrdiff_t *end, const ptrdiff_t **tap, const CF_REAL **w, const char **ahead, vec (*acc)[TILE_MAX])
{
    const ptrdiff_t width = filters_are_vectors ? V * LANES : M;
#define FETCH(terms) \
    if (filters_are_vectors) __builtin_prefetch(*ahead, 0, 2), *ahead += terms * t->ahead_step;
#define TERM(i) \
    CF_NAME(add_term)(M, V, filters_are_vectors, x, runs ? **tap + i : (*tap)[i], *w + i * width, acc);
    for (; vec_keeps_sums && end - *tap >= CF_TAP_RUN; *tap += CF_TAP_RUN, *w += CF_TAP_RUN * width) {
        FETCH(4) TERM(0) TERM(1) TERM(2) TERM(3)
        FETCH(4) TERM(4) TERM(5) TERM(6) TERM(7)
    }
    for (; *tap != end; ++*tap, *w += width) {
        FETCH(1)
        TERM(0)
    }
#undef FETCH
#undef TERM
}

/* acc = the sum over all terms, of inputs that stand at x[] + taps[]. Returns where `ahead` has come to. */
static inline __attribute__((always_inline)) const char *CF_NAME(multiply)(
    const cf_tile *t, const int M, const int V, const int filters_are_vectors, const CF_REAL *const *x,
    const char *ahead, vec (*acc)[TILE_MAX])
{
    const CF_REAL *w = t->w;
    const ptrdiff_t *tap = t->taps;
    ptrdiff_t left = t->terms;
    /* The sum of the finished chains is touched once in a chain. It belongs in memory: a compiler that sees what
       the pointer points to wants registers for it, and spills at the begin and end of every tile. */
    vec sums[TILE_MAX * 2], *volatile unseen = sums, *const chains = unseen;
    for (int begun = 0;; begun = 1) {
        TILE_UNROLL for (int m = 0; m < M; ++m)
            TILE_UNROLL for (int v = 0; v < V; ++v)
                acc[m][v] = (vec){0};
        const ptrdiff_t terms = left < t->chain ? left : t->chain;
        const ptrdiff_t *const end = tap + terms;
        left -= terms;
        if (vec_keeps_sums && filters_are_vectors && t->runs)
            CF_NAME(add_terms)(t, M, V, filters_are_vectors, 1, x, end, &tap, &w, &ahead, acc);
        else
            CF_NAME(add_terms)(t, M, V, filters_are_vectors, 0, x, end, &tap, &w, &ahead, acc);
        if (begun)
            TILE_UNROLL for (int m = 0; m < M; ++m)
                TILE_UNROLL for (int v = 0; v < V; ++v)
                    acc[m][v] += chains[m * V + v];
        if (left == 0) return ahead;
        TILE_UNROLL for (int m = 0; m < M; ++m)
            TILE_UNROLL for (int v = 0; v < V; ++v)
                chains[m * V + v] = acc[m][v];
    }
}

/* The sums to y, the last time with bias and clamp. */
static inline __attribute__((always_inline)) void CF_NAME(finish)(
    const cf_tile *t, const int M, const int V, const int filters_are_vectors, const ptrdiff_t *y_row,
    const ptrdiff_t *y_col, vec (*acc)[TILE_MAX])
{
    CF_REAL *row[TILE_MAX];
    ptrdiff_t col[TILE_MAX];
    TILE_UNROLL for (int m = 0; m < M; ++m)
        row[m] = (CF_REAL *)t->y + y_row[m];
    TILE_UNROLL for (int v = 0; v < V; ++v)
        col[v] = filters_are_vectors ? v * LANES : y_col[v];
    if (t->error != 0)
        TILE_UNROLL for (int m = 0; m < M; ++m)
            TILE_UNROLL for (int v = 0; v < V; ++v)
                acc[m][v] = CF_NAME(add_exactly)(acc[m][v], row[m] + col[v], t);
    else if (!t->first)
        TILE_UNROLL for (int m = 0; m < M; ++m)
            TILE_UNROLL for (int v = 0; v < V; ++v)
                acc[m][v] += vec_load(row[m] + col[v]);
    if (t->last) {
        const CF_REAL *bias = t->bias;
        TILE_UNROLL for (int m = 0; m < M; ++m)
            TILE_UNROLL for (int v = 0; v < V; ++v)
                acc[m][v] += filters_are_vectors ? vec_load(bias + v * LANES) : vec_fill(bias[m]);
    }
    if (t->last && t->limits != NULL) {
        const vec lo = vec_fill(((const CF_REAL *)t->limits)[0]), hi = vec_fill(((const CF_REAL *)t->limits)[1]);
        TILE_UNROLL for (int m = 0; m < M; ++m)
            TILE_UNROLL for (int v = 0; v < V; ++v)
                acc[m][v] = vec_clamp(acc[m][v], lo, hi);
    }
    /* As if col had changed: else gcc keeps M * V addresses in registers, or spilled, for what needs them rarely. */
    if (!filters_are_vectors)
        TILE_UNROLL for (int v = 0; v < V; ++v)
            __asm__("" : "+r"(col[v]));
    TILE_UNROLL for (int m = 0; m < M; ++m)
        TILE_UNROLL for (int v = 0; v < V; ++v)
            vec_store(row[m] + col[v], acc[m][v]);
}

/* Fetches the lines that the tile after the next writes. */
static inline __attribute__((always_inline)) void CF_NAME(fetch_outputs)(
    const cf_tile *t, const int M, const int V, const int filters_are_vectors, const ptrdiff_t *y_row,
    const ptrdiff_t *y_col)
{
    TILE_UNROLL for (int m = 0; m < M; ++m) {
        const CF_REAL *y = (const CF_REAL *)t->y + y_row[filters_are_vectors ? 2 * M + m : m];
        __builtin_prefetch(filters_are_vectors ? y : y + y_col[2 * V], 1);
        if (!filters_are_vectors) __builtin_prefetch(y + y_col[3 * V - 1], 1);
    }
}

static inline __attribute__((always_inline)) void CF_NAME(tiles)(const cf_tile *t, const int M, const int V,
                                                                 const int filters_are_vectors)
{
    const int bases = filters_are_vectors ? M : V;
    const ptrdiff_t *x_base = t->x_base, *const end = x_base + t->count * bases, *y_row = t->y_row, *y_col = t->y_col;
    const char *ahead = t->ahead != NULL ? t->ahead : t->w;
    for (; x_base != end; x_base += bases, *(filters_are_vectors ? &y_row : &y_col) += bases) {
        /* Arrays of constant size: with every index known after unrolling they become registers. */
        const CF_REAL *x[TILE_MAX];
        vec acc[TILE_MAX][TILE_MAX];
        TILE_UNROLL for (int i = 0; i < bases; ++i)
            x[i] = (const CF_REAL *)t->x + x_base[i];
        if (t->fetch_y && end - x_base > 2 * bases) CF_NAME(fetch_outputs)(t, M, V, filters_are_vectors, y_row, y_col);
        ahead = CF_NAME(multiply)(t, M, V, filters_are_vectors, x, ahead, acc);
        CF_NAME(finish)(t, M, V, filters_are_vectors, y_row, y_col, acc);
    }
}

#undef TILE_UNROLL
#undef TILE_MAX
