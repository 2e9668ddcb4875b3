/* bnn2c_arg_max.h - index of the largest or smallest channel of each pixel: [pixels][channels] -> int32 [pixels].
 *
 * Variants `max`/`min`, `_last` where the last of equal winners counts instead of the first, and the element type.
 * bnn2c_take_<variant>_<type> puts one more element against the best one so far.  A NaN wins, as in numpy.  Among
 * integers nothing branches on data.
 */
#ifndef BNN2C_ARG_MAX_H
#define BNN2C_ARG_MAX_H

#include "bnn2c.h"

typedef struct {
  uint32_t pixels;
  uint32_t channels;
} bnn2c_arg_max_t;

/* All ones where a < b, else 0. */
BNN2C_INLINE uint32_t bnn2c_below(int32_t a, int32_t b) {
  return (uint32_t)(((uint64_t)(int64_t)a - (uint64_t)(int64_t)b) >> 32);
}

/* The same for numbers of 16 bits or less. */
BNN2C_INLINE uint32_t bnn2c_below_short(int32_t a, int32_t b) { return (uint32_t)((a - b) >> 31); }

#define BNN2C_TAKE_INTEGER(name, wins)                                                               \
  BNN2C_INLINE void bnn2c_take_##name(int32_t x, uint32_t c, int32_t *best, uint32_t *place) {       \
    uint32_t taken = (wins);                                                                         \
    BNN2C_KEEP(taken); /* the compiler would branch */                                               \
    *best ^= (*best ^ x) & (int32_t)taken;                                                           \
    *place ^= (*place ^ c) & taken;                                                                  \
  }
#define BNN2C_TAKE_REAL(name, wins)                                                                  \
  BNN2C_INLINE void bnn2c_take_##name(float x, uint32_t c, float *best, uint32_t *place) {           \
    if (wins) {                                                                                      \
      *best = x;                                                                                     \
      *place = c;                                                                                    \
    }                                                                                                \
  }
#define BNN2C_ARG_MAX(name, type, kept)                                                              \
  BNN2C_KERNEL void bnn2c_arg_##name(const bnn2c_arg_max_t *p, const type *in, int32_t *out) {       \
    for (uint32_t i = 0u; i < p->pixels; i++) {                                                      \
      kept best = in[0];                                                                             \
      uint32_t place = 0u;                                                                           \
      for (uint32_t c = 1u; c < p->channels; c++) {                                                  \
        bnn2c_take_##name(in[c], c, &best, &place);                                                  \
      }                                                                                              \
      out[i] = (int32_t)place;                                                                       \
      in += p->channels;                                                                             \
    }                                                                                                \
  }
#define BNN2C_ARG_MAX_INTEGERS(suffix, type, below)                                                  \
  BNN2C_TAKE_INTEGER(max_##suffix, below(*best, x))                                                  \
  BNN2C_TAKE_INTEGER(min_##suffix, below(x, *best))                                                  \
  BNN2C_TAKE_INTEGER(max_last_##suffix, ~below(x, *best))                                            \
  BNN2C_TAKE_INTEGER(min_last_##suffix, ~below(*best, x))                                            \
  BNN2C_ARG_MAX(max_##suffix, type, int32_t)                                                         \
  BNN2C_ARG_MAX(min_##suffix, type, int32_t)                                                         \
  BNN2C_ARG_MAX(max_last_##suffix, type, int32_t)                                                    \
  BNN2C_ARG_MAX(min_last_##suffix, type, int32_t)

BNN2C_ARG_MAX_INTEGERS(i32, int32_t, bnn2c_below)
BNN2C_ARG_MAX_INTEGERS(i16, int16_t, bnn2c_below_short)
BNN2C_ARG_MAX_INTEGERS(i8, int8_t, bnn2c_below_short)
BNN2C_ARG_MAX_INTEGERS(u8, uint8_t, bnn2c_below_short)
BNN2C_TAKE_REAL(max_f32, !(x <= *best) && (*best == *best))
BNN2C_TAKE_REAL(min_f32, !(x >= *best) && (*best == *best))
BNN2C_TAKE_REAL(max_last_f32, !(x < *best) && ((*best == *best) || (x != x)))
BNN2C_TAKE_REAL(min_last_f32, !(x > *best) && ((*best == *best) || (x != x)))
BNN2C_ARG_MAX(max_f32, float, float)
BNN2C_ARG_MAX(min_f32, float, float)
BNN2C_ARG_MAX(max_last_f32, float, float)
BNN2C_ARG_MAX(min_last_f32, float, float)

#endif
