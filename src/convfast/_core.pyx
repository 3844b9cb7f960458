# The door: the only file that knows both Python and C. It parses arguments, calls the kernels, turns a status into an
# exception. What went wrong is said by errors.py, on the slow path only.

cimport cython
cimport numpy as cnp
from cpython.long cimport PyLong_CheckExact
from cpython.number cimport PyIndex_Check
from cpython.pycapsule cimport PyCapsule_New
from cpython.unicode cimport PyUnicode_Check
from libc.string cimport memcpy

from convfast cimport *
from convfast._inside cimport *

import sys

import numpy as np

from convfast import errors

cnp.import_array()

cdef extern from "Python.h":
    Py_ssize_t PyNumber_AsSsize_t(object o, object exception) except? -1
    const Py_ssize_t PY_SSIZE_T_MAX

cdef dict PADDINGS = {"valid": CF_PAD_VALID, "same": CF_PAD_SAME, "same_lower": CF_PAD_SAME_LOWER, "full": CF_PAD_FULL}
cdef dict PADDING_MODES = {"constant": CF_MODE_CONSTANT, "edge": CF_MODE_EDGE, "reflect": CF_MODE_REFLECT,
                           "symmetric": CF_MODE_SYMMETRIC, "wrap": CF_MODE_WRAP}
cdef dict ACTIVATIONS = {None: CF_ACTIVATION_NONE, "relu": CF_ACTIVATION_RELU, "relu6": CF_ACTIVATION_RELU6}
cdef dict PRECISIONS = {"highest": CF_PRECISION_HIGHEST, "high": CF_PRECISION_HIGH, "medium": CF_PRECISION_MEDIUM}
cdef dict DATA_FORMATS = {"NCHW": 0, "NHWC": 1}
cdef dict ALGORITHMS = {"auto": b"auto"}
cdef int index = 0
while cf_conv2d_algorithm_name(index) != NULL:
    ALGORITHMS[cf_conv2d_algorithm_name(index).decode()] = <bytes>cf_conv2d_algorithm_name(index)
    index += 1

cdef object int32 = np.dtype(np.int32)
cdef str process_precision = "highest"


# Words and sizes

cdef long word(str function, str name, object value, dict known) except -1:
    try:
        return known[value]
    except (KeyError, TypeError):
        raise errors.unknown_word(function, name, value, known) from None


cdef bint is_integer(object value):
    if PyLong_CheckExact(value):
        return True
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in "iu"
    return PyIndex_Check(value) and not isinstance(value, (bool, np.bool))


cdef Py_ssize_t size(str function, str name, object value, Py_ssize_t least, object whole, str form) except? -1:
    """One integer of the argument `whole`."""
    cdef Py_ssize_t n
    if is_integer(value):
        try:
            n = PyNumber_AsSsize_t(value, OverflowError)
        except OverflowError:
            raise errors.not_a_size(function, name, whole, least, form) from None
        if n >= least:
            return n
    raise errors.not_a_size(function, name, whole, least, form)


cdef int pair(str function, str name, object value, Py_ssize_t least, int axes, ptrdiff_t *to) except -1:
    """An integer for both axes, or (h, w); with one axis (conv1d) an integer, or a tuple of one."""
    cdef str form = "an integer or a pair (h, w) of integers" if axes == 2 else "an integer"
    if is_integer(value):
        to[1] = size(function, name, value, least, value, form)
        to[0] = to[1] if axes == 2 else min(least, 1)
        return 0
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = tuple(value.tolist())
    if isinstance(value, (tuple, list)) and len(value) == axes:
        to[0] = size(function, name, value[0], least, value, form) if axes == 2 else min(least, 1)
        to[1] = size(function, name, value[axes - 1], least, value, form)
        return 0
    raise errors.not_a_size(function, name, value, least, form)


