/* winograd_tile.inl.h — the transforms of Winograd's F(outputs x outputs, taps x taps), float32; the contract is
   cf_winograd in table.h, the mathematics stands in conv2d_winograd.c. Vectors run along channels: a tile is
   [cells][cells][channels]. The sizes of a member are constants wherever these functions are used.

   Points: 0, infinity and pairs +-p, p = 1 with 4 cells, 2/3 and 3/2 with 6. What a transform does for p and for -p has
   an even part in common and differs in the sign of an odd one. */

#define WINOGRAD_CELLS 6 /* at most */
#define WINOGRAD_UNROLL _Pragma("GCC unroll 8")

/* p^n of pair 0 or 1 */
static inline __attribute__((always_inline)) double point_power(const int cells, const int pair, const int n)
{
    const double point = cells == 4 ? 1 : pair == 0 ? 2.0 / 3 : 3.0 / 2;
    double power = 1;
    WINOGRAD_UNROLL for (int i = 0; i < n; ++i) power *= point;
    return power;
}

/* v = B^T d */
static inline __attribute__((always_inline)) void transform_input(const int cells, const vec *d, vec *v)
{
    if (cells == 4) {
        v[0] = d[0] - d[2];
        v[1] = d[2] + d[1];
        v[2] = d[2] - d[1];
        v[3] = d[3] - d[1];
        return;
    }
    const float a = 2.0f / 3, b = 3.0f / 2, a2 = 4.0f / 9, b2 = 9.0f / 4, a2_b2 = 97.0f / 36; /* a2 + b2 */
    const vec even_a = d[4] - b2 * d[2], odd_a = d[3] - b2 * d[1];
    const vec even_b = d[4] - a2 * d[2], odd_b = d[3] - a2 * d[1];
    v[0] = d[0] + (d[4] - a2_b2 * d[2]);
    v[1] = even_a + a * odd_a;
    v[2] = even_a - a * odd_a;
    v[3] = even_b + b * odd_b;
    v[4] = even_b - b * odd_b;
    v[5] = d[1] + (d[5] - a2_b2 * d[3]);
}

/* y = A^T m: row n holds the n-th powers of the points. */
static inline __attribute__((always_inline)) void transform_output(const int cells, const int outputs, const vec *m,
                                                                   vec *y)
{
    vec parts[2][2]; /* even, odd */
    WINOGRAD_UNROLL for (int p = 0; p < cells / 2 - 1; ++p) {
        parts[0][p] = m[2 * p + 1] + m[2 * p + 2];
        parts[1][p] = m[2 * p + 1] - m[2 * p + 2];
    }
    WINOGRAD_UNROLL for (int n = 0; n < outputs; ++n) {
        const int lone = n == 0 || n == outputs - 1; /* the point 0, infinity */
        y[n] = lone ? m[n == 0 ? 0 : cells - 1] : parts[n % 2][0] * (float)point_power(cells, 0, n);
        WINOGRAD_UNROLL for (int p = !lone; p < cells / 2 - 1; ++p)
            y[n] += parts[n % 2][p] * (float)point_power(cells, p, n);
    }
}

static inline __attribute__((always_inline)) void winograd_input(const int cells, const float *x, ptrdiff_t row,
                                                                 ptrdiff_t col, ptrdiff_t n, float *v, ptrdiff_t pitch)
{
    for (ptrdiff_t c = 0; c < n; c += LANES) {
        vec half[WINOGRAD_CELLS][WINOGRAD_CELLS], d[WINOGRAD_CELLS], out[WINOGRAD_CELLS];
        for (int j = 0; j < cells; ++j) {
            WINOGRAD_UNROLL for (int i = 0; i < cells; ++i) d[i] = vec_load(x + i * row + j * col + c);
            transform_input(cells, d, out);
            WINOGRAD_UNROLL for (int i = 0; i < cells; ++i) half[i][j] = out[i];
        }
        float *to = v + c;
        for (int i = 0; i < cells; ++i) {
            transform_input(cells, half[i], out);
            WINOGRAD_UNROLL for (int j = 0; j < cells; ++j, to += pitch) vec_store(to, out[j]);
        }
    }
}

