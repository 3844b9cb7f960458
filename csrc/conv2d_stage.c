/* conv2d_stage.c — from a task's stage to y: any strides, any dtype a result may have.

   The stage of the pixels orientation is [filter][row][pixel], with `ld` elements between filters and `pitch` between
   rows; that of the channels orientation [pixel][filter], with `ld` between pixels. */
#include "geometry.h"
#include "plan.h"

/* By squares; the last ones overlap those before. */
void cf_conv2d_transpose(const cf_conv2d_plan *plan, ptrdiff_t rows, ptrdiff_t cols, const char *from,
                         ptrdiff_t from_step, char *to, ptrdiff_t to_step)
{
    const ptrdiff_t lanes = plan->leaves->lanes, size = (ptrdiff_t)cf_compute_bytes(plan->compute);
    for (ptrdiff_t j = 0; j < cols; j += lanes)
        for (ptrdiff_t i = 0; i < rows; i += lanes) {
            const ptrdiff_t at_j = cf_min(j, cols - lanes), at_i = cf_min(i, rows - lanes);
            plan->leaves->transpose(from + (at_i * from_step + at_j) * size, from_step,
                                    to + (at_j * to_step + at_i) * size, to_step);
        }
}

/* The stage holds pixels, y planes of rows. */
static void copy_transposed(const cf_conv2d_job *job, const cf_conv2d_task *task, const char *stage, ptrdiff_t ld,
                            ptrdiff_t filters, char *y)
{
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), *strides = job->y->strides;
    const int joined = strides[2] == task->cols * strides[3];
    const ptrdiff_t rows = joined ? 1 : task->rows, pixels = joined ? task->rows * task->cols : task->cols;
    for (ptrdiff_t p = 0; p < rows; ++p, y += strides[2]) {
        const char *from = stage + p * pixels * ld * size;
        if (job->squares && pixels >= plan->leaves->lanes && filters >= plan->leaves->lanes)
            cf_conv2d_transpose(plan, pixels, filters, from, ld, y, strides[1] / size);
        else
            for (ptrdiff_t i = 0; i < pixels; ++i, from += ld * size)
                job->store(y + i * strides[3], strides[1], from, filters);
    }
}

void cf_conv2d_copy_stage(const cf_conv2d_job *job, const cf_conv2d_task *task, const char *stage, ptrdiff_t ld,
                          ptrdiff_t pitch)
{
    const cf_conv2d_plan *plan = job->plan;
    const ptrdiff_t size = (ptrdiff_t)cf_compute_bytes(plan->compute), *strides = job->y->strides;
    const ptrdiff_t k0 = task->panel * plan->panel, filters = cf_min(task->panels * plan->panel, plan->K - k0);
    char *y = job->y->data + task->n * strides[0] + (task->g * plan->K + k0) * strides[1] + task->p * strides[2] +
              task->q * strides[3];
    if (plan->filters_are_vectors)
        copy_transposed(job, task, stage, ld, filters, y);
    else
        for (ptrdiff_t k = 0; k < filters; ++k)
            for (ptrdiff_t p = 0; p < task->rows; ++p)
                job->store(y + k * strides[1] + p * strides[2], strides[3],
                           stage + (k * ld + p * pitch) * size, task->cols);
}