cdef int parse_padding(str function, object value, int axes, cf_conv2d_options *options,
                       Py_ssize_t least=0) except -1:
    cdef str form
    cdef ptrdiff_t both[2]
    cdef int axis, side
    cdef Py_ssize_t n
    if PyUnicode_Check(value):
        found = PADDINGS.get(value.lower())
        if found is None:
            raise errors.unknown_word(function, "padding", value, PADDINGS)
        options.padding = found
        return 0
    options.padding = CF_PAD_NUMBERS
    options.pad[0][0] = options.pad[0][1] = 0
    form = ("an integer, (h, w), ((top, bottom), (left, right)) or a word" if axes == 2
            else "an integer, (left, right) or a word")
    if is_integer(value):
        n = size(function, "padding", value, least, value, form)
        options.pad[1][0] = options.pad[1][1] = n
        if axes == 2:
            options.pad[0][0] = options.pad[0][1] = n
        return 0
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (tuple, list)):
        if axes == 1 and len(value) == 1 and isinstance(value[0], (tuple, list)):
            return parse_padding(function, value[0], axes, options, least)
        if len(value) == 2:
            if axes == 1:
                for side in range(2):
                    options.pad[1][side] = size(function, "padding", value[side], least, value, form)
                return 0
            sides = [item if isinstance(item, (tuple, list)) else (item, item) for item in value]
            mixed = isinstance(value[0], (tuple, list)) != isinstance(value[1], (tuple, list))
            if mixed or len(sides[0]) != 2 or len(sides[1]) != 2:
                raise errors.not_a_size(function, "padding", value, least, form)
            for axis in range(2):
                for side in range(2):
                    options.pad[axis][side] = size(function, "padding", sides[axis][side], least, value, form)
            return 0
    raise errors.not_a_size(function, "padding", value, least, form)


cdef int parse_options(str function, int axes, object stride, object padding, object dilation, object groups,
                       object data_format, object padding_mode, object activation, object precision, object algorithm,
                       cf_conv2d_options *options) except -1:
    pair(function, "stride", stride, 1, axes, options.stride)
    parse_padding(function, padding, axes, options)
    pair(function, "dilation", dilation, 1, axes, options.dilation)
    options.groups = size(function, "groups", groups, 1, groups, "an integer")
    options.channels_last = word(function, "data_format", data_format, DATA_FORMATS)
    options.padding_mode = <cf_padding_mode>word(function, "padding_mode", padding_mode, PADDING_MODES)
    options.activation = <cf_activation>word(function, "activation", activation, ACTIVATIONS)
    options.precision = <cf_precision>word(function, "precision", process_precision if precision is None else precision,
                                           PRECISIONS)
    try:
        options.algorithm = <bytes>ALGORITHMS[algorithm]
    except (KeyError, TypeError):
        raise errors.unknown_word(function, "algorithm", algorithm, ALGORITHMS) from None
    return 0


# Arrays

cdef int dtype_of(cnp.ndarray a):
    """The cf_dtype of an array, or -1."""
    cdef int number = cnp.PyArray_TYPE(a)
    if number == cnp.NPY_FLOAT: return CF_F32
    if number == cnp.NPY_DOUBLE: return CF_F64
    if number == cnp.NPY_FLOAT16: return CF_F16
    if number == cnp.NPY_BOOL: return CF_BOOL
    if cnp.PyTypeNum_ISINTEGER(number):
        return integer_dtype(cnp.PyTypeNum_ISSIGNED(number), cnp.PyArray_ITEMSIZE(a))
    return CF_BF16 if cnp.PyTypeNum_ISUSERDEF(number) and a.dtype.name == "bfloat16" else -1


cdef int integer_dtype(bint signed, int bytes_):
    if bytes_ == 1: return CF_I8 if signed else CF_U8
    if bytes_ == 2: return CF_I16 if signed else CF_U16
    if bytes_ == 4: return CF_I32 if signed else CF_U32
    return CF_I64 if signed else CF_U64


cdef bint is_masked(object value):
    # numpy.ma is slow to import; without it there can be no masked array.
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(value, masked.MaskedArray) and masked.is_masked(value)


