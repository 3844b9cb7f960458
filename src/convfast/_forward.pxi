# Pooling, padding, columns and sampling: the rest of the forward family. Included by _core.pyx, whose helpers it uses.

cdef object int64 = np.dtype(np.int64)
cdef object float64 = np.dtype(np.float64)
cdef dict RESIZE_MODES = {"nearest": CF_RESIZE_NEAREST, "bilinear": CF_RESIZE_BILINEAR}


cdef int check_rank(str function, int axes, cnp.ndarray x) except -1:
    cdef str forms = "(N, C, H, W), (C, H, W) or (H, W)" if axes == 2 else "(N, C, L), (C, L) or (L,)"
    if not axes <= cnp.PyArray_NDIM(x) <= axes + 2:
        raise errors.bad_rank(function, "x", f"{axes + 2}-, {axes + 1}- or {axes}-dimensional: {forms} "
                              "or the same with the channels last", {"x": (<object>x).shape})
    return 0


cdef dict shape_of(cnp.ndarray x):
    return {"x": (<object>x).shape}


cdef object mean_dtype(cnp.ndarray x):
    """What numpy.mean gives."""
    return float64 if x.dtype.kind in "biu" else x.dtype


@cython.final
cdef class Target:
    """Where a result goes: a new array, `out`, or an array to copy into `out` because that shares memory with x."""
    cdef cnp.ndarray result, filled
    cdef cf_array described

    cdef object finish(self):
        if self.filled is not self.result:
            (<object>self.result)[...] = self.filled
        return self.result


cdef Target target_for(str function, int axes, cnp.ndarray x, bint channels_last, ptrdiff_t P, ptrdiff_t Q,
                       object dtype, object out):
    cdef Target target = Target()
    cdef int rank = cnp.PyArray_NDIM(x)
    cdef Axes where = x_axes(axes, rank, channels_last)
    cdef cf_conv2d_shape shape
    shape.N = 1 if where.of[0] < 0 else cnp.PyArray_DIM(x, where.of[0])
    shape.K = 1 if where.of[1] < 0 else cnp.PyArray_DIM(x, where.of[1])
    shape.h.out, shape.w.out = P, Q
    if out is not None:
        target.result = check_out(function, out, expected_shape(axes, rank, channels_last, &shape), dtype)
    if out is None or np.may_share_memory(out, x):
        target.filled = empty(axes, rank, channels_last, &shape, dtype)
    else:
        target.filled = target.result
    if out is None:
        target.result = target.filled
    describe(target.filled, where, &target.described)
    return target


# Pooling

cdef object pool_failure(cf_status status, str function, const cf_pool2d_options *options, const cf_axis *axes,
                         object padding, dict shapes, const ptrdiff_t *x_shape):
    size = (options.size[0], options.size[1])
    dilation = (options.dilation[0], options.dilation[1])
    if status == CF_EMPTY_PLANE:
        return errors.empty_plane(function, "pool", shapes)
    if status == CF_WIDE_PADDING:
        return errors.wide_padding(function, padding, size, dilation, shapes)
    if status == CF_EMPTY_OUTPUT:
        return errors.empty_pooling(function, (x_shape[2], x_shape[3]), size, dilation, padding, shapes)
    if status == CF_TOO_LARGE:
        return errors.unaddressable(function, shapes)
    return errors.no_memory(function, shapes)


cdef object pooled(str function, int axes, const cf_pool2d_options *options, cnp.ndarray x, object padding,
                   bint with_indices, object out):
    cdef cf_array cx
    cdef cf_axis resolved[2]
    cdef cf_status status
    cdef Target y, indices
    check_rank(function, axes, x)
    describe(x, x_axes(axes, cnp.PyArray_NDIM(x), options.channels_last), &cx)
    resolved[0].in_ = resolved[1].in_ = 0
    status = cf_pool2d_geometry(options, cx.shape, resolved)
    if status != CF_OK:
        raise pool_failure(status, function, options, resolved, padding, shape_of(x), cx.shape)
    dtype = x.dtype if options.kind == CF_POOL_MAX else mean_dtype(x)
    y = target_for(function, axes, x, options.channels_last, resolved[0].out, resolved[1].out, dtype, out)
    if with_indices:
        indices = target_for(function, axes, x, options.channels_last, resolved[0].out, resolved[1].out, int64, None)
        with nogil:
            status = cf_max_pool2d_indices(options, &cx, &indices.described)
    if status == CF_OK:
        with nogil:
            status = cf_pool2d(options, &cx, &y.described)
    if status != CF_OK:
        raise pool_failure(status, function, options, resolved, padding, shape_of(x), cx.shape)
    return (y.finish(), indices.finish()) if with_indices else y.finish()


