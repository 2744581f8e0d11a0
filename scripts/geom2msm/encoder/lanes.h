/* Vector registers and dense layers for any processor that gcc or clang compiles for.

   WIDTH, the number of channels and a multiple of 16, is defined by the compiler's command line. Every row of a
   result is summed in the same order whatever stands beside it. */

#include <math.h>
#include <stdint.h>
#include <string.h>

/* The sums of a tile, TILE_ROWS x 2 registers, must leave a few of the 32 or 16 registers free. */
#if defined(__AVX512F__)
#define LANES 16
#define TILE_ROWS 12
#define INSTRUCTIONS "avx512"
#elif defined(__AVX2__) && defined(__FMA__)
#define LANES 8
#define TILE_ROWS 6
#define INSTRUCTIONS "avx2"
#elif defined(__aarch64__)
#define LANES 4
#define TILE_ROWS 12
#define INSTRUCTIONS "neon"
#else
#define LANES 4
#define TILE_ROWS 6
#define INSTRUCTIONS "128 bit"
#endif

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#if defined(__clang__)
#define COMPILER "clang " TEXT(__clang_major__) "." TEXT(__clang_minor__)
#else
#define COMPILER "gcc " TEXT(__GNUC__) "." TEXT(__GNUC_MINOR__)
#endif

#define PANEL (2 * LANES) /* columns of a weight matrix that are multiplied at once */
#define PADDED(columns) (((columns) + PANEL - 1) / PANEL * PANEL)
#define ALIGNED __attribute__((aligned(64)))

typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t bits __attribute__((vector_size(4 * LANES)));
typedef float unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline lanes load(const float *p) { return *(const unaligned *)p; }
static inline void store(float *p, lanes x) { *(unaligned *)p = x; }
static inline void add_to(float *p, lanes x) { store(p, load(p) + x); }
static inline long smaller(long a, long b) { return a < b ? a : b; }

/* x / (1 + exp(-x)) with exp(-x) = 2^n 2^f, n whole and |f| <= 1/2: 2^f is a polynomial (relative error 8e-8).
   Added to 1.5 * 2^23 + 127, -x / ln 2 is rounded to n and leaves the exponent of 2^n in the lowest bits; these
   are kept in 1 ... 254 as integers, which costs less than keeping x in a range. */
static inline lanes silu(lanes x)
{
    const float round = 12582912.0f + 127.0f;
    const lanes y = x * -1.44269504f, shifted = y + round, f = y - (shifted - round);
    lanes p = f * 1.32765034e-3f + 9.67553915e-3f;
    p = p * f + 5.55071307e-2f;
    p = p * f + 2.40221198e-1f;
    p = p * f + 6.93146967e-1f;
    p = p * f + 1.00000007f;
    bits n = (bits)shifted;
    for (int l = 0; l < LANES; l++) n[l] = n[l] > 0x4B400001 ? n[l] : 0x4B400001;
    for (int l = 0; l < LANES; l++) n[l] = n[l] < 0x4B4000FE ? n[l] : 0x4B4000FE;
    return x / (p * (lanes)(n << 23) + 1.0f);
}

/* TILE_ROWS rows of WIDTH numbers times one panel [WIDTH][PANEL] of weights; the sums stay in registers. */
static inline void tile(const float *restrict in, const float *restrict panel, const float *bias,
                        float *restrict out, long stride, int activate)
{
    lanes sum[TILE_ROWS][2];
#pragma GCC unroll 16
    for (int r = 0; r < TILE_ROWS; r++) sum[r][0] = load(bias), sum[r][1] = load(bias + LANES);
    for (long k = 0; k < WIDTH; k++) {
        const lanes left = load(panel + k * PANEL), right = load(panel + k * PANEL + LANES);
#pragma GCC unroll 16
        for (int r = 0; r < TILE_ROWS; r++) {
            sum[r][0] += in[r * WIDTH + k] * left;
            sum[r][1] += in[r * WIDTH + k] * right;
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < TILE_ROWS; r++) {
        store(out + r * stride, activate ? silu(sum[r][0]) : sum[r][0]);
        store(out + r * stride + LANES, activate ? silu(sum[r][1]) : sum[r][1]);
    }
}

/* out [rows][columns] = in [rows][WIDTH] times weights [panel][WIDTH][PANEL], plus bias, with SiLU if `activate`.
   Rows up to the next multiple of TILE_ROWS are computed too, from whatever lies there. */
static inline void dense(const float *in, long rows, const float *weights, const float *bias, long columns,
                         float *out, int activate)
{
    for (long c = 0; c < columns; c += PANEL)
        for (long r = 0; r < rows; r += TILE_ROWS)
            tile(in + r * WIDTH, weights + c * WIDTH, bias + c, out + r * columns + c, columns, activate);
}

/* Zero mean and unit variance over the channels, then a weight and a bias per channel. */
static inline void layer_norm(const float *in, const float *weight, const float *bias, float epsilon, float *out)
{
    lanes sums = {0}, squares = {0};
    float mean = 0, variance = 0;
    for (int c = 0; c < WIDTH; c += LANES) sums += load(in + c);
    for (int l = 0; l < LANES; l++) mean += sums[l] / WIDTH;
    for (int c = 0; c < WIDTH; c += LANES) squares += (load(in + c) - mean) * (load(in + c) - mean);
    for (int l = 0; l < LANES; l++) variance += squares[l] / WIDTH;
    const float scale = 1 / sqrtf(variance + epsilon);
    for (int c = 0; c < WIDTH; c++) out[c] = (in[c] - mean) * scale * weight[c] + bias[c];
}

/* Vectors [3][WIDTH] with lengths rescaled to 0 (shortest channel) ... 1 (longest), times a weight per channel. */
static inline void max_min_norm(const float *in, const float *weight, float *out)
{
    float length[WIDTH] ALIGNED, shortest = INFINITY, longest = 0;
    for (int c = 0; c < WIDTH; c++) {
        const float x = in[c], y = in[WIDTH + c], z = in[2 * WIDTH + c], square = x * x + y * y + z * z;
        length[c] = sqrtf(square > 1e-24f ? square : 1e-24f);
    }
    for (int c = 0; c < WIDTH; c++) {
        shortest = length[c] < shortest ? length[c] : shortest;
        longest = length[c] > longest ? length[c] : longest;
    }
    const float spread = longest > shortest ? longest - shortest : 1;
    for (int c = 0; c < WIDTH; c++) {
        const float scale = (length[c] - shortest) / spread / length[c] * weight[c];
        for (int x = 0; x < 3; x++) out[x * WIDTH + c] = in[x * WIDTH + c] * scale;
    }
}