cdef cnp.ndarray as_array(str function, str name, object value):
    """Anything numpy.asarray takes, in native byte order, of a dtype that is known here."""
    cdef cnp.ndarray a
    if cnp.PyArray_CheckExact(value):
        a = value
    else:
        if is_masked(value):
            raise errors.not_an_array(function, name, value, "a masked array: fill it first, e.g. with .filled(0)")
        try:
            a = np.asarray(value)
        except ValueError as error:
            raise errors.not_an_array(function, name, value, f"something numpy.asarray refuses: {error}") from None
    if dtype_of(a) < 0:
        raise errors.bad_dtype(function, name, a.dtype)
    if not cnp.PyArray_ISNOTSWAPPED(a):
        a = a.astype(a.dtype.newbyteorder("="))
    return a


# Which axis of an array is N, C, H, W (K, C, R, S of filters); -1: there is none, its size is one.
cdef struct Axes:
    int of[4]


cdef Axes x_axes(int axes, int rank, bint channels_last):
    """`axes` counts the spatial ones; `rank` may lack the batch, and the channels too."""
    cdef Axes a
    cdef bint has_channels = rank > axes
    cdef int first = rank - axes - has_channels  # N, if any, comes first
    cdef int spatial = first + (has_channels and not channels_last)
    a.of[0] = 0 if first == 1 else -1
    a.of[1] = -1 if not has_channels else first + (axes if channels_last else 0)
    a.of[2] = spatial if axes == 2 else -1
    a.of[3] = spatial + axes - 1
    return a


cdef Axes w_axes(int axes, int rank, bint channels_last):
    """(K, C, R, S) or (R, S, C, K); (R, S) alone."""
    cdef Axes a
    cdef int spatial = 0 if channels_last or rank == axes else 2
    a.of[0] = -1 if rank == axes else (axes + 1 if channels_last else 0)
    a.of[1] = -1 if rank == axes else (axes if channels_last else 1)
    a.of[2] = spatial if axes == 2 else -1
    a.of[3] = spatial + axes - 1
    return a


cdef void describe(cnp.ndarray a, Axes axes, cf_array *to) noexcept:
    """Strides of axes with one cell or none mean nothing in NumPy; here they are set to something harmless."""
    cdef int i, axis
    cdef ptrdiff_t item = cnp.PyArray_ITEMSIZE(a)
    to.data = <char *>cnp.PyArray_DATA(a)
    to.dtype = <cf_dtype>dtype_of(a)
    for i in range(4):
        axis = axes.of[i]
        to.shape[i] = 1 if axis < 0 else cnp.PyArray_DIM(a, axis)
        to.strides[i] = item if axis < 0 or to.shape[i] <= 1 else cnp.PyArray_STRIDE(a, axis)


cdef object result_dtype(str function, dict arrays):
    """The dtype of sums of products of `arrays`, {name: array}, by the rules of the contract."""
    cdef dict dtypes = {name: a.dtype for name, a in arrays.items()}
    if all([dtype.kind in "biu" for dtype in dtypes.values()]):
        if np.uint64 in dtypes.values():
            raise errors.no_uint64(function, dtypes)
        return np.result_type(*dtypes.values(), int32)
    try:
        return np.result_type(*dtypes.values())
    except TypeError:
        raise errors.no_result_dtype(function, dtypes) from None


cdef dict shapes_of(cnp.ndarray x, cnp.ndarray w):
    return {"x": (<object>x).shape, "w": (<object>w).shape}


