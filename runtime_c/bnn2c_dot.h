/* bnn2c_dot.h - float dot products of one vector with one or four rows of a matrix, added to `sums`.
 *
 *   sums[i] += sum over k < n of x[k] * rows[i*row_size + k]
 *
 * Four rows at a time load each x once: 5 loads and 4 multiply-accumulates per round.  Where the processor has one, a
 * fused multiply-add does both steps, with a single rounding.
 */
#ifndef BNN2C_DOT_H
#define BNN2C_DOT_H

#include "bnn2c.h"

#if defined(__GNUC__) && (defined(__ARM_FEATURE_FMA) || defined(__riscv_flen) || defined(__FMA__))
#define BNN2C_MULTIPLY_ADD(a, b, sum) __builtin_fmaf((a), (b), (sum))
#else
#define BNN2C_MULTIPLY_ADD(a, b, sum) ((sum) + (a) * (b))
#endif

/* Rows are summed in pieces of this length, which keeps the rounding error of long sums small. */
#define BNN2C_DOT_PIECE 64u

/* Four sums of nothing; compilers make an initialiser a call of memset. */
BNN2C_INLINE void bnn2c_dot_clear(float *sums) {
  for (uint32_t i = 0u; i < 4u; i++) {
    sums[i] = 0.0f;
  }
}

BNN2C_KERNEL void bnn2c_dot1(const float *x, const float *row, uint32_t n, float *sums) {
  float sum = 0.0f;
  for (uint32_t k = 0u; k < n; k++) {
    sum = BNN2C_MULTIPLY_ADD(x[k], row[k], sum);
  }
  sums[0] += sum;
}

BNN2C_KERNEL void bnn2c_dot4(const float *x, const float *rows, size_t row_size, uint32_t n, float *sums) {
  const float *row1 = &rows[row_size];
  const float *row2 = &row1[row_size];
  const float *row3 = &row2[row_size];
  float sum0 = 0.0f;
  float sum1 = 0.0f;
  float sum2 = 0.0f;
  float sum3 = 0.0f;
  for (uint32_t k = 0u; k < n; k++) {
    const float value = x[k];
    sum0 = BNN2C_MULTIPLY_ADD(value, rows[k], sum0);
    sum1 = BNN2C_MULTIPLY_ADD(value, row1[k], sum1);
    sum2 = BNN2C_MULTIPLY_ADD(value, row2[k], sum2);
    sum3 = BNN2C_MULTIPLY_ADD(value, row3[k], sum3);
  }
  sums[0] += sum0;
  sums[1] += sum1;
  sums[2] += sum2;
  sums[3] += sum3;
}

/* Two vectors with four rows: every row element is loaded once for two products. */
BNN2C_KERNEL BNN2C_STEADY void bnn2c_dot4_two(const float *x, const float *y, const float *rows, size_t row_size,
                                              uint32_t n, float *x_sums, float *y_sums) {
  const float *row1 = &rows[row_size];
  const float *row2 = &row1[row_size];
  const float *row3 = &row2[row_size];
  float a0 = 0.0f;
  float a1 = 0.0f;
  float a2 = 0.0f;
  float a3 = 0.0f;
  float b0 = 0.0f;
  float b1 = 0.0f;
  float b2 = 0.0f;
  float b3 = 0.0f;
  for (uint32_t k = 0u; k < n; k++) {
    const float p = x[k];
    const float q = y[k];
    a0 = BNN2C_MULTIPLY_ADD(p, rows[k], a0);
    b0 = BNN2C_MULTIPLY_ADD(q, rows[k], b0);
    a1 = BNN2C_MULTIPLY_ADD(p, row1[k], a1);
    b1 = BNN2C_MULTIPLY_ADD(q, row1[k], b1);
    a2 = BNN2C_MULTIPLY_ADD(p, row2[k], a2);
    b2 = BNN2C_MULTIPLY_ADD(q, row2[k], b2);
    a3 = BNN2C_MULTIPLY_ADD(p, row3[k], a3);
    b3 = BNN2C_MULTIPLY_ADD(q, row3[k], b3);
  }
  x_sums[0] += a0;
  x_sums[1] += a1;
  x_sums[2] += a2;
  x_sums[3] += a3;
  y_sums[0] += b0;
  y_sums[1] += b1;
  y_sums[2] += b2;
  y_sums[3] += b3;
}

/* `count` rows: 4 or 1. */
BNN2C_KERNEL void bnn2c_dot(const float *x, const float *rows, size_t row_size, uint32_t count, uint32_t n,
                            float *sums) {
  uint32_t left = n;
  while (left > 0u) {
    const uint32_t piece = (left < BNN2C_DOT_PIECE) ? left : BNN2C_DOT_PIECE;
    if (count == 4u) {
      bnn2c_dot4(x, rows, row_size, piece, sums);
    } else {
      bnn2c_dot1(x, rows, piece, sums);
    }
    x += piece;
    rows += piece;
    left -= piece;
  }
}

#endif