cdef int parse_windows(str function, int axes, object kernel_size, object stride, object padding, object dilation,
                       object ceil_mode, object data_format, cf_pool2d_options *options) except -1:
    cdef cf_conv2d_options parsed
    cdef int axis, side
    pair(function, "kernel_size", kernel_size, 1, axes, options.size)
    pair(function, "stride", kernel_size if stride is None else stride, 1, axes, options.stride)
    pair(function, "dilation", dilation, 1, axes, options.dilation)
    parse_padding(function, padding, axes, &parsed)
    options.padding = parsed.padding
    for axis in range(2):
        for side in range(2):
            options.pad[axis][side] = parsed.pad[axis][side] if parsed.padding == CF_PAD_NUMBERS else 0
    options.ceil_mode = bool(ceil_mode)
    options.channels_last = word(function, "data_format", data_format, DATA_FORMATS)
    options.count_padding = options.adaptive = 0
    options.divisor = 0
    return 0


cdef int parse_counting(str function, object padding, object count_include_pad, object divisor_override,
                        cf_pool2d_options *options) except -1:
    """What belongs to means only."""
    options.kind = CF_POOL_AVG
    options.count_padding = not isinstance(padding, str) if count_include_pad is None else bool(count_include_pad)
    if divisor_override is not None:
        if isinstance(divisor_override, (bool, str)):
            raise errors.zero_divisor(function, divisor_override)
        try:
            options.divisor = divisor_override
        except (TypeError, ValueError, OverflowError):
            raise errors.zero_divisor(function, divisor_override) from None
        if options.divisor == 0:
            raise errors.zero_divisor(function, divisor_override)
    return 0


def max_pool(str function, int axes, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, data_format,
             out):
    """max_pool2d (axes=2) and max_pool1d (axes=1)."""
    cdef cf_pool2d_options options
    parse_windows(function, axes, kernel_size, stride, padding, dilation, ceil_mode, data_format, &options)
    options.kind = CF_POOL_MAX
    return pooled(function, axes, &options, as_array(function, "x", x), padding, bool(return_indices), out)


def avg_pool(str function, int axes, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override,
             data_format, out):
    """avg_pool2d (axes=2) and avg_pool1d (axes=1)."""
    cdef cf_pool2d_options options
    parse_windows(function, axes, kernel_size, stride, padding, 1, ceil_mode, data_format, &options)
    parse_counting(function, padding, count_include_pad, divisor_override, &options)
    return pooled(function, axes, &options, as_array(function, "x", x), padding, False, out)


def adaptive_pool(str function, str kind, x, output_size, data_format, out=None):
    """adaptive_*_pool2d, and with one window global_*_pool2d and the levels of spatial_pyramid_pool2d."""
    cdef cf_pool2d_options options
    parse_windows(function, 2, 1, 1, 0, 1, False, data_format, &options)
    pair(function, "output_size", output_size, 1, 2, options.size)
    options.adaptive = 1
    options.kind = CF_POOL_MAX if kind == "max" else CF_POOL_AVG
    return pooled(function, 2, &options, as_array(function, "x", x), 0, False, out)


def image_axes(str function, x, data_format):
    """The array of x, and its sizes in the order (N, C, H, W)."""
    cdef cnp.ndarray a = as_array(function, "x", x)
    cdef cf_array ca
    check_rank(function, 2, a)
    describe(a, x_axes(2, cnp.PyArray_NDIM(a), word(function, "data_format", data_format, DATA_FORMATS)), &ca)
    return a, (ca.shape[0], ca.shape[1], ca.shape[2], ca.shape[3])


