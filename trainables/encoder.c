/* The convolution blocks of the report's encoder, forward and backward, one chip at a time.
 *
 * A chip goes through all three blocks while it lies in the first-level caches. With * for a 3 x 3 convolution padded by
 * one zero on each side (report, section 1.3):
 *
 *     x0 = (chip - mean) / sd                      (3, 75, 75)   the stored chip, flipped or grey as its view says
 *     x1 = relu(pool(W1 * x0 + b1))                (5, 37, 37)   pool: maximum of 2 x 2, the odd last row and column left out
 *     x2 = relu(pool(W2 * x1 + b2))                (5, 18, 18)
 *     f  = relu(W3 * x2 + b3)                      (7, 18, 18)   the features
 *
 * Max and ReLU commute, so each ReLU follows its pool. Backward, with d for the gradient of the loss:
 *
 *     dW[o, c, i, j] = sum over places p of  dy[o, p] x[c, p + (i, j)]        db[o] = sum over places p of dy[o, p]
 *     dx[c, q]       = sum over o, i, j of   dy[o, q - (i, j)] W[o, c, i, j]
 *
 * where dy[o, p] is zero but at the one place of four that was the maximum, and there only where the ReLU is open. So
 * the backward pass lists those places and visits no other.
 *
 * Two layouts of a map (C, H, W), both with the padding in them:
 *     planes   [c][y][x]     forward: neighbouring x share a vector
 *     windows  [y][x][c]     backward: the 3 C values that a place's row of taps touches lie side by side
 *
 * Vectors are GCC's and Clang's, as wide as the processor that is compiled for. Sums run in an order that depends on
 * nothing but the chips, so that results are equal to the bit however the chips are shared among threads. NaN and
 * infinity come through: compile without -ffast-math.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

#ifndef ENCODER_SOURCE
#define ENCODER_SOURCE ""
#endif

#define INLINE static inline __attribute__((always_inline))
#define FOR(i, n) for (int i = 0; i < (n); i++)

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef float Unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE Vector load(const float *from) { return *(const Unaligned *)from; }
INLINE void store(float *to, Vector value) { *(Unaligned *)to = value; }
INLINE Vector splat(float value) { return (Vector){0} + value; }

enum {
    SIDE = 75, SIDE2 = 37, SIDE3 = 18,       /* height and width of x0, x1, x2 and f */
    IN = 3, MAPS1 = 5, MAPS2 = 5, MAPS3 = 7, /* channels of x0, x1, x2, f */
    AREA2 = SIDE2 * SIDE2, AREA3 = SIDE3 * SIDE3,
    SIZE1 = MAPS1 * AREA2, SIZE2 = MAPS2 * AREA3, SIZE3 = MAPS3 * AREA3, /* values of x1, x2, f */
    WIDTH1 = 96, WIDTH2 = 64, WIDTH3 = 48,   /* floats in a row of planes: a zero, the map, at least one zero */
    WIN1 = 256, WIN2 = 224, WIN3 = 128,      /* floats in a row of windows: C zeros, the map, at least C zeros */
    ROW = 16, TAPS = 3 * ROW,                /* floats kept for a row of taps, 3 C of them used; for the taps of a map */
    SHUT = 4,                                /* no place of the four: the ReLU is shut */
    CHUNK = 16,                              /* chips whose gradients are summed together */
    WEIGHTS = 9 * (IN * MAPS1 + MAPS1 * MAPS2 + MAPS2 * MAPS3), BIASES = MAPS1 + MAPS2 + MAPS3,
};
enum { HORIZONTAL = 1, VERTICAL = 2, GREY = 4 }; /* bits of a view */

static const float LUMA[3] = {0.2989f, 0.587f, 0.114f}; /* as trainables/augment.py: GREY_WEIGHTS */

