/* largest.inl.h — the largest of many sizes, float32; the contract is cf_leaves in table.h. Comparisons that NaN fails
   keep what is there. */

static void largest_of_runs(const float *restrict v, ptrdiff_t runs, ptrdiff_t pitch, ptrdiff_t n, float *restrict sizes)
{
    for (ptrdiff_t i = 0; i < n; ++i) sizes[i] = 0;
    for (ptrdiff_t t = 0; t < runs; ++t, v += pitch)
        for (ptrdiff_t i = 0; i < n; ++i) {
            const float size = __builtin_fabsf(v[i]);
            sizes[i] = size > sizes[i] ? size : sizes[i];
        }
}

/* By running maxima, which become vectors. */
static float largest_product(const float *a, const float *b, ptrdiff_t n)
{
    enum { MAXIMA = 4 * LANES };
    float most[MAXIMA] = {0};
    for (ptrdiff_t i = 0; i < n; i += MAXIMA)
        for (ptrdiff_t j = 0; j < MAXIMA && i + j < n; ++j) {
            const float size = __builtin_fabsf(b == NULL ? a[i + j] : a[i + j] * b[i + j]);
            most[j] = size > most[j] ? size : most[j];
        }
    for (ptrdiff_t j = 1; j < MAXIMA; ++j) most[0] = most[j] > most[0] ? most[j] : most[0];
    return most[0];
}
