/* bnn2c_spread_planes.h - the bit planes of codes as channels of one plane.
 *
 *   bit k * channels + c of the output = OR of the planes in masks[k] of code c
 *
 * A binary layer of codes p0 + 2*p1 is one of single bits in which the channels p1 occur twice. Timing does not depend
 * on data.
 */
#ifndef BNN2C_SPREAD_PLANES_H
#define BNN2C_SPREAD_PLANES_H

#include "bnn2c.h"
#include "bnn2c_patch.h"

typedef struct {
  uint32_t pixels;
  uint32_t channels;
  uint32_t planes;
  uint32_t copies;
} bnn2c_spread_planes_t;

BNN2C_KERNEL void bnn2c_spread_planes(const bnn2c_spread_planes_t *p, const uint8_t *masks, const uint32_t *in,
                                      uint32_t *out) {
  const uint32_t words = (p->channels + 31u) / 32u;
  bnn2c_bit_stream stream = {out, 0u, 0u};
  for (uint32_t pixel = 0u; pixel < p->pixels; pixel++) {
    for (uint32_t k = 0u; k < p->copies; k++) {
      for (uint32_t w = 0u; w < words; w++) {
        const uint32_t left = p->channels - 32u * w;
        uint32_t word = 0u;
        for (uint32_t plane = 0u; plane < p->planes; plane++) {
          word |= in[plane * words + w] & (0u - (((uint32_t)masks[k] >> plane) & 1u));
        }
        bnn2c_append_bits(&stream, word, (left < 32u) ? left : 32u);
      }
    }
    bnn2c_end_bits(&stream);
    in += words * p->planes;
  }
}

#endif