static inline __attribute__((always_inline)) int winograd_output(
    const int cells, const int outputs, const float *m, ptrdiff_t pitch, ptrdiff_t n, const float *bias,
    const float *limits, float *y, ptrdiff_t row, ptrdiff_t col)
{
    vec witness = {0}; /* a finite number times zero is zero, any other NaN */
    for (ptrdiff_t k = 0; k < n; k += LANES) {
        vec half[WINOGRAD_CELLS][WINOGRAD_CELLS], column[WINOGRAD_CELLS], out[WINOGRAD_CELLS];
        for (int j = 0; j < cells; ++j) {
            WINOGRAD_UNROLL for (int i = 0; i < cells; ++i) column[i] = vec_load(m + (cells * i + j) * pitch + k);
            transform_output(cells, outputs, column, out);
            WINOGRAD_UNROLL for (int i = 0; i < outputs; ++i) half[i][j] = out[i];
        }
        const vec shift = vec_load(bias + k);
        for (int i = 0; i < outputs; ++i) {
            transform_output(cells, outputs, half[i], out);
            WINOGRAD_UNROLL for (int j = 0; j < outputs; ++j) {
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

/* u = G g: a column for each tap holds the powers of the points, each point's divided by its N. */
static inline __attribute__((always_inline)) void transform_filter(const int cells, const int taps,
                                                                   const winograd_wide *g, winograd_wide *u)
{
    u[0] = g[0];
    WINOGRAD_UNROLL for (int p = 0; p < cells / 2 - 1; ++p) {
        const double scale = cells == 4 ? 1.0 / 2 : p == 0 ? -81.0 / 130 : 8.0 / 65;
        winograd_wide parts[2] = {g[0] * scale, g[1] * (scale * point_power(cells, p, 1))}; /* even, odd */
        WINOGRAD_UNROLL for (int n = 2; n < taps; ++n) parts[n % 2] += g[n] * (scale * point_power(cells, p, n));
        u[2 * p + 1] = parts[0] + parts[1];
        u[2 * p + 2] = parts[0] - parts[1];
    }
    u[cells - 1] = g[taps - 1];
}

static inline __attribute__((always_inline)) void winograd_filters(const int cells, const int taps, const float *g,
                                                                   ptrdiff_t tap, ptrdiff_t n, float *u,
                                                                   ptrdiff_t pitch)
{
    for (ptrdiff_t k = 0; k < n; k += HALF_LANES) {
        winograd_wide half[WINOGRAD_CELLS][WINOGRAD_CELLS], column[WINOGRAD_CELLS], out[WINOGRAD_CELLS];
        for (int s = 0; s < taps; ++s) {
            WINOGRAD_UNROLL for (int r = 0; r < taps; ++r)
                column[r] = __builtin_convertvector(*(const winograd_unaligned *)(g + (taps * r + s) * tap + k),
                                                    winograd_wide);
            transform_filter(cells, taps, column, out);
            WINOGRAD_UNROLL for (int i = 0; i < cells; ++i) half[i][s] = out[i];
        }
        float *to = u + k;
        for (int i = 0; i < cells; ++i) {
            transform_filter(cells, taps, half[i], out);
            WINOGRAD_UNROLL for (int j = 0; j < cells; ++j, to += pitch)
                *(winograd_unaligned *)to = __builtin_convertvector(out[j], winograd_half);
        }
    }
}

#define INPUT(CELLS)                                                                                                 \
    static void winograd_input_##CELLS(const float *x, ptrdiff_t row, ptrdiff_t col, ptrdiff_t n, float *v,         \
                                       ptrdiff_t pitch)                                                             \
    {                                                                                                               \
        winograd_input(CELLS, x, row, col, n, v, pitch);                                                            \
    }
INPUT(4)
INPUT(6)
#undef INPUT

/* X(outputs, taps, cells), CF_WINOGRADS of them */
#define MEMBERS X(4, 3, 6) X(2, 3, 4) X(2, 5, 6)
#define X(OUTPUTS, TAPS, CELLS)                                                                                      \
    static int winograd_output_##OUTPUTS##_##TAPS(const float *m, ptrdiff_t pitch, ptrdiff_t n, const float *bias,  \
                                                  const float *limits, float *y, ptrdiff_t row, ptrdiff_t col)      \
    {                                                                                                               \
        return winograd_output(CELLS, OUTPUTS, m, pitch, n, bias, limits, y, row, col);                             \
    }                                                                                                               \
    static void winograd_filters_##OUTPUTS##_##TAPS(const float *g, ptrdiff_t tap, ptrdiff_t n, float *u,           \
                                                    ptrdiff_t pitch)                                                \
    {                                                                                                               \
        winograd_filters(CELLS, TAPS, g, tap, n, u, pitch);                                                         \
    }
MEMBERS
#undef X
#define X(OUTPUTS, TAPS, CELLS)                                                                              \
    {"F(" #OUTPUTS "x" #OUTPUTS ", " #TAPS "x" #TAPS ")", OUTPUTS, TAPS, CELLS, winograd_input_##CELLS,     \
     winograd_output_##OUTPUTS##_##TAPS, winograd_filters_##OUTPUTS##_##TAPS},
static const cf_winograd winograds[CF_WINOGRADS] = {MEMBERS};
#undef X

#undef MEMBERS
#undef WINOGRAD_CELLS
#undef WINOGRAD_UNROLL
#undef HALF_LANES
