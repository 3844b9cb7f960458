/* baseline.c — the leaves for every machine: 128-bit vectors, SSE2 on x86-64, no compiler flag. */
#define CF_ISA baseline
#define CF_VECTOR_BYTES 16
/* 16 registers: 12 sums at most: a product needs a register too. */
#define CF_PIXEL_TILES X(6, 2) X(4, 2) X(2, 4) X(1, 4)
#define CF_CHANNEL_TILES X(4, 2) X(4, 1)
#define CF_DEPTHWISE_TILES X(4, 2) X(8, 1)
#define CF_ROWS 3
#define CF_ROW_VECTORS X(1) X(2)
#define CF_SINGLE_VECTORS X(1) X(2) X(3) X(4)
#include "../kernels/table.inl.h"