def pyramid_dtype(cnp.ndarray x, str mode):
    return x.dtype if mode == "max" else mean_dtype(x)


def check_word(str function, str name, value, known):
    """One of the words `known`, or the exception that lists them."""
    word(function, name, value, dict.fromkeys(known, 0))


def local_max_sum2d(x, size, data_format):
    cdef str function = "local_max_sum2d"
    cdef ptrdiff_t sizes[2]
    cdef cf_array cx
    cdef Target y
    cdef cf_status status
    pair(function, "size", size, 1, 2, sizes)
    if sizes[0] % 2 == 0 or sizes[1] % 2 == 0:
        raise errors.even_size(function, size)
    cdef bint channels_last = word(function, "data_format", data_format, DATA_FORMATS)
    cdef cnp.ndarray a = as_array(function, "x", x)
    check_rank(function, 2, a)
    if a.dtype == np.uint64:
        raise errors.no_uint64(function, {"x": a.dtype})
    dtype = np.result_type(a.dtype, int32) if a.dtype.kind in "biu" else a.dtype
    describe(a, x_axes(2, cnp.PyArray_NDIM(a), channels_last), &cx)
    if cx.shape[2] < 1 or cx.shape[3] < 1:
        raise errors.empty_plane(function, "find", shape_of(a))
    y = target_for(function, 2, a, channels_last, cx.shape[2], cx.shape[3], dtype, None)
    with nogil:
        status = cf_local_max_sum2d(sizes, channels_last, &cx, &y.described)
    if status != CF_OK:
        raise (errors.unaddressable if status == CF_TOO_LARGE else errors.no_memory)(function, shape_of(a))
    return y.finish()


# Padding

