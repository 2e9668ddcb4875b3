/* bnn2c_mat_mul.h - product of two float activations that both store the summed axis last.
 *
 *   out[b][m][n] = sum over k of left[b][m][k] * right[b or 0][n][k]
 *
 * right_batches is the number of batches of `right`: `batches` or 1.
 */
#ifndef BNN2C_MAT_MUL_H
#define BNN2C_MAT_MUL_H

#include "bnn2c.h"
#include "bnn2c_dot.h"

typedef struct {
  uint32_t batches;
  uint32_t right_batches;
  uint32_t m;
  uint32_t n;
  uint32_t k;
} bnn2c_mat_mul_t;

/* One row of the result: `left` with all n rows of `right`. */
BNN2C_KERNEL void bnn2c_mat_mul_row(const bnn2c_mat_mul_t *p, const float *left, const float *right, float *out) {
  uint32_t count = 0u;
  for (uint32_t n = 0u; n < p->n; n += count) {
    float sums[4];
    bnn2c_dot_clear(sums);
    count = (p->n - n >= 4u) ? 4u : 1u;
    bnn2c_dot(left, &right[(size_t)n * p->k], p->k, count, p->k, sums);
    for (uint32_t i = 0u; i < count; i++) {
      out[n + i] = sums[i];
    }
  }
}

BNN2C_KERNEL void bnn2c_mat_mul(const bnn2c_mat_mul_t *p, const float *left, const float *right, float *out) {
  for (uint32_t b = 0u; b < p->batches; b++) {
    for (uint32_t m = 0u; m < p->m; m++) {
      bnn2c_mat_mul_row(p, left, right, out);
      left += p->k;
      out += p->n;
    }
    right += (p->right_batches > 1u) ? ((size_t)p->n * p->k) : 0u;
  }
}

#endif