/* One pass over a batch of B chips; the arrays are the caller's, and those that only the backward pass needs may be NULL. */
struct Pass {
    const void *pixels;                    /* (N, 75, 75, 3) as stored: 8-bit if `bytes`, else float */
    int64_t bytes, stored;                 /* N is `stored` */
    const int64_t *number;                 /* (B) which chip */
    const uint8_t *view;                   /* (B) how it is seen; NULL: as it is stored */
    float mean[SIDE * IN], scale[SIDE * IN]; /* mean and 1 / sd of each value of a row (75, 3) */
    const float *w1, *b1, *w2, *b2, *w3, *b3; /* weights (O, C, 3, 3) and biases (O) */
    float *features;                       /* (B, 7, 18, 18), the forward pass's answer */
    float *x1, *x2;                        /* (B, 5, 37, 37), (B, 5, 18, 18): kept for the backward pass, with */
    uint8_t *place1, *place2;              /* which of four was each one's maximum, 0 to 3 row by row, or SHUT */
    const float *df;                       /* (B, 7, 18, 18) gradient of the features */
    float *gradients;                      /* (B / CHUNK rounded up, WEIGHTS + BIASES): dW1, dW2, dW3, db1, db2, db3 */
};

/* ---- a chip, loaded ------------------------------------------------------------------------------------------- */

/* Row y (75, 3) of x0, chip `i` of the batch. */
static void load_row(const struct Pass *pass, int64_t i, int y, float *row) {
    enum { LENGTH = SIDE * IN };
    const int view = pass->view ? pass->view[i] : 0;
    const int64_t from = (pass->number[i] * SIDE + (view & VERTICAL ? SIDE - 1 - y : y)) * LENGTH;
    float plain[LENGTH], *to = view & HORIZONTAL ? plain : row;
    if (pass->bytes) {
        const uint8_t *stored = (const uint8_t *)pass->pixels + from;
        FOR(k, LENGTH) to[k] = ((float)stored[k] - pass->mean[k]) * pass->scale[k];
    } else {
        const float *stored = (const float *)pass->pixels + from;
        FOR(k, LENGTH) to[k] = (stored[k] - pass->mean[k]) * pass->scale[k];
    }
    if (view & HORIZONTAL) FOR(x, SIDE) {
        const float *pixel = plain + IN * (SIDE - 1 - x);
        row[IN * x] = pixel[0], row[IN * x + 1] = pixel[1], row[IN * x + 2] = pixel[2];
    }
    if (view & GREY) FOR(x, SIDE) {
        float grey = LUMA[0] * row[IN * x] + LUMA[1] * row[IN * x + 1] + LUMA[2] * row[IN * x + 2];
        row[IN * x] = row[IN * x + 1] = row[IN * x + 2] = grey;
    }
}

/* x0 as planes (3, 77, WIDTH1), whose padding is left as it is. */
static void load_planes(const struct Pass *pass, int64_t i, float *planes) {
    const int plane = (SIDE + 2) * WIDTH1;
    float row[SIDE * IN];
    FOR(y, SIDE) {
        float *to = planes + (y + 1) * WIDTH1 + 1;
        load_row(pass, i, y, row);
        FOR(x, SIDE) to[x] = row[IN * x], to[plane + x] = row[IN * x + 1], to[2 * plane + x] = row[IN * x + 2];
    }
}

/* x0 as windows (77, 77, 3) in rows of WIN1 floats, whose padding is left as it is. */
static void load_windows(const struct Pass *pass, int64_t i, float *to) {
    FOR(y, SIDE) load_row(pass, i, y, to + (y + 1) * WIN1 + IN);
}

/* ---- forward -------------------------------------------------------------------------------------------------- */

