/* plan.h — how one convolution will be computed: decided once by plan.c, carried out by `run` of its algorithm
   (conv2d_tiles.c, conv2d_depthwise.c, conv2d_winograd.c).

   Letters beside those of convfast.h: T = C/groups * R * S, the terms of one sum. Terms are cut into blocks: so many
   whole channels that about CF_BLOCK_TERMS terms come together, or, where one channel alone has more than
   CF_TAPS_MAX taps, runs of CF_BLOCK_TERMS taps of one channel. Within a block the order is (r, s, c) where tiles
   find channels side by side and vectors are filters, else (c, r, s). The order of a sum, hence its bits, depends on
   this alone. */
#ifndef CF_PLAN_H
#define CF_PLAN_H

#include "convert.h"
#include "convfast.h"
#include "kernels/table.h"

#define CF_BLOCK_TERMS 288 /* a panel of filters and its input stay in a 32 KiB L1; 144 and 576 are slower */
#define CF_BLOCKS_PLAIN 16     /* more block sums than this are added without loss: the promise of "highest" */
#define CF_TAPS_MAX 1024   /* 31x31 filters still go to the direct algorithm whole */

typedef struct cf_conv2d_plan cf_conv2d_plan;
typedef struct cf_conv2d_job cf_conv2d_job;

/* The terms [first, first + terms): channels [c, c + channels) and, of each, the taps [tap, tap + taps). */
typedef struct {
    ptrdiff_t first, terms, c, channels, tap, taps;
} cf_term_block;

/* The outputs of one task: image n, group g, rows, columns and filter panels of the group. */
typedef struct {
    ptrdiff_t n, g, p, rows, q, cols, panel, panels;
} cf_conv2d_task;

/* Where a block's input stands: term t of output (p, q) of the task is x[p * row + q * col + taps[t]]. */
typedef struct {
    const void *x;
    ptrdiff_t row, col;
    ptrdiff_t *taps;
} cf_conv2d_input;

/* An entry of the ordered list in plan.c. */
typedef struct {
    const char *name;
    void (*shape_filters)(cf_conv2d_plan *plan); /* sets all that packed filters depend on, and packed_bytes */
    void (*pack)(const cf_conv2d_plan *plan, const cf_array *w, char *packed);
    const char *(*refuses)(const cf_conv2d_plan *plan); /* NULL: it applies; else the reason, for error sentences */
    void (*cut)(cf_conv2d_plan *plan);   /* into tasks, for one thread, and estimates plan->microseconds */
    void (*share)(cf_conv2d_plan *plan); /* sets plan->threads, evens out the tasks, sizes plan->workspace_each */
    void (*run)(const void *job, ptrdiff_t task, char *workspace); /* a cf_task over a cf_conv2d_job */
} cf_conv2d_algorithm;

extern const cf_conv2d_algorithm cf_conv2d_depthwise, cf_conv2d_direct, cf_conv2d_narrow, cf_conv2d_winograd,
    cf_conv2d_im2col;

/* A way to lay out the input so that register tiles (conv2d_tiles.c) can read it: what direct and im2col differ in. */
typedef struct {
    ptrdiff_t (*elements)(const cf_conv2d_plan *plan, ptrdiff_t rows, ptrdiff_t cols); /* of a block's layout */
    void (*steps)(const cf_conv2d_plan *plan, const cf_conv2d_task *task, ptrdiff_t *row, ptrdiff_t *col);
    void (*lay_out)(const cf_conv2d_job *job, const cf_conv2d_task *task, const cf_term_block *block, void *slab,
                    cf_conv2d_input *input);
    double (*cycles)(const cf_conv2d_plan *plan); /* to lay out one element */
} cf_conv2d_layout;

void cf_conv2d_cut_tiles(cf_conv2d_plan *plan, const cf_conv2d_layout *layout);
void cf_conv2d_share_tiles(cf_conv2d_plan *plan);
cf_conv2d_task cf_conv2d_task_at(const cf_conv2d_plan *plan, ptrdiff_t index);
void cf_conv2d_run_tiles(const void *job, ptrdiff_t task, char *workspace);
void cf_conv2d_copy_stage(const cf_conv2d_job *job, const cf_conv2d_task *task, const char *stage, ptrdiff_t ld,
                          ptrdiff_t pitch);

