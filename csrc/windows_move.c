/* windows_move.c — rows of cells between memory and the buffers of windows. */
#include "windows.h"

#include "geometry.h"

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

/* `count` elements, of neighbouring cells, from element `first` of the row on. */
static void load_piece(const cf_windows *windows, const char *row, ptrdiff_t first, ptrdiff_t count, char *to)
{
    const cf_array *x = windows->x;
    const ptrdiff_t unit = windows->unit;
    if (unit == 1) windows->load(to, row + first * x->strides[3], x->strides[3], count);
    for (ptrdiff_t done = 0, n; done < count && unit > 1; done += n) {
        const ptrdiff_t at = first + done, channel = at % unit;
        n = cf_min(unit - channel, count - done);
        windows->load(to + done * windows->size, row + at / unit * x->strides[3] + channel * x->strides[1],
                      x->strides[1], n);
    }
}

void cf_windows_reduce_pieces(const cf_windows *windows, const char *plane, cf_span rows, ptrdiff_t first,
                              ptrdiff_t count, ptrdiff_t *taps, char *stage, char *to)
{
    for (ptrdiff_t begin = 0; begin < count; begin += windows->piece) {
        const ptrdiff_t n = cf_min(windows->piece, count - begin);
        for (ptrdiff_t r = 0; r < rows.count; ++r) {
            const char *row = plane + (rows.begin + r * windows->h.dilation) * windows->x->strides[2];
            taps[r] = r * n;
            load_piece(windows, row, first + begin, n, stage + r * n * windows->size);
        }
        windows->leaves->taps(to + begin * windows->size, stage, taps, rows.count, n, 1);
    }
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
