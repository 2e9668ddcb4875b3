/* bnn2c_sign_conv2d.h - float convolution with +1/-1 or ternary weights: additions only, one multiplication per output.
 *
 *   out[y][x][o] = scale[o] * sum over k of (+1 or -1) * patch[g][k],   g = o / (O/groups)
 *
 * k runs over [kernel row][kernel column][I/groups]; taps outside the input read `pad`.  Weight bit k%32 of word
 * weights[o][k/32] is 1 for -1.
 *
 * Each four patch elements have 16 signed sums.  They are computed once per pixel, and every output channel adds
 * the one that its four weights select: a quarter of the additions.  The address depends on weights, never on data.
 *
 * Ternary weights (+1, -1, 0) have two bits each, and their tables the sums of two elements: bits 0 and 1 of an index
 * say which of the two is subtracted, bits 2 and 3 which is left out.
 */
#ifndef BNN2C_SIGN_CONV2D_H
#define BNN2C_SIGN_CONV2D_H

#include "bnn2c.h"
#include "bnn2c_window.h"

typedef struct {
  bnn2c_window_t window;
  uint32_t in_c;
  uint32_t out_c;
  uint32_t groups;
  uint32_t group_in;  /* in_c / groups */
  uint32_t group_out; /* out_c / groups */
  uint32_t words; /* weight words of one output channel */
  const uint32_t *weights;
  const float *scale; /* NULL: 1 */
  float pad;
} bnn2c_sign_conv2d_t;

