/* avx2.c — the leaves for AVX2 with FMA: 256-bit vectors. */
#if !defined __AVX2__ || !defined __FMA__
#error "isa/avx2.c needs -mavx2 -mfma"
#endif
#define CF_ISA avx2
#define CF_VECTOR_BYTES 32
/* 16 registers: 12 sums, 2 or 3 vectors, 1 broadcast. */
#define CF_PIXEL_TILES X(6, 2) X(4, 3) X(2, 4) X(1, 8)
#define CF_CHANNEL_TILES X(6, 2) X(8, 1)
#define CF_DEPTHWISE_TILES X(6, 2) X(8, 1)
#define CF_ROWS 4
#define CF_ROW_VECTORS X(1) X(2) X(3)
#define CF_SINGLE_VECTORS X(1) X(2) X(3) X(4)
#include "../kernels/table.inl.h"