cdef object failure(cf_status status, str function, const cf_conv2d_options *options, const ptrdiff_t *x,
                    const ptrdiff_t *w, dict shapes, cf_dtype compute=CF_F32):
    """The exception for what cf_conv2d_geometry or a run with results of dtype `compute` refused."""
    cdef cf_conv2d_explanation explanation
    cdef int i
    if status == CF_BAD_CHANNELS:
        return errors.bad_channels(function, x[1], options.groups, w[1], shapes)
    if status == CF_BAD_GROUPS:
        return errors.bad_groups(function, x[1], w[0], options.groups, shapes)
    if status == CF_EMPTY_WINDOW:
        return errors.empty_window(function, (w[2], w[3]), shapes)
    if status == CF_EMPTY_OUTPUT:
        # Numbers pad as given, "valid" not at all; "full" never fails and "same" only on an empty input.
        pads = [(0, 0), (0, 0)]
        if options.padding == CF_PAD_NUMBERS:
            pads = [(options.pad[i][0], options.pad[i][1]) for i in range(2)]
        return errors.empty_output(function, (x[2], x[3]), pads, (w[2], w[3]),
                                   (options.dilation[0], options.dilation[1]), shapes)
    if status == CF_EMPTY_PLANE:
        mode = {word: name for name, word in PADDING_MODES.items()}[options.padding_mode]
        return errors.empty_axis(function, mode, shapes)
    if status == CF_NOT_APPLICABLE:
        algorithm = (<bytes>options.algorithm).decode()
        cf_conv2d_explain(options, compute, x, w, &explanation)
        for i in range(explanation.candidate_count):
            if explanation.candidates[i].name == explanation.algorithm:
                return errors.not_applicable(function, algorithm, explanation.candidates[i].reason.decode(), shapes)
    if status == CF_TOO_LARGE:
        padding = {word: name for name, word in PADDINGS.items()}.get(
            options.padding, ((options.pad[0][0], options.pad[0][1]), (options.pad[1][0], options.pad[1][1])))
        return errors.too_large(function, (options.stride[0], options.stride[1]),
                                (options.dilation[0], options.dilation[1]), padding, shapes)
    return errors.no_memory(function, shapes)


cdef bint ranks_fit(int axes, int x_rank, int w_rank) noexcept:
    return axes <= x_rank <= axes + 2 and w_rank == (axes if x_rank == axes else axes + 2)


cdef object empty(int axes, int rank, bint channels_last, const cf_conv2d_shape *shape, object dtype):
    cdef Axes where = x_axes(axes, rank, channels_last)
    cdef cnp.npy_intp dims[4]
    cdef ptrdiff_t sizes[4]
    cdef int i
    sizes[0], sizes[1], sizes[2], sizes[3] = shape.N, shape.K, shape.h.out, shape.w.out
    for i in range(4):
        if where.of[i] >= 0:
            dims[where.of[i]] = sizes[i]
    if dtype is None:
        return cnp.PyArray_EMPTY(rank, dims, cnp.NPY_FLOAT, 0)
    return np.empty([dims[i] for i in range(rank)], dtype)


cdef bint overlaps_itself(cnp.ndarray a):
    cdef int i
    for i in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, i) > 1 and cnp.PyArray_STRIDE(a, i) == 0:
            return True
    return False


cdef cnp.ndarray check_out(str function, object out, object shape, object dtype):
    """An array that can take the result, or an exception."""
    if not isinstance(out, np.ndarray):
        raise errors.out_not_array(function, out)
    if out.dtype != dtype or not out.dtype.isnative:
        raise errors.bad_out_dtype(function, dtype, out.dtype)
    if out.shape != shape:
        raise errors.bad_out(function, f"have the result's shape {shape}", out.shape)
    if not out.flags.writeable:
        raise errors.bad_out(function, "be writeable", "read-only")
    if overlaps_itself(out):
        raise errors.bad_out(function, "have a place of its own for every element", "a broadcast array")
    return out


# Convolution

@cython.final
cdef class Packed:
    """Filters packed for one ISA, one dtype of results and one algorithm."""
    cdef void *data

    def __dealloc__(self):
        cf_release(self.data)


cdef cf_vector vector_of(cnp.ndarray bias) noexcept:
    cdef cf_vector v
    v.data = NULL
    v.dtype = CF_F32
    v.stride = 0
    if bias is not None:
        v.data = <const char *>cnp.PyArray_DATA(bias)
        v.dtype = <cf_dtype>dtype_of(bias)
        v.stride = cnp.PyArray_STRIDE(bias, 0)
    return v


