# The door's part for gradients and transposed convolution; included by _core.pyx.

cdef tuple shape_at(int rank, Axes where, const ptrdiff_t *sizes):
    """Sizes in logical order as the shape of an array."""
    cdef list dims = [0] * rank
    cdef int i
    for i in range(4):
        if where.of[i] >= 0:
            dims[where.of[i]] = sizes[i]
    return tuple(dims)


cdef cnp.ndarray grad_target(str function, object out, tuple shape, object dtype, tuple inputs):
    """Where the kernel writes: a new array, or `out` unless it shares memory with an input."""
    if out is None:
        target = np.empty(shape, dtype)
        if dtype_of(target) < 0:
            raise errors.bad_dtype(function, "the result", dtype)
        return target
    check_out(function, out, shape, dtype)
    if any(np.may_share_memory(out, value) for value in inputs if value is not None):
        return np.empty(shape, dtype)
    return out


cdef object deliver(cnp.ndarray target, object out):
    if out is None or out is target:
        return target
    out[...] = target
    return out


cdef int check_grad(str function, cnp.ndarray grad, int rank, Axes where, const cf_conv2d_shape *shape,
                    dict shapes) except -1:
    cdef ptrdiff_t sizes[4]
    sizes[0], sizes[1], sizes[2], sizes[3] = shape.N, shape.K, shape.h.out, shape.w.out
    expected = shape_at(rank, where, sizes)
    if (<object>grad).shape != expected:
        raise errors.bad_grad(function, expected, shapes)
    return 0


def conv2d_input_grad(grad_value, w_value, input_shape, stride, padding, dilation, groups, data_format, padding_mode,
                      precision, out):
    cdef str function = "conv2d_input_grad"
    cdef cf_conv2d_options options
    parse_options(function, 2, stride, padding, dilation, groups, data_format, padding_mode, None, precision, "auto",
                  &options)
    cdef cnp.ndarray grad = as_array(function, "grad", grad_value), w = as_array(function, "w", w_value)
    if not isinstance(input_shape, (tuple, list)):
        raise errors.bad_shape(function, "input_shape", input_shape)
    cdef int rank = len(input_shape)
    cdef dict shapes = {"x": input_shape, "w": (<object>w).shape, "grad": (<object>grad).shape}
    if not ranks_fit(2, rank, cnp.PyArray_NDIM(w)):
        raise errors.bad_ranks(function, 2, shapes)
    cdef Axes where = x_axes(2, rank, options.channels_last)
    cdef cf_array cgrad, cw, cdx
    cdef cf_conv2d_shape shape
    cdef ptrdiff_t sizes[4]
    parse_shape(function, "input_shape", input_shape, x_axes, 2, options.channels_last, sizes)
    describe(w, w_axes(2, cnp.PyArray_NDIM(w), options.channels_last), &cw)
    cdef cf_status status = cf_conv2d_geometry(&options, sizes, cw.shape, &shape)
    if status != CF_OK:
        raise failure(status, function, &options, sizes, cw.shape, shapes)
    check_grad(function, grad, rank, where, &shape, shapes)
    cdef cnp.ndarray target = grad_target(function, out, shape_at(rank, where, sizes),
                                         result_dtype(function, {"grad": grad, "w": w}), (grad, w))
    describe(grad, where, &cgrad)
    describe(target, where, &cdx)
    cdef cf_vector none = vector_of(None)
    with nogil:
        status = cf_conv2d_input_grad(&options, &cgrad, &cw, none, &cdx)
    if status != CF_OK:
        raise failure(status, function, &options, sizes, cw.shape, shapes)
    return deliver(target, out)


