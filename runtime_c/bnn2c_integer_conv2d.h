/* bnn2c_integer_conv2d.h - 8-bit input times small integer weights, exact in int32.
 *
 *   acc[y][x][o] = sum over taps inside the input of weight * q
 *
 * Input [y][x][c] of uint8 or int8, output int32 [y][x][o]. Weights per output channel in the order (kernel row, kernel
 * column, channel of the group): one bit each (0 is +1, 1 is -1, runs padded to 32 bits); two such runs of which half
 * the sum is meant, for the weights -1, 0, 1; or int8.
 * Bits use no multiplication: each four inputs have 16 signed sums, computed once per pixel; every output channel adds
 * the one that its four weights select.
 */
#ifndef BNN2C_INTEGER_CONV2D_H
#define BNN2C_INTEGER_CONV2D_H

#include "bnn2c.h"

typedef struct {
  uint16_t in_h;
  uint16_t in_w;
  uint16_t in_c;
  uint16_t out_h;
  uint16_t out_w;
  uint16_t out_c;
  uint16_t kernel_h;
  uint16_t kernel_w;
  uint16_t stride_h;
  uint16_t stride_w;
  uint16_t dilation_h;
  uint16_t dilation_w;
  uint16_t pad_top;
  uint16_t pad_left;
  uint16_t groups;
  uint32_t run;         /* weights per output channel */
  const void *weights;  /* uint32_t [o][1 or 2][ceil(run / 32)] or int8_t [o][run] */
} bnn2c_integer_conv2d_t;

/* Copies the window to int16 `patch` [group][tap][channel of the group]; taps outside the input become 0, and so do
 * the elements that round the patch of a group up to a multiple of 16. Neighbouring taps of a row inside the input lie
 * side by side when there is one group and no dilation. */
#define BNN2C_INTEGER_CONV2D_PATCH(suffix, type)                                                                     \
  BNN2C_INLINE int16_t *bnn2c_integer_conv2d_copy_##suffix(const type *from, uint32_t count, int16_t *patch) {       \
    for (uint32_t c = 0u; c < count; c++) {                                                                          \
      patch[c] = (from != NULL) ? (int16_t)from[c] : (int16_t)0;                                                     \
    }                                                                                                                \
    return patch + count;                                                                                            \
  }                                                                                                                  \
  BNN2C_KERNEL int16_t *bnn2c_integer_conv2d_row_##suffix(const bnn2c_integer_conv2d_t *p, const type *in,           \
                                                          uint32_t row, uint32_t left, uint32_t group,               \
                                                          int16_t *patch) {                                          \
    const uint32_t width = (uint32_t)p->in_c / p->groups;                                                            \
    const int whole = (p->groups == 1u) && (p->dilation_w == 1u) && (row < p->in_h) && (left < p->in_w) &&           \
                      ((left + p->kernel_w) <= p->in_w);                                                             \
    const type *line = &in[(size_t)((row < p->in_h) ? row : 0u) * p->in_w * p->in_c];                                \
    if (whole != 0) {                                                                                                \
      return bnn2c_integer_conv2d_copy_##suffix(&line[(size_t)left * p->in_c], p->kernel_w * width, patch);          \
    }                                                                                                                \
    for (uint32_t kx = 0u; kx < p->kernel_w; kx++) {                                                                 \
      const uint32_t col = left + kx * p->dilation_w;                                                                \
      const int inside = (row < p->in_h) && (col < p->in_w);                                                         \
      const type *pixel = inside ? &line[(size_t)col * p->in_c + group * width] : NULL;                              \
      patch = bnn2c_integer_conv2d_copy_##suffix(pixel, width, patch);                                               \
    }                                                                                                                \
    return patch;                                                                                                    \
  }                                                                                                                  \
  BNN2C_KERNEL void bnn2c_integer_conv2d_patch_##suffix(const bnn2c_integer_conv2d_t *p, const type *in, uint32_t y, \
                                                        uint32_t x, int16_t *patch) {                                \
    const uint32_t top = y * p->stride_h - p->pad_top; /* wraps when negative */                                     \
    const uint32_t left = x * p->stride_w - p->pad_left;                                                             \
    for (uint32_t g = 0u; g < p->groups; g++) {                                                                      \
      for (uint32_t ky = 0u; ky < p->kernel_h; ky++) {                                                               \
        patch = bnn2c_integer_conv2d_row_##suffix(p, in, top + ky * p->dilation_h, left, g, patch);                  \
      }                                                                                                              \
      for (uint32_t k = p->run; (k % 16u) != 0u; k++) {                                                              \
        *patch = 0;                                                                                                  \
        patch++;                                                                                                     \
      }                                                                                                              \
    }                                                                                                                \
  }