/* One row of W * x + b: `out` (O, 16 lanes times vectors) from the three rows of planes (C, H + 2, width) at `in`. */
INLINE void convolve_row(const int C, const int O, const int height, const int width, const int vectors,
                         const float *in, const float *w, const float *b, float *out) {
    FOR(v, vectors) {
        Vector a0 = splat(b[0]), a1 = splat(b[1]), a2 = splat(b[2]), a3 = splat(b[3]), a4 = splat(b[4]);
        Vector a5 = splat(O > 5 ? b[5] : 0), a6 = splat(O > 6 ? b[6] : 0); /* named: an array would stay in memory */
        FOR(c, C) FOR(i, 3) {
            const float *x = in + (c * (height + 2) + i) * width + v * LANES, *q = w + 9 * c + 3 * i;
            Vector left = load(x), middle = load(x + 1), right = load(x + 2);
#define ADD(o) a##o += left * q[o * 9 * C], a##o += middle * q[o * 9 * C + 1], a##o += right * q[o * 9 * C + 2]
            ADD(0), ADD(1), ADD(2), ADD(3), ADD(4);
            if (O > 5) ADD(5), ADD(6);
#undef ADD
        }
        float *to = out + v * LANES;
        const int step = vectors * LANES;
        store(to, a0), store(to + step, a1), store(to + 2 * step, a2), store(to + 3 * step, a3), store(to + 4 * step, a4);
        if (O > 5) store(to + 5 * step, a5), store(to + 6 * step, a6);
    }
}

/* relu(pool) of two rows of one map: `pooled` and `place`, `width` values each. A NaN is a maximum, as in torch. */
INLINE void pool_rows(const int width, const float *upper, const float *lower, float *pooled, uint8_t *place) {
    int32_t at[40];
    FOR(x, width) {
        float best = upper[2 * x], next = upper[2 * x + 1];
        int32_t where = 0, take = (next > best) | (next != next);
        best = take ? next : best, where = take ? 1 : where;
        next = lower[2 * x], take = (next > best) | (next != next);
        best = take ? next : best, where = take ? 2 : where;
        next = lower[2 * x + 1], take = (next > best) | (next != next);
        best = take ? next : best, where = take ? 3 : where;
        pooled[x] = best <= 0 ? 0 : best;
        at[x] = best <= 0 ? SHUT : where;
    }
    FOR(x, width) place[x] = (uint8_t)at[x];
}

/* relu(pool(W * x + b)): planes (C, side + 2, width) to planes `next` (O, side / 2 + 2, next_width); `kept` and `place`
 * (O, side / 2, side / 2), if not NULL, hold the same values without padding, and where each came from. */
INLINE void convolve_and_pool(const int C, const int O, const int side, const int width, const int next_width,
                              const float *planes, const float *w, const float *b, float *next, float *kept, uint8_t *place) {
    const int half = side / 2, vectors = (2 * half + LANES - 1) / LANES, step = vectors * LANES;
    float upper[MAPS1 * 80], lower[MAPS1 * 80], pooled[40];
    uint8_t at[40];
    FOR(y, half) {
        convolve_row(C, O, side, width, vectors, planes + 2 * y * width, w, b, upper);
        convolve_row(C, O, side, width, vectors, planes + (2 * y + 1) * width, w, b, lower);
        FOR(o, O) {
            pool_rows(step / 2, upper + o * step, lower + o * step, pooled, at);
            memcpy(next + (o * (half + 2) + y + 1) * next_width + 1, pooled, 4 * half);
            if (!kept) continue;
            memcpy(kept + (o * half + y) * half, pooled, 4 * half);
            memcpy(place + (o * half + y) * half, at, half);
        }
    }
}

/* relu(W * x + b): planes (5, 20, WIDTH3) to features (7, 18, 18). */
static void convolve_last(const float *planes, const float *w, const float *b, float *features) {
    enum { VECTORS = (SIDE3 + LANES - 1) / LANES, STEP = VECTORS * LANES };
    float row[MAPS3 * STEP];
    FOR(y, SIDE3) {
        convolve_row(MAPS2, MAPS3, SIDE3, WIDTH3, VECTORS, planes + y * WIDTH3, w, b, row);
        FOR(o, MAPS3) FOR(x, SIDE3) features[o * AREA3 + y * SIDE3 + x] = row[o * STEP + x] <= 0 ? 0 : row[o * STEP + x];
    }
}

