/* depthwise_row.inl.h — convolution of one plane with one filter, vectors along the row; the contract is cf_rows in
   table.h.

   M output rows of V vectors are computed at once, so that an input vector is loaded once for all the rows it reaches:
   output row m meets input row i through filter row i - m * shift. The filter's sizes are constants where that pays
   (0: any size); sums of more than CF_CHAIN terms occur only where they are not. */

#define ROW_UNROLL _Pragma("GCC unroll 16")
#define ROW_MAX 8 /* M and V are at most this */

/* One tap of input row i, for the output rows that meet it: all constants. */
static inline __attribute__((always_inline)) void CF_NAME(tap)(vec acc[ROW_MAX][ROW_MAX], const CF_REAL *const *x,
                                                               ptrdiff_t offset, const CF_REAL *w, const int i,
                                                               const int M, const int V, const int R, const int S,
                                                               const int shift)
{
    vec b[ROW_MAX];
    ROW_UNROLL for (int v = 0; v < V; ++v) b[v] = vec_load(x[v] + offset);
    ROW_UNROLL for (int m = 0; m < M; ++m)
        if (i >= m * shift && i < m * shift + R) {
            const vec a = vec_fill(w[(i - m * shift) * S]);
            ROW_UNROLL for (int v = 0; v < V; ++v) acc[m][v] += a * b[v];
        }
    __asm__ volatile("" ::: "memory"); /* loads of later taps, moved up, would not fit into the registers */
}

static inline __attribute__((always_inline)) void CF_NAME(rows_fixed)(vec acc[ROW_MAX][ROW_MAX], const cf_rows *t,
                                                                      const CF_REAL *const *x, const int M, const int V,
                                                                      const int R, const int S, const int shift)
{
    const CF_REAL *const w = t->w;
    const ptrdiff_t *const cols = t->cols, x_row = t->x_row;
    const ptrdiff_t col[3] = {cols[0], S > 1 ? cols[1] : 0, S > 2 ? cols[2] : 0};
    ROW_UNROLL for (int i = 0; i < R + (M - 1) * shift; ++i)
        if (S <= 3)
            ROW_UNROLL for (int s = 0; s < S; ++s)
                CF_NAME(tap)(acc, x, i * x_row + col[s], w + s, i, M, V, R, S, shift);
        else
            _Pragma("GCC unroll 1") for (ptrdiff_t s = 0; s < S; ++s)
                CF_NAME(tap)(acc, x, i * x_row + cols[s], w + s, i, M, V, R, S, shift);
}

/* Taps [s, end) of input row x, for the output rows [first, last). */
static inline __attribute__((always_inline)) void CF_NAME(taps)(vec acc[ROW_MAX][ROW_MAX], const CF_REAL *const *x,
                                                                ptrdiff_t x_row, const ptrdiff_t *cols,
                                                                const CF_REAL *const *w, ptrdiff_t s, ptrdiff_t end,
                                                                const int first, const int last, const int V)
{
    for (; s < end; ++s) {
        const ptrdiff_t offset = x_row + cols[s];
        vec b[ROW_MAX];
        ROW_UNROLL for (int v = 0; v < V; ++v) b[v] = vec_load(x[v] + offset);
        ROW_UNROLL for (int m = first; m < last; ++m) {
            const vec a = vec_fill(w[m][s]);
            ROW_UNROLL for (int v = 0; v < V; ++v) acc[m][v] += a * b[v];
        }
    }
}

