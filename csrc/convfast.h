/* convfast.h — the door to the kernels: what Python's extension and every C or Cython caller sees.

   Arrays are described, never copied: a pointer, a dtype, four sizes and four strides in bytes, always in the
   logical order (N, C, H, W), whatever the layout in memory. Filters are (K, C/groups, R, S) in the same way.
   Nothing here prints, aborts, keeps a pointer after returning or changes the state of the process. */
#ifndef CONVFAST_H
#define CONVFAST_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    CF_OK = 0,
    CF_NO_MEMORY,      /* workspace or packed filters could not be had */
    CF_TOO_LARGE,      /* a size overflows the address arithmetic */
    CF_EMPTY_WINDOW,   /* a filter or pooling window has no cell */
    CF_EMPTY_OUTPUT,   /* the window is larger than the padded input */
    CF_BAD_GROUPS,     /* groups does not divide C or K */
    CF_BAD_CHANNELS,   /* the filters' C/groups is not the input's */
    CF_NOT_APPLICABLE, /* the algorithm asked for cannot do this job */
    CF_EMPTY_PLANE,    /* there is nothing to pool or to repeat */
    CF_WIDE_PADDING,   /* a pooling window could lie in the padding wholly */
    CF_CROPPED_AWAY    /* more rows or columns are cropped than there are */
} cf_status;

typedef enum {
    CF_BOOL, CF_I8, CF_U8, CF_I16, CF_U16, CF_I32, CF_U32, CF_I64, CF_U64,
    CF_F16, CF_BF16, CF_F32, CF_F64, CF_DTYPES
} cf_dtype;

typedef struct {
    char *data;
    cf_dtype dtype;
    ptrdiff_t shape[4];
    ptrdiff_t strides[4]; /* bytes; any sign, zero allowed */
} cf_array;

typedef enum { CF_PAD_NUMBERS, CF_PAD_VALID, CF_PAD_SAME, CF_PAD_SAME_LOWER, CF_PAD_FULL } cf_padding;
typedef enum { CF_MODE_CONSTANT, CF_MODE_EDGE, CF_MODE_REFLECT, CF_MODE_SYMMETRIC, CF_MODE_WRAP } cf_padding_mode;
typedef enum { CF_ACTIVATION_NONE, CF_ACTIVATION_RELU, CF_ACTIVATION_RELU6 } cf_activation;
typedef enum { CF_PRECISION_HIGHEST, CF_PRECISION_HIGH, CF_PRECISION_MEDIUM } cf_precision;

/* One axis of a sliding window: how many outputs, and the padding in numbers. */
typedef struct {
    ptrdiff_t in, size, stride, dilation, pad_before, pad_after, out;
} cf_axis;

/* What the caller asks for. pad[axis] is read only with CF_PAD_NUMBERS. [0] is vertical, [1] horizontal. */
typedef struct {
    ptrdiff_t stride[2], dilation[2], pad[2][2], groups;
    cf_padding padding;
    cf_padding_mode padding_mode;
    cf_activation activation;
    cf_precision precision;
    int channels_last;     /* data_format="NHWC" */
    int filters_once;      /* the time to pack filters counts in the choice, which may then differ from Conv2D's */
    const char *algorithm; /* "auto" or a name of cf_conv2d_algorithm_name */
} cf_conv2d_options;

/* Everything resolved: y (N, K, h.out, w.out) = x (N, C, h.in, w.in) * w (K, C/groups, h.size, w.size). */
typedef struct {
    ptrdiff_t N, C, K, groups;
    cf_axis h, w;
} cf_conv2d_shape;

typedef struct {
    const char *name, *member; /* member: of the family "winograd", else "" */
    int applies;
    const char *reason; /* why it does not apply; "" if it does */
    double microseconds; /* estimate for one thread; only the order between candidates is meant */
} cf_conv2d_candidate;

#define CF_CANDIDATES_MAX 8

typedef struct {
    cf_conv2d_shape shape;
    const char *algorithm, *isa;
    int threads, candidate_count;
    cf_conv2d_candidate candidates[CF_CANDIDATES_MAX];
    size_t workspace_bytes, packed_bytes;
} cf_conv2d_explanation;

/* Sizes */
cf_status cf_axis_resolve(cf_axis *axis, cf_padding padding);
cf_status cf_axis_transpose(cf_axis *axis, cf_padding padding, ptrdiff_t extra); /* from `out` to `in` */
cf_status cf_conv2d_geometry(const cf_conv2d_options *options, const ptrdiff_t x_shape[4],
                             const ptrdiff_t w_shape[4], cf_conv2d_shape *shape);

/* Convolution. y has the shape of cf_conv2d_geometry; bias is a one-dimensional view of K numbers or NULL data. */
typedef struct {
    const char *data;
    cf_dtype dtype;
    ptrdiff_t stride;
} cf_vector;

cf_status cf_conv2d(const cf_conv2d_options *options, const cf_array *x, const cf_array *w, cf_vector bias,
                    const cf_array *y);
cf_status cf_conv2d_explain(const cf_conv2d_options *options, cf_dtype compute, const ptrdiff_t x_shape[4],
                            const ptrdiff_t w_shape[4], cf_conv2d_explanation *explanation);
const char *cf_conv2d_algorithm_name(int index); /* NULL past the last */

/* The same options, with the algorithm named that "auto" stands for with such an image and such filters, or the member
   of the family that "winograd" stands for. */
