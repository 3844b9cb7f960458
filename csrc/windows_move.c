/* windows_move.c — rows of cells between memory and the buffers of windows. */
#include "windows.h"

void cf_windows_load(const cf_windows *windows, const char *row, ptrdiff_t first, ptrdiff_t step, ptrdiff_t count,
                     void *to)
{
    const cf_array *x = windows->x;
    const ptrdiff_t cell = x->strides[3], unit = windows->unit;
    char *out = to;
    row += first * cell;
    if (unit == 1)
        windows->load(to, row, step * cell, count);
    else if (step == 1 && cell == unit * x->strides[1])
        windows->load(to, row, x->strides[1], count * unit);
    else
        for (ptrdiff_t i = 0; i < count; ++i, row += step * cell, out += unit * windows->size)
            windows->load(out, row, x->strides[1], unit);
}

void cf_windows_store(const cf_windows *windows, const cf_window_output *output, ptrdiff_t row, ptrdiff_t cells,
                      const void *from)
{
    const char *in = from;
    char *to = output->data + row * output->row;
    if (windows->unit == 1)
        output->store(to, output->cell, in, cells);
    else
        for (ptrdiff_t i = 0; i < cells; ++i, to += output->cell, in += windows->unit * windows->size)
            output->store(to, output->channel, in, windows->unit);
}
