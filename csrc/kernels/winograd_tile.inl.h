/* winograd_tile.inl.h — the transforms of Winograd's F(4x4, 3x3), float32; the contract is cf_winograd in table.h,
   the mathematics stands in conv2d_winograd.c. Vectors run along channels: a tile is [6][6][channels].

   With a = 2/3 and b = 3/2, so that a * b = 1, both one-dimensional transforms take twelve operations. */

#define POINT_A (2.0f / 3)
#define POINT_B (3.0f / 2)
#define A2 (4.0f / 9)     /* a^2 */
#define B2 (9.0f / 4)     /* b^2 */
#define A3 (8.0f / 27)    /* a^3 */
#define B3 (27.0f / 8)    /* b^3 */
#define A2B2 (97.0f / 36) /* a^2 + b^2 */
#define WINOGRAD_UNROLL _Pragma("GCC unroll 8")

/* v = B^T d */
static inline __attribute__((always_inline)) void transform_input(const vec d[6], vec v[6])
{
    const vec even_a = d[4] - B2 * d[2], odd_a = d[3] - B2 * d[1];
    const vec even_b = d[4] - A2 * d[2], odd_b = d[3] - A2 * d[1];
    v[0] = d[0] + (d[4] - A2B2 * d[2]);
    v[1] = even_a + POINT_A * odd_a;
    v[2] = even_a - POINT_A * odd_a;
    v[3] = even_b + POINT_B * odd_b;
    v[4] = even_b - POINT_B * odd_b;
    v[5] = d[1] + (d[5] - A2B2 * d[3]);
}

/* y = A^T m */
static inline __attribute__((always_inline)) void transform_output(const vec m[6], vec y[4])
{
    const vec sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    const vec sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    y[0] = m[0] + sum_a + sum_b;
    y[1] = POINT_A * difference_a + POINT_B * difference_b;
    y[2] = A2 * sum_a + B2 * sum_b;
    y[3] = m[5] + A3 * difference_a + B3 * difference_b;
}

static void winograd_input(const float *x, ptrdiff_t row, ptrdiff_t col, ptrdiff_t n, float *v, ptrdiff_t pitch)
{
    for (ptrdiff_t c = 0; c < n; c += LANES) {
        vec half[6][6], d[6], out[6];
        for (int j = 0; j < 6; ++j) {
            WINOGRAD_UNROLL for (int i = 0; i < 6; ++i) d[i] = vec_load(x + i * row + j * col + c);
            transform_input(d, out);
            WINOGRAD_UNROLL for (int i = 0; i < 6; ++i) half[i][j] = out[i];
        }
        float *to = v + c;
        for (int i = 0; i < 6; ++i) {
            transform_input(half[i], out);
            WINOGRAD_UNROLL for (int j = 0; j < 6; ++j, to += pitch) vec_store(to, out[j]);
        }
    }
}

static int winograd_output(const float *m, ptrdiff_t pitch, ptrdiff_t n, const float *bias, const float *limits,
                           float *y, ptrdiff_t row, ptrdiff_t col)
{
    vec witness = {0}; /* a finite number times zero is zero, any other NaN */
    for (ptrdiff_t k = 0; k < n; k += LANES) {
        vec half[4][6], column[6], out[4];
        for (int j = 0; j < 6; ++j) {
            WINOGRAD_UNROLL for (int i = 0; i < 6; ++i) column[i] = vec_load(m + (6 * i + j) * pitch + k);
            transform_output(column, out);
            WINOGRAD_UNROLL for (int i = 0; i < 4; ++i) half[i][j] = out[i];
        }
        const vec shift = vec_load(bias + k);
        for (int i = 0; i < 4; ++i) {
            transform_output(half[i], out);
            WINOGRAD_UNROLL for (int j = 0; j < 4; ++j) {
                witness += out[j] * 0.0f;
                out[j] += shift;
                if (limits != NULL) out[j] = vec_clamp(out[j], vec_fill(limits[0]), vec_fill(limits[1]));
                vec_store(y + i * row + j * col + k, out[j]);
            }
        }
    }
    int finite = 1;
    for (ptrdiff_t i = 0; i < LANES; ++i) finite &= witness[i] == 0;
    return finite;
}

/* U = G g G^T in float64, half a vector of filters at a time. */
typedef float winograd_half __attribute__((vector_size(CF_VECTOR_BYTES / 2)));
typedef winograd_half winograd_unaligned __attribute__((aligned(4), may_alias));
typedef double winograd_wide __attribute__((vector_size(CF_VECTOR_BYTES)));
#define HALF_LANES (LANES / 2)

/* u = G g */
static inline __attribute__((always_inline)) void transform_filter(const winograd_wide g[3], winograd_wide u[6])
{
    const winograd_wide even_a = g[0] * (-81.0 / 130) + g[2] * (-18.0 / 65), odd_a = g[1] * (-27.0 / 65);
    const winograd_wide even_b = g[0] * (8.0 / 65) + g[2] * (18.0 / 65), odd_b = g[1] * (12.0 / 65);
    u[0] = g[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[2];
}

static void winograd_filters(const float *g, ptrdiff_t tap, ptrdiff_t n, float *u, ptrdiff_t pitch)
{
    for (ptrdiff_t k = 0; k < n; k += HALF_LANES) {
        winograd_wide half[6][3], column[3], out[6];
        for (int s = 0; s < 3; ++s) {
            WINOGRAD_UNROLL for (int r = 0; r < 3; ++r)
                column[r] = __builtin_convertvector(*(const winograd_unaligned *)(g + (3 * r + s) * tap + k), winograd_wide);
            transform_filter(column, out);
            WINOGRAD_UNROLL for (int i = 0; i < 6; ++i) half[i][s] = out[i];
        }
        float *to = u + k;
        for (int i = 0; i < 6; ++i) {
            transform_filter(half[i], out);
            WINOGRAD_UNROLL for (int j = 0; j < 6; ++j, to += pitch)
                *(winograd_unaligned *)to = __builtin_convertvector(out[j], winograd_half);
        }
    }
}

static const cf_winograd winograd = {winograd_input, winograd_output, winograd_filters};

#undef POINT_A
#undef POINT_B
#undef A2
#undef B2
#undef A3
#undef B3
#undef A2B2
#undef WINOGRAD_UNROLL
#undef HALF_LANES