/* Features of chips `begin` to `end` of the batch; what the backward pass needs is kept where there is room for it.
 * Returns 0, or -1 for a chip that is not stored. */
int encoder_forward(const struct Pass *pass, int64_t begin, int64_t end) {
    float planes1[IN * (SIDE + 2) * WIDTH1] = {0}, planes2[MAPS1 * (SIDE2 + 2) * WIDTH2] = {0};
    float planes3[MAPS2 * (SIDE3 + 2) * WIDTH3] = {0};
    for (int64_t i = begin; i < end; i++) {
        if (pass->number[i] < 0 || pass->number[i] >= pass->stored) return -1;
        load_planes(pass, i, planes1);
        convolve_and_pool(IN, MAPS1, SIDE, WIDTH1, WIDTH2, planes1, pass->w1, pass->b1, planes2,
                          pass->x1 ? pass->x1 + i * SIZE1 : NULL, pass->x1 ? pass->place1 + i * SIZE1 : NULL);
        convolve_and_pool(MAPS1, MAPS2, SIDE2, WIDTH2, WIDTH3, planes2, pass->w2, pass->b2, planes3,
                          pass->x2 ? pass->x2 + i * SIZE2 : NULL, pass->x2 ? pass->place2 + i * SIZE2 : NULL);
        convolve_last(planes3, pass->w3, pass->b3, pass->features + i * SIZE3);
    }
    return 0;
}

/* ---- backward ------------------------------------------------------------------------------------------------- */

/* The places of one map that hand a gradient on: where their window begins, and the gradient there. */
struct Places {
    int count;
    int32_t window[SIDE2 * SIDE2];
    float gradient[SIDE2 * SIDE2];
};

/* An order of 0 to 17 in which neighbours are six apart, so that the windows of places visited one after the other do not
 * overlap: a processor waits where it reads what it is still writing. */
static const int APART[SIDE3] = {0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 4, 10, 16, 5, 11, 17};

/* Places of a pooled map: `place` (half, half) says which of four each value was, `gradient` is the windows of its block. */
INLINE void pooled_places(const int C, const int O, const int half, const int in_width, const int out_width,
                          const uint8_t *place, const float *gradient, struct Places *places) {
    int count = 0;
    const int step[5] = {0, C, in_width, in_width + C, 0};
    FOR(y, half) FOR(turn, half) {
        const int x = half == SIDE3 ? APART[turn] : turn, k = place[y * half + x];
        places->window[count] = 2 * (y * in_width + C * x) + step[k];
        places->gradient[count] = gradient[(y + 1) * out_width + O * (x + 1)];
        count += k != SHUT; /* without a branch: which ReLU is open is not to be guessed */
    }
    places->count = count;
}

/* Places of the last map: those whose feature is above zero. */
static void open_places(const float *features, const float *gradient, struct Places *places) {
    int count = 0;
    FOR(y, SIDE3) FOR(turn, SIDE3) {
        const int x = APART[turn], at = y * SIDE3 + x;
        places->window[count] = y * WIN3 + MAPS2 * x;
        places->gradient[count] = gradient[at];
        count += !(features[at] <= 0);
    }
    places->count = count;
}

/* Windows (side + 2, side + 2, C) in rows of `width` floats of a map (C, side, side); their padding is left as it is. */
INLINE void windows(const int C, const int side, const int width, const float *map, float *to) {
    FOR(y, side) FOR(x, side) FOR(c, C) to[(y + 1) * width + C * (x + 1) + c] = map[(c * side + y) * side + x];
}

