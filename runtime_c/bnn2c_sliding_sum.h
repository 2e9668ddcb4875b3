/* bnn2c_sliding_sum.h - sums of the packed level codes of the last `span` frames of a stream.
 *
 * A frame is `batches` pixels of `planes` planes of `words` words; out[a][c] is the sum of the codes of pixel a. `state`
 * holds the frames until the window is complete, the number of the oldest frame, and a ring of frames, at first zeros
 * like `out`. Returns 1 when the window is complete, else 0.
 */
#ifndef BNN2C_SLIDING_SUM_H
#define BNN2C_SLIDING_SUM_H

#include "bnn2c_level_sum.h"

typedef struct {
  uint32_t batches;
  uint32_t span;
  uint32_t channels;
  uint32_t words;
  uint32_t planes;
} bnn2c_sliding_sum_t;

#define BNN2C_SLIDING_SUM(suffix, type)                                                                             \
  BNN2C_KERNEL uint32_t bnn2c_sliding_sum_##suffix(const bnn2c_sliding_sum_t *p, const uint32_t *in, uint32_t *state, \
                                                   type *out) {                                                     \
    uint32_t *old = &state[2u + state[1] * p->batches * p->planes * p->words];                                      \
    for (uint32_t a = 0u; a < p->batches; a++) {                                                                    \
      for (uint32_t plane = 0u; plane < p->planes; plane++) {                                                       \
        bnn2c_level_sum_add_##suffix(in, p->channels, (type)(1 << plane), out);                                     \
        bnn2c_level_sum_add_##suffix(old, p->channels, (type)(-(1 << plane)), out);                                 \
        for (uint32_t w = 0u; w < p->words; w++) {                                                                  \
          old[w] = in[w];                                                                                           \
        }                                                                                                           \
        in += p->words;                                                                                             \
        old += p->words;                                                                                            \
      }                                                                                                             \
      out += p->channels;                                                                                           \
    }                                                                                                               \
    state[1] = (state[1] + 1u == p->span) ? 0u : (state[1] + 1u);                                                   \
    state[0] -= 1u;                                                                                                 \
    if (state[0] != 0u) {                                                                                           \
      return 0u;                                                                                                    \
    }                                                                                                               \
    state[0] = 1u;                                                                                                  \
    return 1u;                                                                                                      \
  }

BNN2C_SLIDING_SUM(i16, int16_t)
BNN2C_SLIDING_SUM(i32, int32_t)

#endif
