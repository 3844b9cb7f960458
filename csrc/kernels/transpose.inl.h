/* transpose.inl.h — a square of LANES x LANES elements, rows to columns:

     to[j * to_step + i] = from[i * from_step + j],   i, j < LANES,   steps in elements, any alignment.

   Recursive halving: at distance d (LANES / 2, ..., 1) rows i and i + d exchange their off-diagonal blocks of d. */
#if defined __GNUC__ && !defined __clang__
static inline __attribute__((always_inline)) void CF_NAME(exchange)(vec *row, const int d)
{
    if (d >= LANES) return;
    CF_NAME(mask) upper, lower; /* which element of the pair (upper row, lower row) comes where */
    _Pragma("GCC unroll 16") for (int e = 0; e < LANES; ++e) {
        upper[e] = e / d % 2 == 0 ? e : LANES + e - d;
        lower[e] = e / d % 2 == 0 ? e + d : LANES + e;
    }
    _Pragma("GCC unroll 8") for (int pair = 0; pair < LANES / 2; ++pair) {
        const int i = pair / d * 2 * d + pair % d;
        const vec a = row[i], b = row[i + d];
        row[i] = __builtin_shuffle(a, b, upper);
        row[i + d] = __builtin_shuffle(a, b, lower);
    }
}
#endif

static void CF_NAME(transpose)(const void *from, ptrdiff_t from_step, void *to, ptrdiff_t to_step)
{
    const CF_REAL *x = from;
    CF_REAL *y = to;
#if defined __GNUC__ && !defined __clang__
    vec row[LANES];
    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; ++i)
        row[i] = vec_load(x + i * from_step);
    CF_NAME(exchange)(row, 8);
    CF_NAME(exchange)(row, 4);
    CF_NAME(exchange)(row, 2);
    CF_NAME(exchange)(row, 1);
    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; ++i)
        vec_store(y + i * to_step, row[i]);
#else
    for (ptrdiff_t i = 0; i < LANES; ++i)
        for (ptrdiff_t j = 0; j < LANES; ++j) y[j * to_step + i] = x[i * from_step + j];
#endif
}