cdef cnp.ndarray as_bias(str function, object value, Py_ssize_t K, dict shapes):
    if value is None:
        return None
    cdef cnp.ndarray bias = as_array(function, "bias", value)
    if cnp.PyArray_NDIM(bias) != 1 or cnp.PyArray_DIM(bias, 0) != K:
        raise errors.bad_bias(function, K, (<object>bias).shape, shapes)
    return bias


cdef Packed pack(str function, const cf_conv2d_options *options, cf_dtype compute, const cf_array *w, dict shapes):
    cdef Packed packed = Packed()
    cdef cf_status status
    with nogil:
        packed.data = cf_acquire(cf_conv2d_packed_bytes(options, compute, w.shape))
        status = CF_NO_MEMORY if packed.data == NULL else cf_conv2d_pack(options, compute, w, packed.data)
    if status != CF_OK:
        raise failure(status, function, options, w.shape, w.shape, shapes)
    return packed


@cython.final
cdef class Choice:
    """What depends on the size of one image: the algorithm, and the filters packed for it."""
    cdef cf_conv2d_options options
    cdef Packed packed
    cdef const char *isa
    cdef cf_dtype dtype
    cdef ptrdiff_t rows, cols


@cython.final
cdef class Packs:
    """The filters of a layer, packed as calls need them: for each ISA, dtype of results and algorithm."""
    cdef dict packed
    cdef Choice last  # most calls are like the one before; never changed, only replaced: threads may be using it

    def __cinit__(self):
        self.packed = {}

    cdef Choice choose(self, str function, const cf_conv2d_options *options, const cf_array *x, const cf_array *w,
                       cf_dtype dtype, dict shapes):
        cdef Choice choice = Choice()
        cdef cf_status status = cf_conv2d_choose(options, dtype, x.shape, w.shape, &choice.options)
        if status != CF_OK:
            raise failure(status, function, options, x.shape, w.shape, shapes, dtype)
        choice.isa, choice.dtype, choice.rows, choice.cols = cf_isa(), dtype, x.shape[2], x.shape[3]
        key = (choice.isa, dtype, choice.options.algorithm)
        choice.packed = self.packed.get(key)
        if choice.packed is None:
            choice.packed = self.packed.setdefault(key, pack(function, &choice.options, dtype, w, shapes))
        self.last = choice
        return choice


cdef bint serves(Choice choice, const cf_array *x, cf_dtype dtype):
    return (choice is not None and choice.rows == x.shape[2] and choice.cols == x.shape[3] and choice.dtype == dtype
            and choice.isa == cf_isa())


