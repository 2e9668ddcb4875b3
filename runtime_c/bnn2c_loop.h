/* bnn2c_loop.h - repeated layers: the state that one step leaves to the next is copied. */
#ifndef BNN2C_LOOP_H
#define BNN2C_LOOP_H

#include "bnn2c.h"

#define BNN2C_COPY(suffix, type)                                                          \
  BNN2C_KERNEL void bnn2c_copy_##suffix(const type *in, uint32_t count, type *out) {      \
    for (uint32_t i = 0u; i < count; i++) {                                               \
      out[i] = in[i];                                                                     \
    }                                                                                     \
  }

BNN2C_COPY(f32, float)
BNN2C_COPY(i32, int32_t)
BNN2C_COPY(i16, int16_t)
BNN2C_COPY(i8, int8_t)
BNN2C_COPY(u8, uint8_t)
BNN2C_COPY(bits, uint32_t)

#endif