struct cf_conv2d_plan {
    cf_conv2d_shape shape;
    cf_padding_mode padding_mode;
    cf_activation activation;
    cf_precision precision;
    cf_compute compute;
    int channels_last;
    const cf_conv2d_algorithm *algorithm;
    const cf_conv2d_layout *layout;     /* of algorithms by tiles */
    const cf_winograd *winograd;        /* the member of that family; NULL before one is chosen, and of the others */
    const cf_leaves *leaves;
    const cf_tile_shape *tile;
    int filters_are_vectors, threads;
    int channels_innermost;             /* terms are in the order (r, s, c), else (c, r, s) */
    const cf_pixels_shape *pixels;      /* of depthwise with channels as vectors, else NULL */
    int exact_blocks;                   /* the stage keeps the rounding errors of block sums too */
    ptrdiff_t C, K, taps;               /* of one group */
    ptrdiff_t panel, panels;            /* filters of one packed panel; panels of a group */
    ptrdiff_t chain, block_channels, blocks;
    ptrdiff_t rows, cols, panels_each;  /* the largest task */
    ptrdiff_t row_tasks, col_tasks, panel_tasks, tasks;
    ptrdiff_t planes, planes_each, plane_tasks; /* of depthwise: groups, or chunks of channels that fill vectors */
    ptrdiff_t grid_rows, grid_cols, tiles; /* Winograd tiles of a phase of an image; the most of a task */
    ptrdiff_t panels_held;              /* of a Winograd task, whose products are there at one time */
    size_t slab_bytes, stage_bytes, table_bytes, workspace_each, packed_bytes;
    double microseconds;                /* estimate for one thread */
};

cf_status cf_conv2d_plan_make(const cf_conv2d_options *options, cf_compute compute, const ptrdiff_t x_shape[4],
                              const ptrdiff_t w_shape[4], cf_conv2d_plan *plan);

/* Whether the algorithm, and of a family the member, is named. */
int cf_conv2d_is_chosen(const cf_conv2d_options *options);

/* The part of a plan that filters depend on, for such options: what cf_conv2d_pack needs. */
cf_status cf_conv2d_plan_filters(const cf_conv2d_options *options, cf_compute compute, const ptrdiff_t w_shape[4],
                                 cf_conv2d_plan *plan);

/* The member of the family "winograd" of that name, else NULL. */
const cf_winograd *cf_winograd_named(const char *name);
/* Whether that member is for these filters, and is the one that was asked for, if one was. */
int cf_winograd_suits(const cf_conv2d_plan *plan, const cf_winograd *f);

/* Filters of one group, all or so many that a call which packs them for itself had better take at a time; and the same
   plan for that many. It changes no bit. */
ptrdiff_t cf_winograd_part(const cf_conv2d_plan *plan);
void cf_winograd_take(cf_conv2d_plan *plan, ptrdiff_t filters);

/* The terms of a tile's sums. */
static inline ptrdiff_t cf_chain(cf_compute compute, cf_precision precision)
{
    return compute == CF_COMPUTE_F32 && precision != CF_PRECISION_HIGHEST ? CF_LONG_CHAIN : CF_CHAIN;
}

cf_term_block cf_conv2d_block(const cf_conv2d_plan *plan, ptrdiff_t index);

/* Channels orientation: the fewest tiles that hold `pixels`, the first `tall` places in tiles of M, the others in tiles
   of M - 1: 49 make four of 6 and five of 5. Of few pixels some places are left over. */
typedef struct {
    ptrdiff_t count, tall;
} cf_places;

cf_places cf_conv2d_places(const cf_conv2d_plan *plan, ptrdiff_t pixels);

/* All tiles of a panel of filters; `tile` stands at the first place. */
void cf_conv2d_run_places(const cf_conv2d_plan *plan, cf_places places, cf_tile *tile);

/* Filters as they were given. */
typedef struct {
    const cf_conv2d_plan *plan;
    const cf_array *w;
    cf_load_run load;
    int plain; /* numbers of w are of the compute type, at whole indices */
} cf_raw_filters;