/* A filter of any size: chains end anywhere in a row, for each output row at another place. */
static inline __attribute__((always_inline)) void CF_NAME(rows_any)(vec acc[ROW_MAX][ROW_MAX], const cf_rows *t,
                                                                    const CF_REAL *const *x, const int M, const int V)
{
    const ptrdiff_t R = t->R, S = t->S, shift = t->shift, x_row = t->x_row;
    const CF_REAL *w[ROW_MAX]; /* the filter row that output row m meets next */
    ptrdiff_t left[ROW_MAX];   /* terms until its chain is full */
    vec chains[ROW_MAX * ROW_MAX]; /* the sums of the finished chains; -0 + v is v, whatever its sign */
    ROW_UNROLL for (int m = 0; m < M; ++m) {
        w[m] = t->w, left[m] = CF_CHAIN;
        ROW_UNROLL for (int v = 0; v < V; ++v) chains[m * V + v] = -(vec){0};
    }
    for (ptrdiff_t i = 0; i < R + (M - 1) * shift; ++i) {
        int first = 0, last = 0; /* the output rows that meet this input row */
        ROW_UNROLL for (int m = 0; m < M; ++m) first += i >= m * shift + R, last += i >= m * shift;
        for (ptrdiff_t s = 0, end; s < S; s = end) {
            end = S;
            ROW_UNROLL for (int m = 0; m < M; ++m) {
                if (m < first || m >= last) continue;
                if (__builtin_expect(left[m] == 0, 0)) { /* out of the way of the loop */
                    left[m] = CF_CHAIN;
                    ROW_UNROLL for (int v = 0; v < V; ++v) chains[m * V + v] += acc[m][v], acc[m][v] = (vec){0};
                }
                if (end - s > left[m]) end = s + left[m];
            }
            /* All output rows meet it, or the first m, or all but those; never others, says the contract. gcc 12 keeps
               all pointers in registers where the loop for all rows stands apart. */
            if (first == 0 && last == M) {
                CF_NAME(taps)(acc, x, i * x_row, t->cols, w, s, end, 0, M, V);
            } else {
                ROW_UNROLL for (int m = 1; m < M; ++m) {
                    if (last == m) CF_NAME(taps)(acc, x, i * x_row, t->cols, w, s, end, 0, m, V);
                    if (first == m) CF_NAME(taps)(acc, x, i * x_row, t->cols, w, s, end, m, M, V);
                }
            }
            ROW_UNROLL for (int m = 0; m < M; ++m)
                if (m >= first && m < last) left[m] -= end - s;
        }
        ROW_UNROLL for (int m = 0; m < M; ++m)
            if (m >= first && m < last) w[m] += S;
    }
    ROW_UNROLL for (int m = 0; m < M; ++m)
        ROW_UNROLL for (int v = 0; v < V; ++v) acc[m][v] += chains[m * V + v];
}

static inline __attribute__((always_inline)) void CF_NAME(rows)(const cf_rows *t, const int M, const int V,
                                                                const int R, const int S, const int shift)
{
    const vec bias = vec_fill(*(const CF_REAL *)t->bias);
    CF_REAL *const y = t->y;
    const ptrdiff_t y_row = t->y_row, count = t->count;
    for (const ptrdiff_t *at = t->at, *const end = at + t->tiles * V; at != end; at += V) {
        const CF_REAL *x[ROW_MAX];
        ROW_UNROLL for (int v = 0; v < V; ++v) x[v] = (const CF_REAL *)t->x + at[v];
        vec acc[ROW_MAX][ROW_MAX];
        ROW_UNROLL for (int m = 0; m < M; ++m)
            ROW_UNROLL for (int v = 0; v < V; ++v) acc[m][v] = (vec){0};
        if (R != 0)
            CF_NAME(rows_fixed)(acc, t, x, M, V, R, S, shift);
        else
            CF_NAME(rows_any)(acc, t, x, M, V);

        ROW_UNROLL for (int m = 0; m < M; ++m)
            ROW_UNROLL for (int v = 0; v < V; ++v) acc[m][v] += bias;
        if (t->limits != NULL) {
            const vec lo = vec_fill(((const CF_REAL *)t->limits)[0]), hi = vec_fill(((const CF_REAL *)t->limits)[1]);
            ROW_UNROLL for (int m = 0; m < M; ++m)
                ROW_UNROLL for (int v = 0; v < V; ++v) acc[m][v] = vec_clamp(acc[m][v], lo, hi);
        }
        ROW_UNROLL for (int m = 0; m < M; ++m)
            ROW_UNROLL for (int v = 0; v < V; ++v)
                if (V == 1 && count < LANES)
                    vec_store_first(y + m * y_row, acc[m][v], count);
                else
                    vec_store(y + m * y_row + at[v], acc[m][v]);
    }
}

#undef ROW_MAX
#undef ROW_UNROLL
