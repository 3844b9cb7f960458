/* conv2d.c — convolution, from the arguments to the tasks:

     y[n,k,p,q] = activation(bias[k] + sum over c, r, s of
                  x[n, c, p*stride + r*dilation - pad, q*stride + s*dilation - pad] * w[k,c,r,s])

   The caller guarantees: shapes that cf_conv2d_geometry accepts, a y of that shape whose dtype is the compute type (or
   float16 or bfloat16, which are computed in float32), which overlaps no input. */
#include "dispatch.h"
#include "geometry.h"
#include "parallel.h"
#include "plan.h"
#include "workspace.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Reading x directly saves laying it out, but its channels stand far apart in memory (TLB, cache sets): with more
   filters than this to compute from each input, laying out is cheaper (bench_conv2d, rn50 1x1 layers). */
#define VIEW_FILTERS_MAX 32

static int can_view(const cf_conv2d_plan *plan, const cf_array *x)
{
    const cf_axis *h = &plan->shape.h, *w = &plan->shape.w;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    if (plan->algorithm != &cf_conv2d_direct || !cf_is_plain(x, plan->compute)) return 0;
    if (h->pad_before != 0 || h->pad_after != 0 || w->pad_before != 0 || w->pad_after != 0) return 0;
    if (plan->exact_blocks) return 0;
    return plan->filters_are_vectors || (w->stride == 1 && x->strides[3] == size && plan->K <= VIEW_FILTERS_MAX);
}

/* Whether tiles can write whole vectors into y. Sums that grow block by block need room there for whole panels, and no
   vector of pixels that overlaps another. */
static int can_write(const cf_conv2d_plan *plan, const cf_array *y)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    if (!cf_is_plain(y, plan->compute)) return 0;
    if (plan->blocks > 1 && (!plan->filters_are_vectors || plan->K % plan->panel != 0)) return 0;
    if (plan->filters_are_vectors) return y->strides[1] == size;
    return y->strides[3] == size && plan->shape.w.out / plan->col_tasks >= plan->leaves->lanes;
}

/* {low, high} between which results are clamped, in every compute type; NULL without activation. */
static const void *limits(cf_compute compute, cf_activation activation)
{
    static const float f32[][2] = {{0, INFINITY}, {0, 6}};
    static const double f64[][2] = {{0, INFINITY}, {0, 6}};
    static const int32_t i32[][2] = {{0, INT32_MAX}, {0, 6}};
    static const int64_t i64[][2] = {{0, INT64_MAX}, {0, 6}};
    if (activation == CF_ACTIVATION_NONE) return NULL;
    const int row = activation == CF_ACTIVATION_RELU6;
    const void *const rows[CF_COMPUTES] = {f32[row], f64[row], i32[row], i64[row]};
    return rows[compute];
}

static int can_join(const cf_array *a) { return a->strides[2] == a->shape[3] * a->strides[3]; }

/* The arrays of a run; x and y may have been reshaped. */
typedef struct {
    cf_array x, y;
    cf_vector bias;
} operands;

static operands prepare(const cf_conv2d_options *options, const cf_array *x, const ptrdiff_t w_shape[4], cf_vector bias,
                        const cf_array *y)
{
    operands o = {*x, *y, bias};
    if (cf_is_pointwise(options, x->shape, w_shape) && can_join(x) && can_join(y))
        cf_join_rows(o.x.shape), cf_join_rows(o.y.shape);
    return o;
}

/* Larger outputs come from memory, or from the far end of a third-level cache. When they were fetched, yolo_stem and
   vgg1_1 of 13 MB took 0.89 to 0.95 of the time, Winograd on vgg2_1 and vgg1_2 of 6 and 13 MB 0.95 to 0.97, but
   rn50_s1_expand of 3 MB 1.03: the layers are those of `python -m convfast bench`. */
#define FAR_OUTPUT_BYTES (4 << 20)

static ptrdiff_t output_bytes(const cf_conv2d_plan *plan)
{
    const cf_conv2d_shape *s = &plan->shape;
    return cf_mul(cf_mul(cf_mul(s->N, s->K), cf_mul(s->h.out, s->w.out)), (ptrdiff_t)cf_compute_bytes(plan->compute));
}

/* Filters are packed, or raw (and packed by the tasks). */
static cf_status run(const cf_conv2d_plan *plan, const operands *o, const void *packed, const cf_raw_filters *raw)
{
    cf_conv2d_job job = {
        .plan = plan, .x = &o->x, .y = &o->y, .bias = o->bias, .packed = packed, .raw = raw,
        .load = cf_loader(o->x.dtype, plan->compute), .store = cf_storer(plan->compute, o->y.dtype),
        .limits = limits(plan->compute, plan->activation),
        .x_plain = cf_is_plain(&o->x, plan->compute), .y_plain = cf_is_plain(&o->y, plan->compute),
    };
    const int writes = can_write(plan, &o->y);
    job.view = can_view(plan, &o->x) && (writes || plan->filters_are_vectors);
    job.staged = !writes || (plan->blocks > 1 && !job.view);
    job.fetch_y = output_bytes(plan) > FAR_OUTPUT_BYTES;
    job.squares = job.y_plain && o->y.strides[3] == (ptrdiff_t)cf_compute_bytes(plan->compute);
    const ptrdiff_t block = cf_conv2d_block(plan, 0).terms * plan->panel;
    const size_t each = plan->workspace_each +
                        (raw == NULL ? 0 : cf_aligned_bytes(block, cf_compute_bytes(plan->compute)));
    const int threads = cf_threads_within(plan->threads, each);
    char *workspace = cf_acquire(each * (size_t)threads);
    if (workspace == NULL) return CF_NO_MEMORY;
    cf_parallel_for(plan->tasks, threads, plan->algorithm->run, &job, workspace, each);
    cf_release(workspace);
    return CF_OK;
}

