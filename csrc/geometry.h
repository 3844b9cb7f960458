/* geometry.h — arithmetic of sizes, checked for overflow, for the drivers. */
#ifndef CF_GEOMETRY_H
#define CF_GEOMETRY_H

#include "convfast.h"

/* Saturating: PTRDIFF_MAX stands for "too large". Arguments are not negative. */
ptrdiff_t cf_mul(ptrdiff_t a, ptrdiff_t b);
ptrdiff_t cf_add(ptrdiff_t a, ptrdiff_t b);

static inline ptrdiff_t cf_min(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t cf_max(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }
static inline ptrdiff_t cf_ceil_div(ptrdiff_t a, ptrdiff_t b) { return a / b + (a % b != 0); }
static inline ptrdiff_t cf_round_up(ptrdiff_t a, ptrdiff_t b) { return cf_ceil_div(a, b) * b; }

/* Steps that begin within `length` cells; none if it is negative. */
static inline ptrdiff_t cf_steps(ptrdiff_t length, ptrdiff_t step)
{
    return length > 0 ? cf_ceil_div(length, step) : 0;
}

/* Cells that a resolved window reaches beyond its first, and that `outputs` neighbouring windows see. */
static inline ptrdiff_t cf_axis_reach(const cf_axis *axis) { return axis->dilation * (axis->size - 1); }
static inline ptrdiff_t cf_axis_covered(const cf_axis *axis, ptrdiff_t outputs)
{
    return cf_add(cf_mul(outputs - 1, axis->stride), cf_axis_reach(axis) + 1);
}

static inline ptrdiff_t cf_gcd(ptrdiff_t a, ptrdiff_t b)
{
    while (b != 0) {
        const ptrdiff_t rest = a % b;
        a = b, b = rest;
    }
    return a;
}

/* Phases that the taps of an axis meet (cells that are equal mod stride), and the cells of each that `outputs` outputs
   see. Tap i and tap i + phases stand in the same phase. */
static inline ptrdiff_t cf_phases(const cf_axis *axis)
{
    return cf_min(axis->size, axis->stride / cf_gcd(axis->dilation, axis->stride));
}
static inline ptrdiff_t cf_phase_length(const cf_axis *axis, ptrdiff_t outputs)
{
    return cf_add(outputs, cf_axis_reach(axis) / axis->stride);
}

/* The outputs [*begin, *end) of [first, first + count) whose windows lie in the array. */
void cf_axis_inside(const cf_axis *a, ptrdiff_t first, ptrdiff_t count, ptrdiff_t *begin, ptrdiff_t *end);

/* 1x1, stride 1, no padding: rows that follow each other in memory are one long row, with fewer ragged ends. */
int cf_is_pointwise(const cf_conv2d_options *options, const ptrdiff_t x_shape[4], const ptrdiff_t w_shape[4]);
void cf_join_rows(ptrdiff_t shape[4]);

/* The cell of an axis of `size` cells that padded position i (may be negative or beyond) repeats; -1 for a zero. */
ptrdiff_t cf_source_index(ptrdiff_t i, ptrdiff_t size, cf_padding_mode mode);

#endif
