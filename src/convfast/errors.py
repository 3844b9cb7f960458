"""Every error sentence, in one place.

A sentence names the function, the argument, the rule, the value received and the shapes in play. The functions here
make the exception; `_core` raises it.
"""

import difflib

import numpy as np

# Words of other libraries for what is meant here.
SYNONYMS = {
    "replicate": "edge",
    "nearest": "edge",
    "border": "edge",
    "mirror": "reflect",
    "circular": "wrap",
    "periodic": "wrap",
    "zeros": "constant",
    "zero": "constant",
    "same_upper": "same",
    "notset": "valid",
    "none": "valid",
    "channels_first": "NCHW",
    "channels_last": "NHWC",
    "ncl": "NCHW",
    "nlc": "NHWC",
    "ncw": "NCHW",
    "nwc": "NHWC",
    "gemm": "im2col",
    "default": "high",
    "exact": "highest",
    "float32": "highest",
    "tensorfloat32": "high",
    "bfloat16": "medium",
}


def shapes_text(shapes):
    """`; x.shape=(1, 2), w.shape=(3,)` for {"x": (1, 2), "w": (3,)}."""
    return "; " + ", ".join(f"{name}.shape={tuple(shape)}" for name, shape in shapes.items()) if shapes else ""


def short(value):
    """The value as a reader wants to see it: not a page of numbers."""
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"an array of shape {value.shape}"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def unknown_word(function, name, value, known):
    """A word that is not in the list: the list, and the nearest of it."""
    known = list(known)
    listed = ", ".join(repr(word) for word in known)
    if not isinstance(value, str):
        return TypeError(f"{function}: {name} must be one of {listed}, not {short(value)} ({type(value).__name__})")
    lowered = {str(word).lower(): word for word in known if word is not None}
    near = lowered.get(value.lower()) or SYNONYMS.get(value.lower())
    if near is None or near not in known:
        near = next((lowered[word] for word in difflib.get_close_matches(value.lower(), lowered, 1, 0.5)), None)
    hint = f" (did you mean {near!r}?)" if near is not None else ""
    return ValueError(f"{function}: {name} must be one of {listed}, not {short(value)}{hint}")


def not_a_size(function, name, value, least, form="an integer or a pair (h, w) of integers"):
    """Neither the integer nor the pair that was asked for, or one that is too small or too large."""
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        value = value.tolist()
    numbers = value if isinstance(value, (tuple, list)) else (value,)
    flat = [n for item in numbers for n in (item if isinstance(item, (tuple, list)) else (item,))]
    may_be_tuple = form != "an integer" or not isinstance(value, (tuple, list))
    if may_be_tuple and all(isinstance(n, (int, np.integer)) and not isinstance(n, (bool, np.bool)) for n in flat):
        if any(n < least for n in flat):
            return ValueError(f"{function}: {name} must be at least {least}, not {short(value)}")
        if any(n >= 2**63 for n in flat):
            return ValueError(f"{function}: {name} is too large: {short(value)}")
        return ValueError(f"{function}: {name} must be {form}, not {short(value)}")
    return TypeError(f"{function}: {name} must be {form}, not {short(value)} ({kind})")


def not_an_array(function, name, value, reason):
    return TypeError(f"{function}: {name} must be an array of numbers, not {reason} ({type(value).__name__})")


def bad_dtype(function, name, dtype):
    return TypeError(
        f"{function}: {name} has dtype {dtype}; the dtypes are bool, integers, float16, bfloat16, float32 and float64"
    )


def named_dtypes(dtypes):
    return ", ".join(f"{name} is {dtype}" for name, dtype in dtypes.items())


def no_uint64(function, dtypes):
    return TypeError(
        f"{function}: sums of uint64 are not exact in any dtype ({named_dtypes(dtypes)}); "
        "convert to int64, or to float64"
    )


def no_result_dtype(function, dtypes):
    return TypeError(f"{function}: there is no common dtype that is computed ({named_dtypes(dtypes)})")


def unknown_dtype(function, value):
    return TypeError(f"{function}: dtype must be what numpy.dtype takes, not {short(value)}")


def bad_rank(function, name, rule, shapes):
    rank = len(shapes[name])
    return ValueError(f"{function}: {name} must be {rule}, not {rank}-dimensional{shapes_text(shapes)}")