BNN2C_INTEGER_CONV2D_PATCH(u8, uint8_t)
BNN2C_INTEGER_CONV2D_PATCH(i8, int8_t)

/* The 16 sums +-a +-b +-c +-d of four inputs; bit i of the index is set where element i is subtracted. */
BNN2C_KERNEL void bnn2c_integer_conv2d_table(const int16_t *four, int32_t *table) {
  const int32_t plus = (int32_t)four[0] + four[1];
  const int32_t minus = (int32_t)four[0] - four[1];
  const int32_t high_plus = (int32_t)four[2] + four[3];
  const int32_t high_minus = (int32_t)four[3] - four[2];
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

/* The sums that 16 weight bits select from four tables. */
BNN2C_INLINE int32_t bnn2c_integer_conv2d_half(int32_t (*table)[16], uint32_t bits) {
  return table[0][bits & 15u] + table[1][(bits >> 4) & 15u] + table[2][(bits >> 8) & 15u] + table[3][(bits >> 12) & 15u];
}

/* The signed sum of 16 or 32 inputs that one word of weights selects; the address depends on weights, never on data. */
BNN2C_INLINE int32_t bnn2c_integer_conv2d_word(int32_t (*table)[16], uint32_t inputs, uint32_t bits) {
  const int32_t sum = bnn2c_integer_conv2d_half(table, bits);
  return (inputs > 16u) ? (sum + bnn2c_integer_conv2d_half(&table[4], bits >> 16)) : sum;
}

/* Adds 16 or 32 inputs to the sums of `outputs` channels, each of which has `planes` rows of weight words; with the
 * `first` inputs the sums begin. */
BNN2C_INLINE void bnn2c_integer_conv2d_sums(const int16_t *patch, uint32_t inputs, const uint32_t *weights, uint32_t words,
                                            uint32_t planes, int first, uint32_t outputs, int32_t *sums) {
  int32_t table[8][16];
  for (uint32_t i = 0u; i < inputs / 4u; i++) {
    bnn2c_integer_conv2d_table(&patch[i * 4u], table[i]);
  }
  for (uint32_t o = 0u; o < outputs; o++) {
    int32_t sum = bnn2c_integer_conv2d_word(table, inputs, *weights);
    if (planes > 1u) {
      sum += bnn2c_integer_conv2d_word(table, inputs, weights[words]);
    }
    sums[o] = (first != 0) ? sum : (sums[o] + sum);
    weights += (size_t)planes * words;
  }
}

#define BNN2C_INTEGER_CONV2D_SUMS(name, planes, first)                                                               \
  BNN2C_KERNEL void bnn2c_integer_conv2d_##name(const int16_t *patch, uint32_t inputs, const uint32_t *weights,      \
                                                uint32_t words, uint32_t outputs, int32_t *sums) {                   \
    bnn2c_integer_conv2d_sums(patch, inputs, weights, words, (planes), (first), outputs, sums);                      \
  }
BNN2C_INTEGER_CONV2D_SUMS(first_bits, 1u, 1)
BNN2C_INTEGER_CONV2D_SUMS(add_bits, 1u, 0)
BNN2C_INTEGER_CONV2D_SUMS(first_ternary, 2u, 1)
BNN2C_INTEGER_CONV2D_SUMS(add_ternary, 2u, 0)

