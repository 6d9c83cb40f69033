/* Fused multiply-adds that wait for nothing: prints the GFLOP/s of one core, by CPU time, with the widest vectors. */

#include <stdio.h>
#include <time.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float Vector __attribute__((vector_size(4 * LANES)));

int main(void) {
    const long rounds = 20000000;
    const Vector factor = (Vector){0} + 0.999f, term = (Vector){0} + 0.1f;
    /* ten different numbers: equal ones would be computed once */
    Vector a = term, b = a + 1, c = a + 2, d = a + 3, e = a + 4, f = a + 5, g = a + 6, h = a + 7, i = a + 8, j = a + 9;
    clock_t began = clock();
    for (long round = 0; round < rounds; round++) {
        a = a * factor + term, b = b * factor + term, c = c * factor + term, d = d * factor + term, e = e * factor + term;
        f = f * factor + term, g = g * factor + term, h = h * factor + term, i = i * factor + term, j = j * factor + term;
        __asm__ volatile("" : : : "memory"); /* a round is a round */
    }
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    a += b + c + d + e + f + g + h + i + j;
    printf("%.2f\n", a[0] > 0 ? 1e-9 * 10 * 2 * LANES * (double)rounds / seconds : 0);
    return 0;
}
