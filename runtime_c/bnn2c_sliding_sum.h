/* bnn2c_sliding_sum.h - sums of the packed level codes of the last `span` frames of a stream.
 *
 * A frame is a pixel of each of `batches` rows, of `planes` planes of `words` words; out[a][t][c] is the sum of the codes
 * of row a up to frame t of the step. `ring` holds the number of the oldest frame and `span` frames, at first zeros like
 * `out`, whose last sums are those that the next step begins with.
 */
#ifndef BNN2C_SLIDING_SUM_H
#define BNN2C_SLIDING_SUM_H

#include "bnn2c_level_sum.h"

typedef struct {
  uint32_t batches;
  uint32_t frames; /* in a step */
  uint32_t span;
  uint32_t channels;
  uint32_t words;
  uint32_t planes;
} bnn2c_sliding_sum_t;

#define BNN2C_SLIDING_SUM(suffix, type)                                                                             \
  BNN2C_KERNEL void bnn2c_sliding_sum_pixel_##suffix(const bnn2c_sliding_sum_t *p, const uint32_t *in, uint32_t *old, \
                                                     const type *before, type *out) {                               \
    for (uint32_t c = 0u; (before != out) && (c < p->channels); c++) {                                              \
      out[c] = before[c];                                                                                           \
    }                                                                                                               \
    for (uint32_t plane = 0u; plane < p->planes; plane++) {                                                         \
      bnn2c_level_sum_add_##suffix(in, p->channels, (type)(1 << plane), out);                                       \
      bnn2c_level_sum_add_##suffix(old, p->channels, (type)(-(1 << plane)), out);                                   \
      for (uint32_t w = 0u; w < p->words; w++) {                                                                    \
        old[w] = in[w];                                                                                             \
      }                                                                                                             \
      in += p->words;                                                                                               \
      old += p->words;                                                                                              \
    }                                                                                                               \
  }                                                                                                                 \
  BNN2C_KERNEL void bnn2c_sliding_sum_##suffix(const bnn2c_sliding_sum_t *p, const uint32_t *in, uint32_t *ring,    \
                                               type *out) {                                                         \
    const uint32_t pixel = p->planes * p->words;                                                                    \
    for (uint32_t t = 0u; t < p->frames; t++) {                                                                     \
      uint32_t *old = &ring[1u + ring[0] * p->batches * pixel];                                                     \
      const uint32_t before = (t == 0u) ? (p->frames - 1u) : (t - 1u);                                              \
      for (uint32_t a = 0u; a < p->batches; a++) {                                                                  \
        const uint32_t row = a * p->frames;                                                                         \
        bnn2c_sliding_sum_pixel_##suffix(p, &in[(row + t) * pixel], old, &out[(row + before) * p->channels],        \
                                         &out[(row + t) * p->channels]);                                            \
        old += pixel;                                                                                               \
      }                                                                                                             \
      ring[0] = (ring[0] + 1u == p->span) ? 0u : (ring[0] + 1u);                                                    \
    }                                                                                                               \
  }

BNN2C_SLIDING_SUM(i16, int16_t)
BNN2C_SLIDING_SUM(i32, int32_t)

#endif
