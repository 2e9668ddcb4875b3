/* bnn2c_to_fixed.h - float to fixed point: q = clamp(round(x * inverse), low, high), ties to even; NaN becomes low. */
#ifndef BNN2C_TO_FIXED_H
#define BNN2C_TO_FIXED_H

#include "bnn2c.h"
#include "bnn2c_math.h"

#define BNN2C_TO_FIXED(suffix, type, low, high)                                                               \
  BNN2C_KERNEL void bnn2c_to_fixed_##suffix(float inverse, uint32_t count, const float *in, type *out) {      \
    for (uint32_t i = 0u; i < count; i++) {                                                                   \
      const float x = in[i] * inverse;                                                                        \
      const float raised = (x > (float)(low)) ? x : (float)(low);                                             \
      out[i] = (type)bnn2c_nearest((raised < (float)(high)) ? raised : (float)(high));                        \
    }                                                                                                         \
  }

BNN2C_TO_FIXED(i16, int16_t, -32767, 32767)
BNN2C_TO_FIXED(i8, int8_t, -127, 127)
BNN2C_TO_FIXED(u8, uint8_t, 0, 255)

#endif
