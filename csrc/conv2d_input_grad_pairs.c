/* conv2d_input_grad_pairs.c — the input gradient of depthwise convolutions with horizontal stride 2, vectors along the
   rows: both phases of a row are computed together and woven into each other, because elements of one phase alone could
   only be stored one by one.

   A task owns one plane. Its grad is laid out with zeros around; every tap is then a shift of it. Terms are in the
   order of the phases' forward convolutions (conv2d_input_grad.c): so are the bits. */
#include "dispatch.h"
#include "input_grad.h"
#include "parallel.h"
#include "plan.h"
#include "workspace.h"

#include <string.h>

#define TERMS_MAX 128
#define SLAB_BYTES_MAX ((ptrdiff_t)192 << 10) /* of a second-level cache of 512 KiB */
#define CELLS_PER_MICROSECOND 4000.0          /* of one thread, for the decision on threads */

typedef struct {
    const cf_input_grad *job;
    const cf_array *dx;
    const cf_leaves *leaves;
    ptrdiff_t size, top, left;                  /* top, left: grad's cell at the slab's first */
    ptrdiff_t rows, cols;                       /* of the slab */
    ptrdiff_t at[TERMS_MAX], taps[TERMS_MAX];   /* of every term: where it stands in the slab, bytes to its tap in w */
    ptrdiff_t terms[TERMS_MAX][2], count;       /* of each row phase by column phase; of all */
    size_t slab_bytes, each;
} pairs;

static ptrdiff_t first_cell(const cf_grad_phase *p) { return p->taps == 0 ? 0 : p->start - (p->taps - 1) * p->reach; }
static ptrdiff_t last_cell(const cf_grad_phase *p) { return p->taps == 0 ? 0 : p->start + p->count - 1; }

/* The cells of grad that the phases of an axis meet: [*begin, *end). */
static void find_cells(const cf_axis *axis, ptrdiff_t offset, ptrdiff_t cells, ptrdiff_t *begin, ptrdiff_t *end)
{
    *begin = *end = 0;
    for (ptrdiff_t i = 0; i < axis->stride; ++i) {
        const cf_grad_phase p = cf_find_grad_phase(axis, offset, cells, i);
        *begin = cf_min(*begin, first_cell(&p));
        *end = cf_max(*end, last_cell(&p) + 1);
    }
}

static void add_terms(pairs *plan, const cf_grad_phase *h, const cf_grad_phase *w)
{
    const ptrdiff_t *strides = plan->job->w.strides;
    for (ptrdiff_t r = h->taps - 1; r >= 0; --r)
        for (ptrdiff_t s = w->taps - 1; s >= 0; --s, ++plan->count) {
            const ptrdiff_t row = h->start - r * h->reach - plan->top, col = w->start - s * w->reach - plan->left;
            plan->at[plan->count] = row * plan->cols + col;
            plan->taps[plan->count] = (h->tap + r * h->step) * strides[2] + (w->tap + s * w->step) * strides[3];
        }
}

static void lay_out(const pairs *plan, const char *plane, char *slab)
{
    const cf_array *grad = &plan->job->grad;
    const ptrdiff_t top = cf_max(0, plan->top), bottom = cf_min(grad->shape[2], plan->top + plan->rows);
    const ptrdiff_t left = cf_max(0, plan->left), right = cf_min(grad->shape[3], plan->left + plan->cols);
    memset(slab, 0, plan->slab_bytes);
    if (bottom <= top || right <= left) return;
    plan->leaves->copy_rows(&(cf_row_copy){
        .to = slab + ((top - plan->top) * plan->cols + left - plan->left) * plan->size, .to_row = plan->cols,
        .from = plane + top * grad->strides[2] + left * plan->size, .from_row = grad->strides[2] / plan->size,
        .rows = bottom - top, .step = 1, .count = right - left,
    });
}