def bad_ranks(function, axes, shapes):
    """Of x, or of the w beside it; `axes` counts the spatial ones."""
    rank = len(shapes["x"])
    if axes <= rank <= axes + 2:
        w_rank = axes if rank == axes else axes + 2
        return bad_rank(function, "w", f"{w_rank}-dimensional for an x of {rank} dimensions", shapes)
    batch = "(N, C, H, W), (C, H, W) or (H, W)" if axes == 2 else "(N, C, L), (C, L) or (L,)"
    rule = f"{axes + 2}-, {axes + 1}- or {axes}-dimensional: {batch} or the same with the channels last"
    return bad_rank(function, "x", rule, shapes)


def bad_bias(function, K, shape, shapes):
    return ValueError(
        f"{function}: bias must be one-dimensional with one number for each of the {K} filters, "
        f"not of shape {tuple(shape)}{shapes_text(shapes)}"
    )


def bad_out(function, rule, value):
    return ValueError(f"{function}: out must {rule}, not {value}")


def out_not_array(function, value):
    return TypeError(f"{function}: out must be a numpy.ndarray or None, not {short(value)} ({type(value).__name__})")


def bad_out_dtype(function, expected, got):
    return TypeError(f"{function}: out must have the result's dtype {expected}, not {got}")


def bad_channels(function, C, groups, expected_of, shapes):
    return ValueError(
        f"{function}: w has {expected_of} input channels per group, but x has {C} channels and groups={groups} "
        f"(expected {C // groups}){shapes_text(shapes)}"
    )


def bad_groups(function, C, K, groups, shapes):
    name, unit = ("w", "filters") if "w" in shapes else ("grad", "channels")
    has = f"x has {C} channels" if C % groups else f"{name} has {K} {unit}"
    return ValueError(
        f"{function}: groups must divide the channels of x and the {unit} of {name}, "
        f"but groups={groups} and {has}{shapes_text(shapes)}"
    )


def empty_window(function, size, shapes, name="w"):
    return ValueError(
        f"{function}: {name} must have at least one tap in each direction, not {size}{shapes_text(shapes)}"
    )


def of_axes(function, numbers):
    """(h, w), or the one number that there is."""
    return numbers[1] if function.endswith("1d") else tuple(numbers)


def cells(function, numbers):
    return f"{numbers[1]}" if function.endswith("1d") else f"{numbers[0]} x {numbers[1]}"


def empty_output(function, inputs, pads, size, dilation, shapes):
    extents = [d * (s - 1) + 1 for s, d in zip(size, dilation, strict=True)]
    padded = [i + before + after for i, (before, after) in zip(inputs, pads, strict=True)]
    return ValueError(
        f"{function}: the output would be empty, because the filter covers {cells(function, extents)} cells "
        f"(size {of_axes(function, size)}, dilation {of_axes(function, dilation)}) "
        f"and the padded input has {cells(function, padded)}{shapes_text(shapes)}"
    )


def too_large(function, stride, dilation, padding, shapes):
    return ValueError(
        f"{function}: sizes, stride={stride}, dilation={dilation} and padding={padding} together "
        f"are too large to address{shapes_text(shapes)}"
    )


def empty_axis(function, mode, shapes):
    return ValueError(f"{function}: padding_mode={mode!r} cannot extend an empty axis{shapes_text(shapes)}")


def no_memory(function, shapes):
    return MemoryError(f"{function}: no memory for packed filters or workspace{shapes_text(shapes)}")


def not_applicable(function, algorithm, reason, shapes):
    return ValueError(f"{function}: algorithm={algorithm!r} cannot do this: {reason}{shapes_text(shapes)}")


def bad_shape(function, name, value):
    integers = isinstance(value, (tuple, list)) and all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in value
    )
    kind = ValueError if integers else TypeError
    return kind(f"{function}: {name} must be a tuple of integers that are not negative, not {short(value)}")


def bad_grad(function, expected, shapes):
    return ValueError(
        f"{function}: grad must have the shape of the forward result, {tuple(expected)}, "
        f"not {tuple(shapes['grad'])}{shapes_text(shapes)}"
    )


def transposed_channels(function, C, groups, filters, shapes):
    if C % groups:
        return ValueError(
            f"{function}: groups must divide the channels of x, but groups={groups} and x has {C}{shapes_text(shapes)}"
        )
    return ValueError(
        f"{function}: w must have the {C} channels of x first (in NHWC last), not {filters}{shapes_text(shapes)}"
    )


def bad_output_padding(function, extra, stride, dilation, word):
    if word is not None:
        return ValueError(f"{function}: output_padding must be 0, as padding={word!r} leaves no choice, not {extra}")
    return ValueError(
        f"{function}: output_padding must be smaller than stride or dilation, not {extra} "
        f"with stride {stride} and dilation {dilation}"
    )


