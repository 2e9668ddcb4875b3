/* bnn2c_fixed_reduce.h - reduction of the middle axis of integers: [outer][count][inner] -> [outer][inner].
 *
 * mean: sum * factor / count to the nearest integer, ties away from zero, saturated; the compiler proves that the sum times the
 * factor fits in int32.  max, min: the extreme.
 */
#ifndef BNN2C_FIXED_REDUCE_H
#define BNN2C_FIXED_REDUCE_H

#include "bnn2c_fixed.h"

typedef struct {
  uint32_t outer;
  uint32_t count;
  uint32_t inner;
  int32_t factor; /* mean only */
} bnn2c_fixed_reduce_t;

#define BNN2C_FIXED_REDUCE(name, suffix, type, step, finish)                                                      \
  BNN2C_KERNEL void bnn2c_fixed_##name##_##suffix(const bnn2c_fixed_reduce_t *p, const type *in, type *out) {      \
    for (uint32_t a = 0u; a < p->outer; a++) {                                                                     \
      for (uint32_t d = 0u; d < p->inner; d++) {                                                                   \
        const type *next = &in[d];                                                                                 \
        int32_t value = *next;                                                                                     \
        for (uint32_t r = 1u; r < p->count; r++) {                                                                 \
          next += p->inner;                                                                                        \
          value = step;                                                                                            \
        }                                                                                                          \
        *out = (type)(finish);                                                                                     \
        out++;                                                                                                     \
      }                                                                                                            \
      in += (size_t)p->count * p->inner;                                                                           \
    }                                                                                                              \
  }

#define BNN2C_FIXED_REDUCE_ALL(suffix, type, low, high)                                                          \
  BNN2C_FIXED_REDUCE(mean, suffix, type, value + *next,                                                          \
                     bnn2c_clamp32(bnn2c_divide(value * p->factor, (int32_t)p->count), low, high))               \
  BNN2C_FIXED_REDUCE(max, suffix, type, (value > *next) ? value : *next, value)                                  \
  BNN2C_FIXED_REDUCE(min, suffix, type, (value < *next) ? value : *next, value)

BNN2C_FIXED_REDUCE_ALL(i16, int16_t, -32767, 32767)
BNN2C_FIXED_REDUCE_ALL(i8, int8_t, -127, 127)
BNN2C_FIXED_REDUCE_ALL(u8, uint8_t, 0, 255)

#endif
