/* bnn2c_math.h - elementwise float functions without the C mathematical library, with numpy's results.
 *
 * bnn2c_minf, bnn2c_maxf, bnn2c_signf and the roundings hand NaN on.
 */
#ifndef BNN2C_MATH_H
#define BNN2C_MATH_H

#include "bnn2c.h"

/* |x|; |-0| is +0. */
BNN2C_KERNEL float bnn2c_absf(float x) {
  return (x <= 0.0f) ? (0.0f - x) : x;
}

/* The smaller; NaN when either is. */
BNN2C_KERNEL float bnn2c_minf(float a, float b) {
  return ((a < b) || (a != a)) ? a : b;
}

/* The larger; NaN when either is. */
BNN2C_KERNEL float bnn2c_maxf(float a, float b) {
  return ((a > b) || (a != a)) ? a : b;
}

/* -1, 0 or +1. */
BNN2C_KERNEL float bnn2c_signf(float x) {
  return (x > 0.0f) ? 1.0f : ((x < 0.0f) ? -1.0f : x);
}

/* Towards zero.  From 2^23 on every float is an integer. */
BNN2C_KERNEL float bnn2c_truncf(float x) {
  return ((x > -8388608.0f) && (x < 8388608.0f)) ? (float)(int32_t)x : x;
}

/* The largest integer that is not above x. */
BNN2C_KERNEL float bnn2c_floorf(float x) {
  const float whole = bnn2c_truncf(x);
  return (whole > x) ? (whole - 1.0f) : whole;
}

/* The nearest integer, ties to the even one: sums with 2^23 have no digits behind the point. */
BNN2C_KERNEL float bnn2c_roundf(float x) {
  const float away = (x < 0.0f) ? -8388608.0f : 8388608.0f;
  const float shifted = x + away; /* a variable is rounded to float */
  return ((x > -8388608.0f) && (x < 8388608.0f)) ? (shifted - away) : x;
}

typedef union {
  float value;
  uint32_t bits;
} bnn2c_float_bits_t;

/* The same as an integer, for |x| < 2^22: the last bits of x + 1.5 * 2^23. */
BNN2C_KERNEL int32_t bnn2c_nearest(float x) {
  bnn2c_float_bits_t shifted;
  shifted.value = x + 12582912.0f;
  return (int32_t)(shifted.bits - 0x4B400000u);
}

/* a - b*floor(a/b), exact, with the sign of b; NaN when b is 0 or a infinite.  Long division: at most 277 rounds. */
BNN2C_KERNEL float bnn2c_modf(float a, float b) {
  const float size = bnn2c_absf(b);
  float rest = bnn2c_absf(a);
  float part = size;
  if ((size == 0.0f) || (rest - rest != 0.0f) || (size != size)) {
    return (a * size) / (a * size);
  }
  while (part + part <= rest) {
    part += part;
  }
  while (part >= size) {
    rest -= (rest >= part) ? part : 0.0f;
    part = (part == size) ? 0.0f : (part * 0.5f);
  }
  rest = (a < 0.0f) ? -rest : rest;
  return ((rest != 0.0f) && ((rest < 0.0f) != (b < 0.0f))) ? (rest + b) : rest;
}

/* Bits of a whole number between -2^32 and 2^32 in two's complement, without the sign beyond them; 0 for others. */
BNN2C_KERNEL uint32_t bnn2c_bits_of(float x) {
  const float size = bnn2c_absf(x);
  const uint32_t bits = (size < 4294967296.0f) ? (uint32_t)size : 0u;
  return (x < 0.0f) ? (0u - bits) : bits;
}

/* 1 for a number below 0, whose bits beyond the 32 are ones. */
BNN2C_KERNEL uint32_t bnn2c_sign_of(float x) {
  return (x < 0.0f) ? 1u : 0u;
}

/* The number that has these bits and this sign. */
BNN2C_KERNEL float bnn2c_of_bits(uint32_t bits, uint32_t sign) {
  return (sign != 0u) ? (-(float)(~bits) - 1.0f) : (float)bits;
}

/* a & b of whole numbers. */
BNN2C_KERNEL float bnn2c_bit_andf(float a, float b) {
  return bnn2c_of_bits(bnn2c_bits_of(a) & bnn2c_bits_of(b), bnn2c_sign_of(a) & bnn2c_sign_of(b));
}

/* a | b of whole numbers. */
BNN2C_KERNEL float bnn2c_bit_orf(float a, float b) {
  return bnn2c_of_bits(bnn2c_bits_of(a) | bnn2c_bits_of(b), bnn2c_sign_of(a) | bnn2c_sign_of(b));
}

/* a ^ b of whole numbers. */
BNN2C_KERNEL float bnn2c_bit_xorf(float a, float b) {
  return bnn2c_of_bits(bnn2c_bits_of(a) ^ bnn2c_bits_of(b), bnn2c_sign_of(a) ^ bnn2c_sign_of(b));
}

#endif
