/* convfast.h — the kernels of convfast for C, C++ and Cython; convfast.get_include() says where it stands.

   An extension module calls convfast_import() before the first kernel, once in each of its files that call one, where
   it would call import_array(). No function but that one needs the GIL, and any number of threads may call at once.
   There is no library to link with: the functions are pointers, which convfast_import() takes from the convfast that is
   installed.

   Arrays are described, never copied: a pointer, a dtype, four sizes and four strides in bytes, always in the
   logical order (N, C, H, W), whatever the layout in memory. Filters are (K, C/groups, R, S) in the same way.
   Nothing here prints, aborts, keeps a pointer after returning or changes the state of the process.

   Sizes and options are checked where a status says so. Arrays are trusted: that each has the shape and the dtype its
   function asks for, lies in memory that may be read or written, and that no result overlaps itself or an input. */
#ifndef CONVFAST_H
#define CONVFAST_H

#ifndef CF_INSIDE
#include <Python.h>
#endif

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Counts the changes of what stands here: of a struct, an enumerator, a parameter. Functions that come to the end of
   CF_FUNCTIONS are no such change: what was compiled without them goes on running. */
#define CF_ABI 1

/* Declares a function: outside of convfast a pointer to it. */
#ifdef CF_INSIDE
#define CF_FUNCTION(result, name, parameters) typedef result name##_function parameters; name##_function name
#else
#define CF_FUNCTION(result, name, parameters) typedef result name##_function parameters; static name##_function *name
#endif

