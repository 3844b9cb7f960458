/* largest.inl.h — the largest of many sizes, float32; the contract is cf_leaves in table.h. Comparisons that NaN fails
   keep what is there. */

static void largest_of_runs(const float *restrict v, ptrdiff_t runs, ptrdiff_t pitch, ptrdiff_t n,
                            float *restrict sizes)
{
    for (ptrdiff_t i = 0; i < n; ++i) sizes[i] = 0;
    for (ptrdiff_t t = 0; t < runs; ++t, v += pitch)
        for (ptrdiff_t i = 0; i < n; ++i) {
            const float size = __builtin_fabsf(v[i]);
            sizes[i] = size > sizes[i] ? size : sizes[i];
        }
}

static float largest_product(const float *a, const float *b, ptrdiff_t n)
{
    vec most = {0};
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vec product = b == NULL ? vec_load(a + i) : vec_load(a + i) * vec_load(b + i);
        const vec size = (vec)((CF_NAME(mask))product & INT32_MAX); /* without its sign */
        const CF_NAME(mask) above = size > most;
        most = (vec)(((CF_NAME(mask))size & above) | ((CF_NAME(mask))most & ~above));
    }
    float result = 0;
    for (ptrdiff_t l = 0; l < LANES; ++l) result = most[l] > result ? most[l] : result;
    for (; i < n; ++i) {
        const float size = __builtin_fabsf(b == NULL ? a[i] : a[i] * b[i]);
        result = size > result ? size : result;
    }
    return result;
}
