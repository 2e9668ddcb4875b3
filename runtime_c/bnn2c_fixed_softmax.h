/* bnn2c_fixed_softmax.h - softmax over the last axis of integers [pixels][channels]; 1.0 is the largest value of the type.
 *
 *   out[c] = round(high * e[c] / sum of e),   e[c] = exp table at min((max - x[c]) * step >> 16, 65535)
 *
 * The table holds 32767 * exp(-11 * i / 511.992), i = 0 .. 512, and is interpolated.  At most 65535 channels.
 */
#ifndef BNN2C_FIXED_SOFTMAX_H
#define BNN2C_FIXED_SOFTMAX_H

#include "bnn2c_fixed.h"

typedef struct {
  uint32_t pixels;
  uint32_t channels;
  int32_t step;
  const int16_t *table; /* [513] */
} bnn2c_fixed_softmax_t;

/* e of a value `below` the largest. */
BNN2C_INLINE int32_t bnn2c_fixed_softmax_power(const bnn2c_fixed_softmax_t *p, int32_t below) {
  return bnn2c_interpolate(p->table, bnn2c_clamp64(bnn2c_shift64((int64_t)below * p->step, 16u), 0, 65535));
}

#define BNN2C_FIXED_SOFTMAX(in_suffix, in_type, suffix, type, high)                                                    \
  BNN2C_KERNEL void bnn2c_fixed_softmax_##in_suffix##_##suffix(const bnn2c_fixed_softmax_t *p, const in_type *in,      \
                                                               type *out) {                                            \
    for (uint32_t i = 0u; i < p->pixels; i++) {                                                                        \
      int32_t largest = in[0];                                                                                         \
      int32_t sum = 0;                                                                                                 \
      for (uint32_t c = 1u; c < p->channels; c++) {                                                                    \
        largest = ((int32_t)in[c] > largest) ? (int32_t)in[c] : largest;                                               \
      }                                                                                                                \
      for (uint32_t c = 0u; c < p->channels; c++) {                                                                    \
        sum += bnn2c_fixed_softmax_power(p, largest - (int32_t)in[c]);                                                 \
      }                                                                                                                \
      for (uint32_t c = 0u; c < p->channels; c++) {                                                                    \
        out[c] = (type)((bnn2c_fixed_softmax_power(p, largest - (int32_t)in[c]) * (high) + sum / 2) / sum);            \
      }                                                                                                                \
      in += p->channels;                                                                                               \
      out += p->channels;                                                                                              \
    }                                                                                                                  \
  }
#define BNN2C_FIXED_SOFTMAX_OUTPUTS(in_suffix, in_type)             \
  BNN2C_FIXED_SOFTMAX(in_suffix, in_type, i16, int16_t, 32767)      \
  BNN2C_FIXED_SOFTMAX(in_suffix, in_type, i8, int8_t, 127)          \
  BNN2C_FIXED_SOFTMAX(in_suffix, in_type, u8, uint8_t, 255)

BNN2C_FIXED_SOFTMAX_OUTPUTS(i16, int16_t)
BNN2C_FIXED_SOFTMAX_OUTPUTS(i8, int8_t)
BNN2C_FIXED_SOFTMAX_OUTPUTS(u8, uint8_t)

#endif