typedef enum {
    CF_OK = 0,
    CF_NO_MEMORY,      /* workspace or packed filters could not be had */
    CF_TOO_LARGE,      /* a size overflows the address arithmetic */
    CF_EMPTY_WINDOW,   /* a filter or pooling window has no cell */
    CF_EMPTY_OUTPUT,   /* the window is larger than the padded input */
    CF_BAD_GROUPS,     /* groups is below 1 or does not divide C or K */
    CF_BAD_CHANNELS,   /* the filters' C/groups is not the input's */
    CF_NOT_APPLICABLE, /* the algorithm asked for cannot do this job */
    CF_EMPTY_PLANE,    /* there is nothing to pool or to repeat */
    CF_WIDE_PADDING,   /* a pooling window could lie in the padding wholly */
    CF_CROPPED_AWAY,   /* more rows or columns are cropped than there are */
    CF_BAD_OPTION      /* a stride or dilation below 1, a padding or interior that cannot be, no algorithm */
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

/* A bias: K numbers, or none if data is NULL. */
typedef struct {
    const char *data;
    cf_dtype dtype;
    ptrdiff_t stride;
} cf_vector;

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

/* What went wrong, in one sentence. */
CF_FUNCTION(const char *, cf_status_text, (cf_status status));

/* Describes an array without gaps, in memory (N, C, H, W), or (N, H, W, C) with channels_last. Filters: (K, C, R, S),
   or (R, S, C, K). `shape` is in the logical order, whatever the layout. */
CF_FUNCTION(cf_array, cf_images, (void *data, cf_dtype dtype, const ptrdiff_t shape[4], int channels_last));
CF_FUNCTION(cf_array, cf_filters, (void *data, cf_dtype dtype, const ptrdiff_t shape[4], int channels_last));

/* Sizes: from `in` and the padding asked for to `out` and the padding in numbers. */
CF_FUNCTION(cf_status, cf_axis_resolve, (cf_axis *axis, cf_padding padding));
/* From `out` to `in`. */
CF_FUNCTION(cf_status, cf_axis_transpose, (cf_axis *axis, cf_padding padding, ptrdiff_t extra));
/* Stride, dilation and groups 1, no padding, NCHW, precision "highest", algorithm "auto". */
CF_FUNCTION(cf_conv2d_options, cf_conv2d_defaults, (void));
CF_FUNCTION(cf_status, cf_conv2d_geometry, (const cf_conv2d_options *options, const ptrdiff_t x_shape[4],
                                            const ptrdiff_t w_shape[4], cf_conv2d_shape *shape));

/* Convolution. y has the shape of cf_conv2d_geometry and the dtype that its sums are computed in: F32, F64, I32 or I64;
   F16 and BF16 are computed in float32 and rounded once. x, w and bias may have any dtype; they are converted. */
CF_FUNCTION(cf_status, cf_conv2d, (const cf_conv2d_options *options, const cf_array *x, const cf_array *w,
                                   cf_vector bias, const cf_array *y));
/* What would be done, for a y of dtype `compute`; nothing is computed. */
CF_FUNCTION(cf_status, cf_conv2d_explain, (const cf_conv2d_options *options, cf_dtype compute,
                                           const ptrdiff_t x_shape[4], const ptrdiff_t w_shape[4],
                                           cf_conv2d_explanation *explanation));
CF_FUNCTION(const char *, cf_conv2d_algorithm_name, (int index)); /* NULL past the last */

/* The same options, with the algorithm named that "auto" stands for with such an image and such filters, or the member
   of the family that "winograd" stands for. */
CF_FUNCTION(cf_status, cf_conv2d_choose, (const cf_conv2d_options *options, cf_dtype compute,
                                          const ptrdiff_t x_shape[4], const ptrdiff_t w_shape[4],
                                          cf_conv2d_options *chosen));

/* Filters packed once, into memory of the caller. Their format depends on the algorithm, which must be named as
   cf_conv2d_choose does (else CF_NOT_APPLICABLE, 0 bytes). `compute` is the dtype of y. cf_conv2d_packed accepts what
   cf_conv2d_pack wrote in the same process, for the same options, filters and dtype of y. */
CF_FUNCTION(size_t, cf_conv2d_packed_bytes, (const cf_conv2d_options *options, cf_dtype compute,
                                             const ptrdiff_t w_shape[4]));
CF_FUNCTION(cf_status, cf_conv2d_pack, (const cf_conv2d_options *options, cf_dtype compute, const cf_array *w,
                                        void *packed));
CF_FUNCTION(cf_status, cf_conv2d_packed, (const cf_conv2d_options *options, const cf_array *x,
                                          const ptrdiff_t w_shape[4], const void *packed, cf_vector bias,
                                          const cf_array *y));

/* Gradients of sum(grad * conv2d(x, w)). The options are those of the convolution (activation apart); grad has the
   shape of its result, dx and dw have the dtypes that y may have. dx = input_grad + bias, through the activation, is
   conv_transpose2d: there grad may be shorter than the result for dx would be. All sums are exact for integers, which
   wrap. */
CF_FUNCTION(cf_status, cf_conv2d_input_grad, (const cf_conv2d_options *options, const cf_array *grad,
                                              const cf_array *w, cf_vector bias, const cf_array *dx));
CF_FUNCTION(cf_status, cf_conv2d_weight_grad, (const cf_conv2d_options *options, const cf_array *x,
                                               const cf_array *grad, const cf_array *dw));

/* Pooling. Maxima keep the dtype of x; means are computed in the compute type of y: F16, BF16, F32 or F64. */
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

/* Maxima of windows of size[0] x size[1] side by side, without padding, NCHW. */
CF_FUNCTION(cf_pool2d_options, cf_pool2d_defaults, (ptrdiff_t height, ptrdiff_t width));
CF_FUNCTION(cf_status, cf_pool2d_geometry, (const cf_pool2d_options *options, const ptrdiff_t x_shape[4],
                                            cf_axis axes[2]));
CF_FUNCTION(cf_status, cf_pool2d, (const cf_pool2d_options *options, const cf_array *x, const cf_array *y));
/* Where the maxima stand: int64 h*W + w of the first of equals, -1 for a window without a cell. */
CF_FUNCTION(cf_status, cf_max_pool2d_indices, (const cf_pool2d_options *options, const cf_array *x,
                                               const cf_array *indices));
/* Gradients of sum(grad * pool2d(x)), of a dtype that results may have; a maximum's goes to the first of equals. */
CF_FUNCTION(cf_status, cf_max_pool2d_grad, (const cf_pool2d_options *options, const cf_array *x, const cf_array *grad,
                                            const cf_array *dx));
CF_FUNCTION(cf_status, cf_avg_pool2d_grad, (const cf_pool2d_options *options, const cf_array *grad,
                                            const cf_array *dx));

/* y = total over the window where x is the window's maximum, else 0. Sizes are odd; y has the shape of x and its dtype,
   or, of integers, I32 or I64. */
CF_FUNCTION(cf_status, cf_local_max_sum2d, (const ptrdiff_t size[2], int channels_last, const cf_array *x,
                                            const cf_array *y));

/* Padding. pad may be negative: that many rows or columns are cropped, after `interior` values were put between
   neighbours and before anything is added. `value` holds one element's bits; y has the dtype of x. */
typedef struct {
    ptrdiff_t pad[2][2], interior[2];
    cf_padding_mode mode;
    uint64_t value;
} cf_pad2d_options;

CF_FUNCTION(cf_status, cf_pad2d_geometry, (const cf_pad2d_options *options, const ptrdiff_t x_shape[4],
                                           ptrdiff_t out[2]));
CF_FUNCTION(cf_status, cf_pad2d, (const cf_pad2d_options *options, const cf_array *x, const cf_array *y));

/* Columns, described as (N, C, taps, outputs): taps r*S + s, outputs p*Q + q. Both arrays have one dtype. */
CF_FUNCTION(cf_status, cf_im2col, (const cf_axis axes[2], const cf_array *x, const cf_array *cols));
CF_FUNCTION(cf_status, cf_col2im, (const cf_axis axes[2], const cf_array *cols, const cf_array *x));

/* Resampling to the size of y: nearest neighbours of any dtype, or bilinear to F16, BF16, F32 or F64. */
typedef enum { CF_RESIZE_NEAREST, CF_RESIZE_BILINEAR, CF_RESIZE_BILINEAR_CORNERS } cf_resize_mode;
CF_FUNCTION(cf_status, cf_resize2d, (cf_resize_mode mode, const cf_array *x, const cf_array *y));

/* Process */
CF_FUNCTION(void, cf_set_threads, (int n));          /* for the whole process; below 1: back to the default */
CF_FUNCTION(int, cf_get_threads, (void));
CF_FUNCTION(const char *, cf_openmp, (void));        /* "OpenMP 4.5 (201511)", or "off (serial build)" */
CF_FUNCTION(const char *, cf_isa_name, (int index)); /* available ones, lowest first; NULL past the last */
CF_FUNCTION(const char *, cf_isa, (void));

/* All functions, in the order of the table. New ones go to the end. */
#define CF_FUNCTIONS(_) \
    _(cf_status_text) _(cf_images) _(cf_filters) _(cf_axis_resolve) _(cf_axis_transpose) _(cf_conv2d_defaults) \
    _(cf_conv2d_geometry) _(cf_conv2d) _(cf_conv2d_explain) _(cf_conv2d_algorithm_name) _(cf_conv2d_choose) \
    _(cf_conv2d_packed_bytes) _(cf_conv2d_pack) _(cf_conv2d_packed) _(cf_conv2d_input_grad) _(cf_conv2d_weight_grad) \
    _(cf_pool2d_defaults) _(cf_pool2d_geometry) _(cf_pool2d) _(cf_max_pool2d_indices) _(cf_max_pool2d_grad) \
    _(cf_avg_pool2d_grad) _(cf_local_max_sum2d) _(cf_pad2d_geometry) _(cf_pad2d) _(cf_im2col) _(cf_col2im) \
    _(cf_resize2d) _(cf_set_threads) _(cf_get_threads) _(cf_openmp) _(cf_isa_name) _(cf_isa)

typedef struct {
    int abi;
    size_t bytes; /* of the whole struct: how many functions there are */
#define CF_MEMBER(name) name##_function *name;
    CF_FUNCTIONS(CF_MEMBER)
#undef CF_MEMBER
} cf_api;

#ifndef CF_INSIDE
/* Imports convfast and takes its functions: 0, or -1 with an ImportError set. With the GIL. */
static inline int convfast_import(void)
{
    const cf_api *api = (const cf_api *)PyCapsule_Import("convfast._core._C_API", 0);
    if (api == NULL) return -1;
    if (api->abi != CF_ABI) {
        PyErr_Format(PyExc_ImportError, "this module was compiled for ABI %d of convfast, but the convfast installed "
                     "has ABI %d: compile the module again", CF_ABI, api->abi);
        return -1;
    }
    if (api->bytes < sizeof(cf_api)) {
        PyErr_SetString(PyExc_ImportError, "this module was compiled for functions that the convfast installed does "
                        "not have: install a newer one");
        return -1;
    }
#define CF_TAKE(name) name = api->name;
    CF_FUNCTIONS(CF_TAKE)
#undef CF_TAKE
    return 0;
}
#endif

#ifdef __cplusplus
}
#endif

#endif
