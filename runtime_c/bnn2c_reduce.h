/* bnn2c_reduce.h - reduction of the middle axis of a float tensor: [outer][count][inner] -> [outer][inner].
 *
 * Sums are sequential float32; max and min hand NaN on, as numpy does.
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

#define BNN2C_REDUCE(name, step, finish)                                                        \
  BNN2C_KERNEL void bnn2c_reduce_##name(const bnn2c_reduce_t *p, const float *in, float *out) { \
    for (uint32_t a = 0u; a < p->outer; a++) {                                                  \
      for (uint32_t d = 0u; d < p->inner; d++) {                                                \
        const float *next = &in[d];                                                             \
        float value = *next;                                                                    \
        for (uint32_t r = 1u; r < p->count; r++) {                                              \
          next += p->inner;                                                                     \
          value = step;                                                                         \
        }                                                                                       \
        *out = finish;                                                                          \
        out++;                                                                                  \
      }                                                                                         \
      in += (size_t)p->count * p->inner;                                                        \
    }                                                                                           \
  }

BNN2C_REDUCE(sum, value + *next, value)
BNN2C_REDUCE(mean, value + *next, value / (float)p->count)
BNN2C_REDUCE(prod, value * *next, value)
BNN2C_REDUCE(max, bnn2c_maxf(value, *next), value)
BNN2C_REDUCE(min, bnn2c_minf(value, *next), value)

#endif
