/* naive.c — the convolution everybody writes first: seven loops, one thread. The benchmark's measure of plain C, and
   nothing else: setup.py compiles it with -O2, as a user would.

     y[n,k,p,q] = sum_{c,r,s} x[n, g*C + c, p*stride + r*dilation - pad, q*stride + s*dilation - pad] * w[k,c,r,s]

   with C channels per group and g the group of k. x (N, C*groups, h.in, w.in), w (K, C, h.size, w.size) and
   y (N, K, h.out, w.out) are contiguous float32; cf_conv2d_geometry has made the shape. */
#include "convfast.h"

void cf_naive_conv2d(const cf_conv2d_shape *shape, const ptrdiff_t stride[2], const ptrdiff_t dilation[2],
                     const float *x, const float *w, float *y)
{
    const cf_axis h = shape->h, v = shape->w;
    const ptrdiff_t C = shape->C / shape->groups, K = shape->K / shape->groups;
    for (ptrdiff_t n = 0; n < shape->N; ++n)
        for (ptrdiff_t k = 0; k < shape->K; ++k)
            for (ptrdiff_t p = 0; p < h.out; ++p)
                for (ptrdiff_t q = 0; q < v.out; ++q) {
                    float sum = 0;
                    for (ptrdiff_t c = 0; c < C; ++c)
                        for (ptrdiff_t r = 0; r < h.size; ++r)
                            for (ptrdiff_t s = 0; s < v.size; ++s) {
                                const ptrdiff_t row = p * stride[0] + r * dilation[0] - h.pad_before;
                                const ptrdiff_t column = q * stride[1] + s * dilation[1] - v.pad_before;
                                if (row < 0 || row >= h.in || column < 0 || column >= v.in) continue;
                                sum += x[((n * shape->C + k / K * C + c) * h.in + row) * v.in + column] *
                                       w[((k * C + c) * h.size + r) * v.size + s];
                            }
                    y[((n * shape->K + k) * h.out + p) * v.out + q] = sum;
                }
}
