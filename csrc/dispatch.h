/* dispatch.h — which table of leaves runs. */
#ifndef CF_DISPATCH_H
#define CF_DISPATCH_H

#include "kernels/table.h"

const cf_kernels *cf_kernels_now(void);

#endif