cdef int fill_bits(str function, object value, cnp.ndarray x, cf_pad2d_options *options) except -1:
    cdef cnp.ndarray filled
    if value is None or isinstance(value, (str, bytes)) or np.iscomplexobj(value):
        raise errors.not_a_fill(function, value, x.dtype)
    try:
        with np.errstate(all="ignore"):
            filled = np.full(1, value, x.dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise errors.bad_fill(function, value, x.dtype, error) from None
    # NumPy stores 300.0 as 44 in uint8, 1.5 as 1, 70000 as infinity in float16.
    if filled[0] != value if x.dtype.kind in "biu" else abs(filled[0]) == np.inf and abs(value) != np.inf:
        raise errors.bad_fill(function, value, x.dtype)
    options.value = 0
    memcpy(&options.value, cnp.PyArray_DATA(filled), cnp.PyArray_ITEMSIZE(x))
    return 0


cdef object padded(str function, cnp.ndarray x, bint channels_last, const cf_pad2d_options *options, object padding,
                   object mode, object out):
    cdef cf_array cx
    cdef ptrdiff_t sizes[2]
    cdef Target y
    describe(x, x_axes(2, cnp.PyArray_NDIM(x), channels_last), &cx)
    cdef cf_status status = cf_pad2d_geometry(options, cx.shape, sizes)
    if status == CF_CROPPED_AWAY:
        raise errors.cropped_away(function, padding, shape_of(x))
    if status == CF_EMPTY_OUTPUT:
        raise errors.empty_padding(function, padding, shape_of(x))
    if status == CF_EMPTY_PLANE:
        raise errors.empty_source(function, mode, shape_of(x))
    if status != CF_OK:
        raise errors.unaddressable(function, shape_of(x))
    y = target_for(function, 2, x, channels_last, sizes[0], sizes[1], x.dtype, out)
    with nogil:
        status = cf_pad2d(options, &cx, &y.described)
    return y.finish()


def pad2d(x, padding, mode, value, interior, kernel_size, stride, dilation, data_format, out):
    cdef str function = "pad2d"
    cdef cf_pad2d_options options
    cdef cf_conv2d_options parsed
    cdef cf_axis axis
    cdef ptrdiff_t sizes[2]
    cdef ptrdiff_t spread
    cdef cf_status status
    cdef int i
    parse_padding(function, padding, 2, &parsed, -PY_SSIZE_T_MAX)
    options.mode = <cf_padding_mode>word(function, "mode", mode, PADDING_MODES)
    pair(function, "interior", interior, 0, 2, options.interior)
    if options.mode != CF_MODE_CONSTANT and (options.interior[0] > 0 or options.interior[1] > 0):
        raise errors.needs_constant(function, interior, mode)
    sizes[0] = sizes[1] = 1
    if kernel_size is not None:
        pair(function, "kernel_size", kernel_size, 1, 2, sizes)
    elif parsed.padding not in (CF_PAD_NUMBERS, CF_PAD_VALID):
        raise errors.needs_kernel(function, padding)
    pair(function, "stride", stride, 1, 2, parsed.stride)
    pair(function, "dilation", dilation, 1, 2, parsed.dilation)
    cdef bint channels_last = word(function, "data_format", data_format, DATA_FORMATS)
    cdef cnp.ndarray a = as_array(function, "x", x)
    check_rank(function, 2, a)
    fill_bits(function, value, a, &options)
    cdef cf_array ca
    describe(a, x_axes(2, cnp.PyArray_NDIM(a), channels_last), &ca)
    for i in range(2):
        if parsed.padding in (CF_PAD_NUMBERS, CF_PAD_VALID):
            options.pad[i][0] = parsed.pad[i][0] if parsed.padding == CF_PAD_NUMBERS else 0
            options.pad[i][1] = parsed.pad[i][1] if parsed.padding == CF_PAD_NUMBERS else 0
            continue
        if ca.shape[2 + i] > 0 and options.interior[i] > PY_SSIZE_T_MAX // ca.shape[2 + i] // 2:
            raise errors.unaddressable(function, shape_of(a))
        spread = ca.shape[2 + i] + max(ca.shape[2 + i] - 1, 0) * options.interior[i]
        axis.in_, axis.size, axis.stride, axis.dilation = spread, sizes[i], parsed.stride[i], parsed.dilation[i]
        axis.pad_before = axis.pad_after = 0
        status = cf_axis_resolve(&axis, parsed.padding)
        if status == CF_TOO_LARGE:
            raise errors.unaddressable(function, shape_of(a))
        options.pad[i][0], options.pad[i][1] = axis.pad_before, axis.pad_after
    return padded(function, a, channels_last, &options, padding, mode, out)


def crop_or_pad2d(x, size, data_format):
    cdef str function = "crop_or_pad2d"
    cdef cf_pad2d_options options
    cdef ptrdiff_t sizes[2]
    cdef ptrdiff_t difference, half
    cdef int i
    pair(function, "size", size, 1, 2, sizes)
    cdef bint channels_last = word(function, "data_format", data_format, DATA_FORMATS)
    cdef cnp.ndarray a = as_array(function, "x", x)
    check_rank(function, 2, a)
    cdef cf_array ca
    describe(a, x_axes(2, cnp.PyArray_NDIM(a), channels_last), &ca)
    options.mode = CF_MODE_CONSTANT
    options.value = 0
    for i in range(2):
        difference = sizes[i] - ca.shape[2 + i]
        half = difference // 2 if difference >= 0 else -(-difference // 2)  # towards zero, as cells are counted
        options.interior[i] = 0
        options.pad[i][0], options.pad[i][1] = half, difference - half
    return padded(function, a, channels_last, &options, size, "constant", None)


# Columns

cdef int window_axes(str function, const cf_conv2d_options *options, const ptrdiff_t *planes, const ptrdiff_t *kernel,
                     cf_axis *axes, dict shapes) except -1:
    """Resolves both axes for windows over (N, C, H, W) planes."""
    cdef ptrdiff_t w[4]
    cdef cf_conv2d_shape shape
    w[0], w[1], w[2], w[3] = 1, planes[1], kernel[0], kernel[1]
    cdef cf_status status = cf_conv2d_geometry(options, planes, w, &shape)
    if status == CF_OK and planes[0] * planes[1] * kernel[0] * kernel[1] * <object>shape.h.out * shape.w.out >= 1 << 57:
        status = CF_TOO_LARGE
    if status != CF_OK:
        raise failure(status, function, options, planes, w, shapes)
    axes[0], axes[1] = shape.h, shape.w
    return 0


cdef int parse_columns(str function, object kernel_size, object stride, object padding, object dilation,
                       object data_format, cf_conv2d_options *options, ptrdiff_t *kernel) except -1:
    pair(function, "kernel_size", kernel_size, 1, 2, kernel)
    return parse_options(function, 2, stride, padding, dilation, 1, data_format, "constant", None, None, "auto", options)


cdef void describe_columns(cnp.ndarray cols, bint channels_last, ptrdiff_t C, ptrdiff_t taps, cf_array *to) noexcept:
    """(N, C*taps, outputs) or (N, outputs, taps*C), with or without N, as (N, C, taps, outputs)."""
    cdef int last = cnp.PyArray_NDIM(cols) - 1
    cdef int outputs = last - 1 if channels_last else last, rows = last if channels_last else last - 1
    cdef ptrdiff_t step = cnp.PyArray_STRIDE(cols, rows)
    to.data = <char *>cnp.PyArray_DATA(cols)
    to.dtype = <cf_dtype>dtype_of(cols)
    to.shape[0], to.shape[1], to.shape[2] = cnp.PyArray_DIM(cols, 0) if last == 2 else 1, C, taps
    to.shape[3] = cnp.PyArray_DIM(cols, outputs)
    to.strides[0] = cnp.PyArray_STRIDE(cols, 0) if last == 2 else 0
    to.strides[1] = step if channels_last else taps * step
    to.strides[2] = C * step if channels_last else step
    to.strides[3] = cnp.PyArray_STRIDE(cols, outputs)


def im2col(x, kernel_size, stride, padding, dilation, data_format):
    cdef str function = "im2col"
    cdef cf_conv2d_options options
    cdef ptrdiff_t kernel[2]
    cdef cf_axis axes[2]
    cdef cf_array cx, ccols
    parse_columns(function, kernel_size, stride, padding, dilation, data_format, &options, kernel)
    cdef cnp.ndarray a = as_array(function, "x", x), cols
    check_rank(function, 2, a)
    describe(a, x_axes(2, cnp.PyArray_NDIM(a), options.channels_last), &cx)
    window_axes(function, &options, cx.shape, kernel, axes, shape_of(a))
    cdef ptrdiff_t taps = kernel[0] * kernel[1], outputs = axes[0].out * axes[1].out
    shape = (outputs, taps * cx.shape[1]) if options.channels_last else (cx.shape[1] * taps, outputs)
    cols = np.empty((cx.shape[0], *shape) if cnp.PyArray_NDIM(a) == 4 else shape, a.dtype)
    describe_columns(cols, options.channels_last, cx.shape[1], taps, &ccols)
    with nogil:
        cf_im2col(axes, &cx, &ccols)
    return cols


def col2im(cols, output_size, kernel_size, stride, padding, dilation, data_format):
    cdef str function = "col2im"
    cdef cf_conv2d_options options
    cdef ptrdiff_t kernel[2]
    cdef ptrdiff_t plane[2]
    cdef ptrdiff_t planes[4]
    cdef cf_axis axes[2]
    cdef cf_array cx, ccols
    cdef cf_status status
    parse_columns(function, kernel_size, stride, padding, dilation, data_format, &options, kernel)
    pair(function, "output_size", output_size, 1, 2, plane)
    cdef cnp.ndarray a = as_array(function, "cols", cols), image
    shapes = {"cols": (<object>a).shape}
    cdef int rank = cnp.PyArray_NDIM(a), last = rank - 1
    if rank not in (2, 3):
        raise errors.bad_rank(function, "cols", "3-dimensional, or 2-dimensional without N", shapes)
    planes[0], planes[1], planes[2], planes[3] = cnp.PyArray_DIM(a, 0) if rank == 3 else 1, 0, plane[0], plane[1]
    window_axes(function, &options, planes, kernel, axes, shapes)
    taps, outputs = <object>kernel[0] * kernel[1], <object>axes[0].out * axes[1].out
    rows = cnp.PyArray_DIM(a, last if options.channels_last else last - 1)
    if rows % taps != 0 or cnp.PyArray_DIM(a, last - 1 if options.channels_last else last) != outputs:
        raise errors.bad_columns(function, shapes["cols"], taps, outputs, data_format)
    planes[1] = rows // taps
    window_axes(function, &options, planes, kernel, axes, shapes)
    shape = (planes[2], planes[3], planes[1]) if options.channels_last else (planes[1], planes[2], planes[3])
    image = np.empty((planes[0], *shape) if rank == 3 else shape, a.dtype)
    describe(image, x_axes(2, rank + 1, options.channels_last), &cx)
    describe_columns(a, options.channels_last, planes[1], taps, &ccols)
    with nogil:
        status = cf_col2im(axes, &ccols, &cx)
    if status != CF_OK:
        raise errors.no_memory(function, shapes)
    return image


# Sampling

cdef int scaled(str function, object scale, const ptrdiff_t *x_shape, ptrdiff_t *to, dict shapes) except -1:
    """floor(scale * size) for both axes."""
    cdef double factor, wanted
    cdef int i
    if isinstance(scale, np.ndarray):
        scale = scale.tolist()
    both = scale if isinstance(scale, (tuple, list)) else (scale, scale)
    if len(both) != 2:
        raise errors.bad_scale(function, scale)
    for i in range(2):
        if isinstance(both[i], (bool, str, bytes)):
            raise errors.bad_scale(function, scale)
        try:
            factor = both[i]
        except (TypeError, ValueError, OverflowError):
            raise errors.bad_scale(function, scale) from None
        if not 0 < factor < np.inf:
            raise errors.bad_scale(function, scale)
        wanted = factor * x_shape[2 + i] // 1
        if not 1 <= wanted < 2.0 ** 57:
            raise errors.small_scale(function, scale, shapes)
        to[i] = <ptrdiff_t>wanted
    return 0


def resize2d(x, size_value, scale, mode, align_corners, data_format):
    cdef str function = "resize2d"
    cdef ptrdiff_t sizes[2]
    cdef cf_array cx
    cdef Target y
    cdef cf_status status
    cdef cf_resize_mode kind = <cf_resize_mode>word(function, "mode", mode, RESIZE_MODES)
    cdef bint channels_last = word(function, "data_format", data_format, DATA_FORMATS)
    if (size_value is None) == (scale is None):
        raise errors.size_or_scale(function, size_value, scale)
    if align_corners and kind == CF_RESIZE_NEAREST:
        raise errors.corners_of_nearest(function)
    if align_corners:
        kind = CF_RESIZE_BILINEAR_CORNERS
    cdef cnp.ndarray a = as_array(function, "x", x)
    check_rank(function, 2, a)
    describe(a, x_axes(2, cnp.PyArray_NDIM(a), channels_last), &cx)
    if cx.shape[2] < 1 or cx.shape[3] < 1:
        raise errors.empty_plane(function, "resample", shape_of(a))
    if size_value is not None:
        pair(function, "size", size_value, 1, 2, sizes)
    else:
        scaled(function, scale, cx.shape, sizes, shape_of(a))
    if cx.shape[0] * <object>cx.shape[1] * sizes[0] * sizes[1] >= 1 << 57:
        raise errors.unaddressable(function, shape_of(a))
    y = target_for(function, 2, a, channels_last, sizes[0], sizes[1],
                   a.dtype if kind == CF_RESIZE_NEAREST else mean_dtype(a), None)
    with nogil:
        status = cf_resize2d(kind, &cx, &y.described)
    if status != CF_OK:
        raise errors.no_memory(function, shape_of(a))
    return y.finish()
