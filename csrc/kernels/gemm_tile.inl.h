/* gemm_tile.inl.h — one register tile of a convolution or matrix product; the contract is cf_tile in table.h.

   The M x V accumulators stay in registers over CF_CHAIN terms; each term costs V vector loads, M broadcasts and M * V
   multiply-adds, so a tile is as large as the register file allows. The input is found through a table of offsets
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

static inline __attribute__((always_inline)) void CF_NAME(tile)(const cf_tile *t, const int M, const int V,
                                                                const int filters_are_vectors)
{
    const CF_REAL *restrict w = t->w;
    const ptrdiff_t *restrict tap = t->taps;
    const char *ahead = t->ahead != NULL ? t->ahead : t->w;
    /* Arrays of constant size: with every index known after unrolling they become registers. */
    const CF_REAL *x[TILE_MAX];
    const int bases = filters_are_vectors ? M : V;
    TILE_UNROLL for (int i = 0; i < bases; ++i)
        x[i] = (const CF_REAL *)t->x + t->x_base[i];

    vec acc[TILE_MAX][TILE_MAX];
    vec chains[TILE_MAX * 2]; /* the sum of the finished chains: in memory, touched once in CF_CHAIN terms */
    for (ptrdiff_t left = t->terms, begun = 0;; begun = 1) {
        TILE_UNROLL for (int m = 0; m < M; ++m)
            TILE_UNROLL for (int v = 0; v < V; ++v)
                acc[m][v] = (vec){0};
        const ptrdiff_t *const end = tap + (left < CF_CHAIN ? left : CF_CHAIN);
        while (tap != end) {
            const ptrdiff_t offset = *tap++;
            if (filters_are_vectors) __builtin_prefetch(ahead, 0, 2), ahead += t->ahead_step;
            vec b[TILE_MAX];
            TILE_UNROLL for (int v = 0; v < V; ++v)
                b[v] = filters_are_vectors ? vec_load(w + v * LANES) : vec_load(x[v] + offset);
            TILE_UNROLL for (int m = 0; m < M; ++m) {
                const vec a = vec_fill(filters_are_vectors ? x[m][offset] : w[m]);
                TILE_UNROLL for (int v = 0; v < V; ++v)
                    acc[m][v] += a * b[v];
            }
            w += filters_are_vectors ? V * LANES : M;
        }
        if (begun)
            TILE_UNROLL for (int m = 0; m < M; ++m)
                TILE_UNROLL for (int v = 0; v < V; ++v)
                    acc[m][v] += chains[m * V + v];
        left -= CF_CHAIN;
        if (left <= 0) break;
        TILE_UNROLL for (int m = 0; m < M; ++m)
            TILE_UNROLL for (int v = 0; v < V; ++v)
                chains[m * V + v] = acc[m][v];
    }

    CF_REAL *restrict y = t->y;
    if (t->error != 0)
        TILE_UNROLL for (int m = 0; m < M; ++m)
            TILE_UNROLL for (int v = 0; v < V; ++v)
                acc[m][v] = CF_NAME(add_exactly)(acc[m][v], y + t->y_row[m] + t->y_col[v], t);
    else if (!t->first)
        TILE_UNROLL for (int m = 0; m < M; ++m)
            TILE_UNROLL for (int v = 0; v < V; ++v)
                acc[m][v] += vec_load(y + t->y_row[m] + t->y_col[v]);
    if (t->last) {
        const CF_REAL *restrict bias = t->bias;
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
    TILE_UNROLL for (int m = 0; m < M; ++m)
        TILE_UNROLL for (int v = 0; v < V; ++v)
            vec_store(y + t->y_row[m] + t->y_col[v], acc[m][v]);
}

#undef TILE_UNROLL
#undef TILE_MAX
