/* conv2d_weight_grad.c — what a convolution sends back to its filters:

     dw[k,c,r,s] = sum over n, p, q of grad[n,k,p,q] * x[n, c, p*stride + r*dilation - pad, q*stride + s*dilation - pad]

   A matrix product whose terms are pixels (n, p, q). A task owns some k and some (c, r, s) and goes through all pixels,
   in blocks whose limits depend on the shape alone: no bit of a sum depends on the threads. Here the sizes are decided;
   the sums stand in conv2d_weight_grad_tiles.c, _narrow.c and _channels.c. For 1x1 filters x and grad exchange their
   roles where that packs less.

   The caller guarantees: shapes that belong together, a dw of the compute type (or float16, bfloat16, computed in
   float32) which overlaps no input. Compare Georganas et al., arXiv 1808.05567, section II.J. */
#include "dispatch.h"
#include "parallel.h"
#include "weight_grad.h"
#include "workspace.h"

#include <stdint.h>

#define TASK_TERMS 288         /* (c, r, s) of a task, or all of a channel: each packed number is used so often */
#define TASK_BYTES (128 << 10) /* of sums (twice that with their errors): a second-level cache has 512 KiB */
#define COPY_BYTES (128 << 10) /* of padded input */
#define TASKS_PER_THREAD 4     /* as many as even out unequal threads */

#define PRODUCTS_PER_MICROSECOND 20000.0 /* of one thread, for the decision on threads */

/* The widest tile whose last panel is not mostly empty. */
static const cf_tile_shape *best_tile(const cf_leaves *leaves, ptrdiff_t K)
{
    const cf_tile_shape *best = leaves->channels;
    ptrdiff_t least = PTRDIFF_MAX;
    for (const cf_tile_shape *s = leaves->channels; s->M != 0; ++s) {
        const ptrdiff_t computed = cf_round_up(K, s->V * leaves->lanes);
        if (computed < least - least / 8) best = s, least = computed;
    }
    return best;
}

static void size_blocks(cf_weight_grad *job)
{
    const cf_conv2d_shape *s = &job->window.shape;
    job->cols = cf_min(s->w.out, CF_BLOCK_PIXELS);
    job->rows = cf_min(s->h.out, CF_BLOCK_PIXELS / job->cols);
    /* Several images only if whole ones fit. */
    const int whole = job->rows == s->h.out && job->cols == s->w.out;
    job->images = whole ? cf_max(1, cf_min(s->N, CF_BLOCK_PIXELS / (job->rows * job->cols))) : 1;
    job->blocks = cf_count_blocks(job);
    job->exact = job->window.compute == CF_COMPUTE_F32 && job->blocks > CF_BLOCKS_PLAIN;
}

/* Cells copied of a channel: rows with their padding, as they stand; or, where filters are so spread that this is less
   (and where a task has not all taps), one for every tap of every pixel. */
static ptrdiff_t copied_plane(cf_weight_grad *job)
{
    const cf_conv2d_shape *s = &job->window.shape;
    const ptrdiff_t cells = cf_mul(job->taps, job->rows * job->cols);
    const ptrdiff_t rows = cf_mul(cf_axis_covered(&s->h, job->rows), cf_axis_covered(&s->w, job->cols));
    job->by_cells = !job->view && (job->taps < job->window.taps || cells < rows);
    return job->by_cells ? cells : rows;
}

static void size_tasks(cf_weight_grad *job, int threads)
{
    const cf_conv2d_plan *window = &job->window;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(window->compute), taps = window->taps;
    job->taps = taps > CF_TAPS_MAX ? TASK_TERMS : taps;
    job->channels = cf_max(1, cf_min(window->C, TASK_TERMS / job->taps));
    job->plane = copied_plane(job);
    const ptrdiff_t channel = cf_mul(job->plane, job->images * size);
    if (!job->view) job->channels = cf_max(1, cf_min(job->channels, COPY_BYTES / channel));
    job->panels = cf_max(1, cf_min(window->panels, TASK_BYTES / (job->channels * job->taps * window->panel * size)));
    for (;;) {
        job->channel_tasks = cf_ceil_div(window->C, job->channels);
        job->tap_tasks = cf_ceil_div(taps, job->taps);
        job->panel_tasks = cf_ceil_div(window->panels, job->panels);
        const ptrdiff_t tasks = window->shape.groups * job->channel_tasks * job->tap_tasks * job->panel_tasks;
        if (tasks >= TASKS_PER_THREAD * threads || tasks % threads == 0) break;
        if (job->panels > 1)
            job->panels = cf_min(job->panels - 1, cf_ceil_div(window->panels, job->panel_tasks + 1));
        else if (job->channels > 1)
            job->channels = cf_min(job->channels - 1, cf_ceil_div(window->C, job->channel_tasks + 1));
        else
            break;
    }
}

