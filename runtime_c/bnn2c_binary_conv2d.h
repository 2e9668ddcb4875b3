/* bnn2c_binary_conv2d.h - binary convolution by population count: several planes, channel groups, few outputs.
 *
 *   acc[y][x][o] = sum over weight planes i and activation planes j of
 *                  coefficients[i][j] * popcount((weights[i][o] XOR input plane j under the window) AND group mask)
 *
 * Taps outside the input read the code 0. Input: level codes, word ((y*W + x)*planes + plane)*words + c/32, bit c%32.
 * Output: int16/int32 accumulators [y][x][o], or codes: number of thresholds[class][o][l] that are <= acc.
 * Weights: [plane][o][kernel row][kernel column][group words]; group g starts at word (g*I/groups)/32 of a pixel and its
 * bits keep their place in that word; mask [group][group words] selects them. Timing does not depend on data.
 */
#ifndef BNN2C_BINARY_CONV2D_H
#define BNN2C_BINARY_CONV2D_H

#include "bnn2c.h"

typedef struct {
  uint16_t in_h;
  uint16_t in_w;
  uint16_t in_words; /* words of one pixel of one plane */
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
  uint16_t group_channels; /* input channels of a group */
  uint16_t group_words;
  uint16_t levels;       /* thresholds per channel, 0 for raw accumulators */
  uint16_t col_classes;
  uint8_t input_planes;
  uint8_t weight_planes;
  uint8_t output_planes;
  const uint8_t *coefficients; /* [weight plane][input plane] */
  const uint32_t *weights;
  const uint32_t *mask;
  const int32_t *thresholds; /* [class][o][level] */
  const uint16_t *row_class; /* [out_h], NULL for a single class */
  const uint16_t *col_class; /* [out_w] */
} bnn2c_binary_conv2d_t;

/* Copies the window of an output pixel to `patch` [tap][plane][word]; taps outside the input become 0. */
BNN2C_KERNEL void bnn2c_binary_conv2d_patch(const bnn2c_binary_conv2d_t *p, const uint32_t *in, uint32_t y, uint32_t x,
                                            uint32_t *patch) {
  const uint32_t words = (uint32_t)p->in_words * p->input_planes;
  for (uint32_t ky = 0u; ky < p->kernel_h; ky++) {
    const uint32_t row = y * p->stride_h + ky * p->dilation_h - p->pad_top; /* wraps when negative */
    for (uint32_t kx = 0u; kx < p->kernel_w; kx++) {
      const uint32_t col = x * p->stride_w + kx * p->dilation_w - p->pad_left;
      const int inside = (row < p->in_h) && (col < p->in_w);
      const uint32_t *pixel = inside ? &in[((size_t)row * p->in_w + col) * words] : NULL;
      for (uint32_t w = 0u; w < words; w++) {
        *patch = (pixel != NULL) ? pixel[w] : 0u;
        patch++;
      }
    }
  }
}

/* Mismatches of one weight plane with one activation plane. */
BNN2C_KERNEL uint32_t bnn2c_binary_conv2d_count(const bnn2c_binary_conv2d_t *p, const uint32_t *patch,
                                                const uint32_t *weights, const uint32_t *mask) {
  const uint32_t taps = (uint32_t)p->kernel_h * p->kernel_w;
  const uint32_t stride = (uint32_t)p->in_words * p->input_planes;
  uint32_t count = 0u;
  for (uint32_t tap = 0u; tap < taps; tap++) {
    for (uint32_t w = 0u; w < p->group_words; w++) {
      count += BNN2C_POPCOUNT32((patch[w] ^ *weights) & mask[w]);
      weights++;
    }
    patch += stride;
  }
  return count;
}

/* Accumulator of output channel o from the patch of its pixel. */
BNN2C_KERNEL uint32_t bnn2c_binary_conv2d_channel(const bnn2c_binary_conv2d_t *p, const uint32_t *patch, uint32_t o) {
  const uint32_t group = o / ((uint32_t)p->out_c / p->groups);
  const uint32_t offset = (group * p->group_channels) / 32u;
  const uint32_t *mask = &p->mask[group * p->group_words];
  const size_t size = (size_t)p->kernel_h * p->kernel_w * p->group_words;
  const uint8_t *coefficient = p->coefficients;
  uint32_t total = 0u;
  for (uint32_t i = 0u; i < p->weight_planes; i++) {
    const uint32_t *weights = &p->weights[((size_t)i * p->out_c + o) * size];
    for (uint32_t j = 0u; j < p->input_planes; j++) {
      total += *coefficient * bnn2c_binary_conv2d_count(p, &patch[j * p->in_words + offset], weights, mask);
      coefficient++;
    }
  }
  return total;
}

