/* Runs encoder.c on arrays of exactly the sizes that its header asks for; built with the address sanitiser. */

#include <stdio.h>
#include <stdlib.h>

#include "encoder.c"

static void *filled(size_t values, size_t size) {
    unsigned char *array = malloc(values * size);
    for (size_t i = 0; i < values; i++) {
        if (size == 4) ((float *)array)[i] = (float)rand() / (float)RAND_MAX - 0.4f;
        else for (size_t k = 0; k < size; k++) array[i * size + k] = 0;
    }
    return array;
}

static void run(int64_t count, int64_t bytes, int backward) {
    const int64_t stored = 3;
    struct Pass pass = {.bytes = bytes, .stored = stored};
    int64_t *number = filled(count, 8);
    uint8_t *view = filled(count, 1);
    FOR(i, count) number[i] = i % stored, view[i] = (uint8_t)(i % 8);
    FOR(i, SIDE * IN) pass.mean[i] = 0.1f, pass.scale[i] = 2.0f;
    pass.pixels = filled(stored * SIDE * SIDE * IN, bytes ? 1 : 4);
    pass.number = number, pass.view = count % 2 ? view : NULL;
    pass.w1 = filled(MAPS1 * IN * 9, 4), pass.b1 = filled(MAPS1, 4);
    pass.w2 = filled(MAPS2 * MAPS1 * 9, 4), pass.b2 = filled(MAPS2, 4);
    pass.w3 = filled(MAPS3 * MAPS2 * 9, 4), pass.b3 = filled(MAPS3, 4);
    pass.features = filled(count * SIZE3, 4);
    if (backward) {
        pass.x1 = filled(count * SIZE1, 4), pass.place1 = filled(count * SIZE1, 1);
        pass.x2 = filled(count * SIZE2, 4), pass.place2 = filled(count * SIZE2, 1);
        pass.df = filled(count * SIZE3, 4);
        pass.gradients = filled((count + CHUNK - 1) / CHUNK * (WEIGHTS + BIASES), 4);
    }
    if (encoder_forward(&pass, 0, count)) exit(1);
    if (backward) encoder_backward(&pass, 0, count);
    void *arrays[] = {number, view, (void *)pass.pixels, (void *)pass.w1, (void *)pass.b1, (void *)pass.w2, (void *)pass.b2,
                      (void *)pass.w3, (void *)pass.b3, pass.features, pass.x1, pass.place1, pass.x2, pass.place2,
                      (void *)pass.df, pass.gradients};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
}

int main(void) {
    const int64_t counts[] = {1, 16, 33};
    FOR(i, 3) {
        FOR(kind, 4) run(counts[i], kind & 1, kind & 2);
        printf("%d\n", (int)counts[i]);
    }
    return 0;
}
