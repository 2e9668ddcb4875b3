/* bnn2c_fixed.h - fixed-point arithmetic: real = scale * q, see docs/fixed-point.md.
 *
 *   bnn2c_shift32(x, n)      floor(x / 2^n), an arithmetic shift; rounding to nearest adds 2^(n-1) first
 *   bnn2c_clamp32(x, l, h)   saturation
 *   bnn2c_rescale(x, m, s)   floor((x * m + 2^(s+32)) / 2^(s+33)), 0 <= s < 31, 0 <= m < 2^31: round to nearest, ties up;
 *                            only the upper half of the product is needed
 *   bnn2c_divide(x, d)       x / d to nearest, ties away from zero, d > 0
 *   bnn2c_interpolate(t, x)  linear interpolation between 513 entries, 0 <= x < 65536
 */
#ifndef BNN2C_FIXED_H
#define BNN2C_FIXED_H

#include "bnn2c.h"

/* A right shift of a negative number is up to the compiler in C99; gcc and clang document that they keep the sign. */
#if defined(__GNUC__)
#define BNN2C_ARITHMETIC_SHIFT(x, n) ((x) >> (n))
#else
#define BNN2C_ARITHMETIC_SHIFT(x, n) (((x) < 0) ? ~(~(x) >> (n)) : ((x) >> (n)))
#endif

BNN2C_INLINE int32_t bnn2c_shift32(int32_t x, uint32_t n) {
  return BNN2C_ARITHMETIC_SHIFT(x, n);
}

BNN2C_INLINE int64_t bnn2c_shift64(int64_t x, uint32_t n) {
  return BNN2C_ARITHMETIC_SHIFT(x, n);
}

BNN2C_INLINE int32_t bnn2c_clamp32(int32_t x, int32_t low, int32_t high) {
  const int32_t raised = (x < low) ? low : x;
  return (raised > high) ? high : raised;
}

BNN2C_INLINE int32_t bnn2c_clamp64(int64_t x, int32_t low, int32_t high) {
  return (x < low) ? low : ((x > high) ? high : (int32_t)x);
}

BNN2C_INLINE int32_t bnn2c_rescale(int32_t x, int32_t multiplier, uint32_t shift) {
  const int32_t upper = (int32_t)bnn2c_shift64((int64_t)x * multiplier, 32u);
  return bnn2c_shift32(bnn2c_shift32(upper, shift) + 1, 1u);
}

BNN2C_INLINE int32_t bnn2c_divide(int32_t x, int32_t divisor) {
  return ((x < 0) ? (x - divisor / 2) : (x + divisor / 2)) / divisor;
}

/* (x << shift) / y towards zero; 2^30 with the sign of x for y = 0.  |x| < 2^(31 - shift). */
BNN2C_INLINE int32_t bnn2c_quotient(int32_t x, int32_t y, uint32_t shift) {
  const int32_t sign = (x > 0) ? 1 : ((x < 0) ? -1 : 0);
  return (y != 0) ? (x * (int32_t)((uint32_t)1 << shift) / y) : (sign * 1073741824);
}

BNN2C_INLINE int32_t bnn2c_interpolate(const int16_t *table, int32_t x) {
  const int32_t first = table[x >> 7];
  const int32_t last = table[(x >> 7) + 1];
  return first + bnn2c_shift32((last - first) * (x & 127) + 64, 7u);
}

#endif