/* Number of thresholds that the accumulator reaches. */
BNN2C_KERNEL uint32_t bnn2c_binary_conv2d_code(const bnn2c_binary_conv2d_t *p, uint32_t acc, uint32_t class_index, uint32_t o) {
  const int32_t *threshold = &p->thresholds[((size_t)class_index * p->out_c + o) * p->levels];
  uint32_t code = 0u;
  for (uint32_t l = 0u; l < p->levels; l++) {
    code += ((int32_t)acc >= threshold[l]) ? 1u : 0u;
    BNN2C_KEEP(code); /* not in vectors: bnn2c_quantize.h */
  }
  return code;
}

/* One plane of the codes of all channels of a pixel; a word is complete before it is stored. */
BNN2C_KERNEL void bnn2c_binary_conv2d_plane(const bnn2c_binary_conv2d_t *p, const uint32_t *patch, uint32_t class_index,
                                            uint32_t plane, uint32_t *out) {
  uint32_t word = 0u;
  for (uint32_t o = 0u; o < p->out_c; o++) {
    const uint32_t acc = bnn2c_binary_conv2d_channel(p, patch, o);
    word |= ((bnn2c_binary_conv2d_code(p, acc, class_index, o) >> plane) & 1u) << (o % 32u);
    if (((o % 32u) == 31u) || ((o + 1u) == p->out_c)) {
      *out = word;
      out++;
      word = 0u;
    }
  }
}

/* Codes of pixel (y, x); returns the end of `out`. */
BNN2C_KERNEL uint32_t *bnn2c_binary_conv2d_bits_at(const bnn2c_binary_conv2d_t *p, const uint32_t *in, uint32_t y,
                                                   uint32_t x, uint32_t *patch, uint32_t *out) {
  const uint32_t row = (p->row_class != NULL) ? p->row_class[y] : 0u;
  const uint32_t col = (p->row_class != NULL) ? p->col_class[x] : 0u;
  bnn2c_binary_conv2d_patch(p, in, y, x, patch);
  for (uint32_t plane = 0u; plane < p->output_planes; plane++) {
    bnn2c_binary_conv2d_plane(p, patch, row * p->col_classes + col, plane, out);
    out += ((uint32_t)p->out_c + 31u) / 32u;
  }
  return out;
}

BNN2C_KERNEL void bnn2c_binary_conv2d_bits(const bnn2c_binary_conv2d_t *p, const uint32_t *in, uint32_t *patch,
                                           uint32_t *out) {
  for (uint32_t y = 0u; y < p->out_h; y++) {
    for (uint32_t x = 0u; x < p->out_w; x++) {
      out = bnn2c_binary_conv2d_bits_at(p, in, y, x, patch, out);
    }
  }
}

#define BNN2C_BINARY_CONV2D_COUNTS(suffix, type)                                                              \
  /* Accumulators of pixel (y, x), [out_c]. */                                                                \
  BNN2C_KERNEL void bnn2c_binary_conv2d_##suffix##_at(const bnn2c_binary_conv2d_t *p, const uint32_t *in,     \
                                                      uint32_t y, uint32_t x, uint32_t *patch, type *out) {   \
    bnn2c_binary_conv2d_patch(p, in, y, x, patch);                                                            \
    for (uint32_t o = 0u; o < p->out_c; o++) {                                                                \
      out[o] = (type)bnn2c_binary_conv2d_channel(p, patch, o);                                                \
    }                                                                                                         \
  }                                                                                                           \
  BNN2C_KERNEL void bnn2c_binary_conv2d_##suffix(const bnn2c_binary_conv2d_t *p, const uint32_t *in,          \
                                                 uint32_t *patch, type *out) {                                \
    for (uint32_t y = 0u; y < p->out_h; y++) {                                                                \
      for (uint32_t x = 0u; x < p->out_w; x++) {                                                              \
        bnn2c_binary_conv2d_##suffix##_at(p, in, y, x, patch, out);                                           \
        out += p->out_c;                                                                                      \
      }                                                                                                       \
    }                                                                                                         \
  }
BNN2C_BINARY_CONV2D_COUNTS(i16, int16_t)
BNN2C_BINARY_CONV2D_COUNTS(i32, int32_t)

#endif
