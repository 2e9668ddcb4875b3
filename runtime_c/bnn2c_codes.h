/* bnn2c_codes.h - reading packed level codes. */
#ifndef BNN2C_CODES_H
#define BNN2C_CODES_H

#include <stdint.h>

#include "bnn2c_compiler.h"

/* Code of channel c of a pixel: `planes` planes of `words` words each. */
BNN2C_INLINE uint32_t bnn2c_code(const uint32_t *pixel, uint32_t c, uint32_t words, uint32_t planes) {
  uint32_t code = 0u;
  for (uint32_t plane = 0u; plane < planes; plane++) {
    code |= ((pixel[plane * words + c / 32u] >> (c % 32u)) & 1u) << plane;
  }
  return code;
}

#endif
