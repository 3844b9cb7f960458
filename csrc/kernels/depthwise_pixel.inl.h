/* depthwise_pixel.inl.h — depthwise convolution, vectors along the channels; the contract is cf_pixels in table.h.

   As in gemm_tile.inl.h the M x V accumulators stay in registers over CF_CHAIN terms; here every input is a vector of
   its own, and the filters are loaded once for M pixels. */

#define PIXEL_UNROLL _Pragma("GCC unroll 16")
#define PIXEL_MAX 8 /* M and V are at most this */

static inline __attribute__((always_inline)) void CF_NAME(pixels)(const cf_pixels *t, const int M, const int V)
{
    const CF_REAL *w = t->w;
    const ptrdiff_t *tap = t->taps;
    const CF_REAL *x[PIXEL_MAX];
    PIXEL_UNROLL for (int m = 0; m < M; ++m) x[m] = (const CF_REAL *)t->x + t->x_at[m];

    vec acc[PIXEL_MAX][PIXEL_MAX];
    vec chains[PIXEL_MAX * PIXEL_MAX]; /* the sum of the finished chains */
    for (ptrdiff_t left = t->terms, begun = 0;; begun = 1) {
        PIXEL_UNROLL for (int m = 0; m < M; ++m)
            PIXEL_UNROLL for (int v = 0; v < V; ++v) acc[m][v] = (vec){0};
        const ptrdiff_t *const end = tap + (left < CF_CHAIN ? left : CF_CHAIN);
        while (tap != end) {
            const ptrdiff_t offset = *tap++;
            vec b[PIXEL_MAX];
            PIXEL_UNROLL for (int v = 0; v < V; ++v) b[v] = vec_load(w + v * LANES);
            PIXEL_UNROLL for (int m = 0; m < M; ++m)
                PIXEL_UNROLL for (int v = 0; v < V; ++v) acc[m][v] += vec_load(x[m] + offset + v * LANES) * b[v];
            w += V * LANES;
        }
        if (begun)
            PIXEL_UNROLL for (int m = 0; m < M; ++m)
                PIXEL_UNROLL for (int v = 0; v < V; ++v) acc[m][v] += chains[m * V + v];
        left -= CF_CHAIN;
        if (left <= 0) break;
        PIXEL_UNROLL for (int m = 0; m < M; ++m)
            PIXEL_UNROLL for (int v = 0; v < V; ++v) chains[m * V + v] = acc[m][v];
    }

    const CF_REAL *const bias = t->bias;
    PIXEL_UNROLL for (int v = 0; v < V; ++v) {
        const vec b = vec_load(bias + v * LANES);
        PIXEL_UNROLL for (int m = 0; m < M; ++m) acc[m][v] += b;
    }
    if (t->limits != NULL) {
        const vec lo = vec_fill(((const CF_REAL *)t->limits)[0]), hi = vec_fill(((const CF_REAL *)t->limits)[1]);
        PIXEL_UNROLL for (int m = 0; m < M; ++m)
            PIXEL_UNROLL for (int v = 0; v < V; ++v) acc[m][v] = vec_clamp(acc[m][v], lo, hi);
    }
    CF_REAL *const y = t->y;
    const ptrdiff_t *const y_at = t->y_at;
    PIXEL_UNROLL for (int m = 0; m < M; ++m) {
        CF_REAL *const to = y + y_at[m];
        PIXEL_UNROLL for (int v = 0; v < V; ++v) vec_store(to + v * LANES, acc[m][v]);
    }
}

#undef PIXEL_MAX
#undef PIXEL_UNROLL
