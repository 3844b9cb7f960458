/* dispatch.c — the staircase of ISAs, and the table in use.

   A table is available if the build has it and both CPU and operating system support it: __builtin_cpu_supports
   reads XCR0 too. setup.py defines CF_HAVE_<ISA> for the libraries it builds. */
#include "dispatch.h"

#include "convfast.h"

#include <stdatomic.h>
#include <string.h>

extern const cf_kernels cf_kernels_baseline;
#ifdef CF_HAVE_NEON
extern const cf_kernels cf_kernels_neon;
#endif
#ifdef CF_HAVE_AVX2
extern const cf_kernels cf_kernels_avx2;
#endif
#ifdef CF_HAVE_AVX512
extern const cf_kernels cf_kernels_avx512;
#endif

#define ISAS_MAX 4
static const cf_kernels *available[ISAS_MAX + 1] = {&cf_kernels_baseline};
static _Atomic(const cf_kernels *) now;

static void climb(void)
{
    int count = 1;
#ifdef CF_HAVE_NEON
    available[count++] = &cf_kernels_neon;
#endif
#ifdef CF_HAVE_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) available[count++] = &cf_kernels_avx2;
#endif
#ifdef CF_HAVE_AVX512
#ifdef CF_EMULATE
    available[count++] = &cf_kernels_avx512;
#else
    if (count == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        available[count++] = &cf_kernels_avx512;
#endif
#endif
    atomic_store(&now, available[count - 1]);
}

const cf_kernels *cf_kernels_now(void)
{
    const cf_kernels *kernels = atomic_load_explicit(&now, memory_order_relaxed);
    if (kernels == NULL) {
        climb();
        kernels = atomic_load(&now);
    }
    return kernels;
}

const char *cf_isa_name(int index)
{
    cf_kernels_now();
    return index >= 0 && index < ISAS_MAX && available[index] != NULL ? available[index]->name : NULL;
}

const char *cf_isa(void) { return cf_kernels_now()->name; }

int cf_use_isa(const char *name)
{
    cf_kernels_now();
    for (int i = 0; available[i] != NULL; ++i)
        if (strcmp(available[i]->name, name) == 0) {
            atomic_store(&now, available[i]);
            return 1;
        }
    return 0;
}
