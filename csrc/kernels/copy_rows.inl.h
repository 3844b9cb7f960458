/* copy_rows.inl.h — rows of an array, or every nth element of them; the contract is cf_row_copy in table.h. */

/* Every second element of the 2 * LANES - 1 from p on: none behind the last is read. */
static inline __attribute__((always_inline)) vec CF_NAME(every_second)(const CF_REAL *p)
{
    const vec low = vec_load(p), high = vec_load(p + LANES - 1);
#ifdef __clang__
    vec picked;
    for (int i = 0; i < LANES; ++i) picked[i] = 2 * i < LANES ? low[2 * i] : high[2 * i - LANES + 1];
    return picked;
#else
    __typeof__(low < high) which;
    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; ++i) which[i] = 2 * i < LANES ? 2 * i : 2 * i + 1;
    return __builtin_shuffle(low, high, which);
#endif
}

/* to[i] = from[i * step], i < n: whole vectors, the last of which ends with the row and may overlap. */
static inline __attribute__((always_inline)) void CF_NAME(copy_row)(CF_REAL *to, const CF_REAL *from, ptrdiff_t step,
                                                                    ptrdiff_t n)
{
    if (n >= LANES && step == 1) {
        for (ptrdiff_t i = 0; i < n - LANES; i += LANES) vec_store(to + i, vec_load(from + i));
        vec_store(to + n - LANES, vec_load(from + n - LANES));
    } else if (n >= LANES && step == 2) {
        for (ptrdiff_t i = 0; i < n - LANES; i += LANES) vec_store(to + i, CF_NAME(every_second)(from + 2 * i));
        vec_store(to + n - LANES, CF_NAME(every_second)(from + 2 * (n - LANES)));
    } else if (n >= LANES / 2 && step == 1) {
        enum { HALF = CF_VECTOR_BYTES / 2 };
        char last[HALF];
        __builtin_memcpy(last, (const char *)(from + n) - HALF, HALF);
        __builtin_memcpy(to, from, HALF);
        __builtin_memcpy((char *)(to + n) - HALF, last, HALF);
    } else {
        for (ptrdiff_t i = 0; i < n; ++i) to[i] = from[i * step];
    }
}

#define COPY_ROWS(STEP, CONDITION)                                                                     \
    if ((step == (STEP)) && (CONDITION)) {                                                             \
        for (ptrdiff_t row = 0; row < rows; ++row)                                                     \
            CF_NAME(copy_row)(to + row * to_row, from + row * from_row, STEP, count);                  \
        return;                                                                                        \
    }

static void CF_NAME(copy_rows)(const cf_row_copy *t)
{
    CF_REAL *const to = t->to;
    const CF_REAL *const from = t->from;
    const ptrdiff_t to_row = t->to_row, from_row = t->from_row, rows = t->rows, step = t->step, count = t->count;
    COPY_ROWS(1, count >= LANES)
    COPY_ROWS(1, count >= LANES / 2)
    COPY_ROWS(2, count >= LANES)
    COPY_ROWS(step, 1)
}

#undef COPY_ROWS
