/* bnn2c_arg_max.h - index of the largest or smallest channel of each pixel: [pixels][channels] -> int32 [pixels].
 *
 * Variants `max`/`min`, `_last` where the last of equal winners counts instead of the first, and the element type.
 * A NaN wins, as in numpy.
 */
#ifndef BNN2C_ARG_MAX_H
#define BNN2C_ARG_MAX_H

#include "bnn2c.h"

typedef struct {
  uint32_t pixels;
  uint32_t channels;
} bnn2c_arg_max_t;

#define BNN2C_ARG_MAX(name, type, wins)                                                             \
  BNN2C_KERNEL void bnn2c_arg_##name(const bnn2c_arg_max_t *p, const type *in, int32_t *out) {      \
    for (uint32_t i = 0u; i < p->pixels; i++) {                                                     \
      type best = in[0];                                                                            \
      uint32_t place = 0u;                                                                          \
      for (uint32_t c = 1u; c < p->channels; c++) {                                                 \
        const type x = in[c];                                                                       \
        if (wins) {                                                                                 \
          best = x;                                                                                 \
          place = c;                                                                                \
        }                                                                                           \
      }                                                                                             \
      out[i] = (int32_t)place;                                                                      \
      in += p->channels;                                                                            \
    }                                                                                               \
  }
#define BNN2C_ARG_MAX_INTEGERS(suffix, type)             \
  BNN2C_ARG_MAX(max_##suffix, type, x > best)            \
  BNN2C_ARG_MAX(min_##suffix, type, x < best)            \
  BNN2C_ARG_MAX(max_last_##suffix, type, x >= best)      \
  BNN2C_ARG_MAX(min_last_##suffix, type, x <= best)

BNN2C_ARG_MAX_INTEGERS(i32, int32_t)
BNN2C_ARG_MAX_INTEGERS(i16, int16_t)
BNN2C_ARG_MAX_INTEGERS(i8, int8_t)
BNN2C_ARG_MAX_INTEGERS(u8, uint8_t)
BNN2C_ARG_MAX(max_f32, float, !(x <= best) && (best == best))
BNN2C_ARG_MAX(min_f32, float, !(x >= best) && (best == best))
BNN2C_ARG_MAX(max_last_f32, float, !(x < best) && ((best == best) || (x != x)))
BNN2C_ARG_MAX(min_last_f32, float, !(x > best) && ((best == best) || (x != x)))

#endif