static void run_plane(const void *context, ptrdiff_t task, char *workspace)
{
    const pairs *plan = context;
    const cf_array *dx = plan->dx, *grad = &plan->job->grad, *w = &plan->job->w;
    const ptrdiff_t n = task / dx->shape[1], c = task % dx->shape[1], size = plan->size, stride = plan->job->h.stride;
    char *filter = workspace + plan->slab_bytes, *to = dx->data + n * dx->strides[0] + c * dx->strides[1];
    lay_out(plan, grad->data + n * grad->strides[0] + c * grad->strides[1], workspace);
    for (ptrdiff_t t = 0; t < plan->count; ++t)
        memcpy(filter + t * size, w->data + c * w->strides[0] + plan->taps[t], (size_t)size);
    ptrdiff_t first = 0;
    for (ptrdiff_t phase = 0; phase < stride; first += plan->terms[phase][0] + plan->terms[phase][1], ++phase) {
        cf_row_pairs row = {.n = dx->shape[3] / 2, .terms = {plan->terms[phase][0], plan->terms[phase][1]},
                            .at = plan->at + first, .w = filter + first * size};
        for (ptrdiff_t i = phase; i < dx->shape[2]; i += stride) {
            row.x = workspace + i / stride * plan->cols * size;
            row.y = to + i * dx->strides[2];
            plan->leaves->row_pairs(&row);
        }
    }
}

static int applies(const cf_input_grad *job, const cf_array *dx, cf_compute compute, ptrdiff_t lanes)
{
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(compute), taps = job->h.size * job->w_axis.size;
    return job->w_axis.stride == 2 && !job->options->channels_last && job->options->activation == CF_ACTIVATION_NONE &&
           job->bias.data == NULL && job->w.shape[1] == 1 && job->w.shape[0] == job->options->groups &&
           taps <= CF_CHAIN && job->h.stride <= TERMS_MAX && dx->shape[3] % 2 == 0 && dx->shape[3] / 2 >= lanes &&
           cf_is_plain(dx, compute) && cf_is_plain(&job->grad, compute) && cf_is_plain(&job->w, compute) &&
           dx->strides[3] == size && job->grad.strides[3] == size && dx->shape[2] >= job->h.stride;
}

cf_status cf_input_grad_pairs(const cf_input_grad *job, ptrdiff_t top, ptrdiff_t left, const cf_array *dx)
{
    const cf_compute compute = cf_compute_of(dx->dtype);
    pairs plan = {.job = job, .dx = dx, .leaves = cf_kernels_now()->leaves[compute],
                  .size = (ptrdiff_t)cf_compute_bytes(compute)};
    if (!applies(job, dx, compute, plan.leaves->lanes)) return CF_NOT_APPLICABLE;
    ptrdiff_t bottom, right;
    find_cells(&job->h, top, dx->shape[2], &plan.top, &bottom);
    find_cells(&job->w_axis, left, dx->shape[3], &plan.left, &right);
    plan.rows = bottom - plan.top, plan.cols = right - plan.left;
    const ptrdiff_t bytes = cf_mul(cf_mul(plan.rows, plan.cols), plan.size);
    if (bytes > SLAB_BYTES_MAX) return CF_NOT_APPLICABLE;
    plan.slab_bytes = cf_aligned_bytes(bytes, 1);
    for (ptrdiff_t i = 0; i < job->h.stride; ++i)
        for (ptrdiff_t j = 0; j < 2; ++j) {
            const cf_grad_phase h = cf_find_grad_phase(&job->h, top, dx->shape[2], i);
            const cf_grad_phase w = cf_find_grad_phase(&job->w_axis, left, dx->shape[3], j);
            const ptrdiff_t before = plan.count;
            add_terms(&plan, &h, &w);
            plan.terms[i][j] = plan.count - before;
        }
    plan.each = plan.slab_bytes + TERMS_MAX * sizeof(double);
    const ptrdiff_t planes = dx->shape[0] * dx->shape[1];
    const double cells = (double)planes * (double)dx->shape[2] * (double)dx->shape[3];
    const int threads = cf_threads_within(cf_threads_for(cells / CELLS_PER_MICROSECOND, planes), plan.each);
    char *workspace = cf_acquire(plan.each * (size_t)threads);
    if (workspace == NULL) return CF_NO_MEMORY;
    cf_parallel_for(planes, threads, run_plane, &plan, workspace, plan.each);
    cf_release(workspace);
    return CF_OK;
}
