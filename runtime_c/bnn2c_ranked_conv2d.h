/* bnn2c_ranked_conv2d.h - the best output channel of each pixel, from the sums of a block of channels at a time.
 *
 * BNN2C_RANKED defines `name` around three things of the layer: `name_part`, the parameters of its first block;
 * `name_sums`, which moves them to a block and makes its sums [height][width][rows]; and `name_value`, which makes of a
 * sum what is compared.  Scratch: the best value of each pixel, a block of sums, the convolution's own.
 */
#ifndef BNN2C_RANKED_CONV2D_H
#define BNN2C_RANKED_CONV2D_H

#include "bnn2c_arg_max.h"
#include "bnn2c_parameters.h"

/* kept: type of the best value, which starts as `worst`; take: suffix of bnn2c_take_. */
#define BNN2C_RANKED(name, params, in_type, sum_type, kept, worst, take, height, width, channels, rows, sums_at, more)  \
  BNN2C_KERNEL void name##_pick(const sum_type *sums, uint32_t first, kept *best, int32_t *out) {                     \
    const uint32_t count = ((channels)-first < (rows)) ? ((channels)-first) : (rows);                                 \
    for (uint32_t h = 0u; h < (height); h++) {                                                                        \
      for (uint32_t w = 0u; w < (width); w++) {                                                                       \
        kept top = *best;                                                                                             \
        uint32_t place = (uint32_t)*out;                                                                              \
        for (uint32_t c = 0u; c < count; c++) {                                                                       \
          bnn2c_take_##take(name##_value(sums, first, h, w, c), first + c, &top, &place);                             \
        }                                                                                                             \
        *best = top;                                                                                                  \
        *out = (int32_t)place;                                                                                        \
        best++;                                                                                                       \
        out++;                                                                                                        \
        sums += (rows);                                                                                               \
      }                                                                                                               \
    }                                                                                                                 \
  }                                                                                                                   \
  BNN2C_KERNEL void name(const in_type *in, uint32_t *scratch, int32_t *out) {                                        \
    kept *const best = (kept *)(void *)scratch;                                                                       \
    sum_type *const sums = (sum_type *)(void *)&scratch[sums_at];                                                     \
    params part;                                                                                                      \
    bnn2c_copy_parameters(&name##_part, sizeof(part), &part);                                                         \
    for (uint32_t i = 0u; i < (height) * (width); i++) {                                                              \
      best[i] = (worst);                                                                                              \
      out[i] = 0;                                                                                                     \
    }                                                                                                                 \
    for (uint32_t block = 0u; block * (rows) < (channels); block++) {                                                 \
      name##_sums(&part, block, in, &scratch[more], sums);                                                            \
      name##_pick(sums, block * (rows), best, out);                                                                   \
    }                                                                                                                 \
  }

#endif /* BNN2C_RANKED_CONV2D_H */
