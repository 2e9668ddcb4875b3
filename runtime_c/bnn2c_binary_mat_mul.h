/* bnn2c_binary_mat_mul.h - product of two packed activations that both store the summed axis last.
 *
 *   out[b][m][n] = base + left * S(q[b][m]) + right * S(r[b or 0][n]) + both * sum over k of q[b][m][k] * r[b or 0][n][k]
 *
 * q and r are level codes in bit planes, `words` words to a plane; S is the sum of a row's codes. The last sum is that of
 * 2^(i+j) * popcount(plane i of q AND plane j of r). right_batches is the number of batches of r: `batches` or 1.
 * `sums` has room for n numbers.
 */
#ifndef BNN2C_BINARY_MAT_MUL_H
#define BNN2C_BINARY_MAT_MUL_H

#include "bnn2c.h"

typedef struct {
  uint32_t batches;
  uint32_t right_batches;
  uint32_t m;
  uint32_t n;
  uint32_t k;
  uint32_t left_planes;
  uint32_t right_planes;
  int32_t base;
  int32_t left;
  int32_t right;
  int32_t both;
} bnn2c_binary_mat_mul_t;

/* Bits of the last word of a plane that carry codes. */
BNN2C_KERNEL uint32_t bnn2c_binary_mat_mul_tail(uint32_t k) {
  return UINT32_MAX >> ((32u - k % 32u) % 32u);
}

/* popcount(a AND b) of two planes of k bits. */
BNN2C_KERNEL uint32_t bnn2c_binary_mat_mul_both(const uint32_t *a, const uint32_t *b, uint32_t k) {
  const uint32_t last = (k - 1u) / 32u;
  uint32_t count = BNN2C_POPCOUNT32(a[last] & b[last] & bnn2c_binary_mat_mul_tail(k));
  for (uint32_t w = 0u; w < last; w++) {
    count += BNN2C_POPCOUNT32(a[w] & b[w]);
  }
  return count;
}

/* Sum of the codes of one row. */
BNN2C_KERNEL int32_t bnn2c_binary_mat_mul_sum(const uint32_t *row, uint32_t planes, uint32_t k) {
  const uint32_t words = (k + 31u) / 32u;
  uint32_t sum = 0u;
  for (uint32_t plane = 0u; plane < planes; plane++) {
    sum += bnn2c_binary_mat_mul_both(&row[plane * words], &row[plane * words], k) << plane;
  }
  return (int32_t)sum;
}

/* Sum of the products of two rows' codes. */
BNN2C_KERNEL int32_t bnn2c_binary_mat_mul_dot(const bnn2c_binary_mat_mul_t *p, const uint32_t *q, const uint32_t *r) {
  const uint32_t words = (p->k + 31u) / 32u;
  uint32_t sum = 0u;
  for (uint32_t i = 0u; i < p->left_planes; i++) {
    for (uint32_t j = 0u; j < p->right_planes; j++) {
      sum += bnn2c_binary_mat_mul_both(&q[i * words], &r[j * words], p->k) << (i + j);
    }
  }
  return (int32_t)sum;
}

#define BNN2C_BINARY_MAT_MUL(suffix, type)                                                                            \
  BNN2C_KERNEL void bnn2c_binary_mat_mul_##suffix(const bnn2c_binary_mat_mul_t *p, const uint32_t *left,              \
                                                  const uint32_t *right, int32_t *sums, type *out) {                  \
    const uint32_t words = (p->k + 31u) / 32u;                                                                        \
    const size_t right_row = (size_t)words * p->right_planes;                                                         \
    for (uint32_t b = 0u; b < p->batches; b++) {                                                                      \
      for (uint32_t n = 0u; n < p->n; n++) {                                                                          \
        sums[n] = p->base + p->right * bnn2c_binary_mat_mul_sum(&right[n * right_row], p->right_planes, p->k);        \
      }                                                                                                               \
      for (uint32_t m = 0u; m < p->m; m++) {                                                                          \
        const int32_t own = p->left * bnn2c_binary_mat_mul_sum(left, p->left_planes, p->k);                           \
        for (uint32_t n = 0u; n < p->n; n++) {                                                                        \
          *out = (type)(sums[n] + own + p->both * bnn2c_binary_mat_mul_dot(p, left, &right[n * right_row]));          \
          out++;                                                                                                      \
        }                                                                                                             \
        left += (size_t)words * p->left_planes;                                                                       \
      }                                                                                                               \
      right += (p->right_batches > 1u) ? (p->n * right_row) : 0u;                                                     \
    }                                                                                                                 \
  }

BNN2C_BINARY_MAT_MUL(i16, int16_t)
BNN2C_BINARY_MAT_MUL(i32, int32_t)

#endif
