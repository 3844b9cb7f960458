/* stream_add.inl.h — the bandwidth: y[i] = a[i] + b[i] over n floats, a multiple of 16, in whole vectors. */
static void stream_add(ptrdiff_t n, const float *a, const float *b, float *y)
{
    typedef float stream_vec __attribute__((vector_size(CF_VECTOR_BYTES), aligned(4), may_alias));
    for (ptrdiff_t i = 0; i < n; i += CF_VECTOR_BYTES / (ptrdiff_t)sizeof(float))
        *(stream_vec *)(y + i) = *(const stream_vec *)(a + i) + *(const stream_vec *)(b + i);
}
