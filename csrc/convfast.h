/* convfast.h — the door to the kernels, from inside: the functions of the public header as they are, not as pointers,
   and what only the package itself and its tests call. */
#ifndef CF_CONVFAST_H
#define CF_CONVFAST_H

#define CF_INSIDE 1
#include "../src/convfast/include/convfast/convfast.h"

extern const cf_api cf_functions; /* what convfast_import() finds (api.c) */

int cf_use_isa(const char *name); /* 0 if it is not available */

/* For benchmarks: the limits of the moment on the current ISA, and the loops a user would write. */
double cf_fma_peak(int threads, double seconds); /* float32 GFLOPS */
double cf_stream_bandwidth(int threads, size_t bytes, double seconds); /* GB/s over `bytes` of memory, 0 without it */
void cf_naive_conv2d(const cf_conv2d_shape *shape, const ptrdiff_t stride[2], const ptrdiff_t dilation[2],
                     const float *x, const float *w, float *y); /* contiguous float32, one thread */

#endif
