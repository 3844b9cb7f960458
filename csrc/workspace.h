/* workspace.h — the only memory the kernels own. */
#ifndef CF_WORKSPACE_H
#define CF_WORKSPACE_H

#include <stddef.h>

#define CF_ALIGNMENT 64 /* a cache line, and the widest vector */

/* Of so many elements, up to the next piece of a workspace. */
static inline size_t cf_aligned_bytes(ptrdiff_t elements, size_t size)
{
    return ((size_t)elements * size + CF_ALIGNMENT - 1) / CF_ALIGNMENT * CF_ALIGNMENT;
}

/* What a call may hold beside its result and packed filters, all threads together: the contract's limit. */
#define CF_WORKSPACE_BYTES_MAX ((size_t)64 << 20)

/* Of so many threads, those whose workspaces of `each` bytes stay within it together: at least one. */
static inline int cf_threads_within(int threads, size_t each)
{
    if (each * (size_t)threads <= CF_WORKSPACE_BYTES_MAX) return threads;
    return each <= CF_WORKSPACE_BYTES_MAX ? (int)(CF_WORKSPACE_BYTES_MAX / each) : 1;
}

void *cf_acquire(size_t bytes);  /* aligned, contents undefined; NULL if memory ends */
void cf_release(void *block);    /* what cf_acquire gave; NULL is allowed */
void cf_fail_allocation(int nth); /* for tests: the nth cf_acquire from now fails; 0 turns that off */

#endif
