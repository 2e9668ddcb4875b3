/* bnn2c_reduce.h - reduction of the middle axis of a float tensor: [outer][count][inner] -> [outer][inner].
 *
 * max and min hand NaN on, as numpy does.
 */
#ifndef BNN2C_REDUCE_H
#define BNN2C_REDUCE_H

#include "bnn2c.h"
#include "bnn2c_math.h"

typedef struct {
  uint32_t outer;
  uint32_t count;
  uint32_t inner;
} bnn2c_reduce_t;

/* Sum of n values `step` apart, in pieces of 32, which keeps the rounding error of long sums small. */
BNN2C_KERNEL float bnn2c_reduce_total(const float *in, uint32_t n, uint32_t step) {
  float total = 0.0f;
  uint32_t left = n;
  while (left > 0u) {
    const uint32_t piece = (left < 32u) ? left : 32u;
    float part = 0.0f;
    for (uint32_t i = 0u; i < piece; i++) {
      part += *in;
      in += step;
    }
    total += part;
    left -= piece;
  }
  return total;
}

BNN2C_KERNEL float bnn2c_reduce_product(const float *in, uint32_t n, uint32_t step) {
  float value = in[0];
  for (uint32_t i = 1u; i < n; i++) {
    in += step;
    value *= *in;
  }
  return value;
}

BNN2C_KERNEL float bnn2c_reduce_largest(const float *in, uint32_t n, uint32_t step) {
  float value = in[0];
  for (uint32_t i = 1u; i < n; i++) {
    in += step;
    value = bnn2c_maxf(value, *in);
  }
  return value;
}

BNN2C_KERNEL float bnn2c_reduce_smallest(const float *in, uint32_t n, uint32_t step) {
  float value = in[0];
  for (uint32_t i = 1u; i < n; i++) {
    in += step;
    value = bnn2c_minf(value, *in);
  }
  return value;
}

#define BNN2C_REDUCE(name, result)                                                              \
  BNN2C_KERNEL void bnn2c_reduce_##name(const bnn2c_reduce_t *p, const float *in, float *out) { \
    for (uint32_t a = 0u; a < p->outer; a++) {                                                  \
      for (uint32_t d = 0u; d < p->inner; d++) {                                                \
        *out = result;                                                                          \
        out++;                                                                                  \
      }                                                                                         \
      in += (size_t)p->count * p->inner;                                                        \
    }                                                                                           \
  }

BNN2C_REDUCE(sum, bnn2c_reduce_total(&in[d], p->count, p->inner))
BNN2C_REDUCE(mean, bnn2c_reduce_total(&in[d], p->count, p->inner) / (float)p->count)
BNN2C_REDUCE(prod, bnn2c_reduce_product(&in[d], p->count, p->inner))
BNN2C_REDUCE(max, bnn2c_reduce_largest(&in[d], p->count, p->inner))
BNN2C_REDUCE(min, bnn2c_reduce_smallest(&in[d], p->count, p->inner))

#endif
