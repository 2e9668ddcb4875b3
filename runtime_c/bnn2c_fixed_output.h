/* bnn2c_fixed_output.h - parameters of fixed-point convolutions, and the last step of all of them.
 *
 *   out[y][x][o] = clamp(round((bias[o] + sum over taps of weight * q) * lift * multiplier[o] / 2^shift[o]), low, high)
 *
 * round is to nearest, ties up (bnn2c_rescale).  Taps outside the input read pad[channel], or 0 when pad is NULL.  The sum
 * fits in int32 for every input; the compiler proves it.
 */
#ifndef BNN2C_FIXED_OUTPUT_H
#define BNN2C_FIXED_OUTPUT_H

#include "bnn2c_fixed.h"
#include "bnn2c_window.h"

typedef struct {
  bnn2c_window_t window;
  uint32_t in_c;
  uint32_t out_c;
  uint32_t groups;
  uint32_t group_in;  /* in_c / groups */
  uint32_t group_out; /* out_c / groups */
  uint32_t row;       /* elements (signs: words) from one output channel's weights to the next's */
  int32_t lift; /* a power of two, 1 unless sums are short */
  int32_t low;
  int32_t high;
  const void *weights;
  const int16_t *pad; /* [in_c] or NULL */
  const int32_t *bias;       /* [out_c], as the following */
  const int32_t *multiplier; /* below 2^31 */
  const uint8_t *shift;      /* the shift less 33: 0 .. 29 */
} bnn2c_fixed_conv2d_t;

/* One pixel of sums to its format; the parameters are copied, because a store of bytes might change them. */
#define BNN2C_FIXED_OUTPUT(suffix, type)                                                                          \
  BNN2C_KERNEL void bnn2c_fixed_output_##suffix(const bnn2c_fixed_conv2d_t *p, const int32_t *sums, type *out) {  \
    const int32_t *bias = p->bias;                                                                                \
    const int32_t *multiplier = p->multiplier;                                                                    \
    const uint8_t *shift = p->shift;                                                                              \
    const int32_t lift = p->lift;                                                                                 \
    const int32_t low = p->low;                                                                                   \
    const int32_t high = p->high;                                                                                 \
    const int32_t *const end = &sums[p->out_c];                                                                   \
    while (sums != end) {                                                                                         \
      const int32_t rounded = bnn2c_rescale((*sums + *bias) * lift, *multiplier, *shift);                         \
      *out = (type)bnn2c_clamp32(rounded, low, high);                                                             \
      sums++;                                                                                                     \
      bias++;                                                                                                     \
      multiplier++;                                                                                               \
      shift++;                                                                                                    \
      out++;                                                                                                      \
    }                                                                                                             \
  }

BNN2C_FIXED_OUTPUT(i16, int16_t)
BNN2C_FIXED_OUTPUT(i8, int8_t)
BNN2C_FIXED_OUTPUT(u8, uint8_t)

#endif