/* Filters that one task alone reads are packed there, a block of a panel at a time: it is still in the first-level
   cache when it is used (512->512 at 7x7: 3x3 in 0.84 of the time). No block is larger than the first. */
static int packs_in_tasks(const cf_conv2d_plan *plan)
{
    return plan->layout != NULL && plan->filters_are_vectors && plan->shape.N * plan->row_tasks * plan->col_tasks == 1;
}

static cf_status pack_and_run(const cf_conv2d_plan *plan, const operands *o, const cf_array *w)
{
    if (packs_in_tasks(plan)) {
        const cf_raw_filters raw = cf_raw_filters_of(plan, w);
        return run(plan, o, NULL, &raw);
    }
    void *packed = cf_acquire(plan->packed_bytes);
    if (packed == NULL) return CF_NO_MEMORY;
    if (plan->packed_bytes > 0) plan->algorithm->pack(plan, w, packed);
    const cf_status status = run(plan, o, packed, NULL);
    cf_release(packed);
    return status;
}

/* Winograd's filters, a part at a time. */
static cf_status run_parts(const cf_conv2d_plan *plan, const operands *o, const cf_array *w)
{
    const ptrdiff_t each = cf_winograd_part(plan);
    cf_status status = CF_OK;
    for (ptrdiff_t k = 0; k < plan->K && status == CF_OK; k += each) {
        cf_conv2d_plan part = *plan;
        operands taken = *o;
        cf_array filters = *w;
        if (each < plan->K) cf_winograd_take(&part, cf_min(each, plan->K - k));
        filters.data += k * w->strides[0], filters.shape[0] = part.shape.K;
        taken.y.data += k * o->y.strides[1], taken.y.shape[1] = part.shape.K;
        if (o->bias.data != NULL) taken.bias.data += k * o->bias.stride;
        status = pack_and_run(&part, &taken, &filters);
    }
    return status;
}

cf_status cf_conv2d(const cf_conv2d_options *options, const cf_array *x, const cf_array *w, cf_vector bias,
                    const cf_array *y)
{
    if (y->shape[0] == 0 || y->shape[1] == 0) return CF_OK;
    const operands o = prepare(options, x, w->shape, bias, y);
    cf_conv2d_plan plan;
    const cf_status status = cf_conv2d_plan_make(options, cf_compute_of(y->dtype), o.x.shape, w->shape, &plan);
    if (status != CF_OK) return status;
    return plan.algorithm == &cf_conv2d_winograd ? run_parts(&plan, &o, w) : pack_and_run(&plan, &o, w);
}

cf_status cf_conv2d_choose(const cf_conv2d_options *options, cf_dtype compute, const ptrdiff_t x_shape[4],
                           const ptrdiff_t w_shape[4], cf_conv2d_options *chosen)
{
    ptrdiff_t shape[4] = {x_shape[0], x_shape[1], x_shape[2], x_shape[3]};
    if (cf_is_pointwise(options, x_shape, w_shape)) cf_join_rows(shape); /* as nearly all arrays allow it */
    cf_conv2d_plan plan;
    const cf_status status = cf_conv2d_plan_make(options, cf_compute_of(compute), shape, w_shape, &plan);
    *chosen = *options;
    if (status == CF_OK) chosen->algorithm = plan.winograd != NULL ? plan.winograd->name : plan.algorithm->name;
    return status;
}

size_t cf_conv2d_packed_bytes(const cf_conv2d_options *options, cf_dtype compute, const ptrdiff_t w_shape[4])
{
    cf_conv2d_plan plan;
    return cf_conv2d_plan_filters(options, cf_compute_of(compute), w_shape, &plan) == CF_OK ? plan.packed_bytes : 0;
}

cf_status cf_conv2d_pack(const cf_conv2d_options *options, cf_dtype compute, const cf_array *w, void *packed)
{
    cf_conv2d_plan plan;
    const cf_status status = cf_conv2d_plan_filters(options, cf_compute_of(compute), w->shape, &plan);
    if (status == CF_OK && plan.packed_bytes > 0) plan.algorithm->pack(&plan, w, packed);
    return status;
}

cf_status cf_conv2d_packed(const cf_conv2d_options *options, const cf_array *x, const ptrdiff_t w_shape[4],
                           const void *packed, cf_vector bias, const cf_array *y)
{
    if (!cf_conv2d_is_chosen(options)) return CF_NOT_APPLICABLE;
    if (y->shape[0] == 0 || y->shape[1] == 0) return CF_OK;
    const operands o = prepare(options, x, w_shape, bias, y);
    cf_conv2d_plan plan;
    const cf_status status = cf_conv2d_plan_make(options, cf_compute_of(y->dtype), o.x.shape, w_shape, &plan);
    return status == CF_OK ? run(&plan, &o, packed, NULL) : status;
}