/* Everything a task needs to know. */
struct cf_conv2d_job {
    const cf_conv2d_plan *plan;
    const cf_array *x, *y;
    cf_vector bias;
    const char *packed;
    const cf_raw_filters *raw;  /* filters that tasks pack for themselves, at the end of their workspace; else NULL */
    cf_load_run load;
    cf_store_run store;
    int x_plain, y_plain; /* the array is in the compute type and can be addressed by elements */
    int view;   /* tiles read x itself */
    const void *limits; /* of the activation: {low, high} in the compute type */
    int staged; /* tiles write to a stage in the workspace, which is then copied to y */
    int fetch_y; /* y is so large that it is fetched before it is written */
    int squares; /* that copy may transpose squares: y has the compute type and neighbours in its rows */
};

/* Filters for tiles. The tile is that of the plan's orientation, filters_are_vectors. */
void cf_conv2d_shape_panels(cf_conv2d_plan *plan);
void cf_conv2d_shape_filters(cf_conv2d_plan *plan); /* chooses the orientation, then shapes panels */
void cf_conv2d_pack_filters(const cf_conv2d_plan *plan, const cf_array *w, char *packed);

cf_raw_filters cf_raw_filters_of(const cf_conv2d_plan *plan, const cf_array *w);
/* A block of the panels [first, first + panels) of group g to `to`, panels `panel_bytes` apart. */
void cf_conv2d_pack_block(const cf_raw_filters *raw, ptrdiff_t g, ptrdiff_t first, ptrdiff_t panels,
                          const cf_term_block *block, ptrdiff_t panel_bytes, char *to);

/* Whether elements of `a` are those of the compute type, at whole indices. */
static inline int cf_is_plain(const cf_array *a, cf_compute compute)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(compute);
    int plain = a->dtype == cf_dtype_of(compute) && (uintptr_t)a->data % (uintptr_t)size == 0;
    for (int i = 0; i < 4; ++i) plain = plain && a->strides[i] % size == 0;
    return plain;
}

/* Cells first + i * step, i < count, of a padded axis: those of [begin, end) stand in the array. */
typedef struct {
    ptrdiff_t first, step, count, begin, end;
} cf_conv2d_span;

cf_conv2d_span cf_conv2d_span_of(const cf_axis *axis, ptrdiff_t first, ptrdiff_t step, ptrdiff_t count);

/* dst[i] = column i of the span in row `row` of channel plane `plane` of x, padding included. */
void cf_conv2d_load_span(const cf_conv2d_job *job, const char *plane, ptrdiff_t row, const cf_conv2d_span *span,
                         void *dst);
/* The same for a span that is used once: dst[i] = cell (row, first + i * step); i < count. */
void cf_conv2d_load_row(const cf_conv2d_job *job, const char *plane, ptrdiff_t row, ptrdiff_t first, ptrdiff_t step,
                        ptrdiff_t count, void *dst);
/* dst[i] = cell (row, col) of channels [0, count) from plane on, padding included. */
void cf_conv2d_load_pixel(const cf_conv2d_job *job, const char *plane, ptrdiff_t row, ptrdiff_t col, ptrdiff_t count,
                          void *dst);

/* The rows first + i * step, i < rows, of channels [0, channels) from plane on: rows follow each other in dst, channels
   are `pitch` elements apart. */
void cf_conv2d_load_planes(const cf_conv2d_job *job, const char *plane, ptrdiff_t first, ptrdiff_t step, ptrdiff_t rows,
                           const cf_conv2d_span *span, ptrdiff_t channels, ptrdiff_t pitch, void *dst);
/* dst[i * pitch + c] = column i of the span in row `row` of channel c, c < channels, padding included. */
void cf_conv2d_load_pixels(const cf_conv2d_job *job, const char *plane, ptrdiff_t row, const cf_conv2d_span *span,
                           ptrdiff_t channels, ptrdiff_t pitch, void *dst);

/* to[j * to_step + i] = from[i * from_step + j] for i < rows, j < cols, both at least a vector; steps in elements. */
void cf_conv2d_transpose(const cf_conv2d_plan *plan, ptrdiff_t rows, ptrdiff_t cols, const char *from,
                         ptrdiff_t from_step, char *to, ptrdiff_t to_step);

/* Estimate: cycles for each element of runs of `run` elements, `step` cells apart. */
double cf_conv2d_load_cycles(ptrdiff_t step, ptrdiff_t run);

#endif