/* dW (3, ROW) += sum of gradient times window, db += sum of gradient; x is windows in rows of `width` floats. */
INLINE void weight_gradient(const int C, const int width, const struct Places *places, const float *x, float *dw, float *db) {
    for (int lane = 0; lane < 3 * C; lane += LANES) {
        Vector top = load(dw + lane), middle = load(dw + ROW + lane), bottom = load(dw + 2 * ROW + lane);
        Vector top2 = splat(0), middle2 = top2, bottom2 = top2; /* a second sum: two additions at a time */
        int p = 0;
        for (; p + 1 < places->count; p += 2) {
            const float *at = x + places->window[p] + lane, *at2 = x + places->window[p + 1] + lane;
            Vector g = splat(places->gradient[p]), g2 = splat(places->gradient[p + 1]);
            top += g * load(at), middle += g * load(at + width), bottom += g * load(at + 2 * width);
            top2 += g2 * load(at2), middle2 += g2 * load(at2 + width), bottom2 += g2 * load(at2 + 2 * width);
        }
        for (; p < places->count; p++) {
            const float *at = x + places->window[p] + lane;
            Vector g = splat(places->gradient[p]);
            top += g * load(at), middle += g * load(at + width), bottom += g * load(at + 2 * width);
        }
        store(dw + lane, top + top2), store(dw + ROW + lane, middle + middle2), store(dw + 2 * ROW + lane, bottom + bottom2);
    }
    float sum = 0;
    FOR(p, places->count) sum += places->gradient[p];
    *db += sum;
}

/* dx += gradient times W at each place; `dx` is windows in rows of `width` floats, `w` (3, ROW) ends in zeros. */
INLINE void input_gradient(const int C, const int width, const struct Places *places, const float *w, float *dx) {
    for (int lane = 0; lane < 3 * C; lane += LANES) {
        Vector top = load(w + lane), middle = load(w + ROW + lane), bottom = load(w + 2 * ROW + lane);
        FOR(p, places->count) {
            float *at = dx + places->window[p] + lane;
            Vector g = splat(places->gradient[p]);
            store(at, load(at) + g * top);
            store(at + width, load(at + width) + g * middle);
            store(at + 2 * width, load(at + 2 * width) + g * bottom);
        }
    }
}

/* Weights (O, C, 3, 3) as rows of taps (O, 3, ROW), row i of map o holding W[o, c, i, j] at C j + c; and back, added up. */
INLINE void rows_of_taps(const int C, const int O, const float *w, float *rows) {
    FOR(o, O) FOR(c, C) FOR(i, 3) FOR(j, 3) rows[TAPS * o + ROW * i + C * j + c] = w[((o * C + c) * 3 + i) * 3 + j];
}
INLINE void taps_of_rows(const int C, const int O, const float *rows, float *w) {
    FOR(o, O) FOR(c, C) FOR(i, 3) FOR(j, 3) w[((o * C + c) * 3 + i) * 3 + j] = rows[TAPS * o + ROW * i + C * j + c];
}

