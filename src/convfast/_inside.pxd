# csrc/convfast.h and csrc/workspace.h in Cython's words: what only the package itself calls.

from convfast cimport cf_api, cf_conv2d_shape

cdef extern from "convfast.h" nogil:
    const cf_api cf_functions
    int cf_use_isa(const char *name)
    double cf_fma_peak(int threads, double seconds)
    double cf_stream_bandwidth(int threads, size_t bytes, double seconds)
    void cf_naive_conv2d(const cf_conv2d_shape *shape, const ptrdiff_t *stride, const ptrdiff_t *dilation,
                         const float *x, const float *w, float *y)

cdef extern from "workspace.h" nogil:
    void *cf_acquire(size_t bytes)
    void cf_release(void *block)
    void cf_fail_allocation(int nth)
