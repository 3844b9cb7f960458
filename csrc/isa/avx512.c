/* avx512.c — the leaves for AVX-512: 512-bit vectors. CF_EMULATE builds the same tiles without its instructions,
   to test their logic on other machines. */
#if !defined __AVX512F__ && !defined CF_EMULATE
#error "isa/avx512.c needs -mavx512f"
#endif
#define CF_ISA avx512
#define CF_VECTOR_BYTES 64
/* 32 registers: 24 sums, 4 to 6 vectors, 1 broadcast. */
#define CF_PIXEL_TILES X(6, 4) X(4, 6) X(2, 8) X(1, 8)
#define CF_CHANNEL_TILES X(6, 4) X(8, 2) X(8, 1)
#define CF_DEPTHWISE_TILES X(6, 4) X(8, 2) X(8, 1)
#define CF_ROWS 4
#define CF_ROW_VECTORS X(1) X(2) X(3) X(4)
#define CF_SINGLE_VECTORS X(1) X(2) X(3) X(4)
#include "../kernels/table.inl.h"