cdef object run(str function, int axes, const cf_conv2d_options *options, object x_value, cnp.ndarray w,
                object bias_value, object out, Packs packs):
    """y = x * w. `packs`, if given, keeps packed filters from call to call."""
    cdef cnp.ndarray x = as_array(function, "x", x_value), bias, target
    cdef int rank = cnp.PyArray_NDIM(x)
    if not ranks_fit(axes, rank, cnp.PyArray_NDIM(w)):
        raise errors.bad_ranks(function, axes, shapes_of(x, w))
    cdef cf_array cx, cw, cy
    describe(x, x_axes(axes, rank, options.channels_last), &cx)
    describe(w, w_axes(axes, cnp.PyArray_NDIM(w), options.channels_last), &cw)
    cdef cf_conv2d_shape shape
    cdef cf_status status = cf_conv2d_geometry(options, cx.shape, cw.shape, &shape)
    if status != CF_OK:
        raise failure(status, function, options, cx.shape, cw.shape, shapes_of(x, w))
    bias = None if bias_value is None else as_bias(function, bias_value, shape.K, shapes_of(x, w))

    dtype = None if cx.dtype == CF_F32 and cw.dtype == CF_F32 else result_dtype(function, {"x": x, "w": w})
    if out is None:
        target = result = empty(axes, rank, options.channels_last, &shape, dtype)
        if dtype is not None and dtype_of(target) < 0:
            raise errors.no_result_dtype(function, {"x": x.dtype, "w": w.dtype})
    else:
        expected = expected_shape(axes, rank, options.channels_last, &shape)
        result = check_out(function, out, expected, np.dtype(np.float32) if dtype is None else dtype)
        shared = np.may_share_memory(out, x) or np.may_share_memory(out, w) or (
            bias is not None and np.may_share_memory(out, bias))
        target = empty(axes, rank, options.channels_last, &shape, dtype) if shared else out
    describe(target, x_axes(axes, rank, options.channels_last), &cy)

    cdef cf_vector vector = vector_of(bias)
    cdef Choice choice
    if packs is None:
        with nogil:
            status = cf_conv2d(options, &cx, &cw, vector, &cy)
    elif cnp.PyArray_SIZE(target) > 0:
        choice = packs.last
        if not serves(choice, &cx, cy.dtype):
            choice = packs.choose(function, options, &cx, &cw, cy.dtype, shapes_of(x, w))
        with nogil:
            status = cf_conv2d_packed(&choice.options, &cx, cw.shape, choice.packed.data, vector, &cy)
    if status != CF_OK:
        raise failure(status, function, options, cx.shape, cw.shape, shapes_of(x, w), cy.dtype)
    if target is not result:
        result[...] = target
    return result


cdef tuple expected_shape(int axes, int rank, bint channels_last, const cf_conv2d_shape *shape):
    cdef Axes where = x_axes(axes, rank, channels_last)
    cdef list dims = [0] * rank
    for axis, n in zip((where.of[0], where.of[1], where.of[2], where.of[3]),
                       (shape.N, shape.K, shape.h.out, shape.w.out)):
        if axis >= 0:
            dims[axis] = n
    return tuple(dims)


def conv(str function, int axes, x, w, bias, stride, padding, dilation, groups, data_format, padding_mode, activation,
         precision, algorithm, out):
    """conv2d (axes=2) and conv1d (axes=1)."""
    cdef cf_conv2d_options options
    parse_options(function, axes, stride, padding, dilation, groups, data_format, padding_mode, activation, precision,
                  algorithm, &options)
    return run(function, axes, &options, x, as_array(function, "w", w), bias, out, None)


cdef cnp.ndarray frozen(cnp.ndarray a):
    """A copy that stays what it is: a view of it cannot be made writeable."""
    copy = np.array(a)
    copy.setflags(write=False)
    return copy.view()


@cython.final
cdef class Layer:
    """What convfast.Conv2D keeps: filters, options, and the filters packed as calls need them."""
    cdef cf_conv2d_options options
    cdef readonly cnp.ndarray w, bias
    cdef Packs packs

    def __init__(self, w, bias, stride, padding, dilation, groups, data_format, padding_mode, activation, precision,
                 algorithm):
        cdef str function = "Conv2D"
        parse_options(function, 2, stride, padding, dilation, groups, data_format, padding_mode, activation, precision,
                      algorithm, &self.options)
        cdef cnp.ndarray filters = as_array(function, "w", w)
        shapes = {"w": (<object>filters).shape}
        if cnp.PyArray_NDIM(filters) not in (2, 4):
            raise errors.bad_rank(function, "w", "4-dimensional, or 2-dimensional for planes", shapes)
        cdef cf_array cw
        describe(filters, w_axes(2, cnp.PyArray_NDIM(filters), self.options.channels_last), &cw)
        if cw.shape[2] < 1 or cw.shape[3] < 1:
            raise errors.empty_window(function, (cw.shape[2], cw.shape[3]), shapes)
        if cw.shape[0] % self.options.groups != 0:
            raise errors.bad_groups(function, 0, cw.shape[0], self.options.groups, shapes)
        self.bias = as_bias(function, bias, cw.shape[0], shapes)
        if self.bias is not None:
            self.bias = frozen(self.bias)
        self.w = frozen(filters)
        self.packs = Packs()

    def __call__(self, x, out):
        return run("Conv2D", 2, &self.options, x, self.w, self.bias, out, self.packs)


