/* bnn2c_level_sum.h - sums of packed level codes: out[a][c] = sum over r < count of code[a][r][c].
 *
 * A pixel is `planes` planes of `words` words.
 */
#ifndef BNN2C_LEVEL_SUM_H
#define BNN2C_LEVEL_SUM_H

#include "bnn2c.h"

typedef struct {
  uint32_t batches;
  uint32_t count;
  uint32_t channels;
  uint32_t words;
  uint32_t planes;
} bnn2c_level_sum_t;

#define BNN2C_LEVEL_SUM(suffix, type)                                                                             \
  /* Adds `weight` to the channels whose bit is set. */                                                           \
  BNN2C_KERNEL void bnn2c_level_sum_add_##suffix(const uint32_t *plane, uint32_t channels, type weight,           \
                                                 type *out) {                                                     \
    for (uint32_t c = 0u; c < channels; c += 32u) {                                                               \
      const uint32_t left = (channels - c < 32u) ? (channels - c) : 32u;                                          \
      uint32_t bits = plane[c / 32u];                                                                             \
      for (uint32_t i = 0u; i < left; i++) {                                                                      \
        out[c + i] = (type)(out[c + i] + (type)(weight * (type)(bits & 1u)));                                     \
        bits >>= 1;                                                                                               \
      }                                                                                                           \
    }                                                                                                             \
  }                                                                                                               \
  BNN2C_KERNEL void bnn2c_level_sum_##suffix(const bnn2c_level_sum_t *p, const uint32_t *in, type *out) {         \
    for (uint32_t a = 0u; a < p->batches; a++) {                                                                  \
      for (uint32_t c = 0u; c < p->channels; c++) {                                                               \
        out[c] = 0;                                                                                               \
      }                                                                                                           \
      for (uint32_t r = 0u; r < p->count; r++) {                                                                  \
        for (uint32_t plane = 0u; plane < p->planes; plane++) {                                                   \
          bnn2c_level_sum_add_##suffix(in, p->channels, (type)(1 << plane), out);                                 \
          in += p->words;                                                                                         \
        }                                                                                                         \
      }                                                                                                           \
      out += p->channels;                                                                                         \
    }                                                                                                             \
  }

BNN2C_LEVEL_SUM(i16, int16_t)
BNN2C_LEVEL_SUM(i32, int32_t)

#endif
