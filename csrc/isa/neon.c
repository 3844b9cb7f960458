/* neon.c — the leaves for 64-bit ARM: 128-bit vectors, 32 registers. */
#if !defined __ARM_NEON || !defined __aarch64__
#error "isa/neon.c needs an aarch64 compiler"
#endif
#define CF_ISA neon
#define CF_VECTOR_BYTES 16
/* gcc keeps at most 16 sums in registers here. */
#define CF_PIXEL_TILES X(6, 2) X(4, 4) X(2, 8) X(1, 16)
#define CF_CHANNEL_TILES X(4, 4) X(8, 2) X(8, 1)
#define CF_DEPTHWISE_TILES X(4, 4) X(8, 2) X(8, 1)
#define CF_ROWS 4
#define CF_ROW_VECTORS X(1) X(2) X(3) X(4)
#define CF_SINGLE_VECTORS X(1) X(2) X(3) X(4)
#include "../kernels/table.inl.h"
