/* fma_burst.inl.h — the peak: nothing but independent float32 multiply-adds in registers, the limit of every other
   leaf. BURST chains hide the latency of the adders (4 cycles, 2 a cycle: 8 at least). */
#define BURST 12
#define BURST_UNROLL _Pragma("GCC unroll 16")
#define BURST_FLOPS (BURST * 2 * CF_VECTOR_BYTES / (ptrdiff_t)sizeof(float))

static float fma_burst(ptrdiff_t n)
{
    vec_f32 acc[BURST], factor = {0.5f}, term = {1.0f};
    BURST_UNROLL for (int i = 0; i < BURST; ++i) {
        acc[i] = (vec_f32){(float)i};
        __asm__ volatile("" : "+m"(factor), "+m"(term)); /* unknown values: nothing may be folded */
    }
    const vec_f32 a = factor, b = term;
    for (ptrdiff_t round = 0; round < n; ++round)
        BURST_UNROLL for (int i = 0; i < BURST; ++i)
            acc[i] = acc[i] * a + b;
    BURST_UNROLL for (int i = 1; i < BURST; ++i) acc[0] += acc[i];
    return acc[0][0];
}
