/* workspace.c — aligned blocks that are kept between calls, so that a call neither faults pages nor takes a lock.

   A few blocks wait in slots. Taking and giving back are single atomic exchanges: any number of threads may do it at
   once, and a fork in the middle leaves the child nothing locked. */
#include "workspace.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#define SLOTS 8
#define KEPT_BYTES_MAX ((size_t)16 << 20) /* a larger block goes back to the system at once: 8 slots keep <= 128 MiB */

typedef struct {
    size_t bytes;
    char padding[CF_ALIGNMENT - sizeof(size_t)]; /* what follows the header is aligned too */
} header;

/* Blocks from this size on are asked for in large pages, where the system has them: to fault 48 MiB of filters in by
   4 KiB takes three times as long as to fill them. */
#define LARGE_PAGE ((size_t)2 << 20)
#define LARGE_BYTES (2 * LARGE_PAGE)

static _Atomic(header *) slots[SLOTS];
static atomic_int countdown;

void cf_fail_allocation(int nth) { atomic_store(&countdown, nth); }

static int must_fail(void)
{
    return atomic_load_explicit(&countdown, memory_order_relaxed) > 0 && atomic_fetch_sub(&countdown, 1) == 1;
}

/* Into an empty slot; when all are taken, the oldest resident of the first one goes. */
static void put_back(header *block)
{
    for (int i = 0; i < SLOTS; ++i) {
        header *empty = NULL;
        if (atomic_compare_exchange_strong(&slots[i], &empty, block)) return;
    }
    free(atomic_exchange(&slots[0], block));
}

static header *allocate(size_t bytes)
{
    const size_t alignment = bytes < LARGE_BYTES ? CF_ALIGNMENT : LARGE_PAGE;
    const size_t whole = (bytes + alignment - 1) / alignment * alignment;
    header *fresh = aligned_alloc(alignment, whole);
#ifdef MADV_HUGEPAGE
    if (fresh != NULL && alignment == LARGE_PAGE) (void)madvise(fresh, whole, MADV_HUGEPAGE);
#endif
    if (fresh != NULL) fresh->bytes = whole - sizeof(header);
    return fresh;
}

void *cf_acquire(size_t bytes)
{
    if (must_fail()) return NULL;
    for (int i = 0; i < SLOTS; ++i) {
        header *kept = atomic_exchange(&slots[i], NULL);
        if (kept == NULL) continue;
        if (kept->bytes >= bytes) return kept + 1;
        put_back(kept);
    }
    if (bytes > PTRDIFF_MAX / 2) return NULL;
    header *fresh = allocate(sizeof(header) + bytes);
    return fresh == NULL ? NULL : fresh + 1;
}

void cf_release(void *block)
{
    if (block == NULL) return;
    header *returned = (header *)block - 1;
    if (returned->bytes <= KEPT_BYTES_MAX)
        put_back(returned);
    else
        free(returned);
}
