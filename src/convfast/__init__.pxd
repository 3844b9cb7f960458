# convfast/convfast.h in Cython's words: `cimport convfast`, and at the top of the module `convfast.convfast_import()`.

from libc.stdint cimport uint64_t

cdef extern from "convfast/convfast.h":
    int convfast_import() except -1

cdef extern from "convfast/convfast.h" nogil:
    ctypedef enum cf_status:
        CF_OK
        CF_NO_MEMORY
        CF_TOO_LARGE
        CF_EMPTY_WINDOW
        CF_EMPTY_OUTPUT
        CF_BAD_GROUPS
        CF_BAD_CHANNELS
        CF_NOT_APPLICABLE
        CF_EMPTY_PLANE
        CF_WIDE_PADDING
        CF_CROPPED_AWAY
        CF_BAD_OPTION

    ctypedef enum cf_dtype:
        CF_BOOL
        CF_I8
        CF_U8
        CF_I16
        CF_U16
        CF_I32
        CF_U32
        CF_I64
        CF_U64
        CF_F16
        CF_BF16
        CF_F32
        CF_F64

    ctypedef enum cf_padding:
        CF_PAD_NUMBERS
        CF_PAD_VALID
        CF_PAD_SAME
        CF_PAD_SAME_LOWER
        CF_PAD_FULL

    ctypedef enum cf_padding_mode:
        CF_MODE_CONSTANT
        CF_MODE_EDGE
        CF_MODE_REFLECT
        CF_MODE_SYMMETRIC
        CF_MODE_WRAP

    ctypedef enum cf_activation:
        CF_ACTIVATION_NONE
        CF_ACTIVATION_RELU
        CF_ACTIVATION_RELU6

    ctypedef enum cf_precision:
        CF_PRECISION_HIGHEST
        CF_PRECISION_HIGH
        CF_PRECISION_MEDIUM

    ctypedef struct cf_api:
        pass

    ctypedef struct cf_array:
        char *data
        cf_dtype dtype
        ptrdiff_t shape[4]
        ptrdiff_t strides[4]

    ctypedef struct cf_vector:
        const char *data
        cf_dtype dtype
        ptrdiff_t stride

    ctypedef struct cf_axis:
        ptrdiff_t size, stride, dilation, pad_before, pad_after, out
        ptrdiff_t in_ "in"

    ctypedef struct cf_conv2d_options:
        ptrdiff_t stride[2]
        ptrdiff_t dilation[2]
        ptrdiff_t pad[2][2]
        ptrdiff_t groups
        cf_padding padding
        cf_padding_mode padding_mode
        cf_activation activation
        cf_precision precision
        int channels_last
        const char *algorithm

    ctypedef struct cf_conv2d_shape:
        ptrdiff_t N, C, K, groups
        cf_axis h, w

    ctypedef struct cf_conv2d_candidate:
        const char *name
        const char *member
        int applies
        const char *reason
        double microseconds

    ctypedef struct cf_conv2d_explanation:
        cf_conv2d_shape shape
        const char *algorithm
        const char *isa
        int threads, candidate_count
        cf_conv2d_candidate candidates[8]
        size_t workspace_bytes, packed_bytes

    const char *cf_status_text(cf_status status)
    cf_array cf_images(void *data, cf_dtype dtype, const ptrdiff_t *shape, int channels_last)
    cf_array cf_filters(void *data, cf_dtype dtype, const ptrdiff_t *shape, int channels_last)
    cf_conv2d_options cf_conv2d_defaults()
    cf_status cf_conv2d_geometry(const cf_conv2d_options *options, const ptrdiff_t *x_shape, const ptrdiff_t *w_shape,
                                 cf_conv2d_shape *shape)
    cf_status cf_conv2d(const cf_conv2d_options *options, const cf_array *x, const cf_array *w, cf_vector bias,
                        const cf_array *y)
    cf_status cf_conv2d_explain(const cf_conv2d_options *options, cf_dtype compute, const ptrdiff_t *x_shape,
                                const ptrdiff_t *w_shape, cf_conv2d_explanation *explanation)
    const char *cf_conv2d_algorithm_name(int index)
    cf_status cf_conv2d_choose(const cf_conv2d_options *options, cf_dtype compute, const ptrdiff_t *x_shape,
                               const ptrdiff_t *w_shape, cf_conv2d_options *chosen)
    size_t cf_conv2d_packed_bytes(const cf_conv2d_options *options, cf_dtype compute, const ptrdiff_t *w_shape)
    cf_status cf_conv2d_pack(const cf_conv2d_options *options, cf_dtype compute, const cf_array *w, void *packed)
    cf_status cf_conv2d_packed(const cf_conv2d_options *options, const cf_array *x, const ptrdiff_t *w_shape,
                               const void *packed, cf_vector bias, const cf_array *y)

    cf_status cf_axis_transpose(cf_axis *axis, cf_padding padding, ptrdiff_t extra)
    cf_status cf_conv2d_input_grad(const cf_conv2d_options *options, const cf_array *grad, const cf_array *w,
                                   cf_vector bias, const cf_array *dx)
    cf_status cf_conv2d_weight_grad(const cf_conv2d_options *options, const cf_array *x, const cf_array *grad,
                                    const cf_array *dw)

    ctypedef enum cf_pool_kind:
        CF_POOL_MAX
        CF_POOL_AVG

    ctypedef struct cf_pool2d_options:
        ptrdiff_t size[2]
        ptrdiff_t stride[2]
        ptrdiff_t dilation[2]
        ptrdiff_t pad[2][2]
        cf_padding padding
        cf_pool_kind kind
        int ceil_mode, count_padding, adaptive, channels_last
        double divisor

    ctypedef struct cf_pad2d_options:
        ptrdiff_t pad[2][2]
        ptrdiff_t interior[2]
        cf_padding_mode mode
        uint64_t value

    ctypedef enum cf_resize_mode:
        CF_RESIZE_NEAREST
        CF_RESIZE_BILINEAR
        CF_RESIZE_BILINEAR_CORNERS

    cf_status cf_axis_resolve(cf_axis *axis, cf_padding padding)
    cf_pool2d_options cf_pool2d_defaults(ptrdiff_t height, ptrdiff_t width)
    cf_status cf_pool2d_geometry(const cf_pool2d_options *options, const ptrdiff_t *x_shape, cf_axis *axes)
    cf_status cf_pool2d(const cf_pool2d_options *options, const cf_array *x, const cf_array *y)
    cf_status cf_max_pool2d_indices(const cf_pool2d_options *options, const cf_array *x, const cf_array *indices)
    cf_status cf_max_pool2d_grad(const cf_pool2d_options *options, const cf_array *x, const cf_array *grad,
                                 const cf_array *dx)
    cf_status cf_avg_pool2d_grad(const cf_pool2d_options *options, const cf_array *grad, const cf_array *dx)
    cf_status cf_local_max_sum2d(const ptrdiff_t *size, int channels_last, const cf_array *x, const cf_array *y)
    cf_status cf_pad2d_geometry(const cf_pad2d_options *options, const ptrdiff_t *x_shape, ptrdiff_t *out)
    cf_status cf_pad2d(const cf_pad2d_options *options, const cf_array *x, const cf_array *y)
    cf_status cf_im2col(const cf_axis *axes, const cf_array *x, const cf_array *cols)
    cf_status cf_col2im(const cf_axis *axes, const cf_array *cols, const cf_array *x)
    cf_status cf_resize2d(cf_resize_mode mode, const cf_array *x, const cf_array *y)

    void cf_set_threads(int n)
    int cf_get_threads()
    const char *cf_openmp()
    const char *cf_isa_name(int index)
    const char *cf_isa()