# Shapes

cdef int parse_shape(str function, str name, object value, Axes (*axes_of)(int, int, bint), int axes,
                     bint channels_last, ptrdiff_t *to) except -1:
    cdef Axes where = axes_of(axes, len(value), channels_last)
    cdef int i
    for i in range(4):
        if where.of[i] < 0:
            to[i] = 1
        else:
            try:
                to[i] = size(function, name, value[where.of[i]], 0, value, "")
            except (TypeError, ValueError):
                raise errors.bad_shape(function, name, value) from None
    return 0


cdef int parse_shapes(str function, object x_shape, object w_shape, cf_conv2d_options *options, ptrdiff_t *x,
                      ptrdiff_t *w, cf_conv2d_shape *shape) except -1:
    for name, value in (("x_shape", x_shape), ("w_shape", w_shape)):
        if not isinstance(value, (tuple, list)):
            raise errors.bad_shape(function, name, value)
    if not ranks_fit(2, len(x_shape), len(w_shape)):
        raise errors.bad_ranks(function, 2, {"x": x_shape, "w": w_shape})
    parse_shape(function, "x_shape", x_shape, x_axes, 2, options.channels_last, x)
    parse_shape(function, "w_shape", w_shape, w_axes, 2, options.channels_last, w)
    cdef cf_status status = cf_conv2d_geometry(options, x, w, shape)
    if status != CF_OK:
        raise failure(status, function, options, x, w, {"x": x_shape, "w": w_shape})
    return 0


def conv2d_output_shape(x_shape, w_shape, stride, padding, dilation, groups, data_format):
    cdef str function = "conv2d_output_shape"
    cdef cf_conv2d_options options
    cdef cf_conv2d_shape shape
    cdef ptrdiff_t x[4]
    cdef ptrdiff_t w[4]
    parse_options(function, 2, stride, padding, dilation, groups, data_format, "constant", None, None, "auto", &options)
    parse_shapes(function, x_shape, w_shape, &options, x, w, &shape)
    return expected_shape(2, len(x_shape), options.channels_last, &shape)


cdef tuple axis_numbers(cf_axis a):
    return a.in_, a.size, a.stride, a.dilation, a.pad_before, a.pad_after, a.out


def explain(str function, x_shape, w_shape, dtype, stride, padding, dilation, groups, data_format, padding_mode,
            activation, precision, algorithm):
    """Everything explain_conv2d says, as a dict."""
    cdef cf_conv2d_options options
    cdef cf_conv2d_shape shape
    cdef cf_conv2d_explanation e
    cdef ptrdiff_t x[4]
    cdef ptrdiff_t w[4]
    parse_options(function, 2, stride, padding, dilation, groups, data_format, padding_mode, activation, precision,
                  algorithm, &options)
    parse_shapes(function, x_shape, w_shape, &options, x, w, &shape)
    try:
        probe = np.empty(0, dtype)
    except TypeError:
        raise errors.unknown_dtype(function, dtype) from None
    probe = as_array(function, "dtype", probe)
    cdef int compute = dtype_of(np.empty(0, result_dtype(function, {"dtype": probe})))
    cdef cf_status status = cf_conv2d_explain(&options, <cf_dtype>compute, x, w, &e)
    if status != CF_OK:
        raise failure(status, function, &options, x, w, {"x": x_shape, "w": w_shape}, <cf_dtype>compute)
    shape = e.shape
    return {
        "output_shape": expected_shape(2, len(x_shape), options.channels_last, &shape),
        "N": shape.N, "C": shape.C, "K": shape.K, "groups": shape.groups,
        "axes": (axis_numbers(shape.h), axis_numbers(shape.w)),
        "itemsize": probe.dtype.itemsize,
        "algorithm": e.algorithm.decode(), "isa": e.isa.decode(), "threads": e.threads,
        "workspace_bytes": e.workspace_bytes, "packed_bytes": e.packed_bytes,
        "candidates": [(e.candidates[i].name.decode(), bool(e.candidates[i].applies), e.candidates[i].reason.decode(),
                        e.candidates[i].microseconds, e.candidates[i].member.decode())
                       for i in range(e.candidate_count)],
    }