/* Gradients of the weights, summed over chips `begin` to `end`, into `gradients`: dW1, dW2, dW3, db1, db2, db3. */
static void backward_chunk(const struct Pass *pass, int64_t begin, int64_t end, float *gradients) {
    float x0[(SIDE + 2) * WIN1] = {0}, x1[(SIDE2 + 2) * WIN2] = {0}, x2[(SIDE3 + 2) * WIN3] = {0};
    float dx1[(SIDE2 + 2) * WIN2], dx2[(SIDE3 + 2) * WIN3];
    float w2[MAPS2 * TAPS] = {0}, w3[MAPS3 * TAPS] = {0}, dw1[MAPS1 * TAPS] = {0}, dw2[MAPS2 * TAPS] = {0}, dw3[MAPS3 * TAPS] = {0};
    float db1[MAPS1] = {0}, db2[MAPS2] = {0}, db3[MAPS3] = {0};
    struct Places places;
    rows_of_taps(MAPS1, MAPS2, pass->w2, w2);
    rows_of_taps(MAPS2, MAPS3, pass->w3, w3);
    for (int64_t i = begin; i < end; i++) {
        load_windows(pass, i, x0);
        windows(MAPS1, SIDE2, WIN2, pass->x1 + i * SIZE1, x1);
        windows(MAPS2, SIDE3, WIN3, pass->x2 + i * SIZE2, x2);
        memset(dx1, 0, sizeof dx1), memset(dx2, 0, sizeof dx2);
        FOR(o, MAPS3) {
            open_places(pass->features + i * SIZE3 + o * AREA3, pass->df + i * SIZE3 + o * AREA3, &places);
            weight_gradient(MAPS2, WIN3, &places, x2, dw3 + TAPS * o, db3 + o);
            input_gradient(MAPS2, WIN3, &places, w3 + TAPS * o, dx2);
        }
        FOR(o, MAPS2) {
            pooled_places(MAPS1, MAPS2, SIDE3, WIN2, WIN3, pass->place2 + i * SIZE2 + o * AREA3, dx2 + o, &places);
            weight_gradient(MAPS1, WIN2, &places, x1, dw2 + TAPS * o, db2 + o);
            input_gradient(MAPS1, WIN2, &places, w2 + TAPS * o, dx1);
        }
        FOR(o, MAPS1) {
            pooled_places(IN, MAPS1, SIDE2, WIN1, WIN2, pass->place1 + i * SIZE1 + o * AREA2, dx1 + o, &places);
            weight_gradient(IN, WIN1, &places, x0, dw1 + TAPS * o, db1 + o);
        }
    }
    taps_of_rows(IN, MAPS1, dw1, gradients);
    taps_of_rows(MAPS1, MAPS2, dw2, gradients + 9 * IN * MAPS1);
    taps_of_rows(MAPS2, MAPS3, dw3, gradients + 9 * (IN * MAPS1 + MAPS1 * MAPS2));
    memcpy(gradients + WEIGHTS, db1, sizeof db1);
    memcpy(gradients + WEIGHTS + MAPS1, db2, sizeof db2);
    memcpy(gradients + WEIGHTS + MAPS1 + MAPS2, db3, sizeof db3);
}

/* Gradients of chips `begin` to `end`, a row of `gradients` for each CHUNK of them; `begin` is a multiple of CHUNK.
 * `features` and what was kept are those of the forward pass on the same batch. */
void encoder_backward(const struct Pass *pass, int64_t begin, int64_t end) {
    for (int64_t from = begin; from < end; from += CHUNK) {
        int64_t to = from + CHUNK < end ? from + CHUNK : end;
        backward_chunk(pass, from, to, pass->gradients + from / CHUNK * (WEIGHTS + BIASES));
    }
}

/* ---- what was compiled ---------------------------------------------------------------------------------------- */

/* The instructions that the vectors are made of. */
const char *encoder_instructions(void) {
#if defined(__AVX512F__)
    return "AVX-512";
#elif defined(__AVX2__)
    return "AVX2";
#elif defined(__AVX__)
    return "AVX";
#elif defined(__ARM_NEON)
    return "NEON";
#elif defined(__SSE2__)
    return "SSE";
#else
    return "128-bit vectors";
#endif
}

/* The digest of the source that was compiled. */
const char *encoder_source(void) { return ENCODER_SOURCE; }

/* Whether this processor has the instructions that were compiled: a library may have come from another machine. */
int encoder_runs_here(void) {
#define NEEDS(feature) if (!__builtin_cpu_supports(feature)) return 0
#if defined(__x86_64__)
    __builtin_cpu_init();
#if defined(__AVX512F__)
    NEEDS("avx512f");
#endif
#if defined(__AVX512VL__)
    NEEDS("avx512vl");
#endif
#if defined(__AVX512BW__)
    NEEDS("avx512bw");
#endif
#if defined(__AVX512DQ__)
    NEEDS("avx512dq");
#endif
#if defined(__AVX512VBMI__)
    NEEDS("avx512vbmi");
#endif
#if defined(__AVX512VBMI2__)
    NEEDS("avx512vbmi2");
#endif
#if defined(__AVX2__)
    NEEDS("avx2");
#endif
#if defined(__AVX__)
    NEEDS("avx");
#endif
#if defined(__FMA__)
    NEEDS("fma");
#endif
#if defined(__BMI2__)
    NEEDS("bmi2");
#endif
#endif
    return 1;
}