def empty_transpose(function, plane, pads, size, stride, dilation, extra, shapes):
    return ValueError(
        f"{function}: the output would be empty: {plane[0]} x {plane[1]} cells, filter {tuple(size)}, stride {stride}, "
        f"dilation {dilation}, output_padding {extra}, less the padding {pads}{shapes_text(shapes)}"
    )


def empty_plane(function, verb, shapes):
    return ValueError(f"{function}: x has planes without a cell, there is nothing to {verb}{shapes_text(shapes)}")


def wide_padding(function, padding, size, dilation, shapes):
    reach = of_axes(function, [d * (s - 1) for s, d in zip(size, dilation, strict=True)])
    return ValueError(
        f"{function}: padding must stay below the window, at most {reach}, not {short(padding)} "
        f"(size {of_axes(function, size)}, dilation {of_axes(function, dilation)}){shapes_text(shapes)}"
    )


def empty_pooling(function, inputs, size, dilation, padding, shapes):
    extents = [d * (s - 1) + 1 for s, d in zip(size, dilation, strict=True)]
    return ValueError(
        f"{function}: the output would be empty, because the window covers {cells(function, extents)} cells "
        f"(size {of_axes(function, size)}, dilation {of_axes(function, dilation)}) "
        f"and x has {cells(function, inputs)} with padding={short(padding)}{shapes_text(shapes)}"
    )


def zero_divisor(function, value):
    kind = ValueError if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) else TypeError
    return kind(f"{function}: divisor_override must be a number that is not zero, not {short(value)}")


def cropped_away(function, padding, shapes):
    return ValueError(f"{function}: padding={padding!r} crops more cells than there are{shapes_text(shapes)}")


def empty_padding(function, padding, shapes):
    return ValueError(f"{function}: the output would be empty with padding={padding!r}{shapes_text(shapes)}")


def empty_source(function, mode, shapes):
    return ValueError(f"{function}: mode={mode!r} cannot extend an empty axis{shapes_text(shapes)}")


def needs_constant(function, interior, mode):
    return ValueError(f"{function}: interior={short(interior)} needs mode='constant', not {mode!r}")


def needs_kernel(function, padding):
    return ValueError(f"{function}: padding={padding!r} depends on a window: kernel_size must be given")


def not_a_fill(function, value, dtype):
    kind = type(value).__name__
    return TypeError(f"{function}: value must be a number of dtype {dtype}, not {short(value)}: it is {kind}")


def bad_fill(function, value, dtype, reason="it does not fit"):
    return ValueError(f"{function}: value must be a number of dtype {dtype}, not {short(value)}: {reason}")


def bad_columns(function, shape, taps, outputs, data_format):
    form = f"(N, C*{taps}, {outputs})" if data_format == "NCHW" else f"(N, {outputs}, {taps}*C)"
    return ValueError(f"{function}: cols must have the shape {form}, with or without N, not {tuple(shape)}")


def even_size(function, value):
    return ValueError(f"{function}: size must be odd, so that a window has a middle, not {short(value)}")


def size_or_scale(function, size, scale):
    return ValueError(f"{function}: give either size or scale, not size={short(size)} and scale={short(scale)}")


def bad_scale(function, scale):
    numbers = scale if isinstance(scale, (tuple, list)) else (scale,)
    numeric = all(isinstance(n, (int, float, np.number)) and not isinstance(n, bool) for n in numbers)
    kind = ValueError if numeric else TypeError
    return kind(f"{function}: scale must be a positive number or a pair (h, w) of them, not {short(scale)}")


def small_scale(function, scale, shapes):
    return ValueError(
        f"{function}: scale={short(scale)} leaves no cell, or more than can be addressed{shapes_text(shapes)}"
    )


def corners_of_nearest(function):
    return ValueError(f"{function}: align_corners=True needs mode='bilinear'")


def bad_levels(function, levels):
    form = "a sequence of integers, each at least 1"
    try:
        numbers = list(levels)
    except TypeError:
        return TypeError(f"{function}: levels must be {form}, not {short(levels)}")
    numeric = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in numbers)
    return (ValueError if numeric else TypeError)(f"{function}: levels must be {form}, not {short(levels)}")


def unaddressable(function, shapes):
    return ValueError(f"{function}: sizes, steps and padding together are too large to address{shapes_text(shapes)}")