def conv2d_weight_grad(x_value, grad_value, kernel_size, stride, padding, dilation, groups, data_format, padding_mode,
                       precision, out):
    cdef str function = "conv2d_weight_grad"
    cdef cf_conv2d_options options
    parse_options(function, 2, stride, padding, dilation, groups, data_format, padding_mode, None, precision, "auto",
                  &options)
    cdef cnp.ndarray x = as_array(function, "x", x_value), grad = as_array(function, "grad", grad_value)
    cdef int rank = cnp.PyArray_NDIM(x), w_rank = 2 if rank == 2 else 4
    cdef dict shapes = {"x": (<object>x).shape, "grad": (<object>grad).shape}
    if not ranks_fit(2, rank, w_rank):
        raise errors.bad_ranks(function, 2, shapes)
    if cnp.PyArray_NDIM(grad) != rank:
        raise errors.bad_rank(function, "grad", f"{rank}-dimensional like x", shapes)
    cdef Axes where = x_axes(2, rank, options.channels_last)
    cdef cf_array cx, cgrad, cdw
    cdef cf_conv2d_shape shape
    cdef ptrdiff_t sizes[4]
    describe(x, where, &cx)
    describe(grad, where, &cgrad)
    sizes[0], sizes[1] = cgrad.shape[1], cx.shape[1] // options.groups
    pair(function, "kernel_size", kernel_size, 1, 2, sizes + 2)
    cdef cf_status status = cf_conv2d_geometry(&options, cx.shape, sizes, &shape)
    if status != CF_OK:
        raise failure(status, function, &options, cx.shape, sizes, shapes)
    check_grad(function, grad, rank, where, &shape, shapes)
    cdef Axes w_where = w_axes(2, w_rank, options.channels_last)
    cdef cnp.ndarray target = grad_target(function, out, shape_at(w_rank, w_where, sizes),
                                         result_dtype(function, {"x": x, "grad": grad}), (x, grad))
    describe(target, w_where, &cdw)
    with nogil:
        status = cf_conv2d_weight_grad(&options, &cx, &cgrad, &cdw)
    if status != CF_OK:
        raise failure(status, function, &options, cx.shape, sizes, shapes)
    return deliver(target, out)


cdef int transpose_axes(str function, const cf_array *x, const cf_array *w, object padding, object output_padding,
                        cf_conv2d_options *options, cf_axis *axes, dict shapes) except -1:
    """The plane that x grows to, and the padding in numbers."""
    cdef ptrdiff_t extra[2]
    cdef int i
    cdef cf_status status
    pair(function, "output_padding", output_padding, 0, 2, extra)
    cdef bint same = options.padding == CF_PAD_SAME or options.padding == CF_PAD_SAME_LOWER
    for i in range(2):
        if (same and extra[i] > 0) or (extra[i] > 0 and extra[i] >= max(options.stride[i], options.dilation[i])):
            raise errors.bad_output_padding(
                function, (extra[0], extra[1]), (options.stride[0], options.stride[1]),
                (options.dilation[0], options.dilation[1]), padding if same else None)
    for i in range(2):
        axes[i].out, axes[i].size = x.shape[2 + i], w.shape[2 + i]
        axes[i].stride, axes[i].dilation = options.stride[i], options.dilation[i]
        axes[i].pad_before, axes[i].pad_after = options.pad[i][0], options.pad[i][1]
        status = cf_axis_transpose(&axes[i], options.padding, extra[i])
        if status == CF_EMPTY_OUTPUT:
            raise errors.empty_transpose(
                function, (x.shape[2], x.shape[3]), padding, (w.shape[2], w.shape[3]),
                (options.stride[0], options.stride[1]), (options.dilation[0], options.dilation[1]),
                (extra[0], extra[1]), shapes)
        if status != CF_OK:
            raise failure(status, function, options, x.shape, w.shape, shapes)
    for i in range(2):
        options.pad[i][0], options.pad[i][1] = axes[i].pad_before, axes[i].pad_after
    options.padding = CF_PAD_NUMBERS
    return 0