/* The 16 sums +-a +-b +-c +-d; bit i of the index is set where element i is subtracted.  Complements are negatives. */
BNN2C_KERNEL void bnn2c_sign_conv2d_table(const float *four, float *table) {
  const float plus = four[0] + four[1];
  const float minus = four[0] - four[1];
  const float high_plus = four[2] + four[3];
  const float high_minus = four[3] - four[2];
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

/* The sums of two elements, of which ternary weights subtract some and leave some out. */
BNN2C_KERNEL void bnn2c_sign_conv2d_pairs(const float *two, float *table) {
  table[0] = two[0] + two[1];
  table[1] = two[1] - two[0];
  for (uint32_t i = 0u; i < 2u; i++) {
    table[3u - i] = -table[i];
    table[4u + i] = two[1];
    table[6u + i] = -two[1];
    table[8u + 2u * i] = two[0];
    table[9u + 2u * i] = -two[0];
    table[12u + 2u * i] = 0.0f;
    table[13u + 2u * i] = 0.0f;
  }
}

/* The sum that 16 weights select from four tables. */
BNN2C_INLINE float bnn2c_sign_conv2d_half(float (*table)[16], uint32_t word) {
  return (table[0][word & 15u] + table[1][(word >> 4) & 15u]) +
         (table[2][(word >> 8) & 15u] + table[3][(word >> 12) & 15u]);
}

/* The sums that the words of `outputs` channels select from the first `tables` < 8. */
BNN2C_KERNEL void bnn2c_sign_conv2d_few(float (*table)[16], uint32_t tables, const uint32_t *weights, uint32_t words,
                                        uint32_t outputs, float *sums) {
  for (uint32_t o = 0u; o < outputs; o++) {
    uint32_t word = *weights;
    float(*next)[16] = table;
    float sum = 0.0f;
    if ((tables & 4u) != 0u) {
      sum = bnn2c_sign_conv2d_half(next, word);
      next = &next[4];
      word >>= 16;
    }
    if ((tables & 2u) != 0u) {
      sum += next[0][word & 15u] + next[1][(word >> 4) & 15u];
      next = &next[2];
      word >>= 8;
    }
    if ((tables & 1u) != 0u) {
      sum += next[0][word & 15u];
    }
    sums[o] += sum;
    weights += words;
  }
}

/* The same for all eight tables. */
BNN2C_KERNEL void bnn2c_sign_conv2d_all(float (*table)[16], const uint32_t *weights, uint32_t words, uint32_t outputs,
                                        float *sums) {
  for (uint32_t o = 0u; o < outputs; o++) {
    sums[o] += bnn2c_sign_conv2d_half(table, *weights) + bnn2c_sign_conv2d_half(&table[4], *weights >> 16);
    weights += words;
  }
}

/* Adds `tables` <= 8 times `span` patch elements to the sums of `outputs` channels; `weights` is the first one's word. */
BNN2C_KERNEL void bnn2c_sign_conv2d_add(const float *patch, uint32_t span, uint32_t tables, const uint32_t *weights,
                                        uint32_t words, uint32_t outputs, float *sums) {
  float table[8][16];
  for (uint32_t i = 0u; i < tables; i++) {
    if (span == 4u) {
      bnn2c_sign_conv2d_table(&patch[i * 4u], table[i]);
    } else {
      bnn2c_sign_conv2d_pairs(&patch[i * 2u], table[i]);
    }
  }
  if (tables < 8u) {
    bnn2c_sign_conv2d_few(table, tables, weights, words, outputs, sums);
  } else {
    bnn2c_sign_conv2d_all(table, weights, words, outputs, sums);
  }
}
/* Patch elements that have not been added yet. */
typedef struct {
  float values[32];
  uint32_t filled;
  const uint32_t *weights; /* word of the group's first channel for these elements */
} bnn2c_sign_conv2d_patch_t;

/* Appends the channels of one tap (`pad` where source is NULL); the elements of every word are added to the sums. */
BNN2C_KERNEL void bnn2c_sign_conv2d_tap(const bnn2c_sign_conv2d_t *p, uint32_t span, bnn2c_sign_conv2d_patch_t *patch,
                                        const float *source, float *sums) {
  for (uint32_t c = 0u; c < p->group_in; c++) {
    patch->values[patch->filled] = (source != NULL) ? source[c] : p->pad;
    patch->filled++;
    if (patch->filled == 8u * span) {
      bnn2c_sign_conv2d_add(patch->values, span, 8u, patch->weights, p->words, p->group_out, sums);
      patch->weights++;
      patch->filled = 0u;
    }
  }
}

/* All output channels of one group at one pixel; the window's corner is input position (top, left). */
BNN2C_KERNEL void bnn2c_sign_conv2d_group(const bnn2c_sign_conv2d_t *p, uint32_t span, const float *in, uint32_t top,
                                          uint32_t left, uint32_t group, float *sums) {
  const bnn2c_window_t *w = &p->window;
  bnn2c_sign_conv2d_patch_t patch;
  patch.filled = 0u;
  patch.weights = &p->weights[(size_t)group * p->group_out * p->words];
  for (uint32_t ky = 0u; ky < w->kernel_h; ky++) {
    const uint32_t row = top + ky * w->dilation_h;
    for (uint32_t kx = 0u; kx < w->kernel_w; kx++) {
      const uint32_t col = left + kx * w->dilation_w;
      const int inside = (row < w->in_h) && (col < w->in_w);
      const float *source = inside ? &in[((size_t)row * w->in_w + col) * p->in_c + group * p->group_in] : NULL;
      bnn2c_sign_conv2d_tap(p, span, &patch, source, sums);
    }
  }
  while (patch.filled % span != 0u) {
    patch.values[patch.filled] = 0.0f;
    patch.filled++;
  }
  if (patch.filled != 0u) {
    bnn2c_sign_conv2d_add(patch.values, span, patch.filled / span, patch.weights, p->words, p->group_out, sums);
  }
}

/* All output channels of pixel (y, x), weights of 4 / span bits. */
BNN2C_KERNEL void bnn2c_sign_conv2d_pixel(const bnn2c_sign_conv2d_t *p, uint32_t span, const float *in, uint32_t y,
                                          uint32_t x, float *out) {
  const bnn2c_window_t *w = &p->window;
  for (uint32_t o = 0u; o < p->out_c; o++) {
    out[o] = 0.0f;
  }
  for (uint32_t g = 0u; g < p->groups; g++) {
    bnn2c_sign_conv2d_group(p, span, in, y * w->stride_h - w->pad_top, x * w->stride_w - w->pad_left, g,
                            &out[g * p->group_out]);
  }
  for (uint32_t o = 0u; (p->scale != NULL) && (o < p->out_c); o++) {
    out[o] *= p->scale[o];
  }
}

BNN2C_KERNEL void bnn2c_sign_conv2d_at(const bnn2c_sign_conv2d_t *p, const float *in, uint32_t y, uint32_t x,
                                       float *out) {
  bnn2c_sign_conv2d_pixel(p, 4u, in, y, x, out);
}

BNN2C_KERNEL void bnn2c_ternary_conv2d_at(const bnn2c_sign_conv2d_t *p, const float *in, uint32_t y, uint32_t x,
                                          float *out) {
  bnn2c_sign_conv2d_pixel(p, 2u, in, y, x, out);
}

BNN2C_KERNEL void bnn2c_sign_conv2d(const bnn2c_sign_conv2d_t *p, const float *in, float *out) {
  for (uint32_t y = 0u; y < p->window.out_h; y++) {
    for (uint32_t x = 0u; x < p->window.out_w; x++) {
      bnn2c_sign_conv2d_at(p, in, y, x, out);
      out += p->out_c;
    }
  }
}

BNN2C_KERNEL void bnn2c_ternary_conv2d(const bnn2c_sign_conv2d_t *p, const float *in, float *out) {
  for (uint32_t y = 0u; y < p->window.out_h; y++) {
    for (uint32_t x = 0u; x < p->window.out_w; x++) {
      bnn2c_ternary_conv2d_at(p, in, y, x, out);
      out += p->out_c;
    }
  }
}

#endif