# Process

def set_num_threads(n):
    cf_set_threads(<int>min(size("set_num_threads", "n", n, 1, n, "an integer"), 1 << 20))


def get_num_threads():
    return cf_get_threads()


def set_precision(level):
    global process_precision
    word("set_precision", "level", level, PRECISIONS)
    process_precision = level


def get_precision():
    return process_precision


def available_isas():
    cdef int i = 0
    names = []
    while cf_isa_name(i) != NULL:
        names.append(cf_isa_name(i).decode())
        i += 1
    return tuple(names)


def isa():
    return cf_isa().decode()


def use_isa(name):
    """Switch the leaves, for tests: the name of the ISA in use before."""
    before = isa()
    if name not in available_isas():
        raise errors.unknown_word("use_isa", "name", name, available_isas())
    cf_use_isa(name.encode())
    return before


def algorithms():
    return tuple(ALGORITHMS)


def openmp():
    return cf_openmp().decode()


def fma_peak(int threads, double seconds):
    """The float32 multiply-add peak of the moment on the ISA in use, in GFLOPS."""
    cdef double peak
    with nogil:
        peak = cf_fma_peak(threads, seconds)
    return peak


def stream_bandwidth(int threads, size_t bytes_, double seconds):
    """Memory traffic of y = a + b over arrays of `bytes_` together, in GB/s: two reads for every write."""
    cdef double speed
    with nogil:
        speed = cf_stream_bandwidth(threads, bytes_, seconds)
    if speed == 0:
        raise MemoryError(f"stream_bandwidth: no {bytes_:,} bytes to measure with")
    return speed


def naive_conv2d(x, w, stride, padding, dilation, groups):
    """Seven plain C loops on one thread, for benchmarks: x (N, C, H, W), w (K, C/groups, R, S), float32."""
    cdef cf_conv2d_options options
    cdef cf_conv2d_shape shape
    cdef ptrdiff_t x_shape[4]
    cdef ptrdiff_t w_shape[4]
    parse_options("naive_conv2d", 2, stride, padding, dilation, groups, "NCHW", "constant", None, None, "auto", &options)
    cdef cnp.ndarray images = np.ascontiguousarray(x, np.float32)
    cdef cnp.ndarray filters = np.ascontiguousarray(w, np.float32)
    parse_shapes("naive_conv2d", (<object>images).shape, (<object>filters).shape, &options, x_shape, w_shape, &shape)
    cdef cnp.ndarray y = np.empty((shape.N, shape.K, shape.h.out, shape.w.out), np.float32)
    with nogil:
        cf_naive_conv2d(&shape, options.stride, options.dilation, <const float *>cnp.PyArray_DATA(images),
                        <const float *>cnp.PyArray_DATA(filters), <float *>cnp.PyArray_DATA(y))
    return y


_C_API = PyCapsule_New(<void *>&cf_functions, "convfast._core._C_API", NULL)  # for convfast_import()


def fail_allocation(int nth):
    """For tests: the nth workspace allocation from now fails (0: none)."""
    cf_fail_allocation(nth)


cdef extern from *:
    """
    #if defined __clang__
    #define CF_COMPILER "clang " __clang_version__
    #elif defined __GNUC__
    #define CF_COMPILER "gcc " __VERSION__
    #else
    #define CF_COMPILER "unknown"
    #endif
    """
    const char *CF_COMPILER


def compiler():
    return CF_COMPILER.decode()


include "_grad.pxi"
include "_forward.pxi"
