/* harness.h — what the checks share: random numbers that repeat, tensors between guard pages, dtypes read the plain
   way. Nothing here or in the checks uses code of csrc/ beyond convfast.h. */
#ifndef HARNESS_H
#define HARNESS_H

#include "convfast.h"

/* A check computes its case number `seed`, the same at every run, on every ISA. 1 if all was right; otherwise it says
   on stderr what was not. */
typedef int check(uint64_t seed);
check check_conv2d, check_threads, check_geometry;

/* The case of the moment, for the messages. */
void now_computing(const char *format, ...) __attribute__((format(printf, 1, 2)));
int failed(const char *format, ...) __attribute__((format(printf, 1, 2))); /* tells it and the case; returns 0 */

/* Random numbers. */
uint64_t next(uint64_t *random);
int64_t between(uint64_t *random, int64_t least, int64_t most);
int one_in(uint64_t *random, int n);
#define PICK(random, list) ((list)[between(random, 0, (int64_t)(sizeof(list) / sizeof *(list)) - 1)])

/* Pages of which the last or the first byte borders on memory that faults. */
typedef struct {
    char *map, *data;
    size_t mapped, bytes;
} guarded;

guarded guard(size_t bytes, int at_end);
void guard_read_only(guarded g);
void guard_free(guarded g);

/* An array in logical order (`cell`) and as its bytes shall stand in memory (`image`), gaps included. */
typedef struct {
    cf_array array; /* data is set when the image is placed */
    ptrdiff_t lowest, cells;
    size_t bytes;
    char *image;
    int64_t *cell;
} tensor;

size_t dtype_bytes(cf_dtype dtype);
const char *dtype_name(cf_dtype dtype);

/* A tensor with random strides whose gaps hold `gap`; order: axes from the outermost to the innermost in memory.
   An input may also repeat itself along an axis with stride zero. */
tensor tensor_make(uint64_t *random, cf_dtype dtype, const ptrdiff_t shape[4], const int order[4], int gap, int input);
void tensor_fill(tensor *t, uint64_t *random, int64_t span); /* in [-span, span], unsigned in [0, span]; 0: all bits */
void tensor_write(tensor *t);                                /* the cells into the image */
void tensor_snap(tensor *t, double reach); /* float32 numbers in memory that are so close to their cell become it */
void tensor_free(tensor *t);
guarded tensor_place(tensor *t, int at_end);                 /* the image between guard pages */

#endif
