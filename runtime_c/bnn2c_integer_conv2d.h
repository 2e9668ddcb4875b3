/* bnn2c_integer_conv2d.h - 8-bit input times small integer weights, exact in int32.
 *
 *   acc[y][x][o] = sum over taps inside the input of weight * q
 *
 * Input [y][x][c] of uint8 or int8, output int32 [y][x][o]. Weights per output channel in the order (kernel row, kernel
 * column, channel of the group): one bit each (0 is +1, 1 is -1, runs padded to 32 bits) or int8.
 * Two-valued weights use no multiplication: sum(w q) = 2 * sum over bits 0 of q - sum of q.
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
  const void *weights;  /* uint32_t [o][ceil(run / 32)] or int8_t [o][run] */
} bnn2c_integer_conv2d_t;

/* Copies the window to int16 `patch` [group][tap][channel of the group]; taps outside the input become 0. */
#define BNN2C_INTEGER_CONV2D_PATCH(suffix, type)                                                                    \
  BNN2C_KERNEL void bnn2c_integer_conv2d_patch_##suffix(const bnn2c_integer_conv2d_t *p, const type *in, uint32_t y, \
                                                        uint32_t x, int16_t *patch) {                               \
    const uint32_t width = (uint32_t)p->in_c / p->groups;                                                           \
    for (uint32_t g = 0u; g < p->groups; g++) {                                                                     \
      for (uint32_t ky = 0u; ky < p->kernel_h; ky++) {                                                              \
        const uint32_t row = y * p->stride_h + ky * p->dilation_h - p->pad_top; /* wraps when negative */           \
        for (uint32_t kx = 0u; kx < p->kernel_w; kx++) {                                                            \
          const uint32_t col = x * p->stride_w + kx * p->dilation_w - p->pad_left;                                  \
          const int inside = (row < p->in_h) && (col < p->in_w);                                                    \
          const type *pixel = inside ? &in[((size_t)row * p->in_w + col) * p->in_c + g * width] : NULL;             \
          for (uint32_t c = 0u; c < width; c++) {                                                                   \
            *patch = (pixel != NULL) ? (int16_t)pixel[c] : (int16_t)0;                                              \
            patch++;                                                                                                \
          }                                                                                                         \
        }                                                                                                           \
      }                                                                                                             \
    }                                                                                                               \
  }
BNN2C_INTEGER_CONV2D_PATCH(u8, uint8_t)
BNN2C_INTEGER_CONV2D_PATCH(i8, int8_t)

/* Dot product with one bit per weight; bits beyond `run` are 0 and are not read. */
BNN2C_KERNEL int32_t bnn2c_integer_dot_bits(const int16_t *patch, const uint32_t *weights, uint32_t run) {
  int32_t sum = 0;
  uint32_t word = 0u;
  for (uint32_t k = 0u; k < run; k++) {
    if ((k % 32u) == 0u) {
      word = weights[k / 32u];
    }
    const int32_t flip = -(int32_t)(word & 1u);
    sum += ((int32_t)patch[k] ^ flip) - flip;
    word >>= 1;
  }
  return sum;
}

BNN2C_KERNEL int32_t bnn2c_integer_dot_i8(const int16_t *patch, const int8_t *weights, uint32_t run) {
  int32_t sum = 0;
  for (uint32_t k = 0u; k < run; k++) {
    sum += (int32_t)patch[k] * (int32_t)weights[k];
  }
  return sum;
}

/* All output channels of one pixel from its patch. */
BNN2C_KERNEL void bnn2c_integer_conv2d_pixel_bits(const bnn2c_integer_conv2d_t *p, const int16_t *patch, int32_t *out) {
  const uint32_t *weights = (const uint32_t *)p->weights;
  const uint32_t per_group = (uint32_t)p->out_c / p->groups;
  for (uint32_t o = 0u; o < p->out_c; o++) {
    out[o] = bnn2c_integer_dot_bits(&patch[(o / per_group) * p->run], weights, p->run);
    weights += (p->run + 31u) / 32u;
  }
}

BNN2C_KERNEL void bnn2c_integer_conv2d_pixel_i8(const bnn2c_integer_conv2d_t *p, const int16_t *patch, int32_t *out) {
  const int8_t *weights = (const int8_t *)p->weights;
  const uint32_t per_group = (uint32_t)p->out_c / p->groups;
  for (uint32_t o = 0u; o < p->out_c; o++) {
    out[o] = bnn2c_integer_dot_i8(&patch[(o / per_group) * p->run], weights, p->run);
    weights += p->run;
  }
}

#define BNN2C_INTEGER_CONV2D(weight_kind, input_kind, type)                                                            \
  BNN2C_KERNEL void bnn2c_integer_conv2d_##weight_kind##_##input_kind(const bnn2c_integer_conv2d_t *p, const type *in, \
                                                                      int16_t *patch, int32_t *out) {                  \
    for (uint32_t y = 0u; y < p->out_h; y++) {                                                                         \
      for (uint32_t x = 0u; x < p->out_w; x++) {                                                                       \
        bnn2c_integer_conv2d_patch_##input_kind(p, in, y, x, patch);                                                   \
        bnn2c_integer_conv2d_pixel_##weight_kind(p, patch, out);                                                       \
        out += p->out_c;                                                                                               \
      }                                                                                                                \
    }                                                                                                                  \
  }
BNN2C_INTEGER_CONV2D(bits, u8, uint8_t)
BNN2C_INTEGER_CONV2D(bits, i8, int8_t)
BNN2C_INTEGER_CONV2D(i8, u8, uint8_t)
BNN2C_INTEGER_CONV2D(i8, i8, int8_t)

#endif