static void size_workspace(cf_weight_grad *job)
{
    const cf_conv2d_plan *window = &job->window;
    const size_t size = cf_compute_bytes(window->compute);
    const cf_conv2d_shape *s = &window->shape;
    if (job->view) {
        const ptrdiff_t *strides = job->x.strides, bytes = (ptrdiff_t)size;
        job->image = strides[0] / bytes, job->plane = strides[1] / bytes, job->row = strides[2] / bytes;
        job->col = s->w.stride * strides[3] / bytes;
    } else {
        job->image = job->channels * job->plane;
        job->row = job->by_cells ? job->cols : cf_axis_covered(&s->w, job->cols);
        job->col = job->by_cells ? 1 : s->w.stride;
        job->copy_bytes = cf_aligned_bytes(job->images * job->image, size);
    }
    const ptrdiff_t terms = job->channels * job->taps;
    const ptrdiff_t sums = cf_round_up(terms, window->tile->M) * window->panel * job->panels;
    job->pack_bytes = cf_aligned_bytes(CF_BLOCK_PIXELS * window->panel, size);
    job->sum_bytes = cf_aligned_bytes(job->exact ? 2 * sums : sums, size);
    job->column_bytes = cf_aligned_bytes(terms * window->leaves->lanes, size);
    job->table_bytes = cf_aligned_bytes(CF_BLOCK_PIXELS + terms + 2 * CF_GRAD_PANEL_MAX, sizeof(ptrdiff_t));
    job->workspace_each = job->copy_bytes + job->pack_bytes + job->sum_bytes + job->column_bytes + job->table_bytes;
}

/* 1x1 without padding: x, but for the cells that the stride skips, is as grad is, and either may be the one to pack. */
static void exchange_roles(cf_weight_grad *job, cf_conv2d_shape *shape)
{
    const ptrdiff_t C = shape->C, K = shape->K, lanes = cf_kernels_now()->leaves[cf_compute_of(job->dw.dtype)]->lanes;
    cf_axis *const axes[2] = {&shape->h, &shape->w};
    if (shape->groups > 1 || C >= K || C < lanes || job->grad.strides[1] == (ptrdiff_t)cf_dtype_bytes(job->grad.dtype))
        return;
    for (int i = 0; i < 2; ++i)
        if (axes[i]->size > 1 || axes[i]->pad_before > 0 || axes[i]->pad_after > 0) return;
    for (int i = 0; i < 2; ++i) {
        job->x.strides[2 + i] *= axes[i]->stride;
        job->x.shape[2 + i] = axes[i]->in = axes[i]->out;
        axes[i]->stride = 1;
    }
    const cf_array x = job->x;
    const ptrdiff_t stride = job->dw.strides[0];
    job->x = job->grad, job->grad = x;
    job->dw.strides[0] = job->dw.strides[1], job->dw.strides[1] = stride;
    shape->C = K, shape->K = C;
}

static void describe(cf_weight_grad *job, const cf_conv2d_options *options, const cf_conv2d_shape *shape)
{
    cf_conv2d_plan *window = &job->window;
    window->shape = *shape;
    window->padding_mode = options->padding_mode;
    window->channels_last = options->channels_last;
    window->compute = cf_compute_of(job->dw.dtype);
    window->leaves = cf_kernels_now()->leaves[window->compute];
    window->chain = cf_chain(window->compute, options->precision);
    window->C = shape->C / shape->groups, window->K = shape->K / shape->groups;
    window->taps = shape->h.size * shape->w.size;
    window->tile = best_tile(window->leaves, window->K);
    window->panel = window->tile->V * window->leaves->lanes;
    window->panels = cf_ceil_div(window->K, window->panel);
    job->source = (cf_conv2d_job){.plan = window, .x = &job->x, .load = cf_loader(job->x.dtype, window->compute)};
    job->load = cf_loader(job->grad.dtype, window->compute);
    job->store = cf_storer(window->compute, job->dw.dtype);
    const cf_axis *h = &shape->h, *w = &shape->w;
    const int padded = h->pad_before > 0 || h->pad_after > 0 || w->pad_before > 0 || w->pad_after > 0;
    job->view = !padded && cf_is_plain(&job->x, window->compute);
}

cf_status cf_conv2d_weight_grad(const cf_conv2d_options *options, const cf_array *x, const cf_array *grad,
                                const cf_array *dw)
{
    if (dw->shape[0] == 0 || dw->shape[1] == 0) return CF_OK;
    cf_weight_grad job = {.x = *x, .grad = *grad, .dw = *dw};
    cf_conv2d_shape shape;
    const cf_status status = cf_conv2d_geometry(options, x->shape, dw->shape, &shape);
    if (status != CF_OK) return status;
    exchange_roles(&job, &shape);
    describe(&job, options, &shape);
    const double products = (double)shape.N * (double)shape.h.out * (double)shape.w.out * (double)shape.K *
                            (double)job.window.C * (double)job.window.taps;
    int threads = cf_threads_for(products / PRODUCTS_PER_MICROSECOND, PTRDIFF_MAX);
    if (job.window.K < job.window.leaves->lanes && job.window.taps <= CF_TAPS_MAX) {
        cf_status few = cf_weight_grad_channels(&job, threads);
        if (few == CF_NOT_APPLICABLE) few = cf_weight_grad_narrow(&job, threads);
        if (few != CF_NOT_APPLICABLE) return few;
    }
    size_blocks(&job);
    size_tasks(&job, threads);
    size_workspace(&job);
    threads = cf_threads_within(threads, job.workspace_each);
    char *workspace = cf_acquire(job.workspace_each * (size_t)threads);
    if (workspace == NULL) return CF_NO_MEMORY;
    const ptrdiff_t tasks = shape.groups * job.channel_tasks * job.tap_tasks * job.panel_tasks;
    cf_parallel_for(tasks, threads, cf_weight_grad_run_task, &job, workspace, job.workspace_each);
    cf_release(workspace);
    return CF_OK;
}
