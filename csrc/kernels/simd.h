/* simd.h — the vector words of the leaves, in GNU vector extensions.

   The stub that includes this has checked the compiler's flags and defined CF_VECTOR_BYTES, the width of its ISA.
   A leaf text sets, before it is included,
     CF_REAL    the element type (integers unsigned: they wrap),
     CF_SIGNED  the type in which elements are compared,
   and finds here, for that type:
     LANES            elements of a vector
     vec              a vector in registers
     vec_load(p)      unaligned load          vec_store(p, v)   unaligned store
     vec_fill(s)      all lanes s             vec_clamp(v, lo, hi)  NaN stays NaN
     vec_multiply_add(a, b, sum)  sum + a * b         vec_keeps_sums  1 if that stays in the register of sum
     vec_or_zero(v, w)  v where w is zero, else zero
     vec_store_first(p, v, n)  the first n < LANES lanes */
#if !defined CF_REAL || !defined CF_SIGNED || !defined CF_VECTOR_BYTES
#error "simd.h: define CF_VECTOR_BYTES, CF_REAL and CF_SIGNED first"
#endif

#define LANES ((ptrdiff_t)(CF_VECTOR_BYTES / sizeof(CF_REAL)))

typedef CF_REAL CF_NAME(vec) __attribute__((vector_size(CF_VECTOR_BYTES)));
typedef CF_SIGNED CF_NAME(signed_vec) __attribute__((vector_size(CF_VECTOR_BYTES)));
typedef CF_REAL CF_NAME(unaligned_vec) __attribute__((vector_size(CF_VECTOR_BYTES), aligned(1), may_alias));
typedef __typeof__((CF_NAME(vec)){0} == (CF_NAME(vec)){0}) CF_NAME(mask); /* integers as wide as the elements */
#define vec CF_NAME(vec)

#define vec_load(p) ((vec) * (const CF_NAME(unaligned_vec) *)(p))
#define vec_store(p, v) (*(CF_NAME(unaligned_vec) *)(p) = (v))
/* s - 0, not s + 0, keeps -0; the compiler makes one broadcast of it. */
#define vec_fill(s) ((s) - (vec){0})

/* Comparisons with NaN are false, so NaN is never replaced. */
static inline __attribute__((always_inline)) vec CF_NAME(clamp)(vec v, vec lo, vec hi)
{
    typedef CF_NAME(mask) mask;
    mask below = (mask)((CF_NAME(signed_vec))v < (CF_NAME(signed_vec))lo);
    v = (vec)(((mask)lo & below) | ((mask)v & ~below));
    mask above = (mask)((CF_NAME(signed_vec))v > (CF_NAME(signed_vec))hi);
    return (vec)(((mask)hi & above) | ((mask)v & ~above));
}
#define vec_clamp CF_NAME(clamp)

/* Of a multiply-add in vector extensions gcc may overwrite any operand. In a loop with several terms of many sums it
   then moves the sums from register to register: here they stay. */
#if defined __AVX512F__ || (defined __FMA__ && CF_VECTOR_BYTES <= 32)
#define vec_keeps_sums _Generic((CF_REAL)0, float: 1, double: 1, default: 0)
#define FMA_231(suffix) "vfmadd231" suffix " {%2, %1, %0|%0, %1, %2}"
#else
#define vec_keeps_sums 0
#endif
static inline __attribute__((always_inline)) vec CF_NAME(multiply_add)(vec a, vec b, vec sum)
{
#ifdef FMA_231
    if (_Generic((CF_REAL)0, float: 1, default: 0)) {
        __asm__(FMA_231("ps") : "+v"(sum) : "v"(a), "vm"(b));
        return sum;
    }
    if (_Generic((CF_REAL)0, double: 1, default: 0)) {
        __asm__(FMA_231("pd") : "+v"(sum) : "v"(a), "vm"(b));
        return sum;
    }
#endif
    return sum + a * b;
}
#undef FMA_231
#define vec_multiply_add CF_NAME(multiply_add)

#define vec_or_zero(v, w) ((vec)((CF_NAME(mask))(v) & ((w) == (vec){0})))

/* Two halves that may overlap, or element by element: no store reaches beyond the n. */
static inline __attribute__((always_inline)) void CF_NAME(store_first)(CF_REAL *p, vec v, ptrdiff_t n)
{
    enum { HALF = CF_VECTOR_BYTES / 2 };
    CF_REAL lanes[LANES];
    vec_store(lanes, v);
    if (n >= LANES / 2) {
        __builtin_memcpy(p, lanes, HALF);
        __builtin_memcpy((char *)(p + n) - HALF, (const char *)(lanes + n) - HALF, HALF);
    } else {
        for (ptrdiff_t i = 0; i < n; ++i) p[i] = lanes[i];
    }
}
#define vec_store_first CF_NAME(store_first)