#define BNN2C_INTEGER_CONV2D_PIXEL(name, kind, planes)                                                               \
  /* The sums of one pixel: `planes` bits per weight. The patch is padded with zeros to a multiple of 16. */         \
  BNN2C_KERNEL void bnn2c_integer_conv2d_pixel_##name(const bnn2c_integer_conv2d_t *p, const int16_t *patch,         \
                                                      int32_t *out) {                                                \
    const uint32_t *weights = (const uint32_t *)p->weights;                                                          \
    const uint32_t words = (p->run + 31u) / 32u;                                                                     \
    const uint32_t outputs = (uint32_t)p->out_c / p->groups;                                                         \
    for (uint32_t g = 0u; g < p->groups; g++) {                                                                      \
      bnn2c_integer_conv2d_first_##kind(patch, (p->run > 16u) ? 32u : 16u, weights, words, outputs, out);            \
      for (uint32_t k = 32u; k < p->run; k += 32u) {                                                                 \
        const uint32_t inputs = ((p->run - k) > 16u) ? 32u : 16u;                                                    \
        bnn2c_integer_conv2d_add_##kind(&patch[k], inputs, &weights[k / 32u], words, outputs, out);                  \
      }                                                                                                              \
      patch += (p->run + 15u) & ~(uint32_t)15u;                                                                      \
      weights += (size_t)outputs * (planes) * words;                                                                 \
      out += outputs;                                                                                                \
    }                                                                                                                \
  }
BNN2C_INTEGER_CONV2D_PIXEL(bits, bits, 1u)
BNN2C_INTEGER_CONV2D_PIXEL(ternary_sums, ternary, 2u)

/* Weights -1, 0, 1 are half the sum of two signs, so the sum is even. */
BNN2C_KERNEL void bnn2c_integer_conv2d_pixel_ternary(const bnn2c_integer_conv2d_t *p, const int16_t *patch,
                                                     int32_t *out) {
  bnn2c_integer_conv2d_pixel_ternary_sums(p, patch, out);
  for (uint32_t o = 0u; o < p->out_c; o++) {
    out[o] /= 2;
  }
}

/* All output channels of one pixel: int8 weights. */
BNN2C_KERNEL void bnn2c_integer_conv2d_pixel_i8(const bnn2c_integer_conv2d_t *p, const int16_t *patch, int32_t *out) {
  const int8_t *weights = (const int8_t *)p->weights;
  const uint32_t per_group = (uint32_t)p->out_c / p->groups;
  const uint32_t stride = (p->run + 15u) & ~(uint32_t)15u;
  for (uint32_t o = 0u; o < p->out_c; o++) {
    const int16_t *source = &patch[(o / per_group) * stride];
    int32_t sum = 0;
    for (uint32_t k = 0u; k < p->run; k++) {
      sum += (int32_t)source[k] * (int32_t)weights[k];
    }
    out[o] = sum;
    weights += p->run;
  }
}

#define BNN2C_INTEGER_CONV2D(weight_kind, input_kind, type)                                                          \
  /* All output channels of pixel (y, x). */                                                                         \
  BNN2C_KERNEL void bnn2c_integer_conv2d_##weight_kind##_##input_kind##_at(                                          \
      const bnn2c_integer_conv2d_t *p, const type *in, uint32_t y, uint32_t x, int16_t *patch, int32_t *out) {       \
    bnn2c_integer_conv2d_patch_##input_kind(p, in, y, x, patch);                                                     \
    bnn2c_integer_conv2d_pixel_##weight_kind(p, patch, out);                                                         \
  }                                                                                                                  \
  BNN2C_KERNEL void bnn2c_integer_conv2d_##weight_kind##_##input_kind(const bnn2c_integer_conv2d_t *p,               \
                                                                      const type *in, int16_t *patch, int32_t *out) { \
    for (uint32_t y = 0u; y < p->out_h; y++) {                                                                       \
      for (uint32_t x = 0u; x < p->out_w; x++) {                                                                     \
        bnn2c_integer_conv2d_##weight_kind##_##input_kind##_at(p, in, y, x, patch, out);                             \
        out += p->out_c;                                                                                             \
      }                                                                                                              \
    }                                                                                                                \
  }
BNN2C_INTEGER_CONV2D(bits, u8, uint8_t)
BNN2C_INTEGER_CONV2D(bits, i8, int8_t)
BNN2C_INTEGER_CONV2D(ternary, u8, uint8_t)
BNN2C_INTEGER_CONV2D(ternary, i8, int8_t)
BNN2C_INTEGER_CONV2D(i8, u8, uint8_t)
BNN2C_INTEGER_CONV2D(i8, i8, int8_t)

#endif
