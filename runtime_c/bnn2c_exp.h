/* bnn2c_exp.h - e^x and what is made of it, without the C mathematical library: the same bits on every target.
 *
 * With x = n*ln2 + r, |r| <= ln2/2, and q(r) = r + r^2 P(r) near e^r - 1:  e^x = 2^n (1 + q)  and  e^x - 1 = 2^n q + (2^n - 1).
 * ln2 is subtracted in two parts, the first of nine bits, so that n times it is exact (W. J. Cody and W. Waite, Software
 * Manual for the Elementary Functions, 1980). P is the minimax polynomial for the relative error of q, 1.5e-8.
 */
#ifndef BNN2C_EXP_H
#define BNN2C_EXP_H

#include "bnn2c.h"
#include "bnn2c_math.h"

/* 2^n for -126 <= n <= 127. */
BNN2C_KERNEL float bnn2c_power_of_two(int32_t n) {
  bnn2c_float_bits_t power;
  power.bits = (uint32_t)(n + 127) << 23;
  return power.value;
}

/* q(r), and n: the integer nearest to x / ln2, for |x| < 2^21. */
BNN2C_KERNEL float bnn2c_exp_parts(float x, int32_t *n) {
  float r = x;
  *n = bnn2c_nearest(x * 1.44269504f);
  r -= (float)*n * 0.693359375f;
  r -= (float)*n * -2.12194440e-4f;
  return r + r * r * (0.5f + r * (0.16666546f + r * (0.041666403f + r * (0.008366291f + r * 0.0013940679f))));
}

/* e^x within 1.01 units in the last place; NaN for NaN. */
BNN2C_KERNEL float bnn2c_expf(float x) {
  const float below = (x > 89.0f) ? 89.0f : x;
  int32_t n = 0;
  const float q = bnn2c_exp_parts((below < -104.0f) ? -104.0f : below, &n);
  const int32_t half = n / 2; /* 2^n itself may be beyond the range of a float */
  return (1.0f + q) * bnn2c_power_of_two(half) * bnn2c_power_of_two(n - half);
}

/* 1 / (1 + e^-x); e^-x is infinite for small x, which gives 0. */
BNN2C_KERNEL float bnn2c_sigmoidf(float x) {
  return 1.0f / (1.0f + bnn2c_expf(-x));
}

/* (e^2x - 1) / (e^2x + 1), near 0 too within 3 units in the last place; from 10 on it is 1. */
BNN2C_KERNEL float bnn2c_tanhf(float x) {
  const float below = (x > 10.0f) ? 10.0f : x;
  int32_t n = 0;
  const float q = bnn2c_exp_parts(2.0f * ((below < -10.0f) ? -10.0f : below), &n);
  const float power = bnn2c_power_of_two(n);
  const float less = power * q + (power - 1.0f);
  return less / (less + 2.0f);
}

#endif
