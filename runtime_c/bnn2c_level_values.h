/* bnn2c_level_values.h - out[i] = values[channel i][code i]: numbers that packed level codes stand for.
 *
 * A pixel is `planes` planes of `words` words. The rows of the table are `step` entries apart; 0: one row for all
 * channels. Timing does not depend on data.
 */
#ifndef BNN2C_LEVEL_VALUES_H
#define BNN2C_LEVEL_VALUES_H

#include "bnn2c.h"
#include "bnn2c_codes.h"

typedef struct {
  uint32_t pixels;
  uint32_t channels;
  uint32_t words;
  uint32_t planes;
  uint32_t step;
} bnn2c_level_values_t;

#define BNN2C_LEVEL_VALUES(suffix, type)                                                                          \
  BNN2C_KERNEL void bnn2c_level_values_##suffix(const bnn2c_level_values_t *p, const type *values,                \
                                                const uint32_t *in, type *out) {                                  \
    for (uint32_t pixel = 0u; pixel < p->pixels; pixel++) {                                                       \
      const type *row = values;                                                                                   \
      for (uint32_t c = 0u; c < p->channels; c += 32u) {                                                          \
        const uint32_t left = ((p->channels - c) < 32u) ? (p->channels - c) : 32u;                                \
        for (uint32_t i = 0u; i < left; i++) {                                                                    \
          *out = row[bnn2c_code(in, i, p->words, p->planes)];                                                     \
          row += p->step;                                                                                         \
          out++;                                                                                                  \
        }                                                                                                         \
        in++;                                                                                                     \
      }                                                                                                           \
      in += p->words * (p->planes - 1u);                                                                          \
    }                                                                                                             \
  }

BNN2C_LEVEL_VALUES(f32, float)
BNN2C_LEVEL_VALUES(u8, uint8_t)
BNN2C_LEVEL_VALUES(i8, int8_t)
BNN2C_LEVEL_VALUES(i16, int16_t)
BNN2C_LEVEL_VALUES(i32, int32_t)

#endif
