/* convert.h — runs of numbers between any dtype with any stride and the compute types. */
#ifndef CF_CONVERT_H
#define CF_CONVERT_H

#include "convfast.h"

/* The four types the leaves compute in. Integers wrap, so their arithmetic is unsigned. */
typedef enum { CF_COMPUTE_F32, CF_COMPUTE_F64, CF_COMPUTE_I32, CF_COMPUTE_I64, CF_COMPUTES } cf_compute;

cf_compute cf_compute_of(cf_dtype dtype); /* of the dtype results are computed in */
size_t cf_dtype_bytes(cf_dtype dtype);
static inline size_t cf_compute_bytes(cf_compute compute)
{
    return compute == CF_COMPUTE_F32 || compute == CF_COMPUTE_I32 ? 4 : 8;
}

/* The dtype whose numbers are those of the compute type as they stand. */
static inline cf_dtype cf_dtype_of(cf_compute compute)
{
    static const cf_dtype dtypes[CF_COMPUTES] = {CF_F32, CF_F64, CF_I32, CF_I64};
    return dtypes[compute];
}

/* to[i] = from[i * stride] for i < n; `to` is contiguous, `stride` in bytes. */
typedef void (*cf_load_run)(void *restrict to, const char *restrict from, ptrdiff_t stride, ptrdiff_t n);
cf_load_run cf_loader(cf_dtype from, cf_compute to);

/* to[i * stride] = from[i] for i < n; `from` is contiguous. Only the dtypes a result may have. */
typedef void (*cf_store_run)(char *restrict to, ptrdiff_t stride, const void *restrict from, ptrdiff_t n);
cf_store_run cf_storer(cf_compute from, cf_dtype to);

/* The same for elements of 1, 2, 4 or 8 bytes that only move. */
cf_load_run cf_copy_loader(size_t bytes);
cf_store_run cf_copy_storer(size_t bytes);

#endif
