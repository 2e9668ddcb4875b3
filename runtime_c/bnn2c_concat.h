/* bnn2c_concat.h - one call per input copies it to its place in the joined tensor.
 *
 * Plain tensors, and packed ones (suffix bits) whose parts start on a word: `rows` runs of `run` elements each are
 * copied to out[offset + row*stride].  bnn2c_concat_merge joins packed channels at any bit: its rows are planes of
 * pixels, offset is the first channel.  Its calls must come in the order of the inputs, for each starts the word after
 * its last.
 */
#ifndef BNN2C_CONCAT_H
#define BNN2C_CONCAT_H

#include "bnn2c.h"

typedef struct {
  uint32_t rows;
  uint32_t run;
  uint32_t stride;
  uint32_t offset;
} bnn2c_concat_t;

#define BNN2C_CONCAT(suffix, type)                                                                 \
  BNN2C_KERNEL void bnn2c_concat_##suffix(const bnn2c_concat_t *p, const type *in, type *out) {    \
    out += p->offset;                                                                              \
    for (uint32_t r = 0u; r < p->rows; r++) {                                                      \
      for (uint32_t i = 0u; i < p->run; i++) {                                                     \
        out[i] = in[i];                                                                            \
      }                                                                                            \
      in += p->run;                                                                                \
      out += p->stride;                                                                            \
    }                                                                                              \
  }

BNN2C_CONCAT(f32, float)
BNN2C_CONCAT(i32, int32_t)
BNN2C_CONCAT(i16, int16_t)
BNN2C_CONCAT(i8, int8_t)
BNN2C_CONCAT(u8, uint8_t)
BNN2C_CONCAT(bits, uint32_t)

BNN2C_KERNEL void bnn2c_concat_merge(const bnn2c_concat_t *p, const uint32_t *in, uint32_t *out) {
  const uint32_t first = p->offset / 32u;
  const uint32_t shift = p->offset % 32u;
  for (uint32_t r = 0u; r < p->rows; r++) {
    for (uint32_t w = 0u; w < p->run; w++) {
      const uint32_t place = first + w;
      if (shift == 0u) {
        out[place] = in[w];
      } else {
        out[place] |= in[w] << shift;
        if (place + 1u < p->stride) {
          out[place + 1u] = in[w] >> (32u - shift);
        }
      }
    }
    in += p->run;
    out += p->stride;
  }
}

#endif
