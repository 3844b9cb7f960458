/* api.c — what C and Cython callers have in place of Python's door: the table of functions, words for a status, and
   structs filled in. */
#include "convfast.h"
#include "convert.h"

#define NAME(name) name,
const cf_api cf_functions = {CF_ABI, sizeof(cf_api), CF_FUNCTIONS(NAME)};

const char *cf_status_text(cf_status status)
{
    switch (status) {
    case CF_OK: return "no error";
    case CF_NO_MEMORY: return "no memory for packed filters or workspace";
    case CF_TOO_LARGE: return "sizes and options together are too large to address";
    case CF_EMPTY_WINDOW: return "a filter or window has no cell";
    case CF_EMPTY_OUTPUT: return "the filter or window is larger than the padded input";
    case CF_BAD_GROUPS: return "groups is below 1 or does not divide the channels or the filters";
    case CF_BAD_CHANNELS: return "the filters have not as many channels as a group of the input";
    case CF_NOT_APPLICABLE: return "the algorithm does not exist, is not named, or cannot do this job";
    case CF_EMPTY_PLANE: return "an empty plane has nothing to pool or to repeat";
    case CF_WIDE_PADDING: return "padding as wide as the pooling window";
    case CF_CROPPED_AWAY: return "more rows or columns are cropped than there are";
    case CF_BAD_OPTION:
        return "a stride or dilation is below 1, padding or interior is below 0, interior is not of constants, "
               "or there is no algorithm";
    }
    return "an unknown status";
}

/* `order`: the axes from the outermost to the innermost in memory. */
static cf_array describe(void *data, cf_dtype dtype, const ptrdiff_t shape[4], const int order[4])
{
    cf_array a = {.data = data, .dtype = dtype};
    ptrdiff_t step = (ptrdiff_t)cf_dtype_bytes(dtype);
    for (int i = 3; i >= 0; --i) {
        const int axis = order[i];
        a.shape[axis] = shape[axis];
        a.strides[axis] = step;
        step *= shape[axis];
    }
    return a;
}

cf_array cf_images(void *data, cf_dtype dtype, const ptrdiff_t shape[4], int channels_last)
{
    static const int nchw[] = {0, 1, 2, 3}, nhwc[] = {0, 2, 3, 1};
    return describe(data, dtype, shape, channels_last ? nhwc : nchw);
}

cf_array cf_filters(void *data, cf_dtype dtype, const ptrdiff_t shape[4], int channels_last)
{
    static const int kcrs[] = {0, 1, 2, 3}, rsck[] = {2, 3, 1, 0};
    return describe(data, dtype, shape, channels_last ? rsck : kcrs);
}

cf_conv2d_options cf_conv2d_defaults(void)
{
    return (cf_conv2d_options){.stride = {1, 1}, .dilation = {1, 1}, .groups = 1, .algorithm = "auto"};
}

cf_pool2d_options cf_pool2d_defaults(ptrdiff_t height, ptrdiff_t width)
{
    return (cf_pool2d_options){.size = {height, width}, .stride = {height, width}, .dilation = {1, 1}};
}