cf_status cf_conv2d_choose(const cf_conv2d_options *options, cf_dtype compute, const ptrdiff_t x_shape[4],
                           const ptrdiff_t w_shape[4], cf_conv2d_options *chosen);

/* Filters packed once. Their format depends on the algorithm, which must be named as above (else CF_NOT_APPLICABLE,
   0 bytes). cf_conv2d_packed accepts what cf_conv2d_pack wrote for the same options and filters on the same ISA. */
size_t cf_conv2d_packed_bytes(const cf_conv2d_options *options, cf_dtype compute, const ptrdiff_t w_shape[4]);
cf_status cf_conv2d_pack(const cf_conv2d_options *options, cf_dtype compute, const cf_array *w, void *packed);
cf_status cf_conv2d_packed(const cf_conv2d_options *options, const cf_array *x, const ptrdiff_t w_shape[4],
                           const void *packed, cf_vector bias, const cf_array *y);

/* Gradients of sum(grad * conv2d(x, w)). The options are those of the convolution (activation apart); grad has the shape
   of its result. dx = input_grad + bias, through the activation, is conv_transpose2d: there grad may be shorter than
   the result for dx would be. All sums are exact for integers, which wrap. */
cf_status cf_conv2d_input_grad(const cf_conv2d_options *options, const cf_array *grad, const cf_array *w,
                               cf_vector bias, const cf_array *dx);
cf_status cf_conv2d_weight_grad(const cf_conv2d_options *options, const cf_array *x, const cf_array *grad,
                                const cf_array *dw);

/* Pooling. Maxima keep the dtype of x; means are computed in the compute type of y (float64 of integers). */
typedef enum { CF_POOL_MAX, CF_POOL_AVG } cf_pool_kind;

typedef struct {
    ptrdiff_t size[2], stride[2], dilation[2], pad[2][2]; /* pad is read only with CF_PAD_NUMBERS */
    cf_padding padding;
    cf_pool_kind kind;
    int ceil_mode;
    int count_padding;     /* a mean counts the cells of the padding */
    double divisor;        /* a mean divides by this; 0: by the cells of its window */
    int adaptive;          /* window i of P covers floor(i*H/P) <= h < ceil((i+1)*H/P); size holds the outputs */
    int channels_last;
} cf_pool2d_options;

cf_status cf_pool2d_geometry(const cf_pool2d_options *options, const ptrdiff_t x_shape[4], cf_axis axes[2]);
cf_status cf_pool2d(const cf_pool2d_options *options, const cf_array *x, const cf_array *y);
/* Where the maxima stand: int64 h*W + w of the first of equals, -1 for a window without a cell. */
cf_status cf_max_pool2d_indices(const cf_pool2d_options *options, const cf_array *x, const cf_array *indices);
/* Gradients of sum(grad * pool2d(x)), of a dtype that results may have; a maximum's goes to the first of equals. */
cf_status cf_max_pool2d_grad(const cf_pool2d_options *options, const cf_array *x, const cf_array *grad,
                             const cf_array *dx);
cf_status cf_avg_pool2d_grad(const cf_pool2d_options *options, const cf_array *grad, const cf_array *dx);

/* y = total over the window where x is the window's maximum, else 0; y has the dtype the totals are computed in. */
cf_status cf_local_max_sum2d(const ptrdiff_t size[2], int channels_last, const cf_array *x, const cf_array *y);

/* Padding. pad may be negative: that many rows or columns are cropped, after `interior` values were put between
   neighbours and before anything is added. `value` holds one element's bits. */
typedef struct {
    ptrdiff_t pad[2][2], interior[2];
    cf_padding_mode mode;
    uint64_t value;
} cf_pad2d_options;

cf_status cf_pad2d_geometry(const cf_pad2d_options *options, const ptrdiff_t x_shape[4], ptrdiff_t out[2]);
cf_status cf_pad2d(const cf_pad2d_options *options, const cf_array *x, const cf_array *y);

/* Columns, described as (N, C, taps, outputs): taps r*S + s, outputs p*Q + q. */
cf_status cf_im2col(const cf_axis axes[2], const cf_array *x, const cf_array *cols);
cf_status cf_col2im(const cf_axis axes[2], const cf_array *cols, const cf_array *x);

/* Resampling to the size of y: nearest neighbours of any dtype, or bilinear in the compute type of y. */
typedef enum { CF_RESIZE_NEAREST, CF_RESIZE_BILINEAR, CF_RESIZE_BILINEAR_CORNERS } cf_resize_mode;
cf_status cf_resize2d(cf_resize_mode mode, const cf_array *x, const cf_array *y);

/* Process */
void cf_set_threads(int n);       /* 0: back to the default */
int cf_get_threads(void);
const char *cf_openmp(void);      /* "OpenMP 4.5 (201511)", or "off (serial build)" */
const char *cf_isa_name(int index); /* available ones, lowest first; NULL past the last */
const char *cf_isa(void);
int cf_use_isa(const char *name); /* 0 if it is not available */

/* For benchmarks: the limits of the moment on the current ISA, and the loops a user would write. */
double cf_fma_peak(int threads, double seconds); /* float32 GFLOPS */
double cf_stream_bandwidth(int threads, size_t bytes, double seconds); /* GB/s over `bytes` of memory, 0 without it */
void cf_naive_conv2d(const cf_conv2d_shape *shape, const ptrdiff_t stride[2], const ptrdiff_t dilation[2],
                     const float *x, const float *w, float *y); /* contiguous float32, one thread */

#endif
