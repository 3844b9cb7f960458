/* lines.inl.h — plain loops over lines of numbers, which the compiler turns into vectors for each ISA; the contract is
   cf_line_leaves in table.h. Included once per compute type with CF_REAL, CF_SIGNED and CF_NAME(x) defined. */

static void CF_NAME(add)(void *to, ptrdiff_t stride, const void *from, ptrdiff_t n)
{
    CF_REAL *restrict y = to;
    const CF_REAL *restrict x = from;
    if (stride == 1)
        for (ptrdiff_t i = 0; i < n; ++i) y[i] += x[i];
    else
        for (ptrdiff_t i = 0; i < n; ++i) y[i * stride] += x[i];
}

static void CF_NAME(peaks)(void *to, const void *cells, const void *best, ptrdiff_t n)
{
    CF_REAL *restrict y = to;
    const CF_REAL *restrict x = cells, *restrict most = best;
    for (ptrdiff_t i = 0; i < n; ++i) {
        const CF_REAL value = most[i], same = value;
        y[i] = x[i] == value || value != same ? y[i] : 0;
    }
}

static void CF_NAME(blend)(void *to, const void *a, const void *b, double share, ptrdiff_t n)
{
    CF_REAL *restrict y = to;
    const CF_REAL *restrict near = a, *restrict far = b, t = (CF_REAL)share, rest = (CF_REAL)(1 - share);
    for (ptrdiff_t i = 0; i < n; ++i) y[i] = rest * near[i] + t * far[i];
}

static void CF_NAME(pick_blend)(void *to, const void *from, const ptrdiff_t *near, const ptrdiff_t *far,
                                const void *shares, const void *rests, ptrdiff_t n)
{
    CF_REAL *restrict y = to;
    const CF_REAL *restrict x = from, *restrict share = shares, *restrict rest = rests;
    for (ptrdiff_t i = 0; i < n; ++i)
        y[i] = share[i] == 0 ? x[near[i]] : rest[i] * x[near[i]] + share[i] * x[far[i]];
}

static const cf_line_leaves CF_NAME(lines) = {CF_NAME(add), CF_NAME(peaks), CF_NAME(blend), CF_NAME(pick_blend)};

#undef CF_REAL
#undef CF_SIGNED
#undef CF_NAME
