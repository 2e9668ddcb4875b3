/* bnn2c_fixed_mat_mul.h - product of two integer activations that both store the summed axis last.
 *
 *   out[b][m][n] = clamp(rescale((sum over k of left[b][m][k] * right[b or 0][n][k]) >> drop))
 *
 * Sums in int64; bnn2c_fixed_mat_mul_<left>_<right>_<output>.
 */
#ifndef BNN2C_FIXED_MAT_MUL_H
#define BNN2C_FIXED_MAT_MUL_H

#include "bnn2c_fixed.h"

typedef struct {
  uint32_t batches;
  uint32_t right_batches;
  uint32_t m;
  uint32_t n;
  uint32_t k;
  uint32_t drop;
  int32_t multiplier;
  uint32_t shift;
} bnn2c_fixed_mat_mul_t;

#define BNN2C_FIXED_MAT_MUL(a, a_type, b, b_type, suffix, type, low, high)                                             \
  BNN2C_KERNEL void bnn2c_fixed_mat_mul_##a##_##b##_##suffix(const bnn2c_fixed_mat_mul_t *p, const a_type *left,       \
                                                             const b_type *right, type *out) {                         \
    for (uint32_t row = 0u; row < p->batches * p->m; row++) {                                                          \
      const size_t batch = (p->right_batches > 1u) ? (row / p->m) : 0u;                                                \
      const b_type *column = &right[batch * p->n * p->k];                                                              \
      for (uint32_t n = 0u; n < p->n; n++) {                                                                           \
        int64_t sum = 0;                                                                                               \
        for (uint32_t k = 0u; k < p->k; k++) {                                                                         \
          const int32_t product = (int32_t)left[k] * (int32_t)column[k];                                               \
          sum += product;                                                                                              \
        }                                                                                                              \
        sum = bnn2c_shift64(sum, p->drop);                                                                             \
        *out = (type)bnn2c_clamp32(bnn2c_rescale((int32_t)sum, p->multiplier, p->shift), low, high);                   \
        out++;                                                                                                         \
        column += p->k;                                                                                                \
      }                                                                                                                \
      left += p->k;                                                                                                    \
    }                                                                                                                  \
  }
#define BNN2C_FIXED_MAT_MUL_OUTPUTS(a, a_type, b, b_type)                        \
  BNN2C_FIXED_MAT_MUL(a, a_type, b, b_type, i16, int16_t, -32767, 32767)         \
  BNN2C_FIXED_MAT_MUL(a, a_type, b, b_type, i8, int8_t, -127, 127)               \
  BNN2C_FIXED_MAT_MUL(a, a_type, b, b_type, u8, uint8_t, 0, 255)
#define BNN2C_FIXED_MAT_MUL_RIGHTS(a, a_type)              \
  BNN2C_FIXED_MAT_MUL_OUTPUTS(a, a_type, i16, int16_t)     \
  BNN2C_FIXED_MAT_MUL_OUTPUTS(a, a_type, i8, int8_t)       \
  BNN2C_FIXED_MAT_MUL_OUTPUTS(a, a_type, u8, uint8_t)

BNN2C_FIXED_MAT_MUL_RIGHTS(i16, int16_t)
BNN2C_FIXED_MAT_MUL_RIGHTS(i8, int8_t)
BNN2C_FIXED_MAT_MUL_RIGHTS(u8, uint8_t)

#endif
