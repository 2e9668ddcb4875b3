/* bnn2c_softmax.h - softmax over the last axis of a float tensor [pixels][channels], or its logarithm.
 *
 *   out[c] = exp(x[c] - max) / sum of exp(x - max)         log: out[c] = x[c] - max - log(sum of exp(x - max))
 */
#ifndef BNN2C_SOFTMAX_H
#define BNN2C_SOFTMAX_H

#include <math.h>

#include "bnn2c.h"
#include "bnn2c_exp.h"
#include "bnn2c_math.h"

typedef struct {
  uint32_t pixels;
  uint32_t channels;
} bnn2c_softmax_t;

/* Largest of n values. */
BNN2C_KERNEL float bnn2c_softmax_largest(const float *x, uint32_t n) {
  float largest = x[0];
  for (uint32_t c = 1u; c < n; c++) {
    largest = bnn2c_maxf(largest, x[c]);
  }
  return largest;
}

BNN2C_KERNEL void bnn2c_softmax(const bnn2c_softmax_t *p, const float *in, float *out) {
  for (uint32_t i = 0u; i < p->pixels; i++) {
    const float largest = bnn2c_softmax_largest(in, p->channels);
    float sum = 0.0f;
    for (uint32_t c = 0u; c < p->channels; c++) {
      out[c] = bnn2c_expf(in[c] - largest);
      sum += out[c];
    }
    for (uint32_t c = 0u; c < p->channels; c++) {
      out[c] /= sum;
    }
    in += p->channels;
    out += p->channels;
  }
}

BNN2C_KERNEL void bnn2c_softmax_log(const bnn2c_softmax_t *p, const float *in, float *out) {
  for (uint32_t i = 0u; i < p->pixels; i++) {
    const float largest = bnn2c_softmax_largest(in, p->channels);
    float sum = 0.0f;
    for (uint32_t c = 0u; c < p->channels; c++) {
      sum += bnn2c_expf(in[c] - largest);
    }
    sum = logf(sum);
    for (uint32_t c = 0u; c < p->channels; c++) {
      out[c] = (in[c] - largest) - sum;
    }
    in += p->channels;
    out += p->channels;
  }
}

#endif
