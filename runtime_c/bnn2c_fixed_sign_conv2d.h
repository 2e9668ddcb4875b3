/* bnn2c_fixed_sign_conv2d.h - fixed-point convolution with +1/-1 weights: integer additions, one rescaling per output.
 *
 * bnn2c_fixed_conv2d_signs_<input>_<output>: weight bit k%32 of word weights[o][k/32] is 1 for -1, k runs over (kernel row,
 * kernel column, channel of the group); `row` words per output.  As in bnn2c_sign_conv2d.h each four patch elements have 16
 * signed sums, computed once per pixel, of which every output selects one.  Scratch: int32 sums[out_c].
 */
#ifndef BNN2C_FIXED_SIGN_CONV2D_H
#define BNN2C_FIXED_SIGN_CONV2D_H

#include "bnn2c_fixed_output.h"

/* Patch elements that have not been added yet. */
typedef struct {
  int32_t values[32];
  uint32_t filled;
  const uint32_t *weights; /* word of the group's first output for these elements */
} bnn2c_fixed_signs_t;

/* The 16 sums +-a +-b +-c +-d; bit i of the index is set where element i is subtracted. */
BNN2C_KERNEL void bnn2c_fixed_signs_table(const int32_t *four, int32_t *table) {
  const int32_t plus = four[0] + four[1];
  const int32_t minus = four[0] - four[1];
  const int32_t high_plus = four[2] + four[3];
  const int32_t high_minus = four[3] - four[2];
  table[0] = high_plus + plus;
  table[1] = high_plus - minus;
  table[2] = high_plus + minus;
  table[3] = high_plus - plus;
  table[4] = high_minus + plus;
  table[5] = high_minus - minus;
  table[6] = high_minus + minus;
  table[7] = high_minus - plus;
  for (uint32_t i = 0u; i < 8u; i++) {
    table[15u - i] = -table[i];
  }
}

/* The sum that 16 weights select from four tables. */
BNN2C_INLINE int32_t bnn2c_fixed_signs_half(int32_t (*table)[16], uint32_t word) {
  return table[0][word & 15u] + table[1][(word >> 4) & 15u] + table[2][(word >> 8) & 15u] +
         table[3][(word >> 12) & 15u];
}

/* Adds the waiting elements, filled up to 16 or 32 with zeros, to the sums of a group's outputs. */
BNN2C_KERNEL void bnn2c_fixed_signs_add(const bnn2c_fixed_conv2d_t *p, bnn2c_fixed_signs_t *patch, int32_t *sums) {
  int32_t table[8][16];
  const uint32_t fours = (patch->filled > 16u) ? 8u : 4u;
  const uint32_t *weights = patch->weights;
  while (patch->filled < 4u * fours) {
    patch->values[patch->filled] = 0;
    patch->filled++;
  }
  for (uint32_t i = 0u; i < fours; i++) {
    bnn2c_fixed_signs_table(&patch->values[4u * i], table[i]);
  }
  for (uint32_t o = 0u; o < p->group_out; o++) {
    int32_t sum = bnn2c_fixed_signs_half(table, *weights);
    if (fours == 8u) {
      sum += bnn2c_fixed_signs_half(&table[4], *weights >> 16);
    }
    sums[o] += sum;
    weights += p->row;
  }
  patch->filled = 0u;
  patch->weights++;
}

BNN2C_INLINE void bnn2c_fixed_signs_put(const bnn2c_fixed_conv2d_t *p, bnn2c_fixed_signs_t *patch, int32_t value,
                                        int32_t *sums) {
  patch->values[patch->filled] = value;
  patch->filled++;
  if (patch->filled == 32u) {
    bnn2c_fixed_signs_add(p, patch, sums);
  }
}

/* All outputs of one group at pixel (y, x). */
#define BNN2C_FIXED_SIGNS_GROUP(suffix, type)                                                                          \
  BNN2C_KERNEL void bnn2c_fixed_signs_group_##suffix(const bnn2c_fixed_conv2d_t *p, const type *in, uint32_t y,        \
                                                     uint32_t x, uint32_t group, int32_t *sums) {                      \
    const bnn2c_window_t *w = &p->window;                                                                              \
    const uint32_t first = group * p->group_in;                                                                        \
    bnn2c_fixed_signs_t patch;                                                                                         \
    patch.filled = 0u;                                                                                                 \
    patch.weights = &((const uint32_t *)p->weights)[(size_t)group * p->group_out * p->row];                            \
    for (uint32_t ky = 0u; ky < w->kernel_h; ky++) {                                                                   \
      const uint32_t row = y * w->stride_h + ky * w->dilation_h - w->pad_top;                                          \
      for (uint32_t kx = 0u; kx < w->kernel_w; kx++) {                                                                 \
        const uint32_t col = x * w->stride_w + kx * w->dilation_w - w->pad_left;                                       \
        const int inside = (row < w->in_h) && (col < w->in_w);                                                         \
        const type *tap = inside ? &in[((size_t)row * w->in_w + col) * p->in_c + first] : NULL;                        \
        for (uint32_t c = 0u; c < p->group_in; c++) {                                                                  \
          const int32_t outside = (p->pad != NULL) ? p->pad[first + c] : 0;                                            \
          bnn2c_fixed_signs_put(p, &patch, (tap != NULL) ? (int32_t)tap[c] : outside, sums);                           \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
    if (patch.filled != 0u) {                                                                                          \
      bnn2c_fixed_signs_add(p, &patch, sums);                                                                          \
    }                                                                                                                  \
  }

#define BNN2C_FIXED_SIGN_CONV2D(suffix, type, out_suffix, out_type)                                           \
  BNN2C_KERNEL void bnn2c_fixed_conv2d_signs_##suffix##_##out_suffix(                                         \
      const bnn2c_fixed_conv2d_t *p, const type *in, int32_t *sums, out_type *out) {                          \
    for (uint32_t y = 0u; y < p->window.out_h; y++) {                                                         \
      for (uint32_t x = 0u; x < p->window.out_w; x++) {                                                       \
        for (uint32_t o = 0u; o < p->out_c; o++) {                                                            \
          sums[o] = 0;                                                                                        \
        }                                                                                                     \
        for (uint32_t g = 0u; g < p->groups; g++) {                                                           \
          bnn2c_fixed_signs_group_##suffix(p, in, y, x, g, &sums[g * p->group_out]);                          \
        }                                                                                                     \
        bnn2c_fixed_output_##out_suffix(p, sums, out);                                                        \
        out += p->out_c;                                                                                      \
      }                                                                                                       \
    }                                                                                                         \
  }
#define BNN2C_FIXED_SIGN_CONV2D_OUTPUTS(suffix, type)       \
  BNN2C_FIXED_SIGNS_GROUP(suffix, type)                     \
  BNN2C_FIXED_SIGN_CONV2D(suffix, type, i8, int8_t)         \
  BNN2C_FIXED_SIGN_CONV2D(suffix, type, u8, uint8_t)        \
  BNN2C_FIXED_SIGN_CONV2D(suffix, type, i16, int16_t)

BNN2C_FIXED_SIGN_CONV2D_OUTPUTS(i8, int8_t)
BNN2C_FIXED_SIGN_CONV2D_OUTPUTS(u8, uint8_t)
BNN2C_FIXED_SIGN_CONV2D_OUTPUTS(i16, int16_t)

#endif