def conv_transpose2d(x_value, w_value, bias_value, stride, padding, output_padding, dilation, groups, data_format,
                     activation, precision, out):
    cdef str function = "conv_transpose2d"
    cdef cf_conv2d_options options
    parse_options(function, 2, stride, padding, dilation, groups, data_format, "constant", activation, precision, "auto",
                  &options)
    cdef cnp.ndarray x = as_array(function, "x", x_value), w = as_array(function, "w", w_value), bias
    cdef int rank = cnp.PyArray_NDIM(x)
    cdef dict shapes = {"x": (<object>x).shape, "w": (<object>w).shape}
    if not ranks_fit(2, rank, cnp.PyArray_NDIM(w)):
        raise errors.bad_ranks(function, 2, shapes)
    cdef Axes where = x_axes(2, rank, options.channels_last)
    cdef cf_array cx, cw, cy
    cdef cf_axis axes[2]
    cdef cf_conv2d_shape shape
    cdef ptrdiff_t sizes[4]
    describe(x, where, &cx)
    describe(w, w_axes(2, cnp.PyArray_NDIM(w), options.channels_last), &cw)
    if cw.shape[0] != cx.shape[1] or cx.shape[1] % options.groups != 0:
        raise errors.transposed_channels(function, cx.shape[1], options.groups, cw.shape[0], shapes)
    transpose_axes(function, &cx, &cw, padding, output_padding, &options, axes, shapes)
    sizes[0], sizes[1], sizes[2], sizes[3] = cx.shape[0], cw.shape[1] * options.groups, axes[0].in_, axes[1].in_
    cdef cf_status status = cf_conv2d_geometry(&options, sizes, cw.shape, &shape)
    if status != CF_OK:
        raise failure(status, function, &options, sizes, cw.shape, shapes)
    bias = as_bias(function, bias_value, sizes[1], shapes)
    cdef cnp.ndarray target = grad_target(function, out, shape_at(rank, where, sizes),
                                         result_dtype(function, {"x": x, "w": w}), (x, w, bias))
    describe(target, where, &cy)
    cdef cf_vector vector = vector_of(bias)
    with nogil:
        status = cf_conv2d_input_grad(&options, &cx, &cw, vector, &cy)
    if status != CF_OK:
        raise failure(status, function, &options, sizes, cw.shape, shapes)
    return deliver(target, out)


# Pooling

cdef object pool_grad(str function, cf_pool2d_options *options, object grad_value, object x_value, object input_shape,
                      object padding, object out):
    """Of maxima in x, or of means over an input of `input_shape`."""
    cdef cnp.ndarray grad = as_array(function, "grad", grad_value), x = None, target
    cdef cf_array cx, cgrad, cdx
    cdef cf_axis axes[2]
    cdef ptrdiff_t sizes[4]
    cdef ptrdiff_t outputs[4]
    cdef int rank
    cdef bint maxima = options.kind == CF_POOL_MAX
    if maxima:
        x = as_array(function, "x", x_value)
        input_shape = (<object>x).shape
    if not isinstance(input_shape, (tuple, list)):
        raise errors.bad_shape(function, "input_shape", input_shape)
    rank = len(input_shape)
    cdef dict shapes = {"x": tuple(input_shape), "grad": (<object>grad).shape}
    if not ranks_fit(2, rank, 2 if rank == 2 else 4):
        raise errors.bad_ranks(function, 2, shapes)
    cdef Axes where = x_axes(2, rank, options.channels_last)
    parse_shape(function, "input_shape", input_shape, x_axes, 2, options.channels_last, sizes)
    axes[0].in_ = axes[1].in_ = 0
    cdef cf_status status = cf_pool2d_geometry(options, sizes, axes)
    if status != CF_OK:
        raise pool_failure(status, function, options, axes, padding, shapes, sizes)
    outputs[0], outputs[1], outputs[2], outputs[3] = sizes[0], sizes[1], axes[0].out, axes[1].out
    expected = shape_at(rank, where, outputs)
    if (<object>grad).shape != expected:
        raise errors.bad_grad(function, expected, shapes)
    dtype = result_dtype(function, {"grad": grad}) if maxima else mean_dtype(grad)
    target = grad_target(function, out, shape_at(rank, where, sizes), dtype, (grad, x))
    describe(grad, where, &cgrad)
    describe(target, where, &cdx)
    if maxima:
        describe(x, where, &cx)
    with nogil:
        status = (cf_max_pool2d_grad(options, &cx, &cgrad, &cdx) if maxima
                  else cf_avg_pool2d_grad(options, &cgrad, &cdx))
    if status != CF_OK:
        raise pool_failure(status, function, options, axes, padding, shapes, sizes)
    return deliver(target, out)


def max_pool2d_grad(grad, x, kernel_size, stride, padding, dilation, ceil_mode, data_format, out):
    cdef cf_pool2d_options options
    parse_windows("max_pool2d_grad", 2, kernel_size, stride, padding, dilation, ceil_mode, data_format, &options)
    options.kind = CF_POOL_MAX
    return pool_grad("max_pool2d_grad", &options, grad, x, None, padding, out)


def avg_pool2d_grad(grad, input_shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override,
                    data_format, out):
    cdef cf_pool2d_options options
    parse_windows("avg_pool2d_grad", 2, kernel_size, stride, padding, 1, ceil_mode, data_format, &options)
    parse_counting("avg_pool2d_grad", padding, count_include_pad, divisor_override, &options)
    return pool_grad("avg_pool2d_grad", &options, grad, None, input_shape, padding, out)
