/* bnn2c_fixed_depthwise.h - depthwise convolution in fixed point (bnn2c_fixed_output.h).
 *
 * bnn2c_fixed_conv2d_depthwise_<weights>_<input>_<output>: groups = in_c = out_c, weights [kernel_h][kernel_w][channel].
 * Scratch: int32 sums[out_c].
 */
#ifndef BNN2C_FIXED_DEPTHWISE_H
#define BNN2C_FIXED_DEPTHWISE_H

#include "bnn2c_fixed_output.h"

/* Sums of channels c .. c + count - 1 (count 1 or 4) of one pixel. */
#define BNN2C_FIXED_CHANNELS(kind, weight_type, suffix, type)                                                      \
  BNN2C_KERNEL void bnn2c_fixed_channels_##kind##_##suffix(const bnn2c_fixed_conv2d_t *p, const type *in,          \
                                                              uint32_t y, uint32_t x, uint32_t c, uint32_t count,     \
                                                              int32_t *sums) {                                        \
    const bnn2c_window_t *w = &p->window;                                                                             \
    const weight_type *factors = &((const weight_type *)p->weights)[c];                                               \
    int32_t s0 = 0;                                                                                                   \
    int32_t s1 = 0;                                                                                                   \
    int32_t s2 = 0;                                                                                                   \
    int32_t s3 = 0;                                                                                                   \
    for (uint32_t ky = 0u; ky < w->kernel_h; ky++) {                                                                  \
      const uint32_t row = y * w->stride_h + ky * w->dilation_h - w->pad_top;                                         \
      for (uint32_t kx = 0u; kx < w->kernel_w; kx++) {                                                                \
        const uint32_t col = x * w->stride_w + kx * w->dilation_w - w->pad_left;                                      \
        if ((row < w->in_h) && (col < w->in_w)) {                                                                     \
          const type *tap = &in[((size_t)row * w->in_w + col) * p->in_c + c];                                         \
          s0 += (int32_t)tap[0] * factors[0];                                                                         \
          if (count == 4u) {                                                                                          \
            s1 += (int32_t)tap[1] * factors[1];                                                                       \
            s2 += (int32_t)tap[2] * factors[2];                                                                       \
            s3 += (int32_t)tap[3] * factors[3];                                                                       \
          }                                                                                                           \
        } else if (p->pad != NULL) {                                                                                  \
          s0 += (int32_t)p->pad[c] * factors[0];                                                                      \
          if (count == 4u) {                                                                                          \
            s1 += (int32_t)p->pad[c + 1u] * factors[1];                                                               \
            s2 += (int32_t)p->pad[c + 2u] * factors[2];                                                               \
            s3 += (int32_t)p->pad[c + 3u] * factors[3];                                                               \
          }                                                                                                           \
        } else {                                                                                                      \
          /* a zero outside the input adds nothing */                                                                 \
        }                                                                                                             \
        factors += p->in_c;                                                                                           \
      }                                                                                                               \
    }                                                                                                                 \
    sums[0] = s0;                                                                                                     \
    if (count == 4u) {                                                                                                \
      sums[1] = s1;                                                                                                   \
      sums[2] = s2;                                                                                                   \
      sums[3] = s3;                                                                                                   \
    }                                                                                                                 \
  }

#define BNN2C_FIXED_DEPTHWISE(kind, suffix, type, out_suffix, out_type)                                        \
  BNN2C_KERNEL void bnn2c_fixed_conv2d_depthwise_##kind##_##suffix##_##out_suffix(                             \
      const bnn2c_fixed_conv2d_t *p, const type *in, int32_t *sums, out_type *out) {                              \
    for (uint32_t y = 0u; y < p->window.out_h; y++) {                                                             \
      for (uint32_t x = 0u; x < p->window.out_w; x++) {                                                           \
        uint32_t count = 0u;                                                                                      \
        for (uint32_t c = 0u; c < p->out_c; c += count) {                                                         \
          count = (p->out_c - c >= 4u) ? 4u : 1u;                                                                 \
          bnn2c_fixed_channels_##kind##_##suffix(p, in, y, x, c, count, &sums[c]);                             \
        }                                                                                                         \
        bnn2c_fixed_output_##out_suffix(p, sums, out);                                                            \
        out += p->out_c;                                                                                          \
      }                                                                                                           \
    }                                                                                                             \
  }
#define BNN2C_FIXED_DEPTHWISE_OUTPUTS(kind, weight_type, suffix, type) \
  BNN2C_FIXED_CHANNELS(kind, weight_type, suffix, type)                \
  BNN2C_FIXED_DEPTHWISE(kind, suffix, type, i8, int8_t)                \
  BNN2C_FIXED_DEPTHWISE(kind, suffix, type, u8, uint8_t)               \
  BNN2C_FIXED_DEPTHWISE(kind, suffix, type, i16, int16_t)

BNN2C_FIXED_DEPTHWISE_OUTPUTS(i8, int8_t, i8, int8_t)
BNN2C_FIXED_DEPTHWISE_OUTPUTS(i8, int8_t, u8, uint8_t)
BNN2C_FIXED_DEPTHWISE_OUTPUTS(i8, int8_t, i16, int16_t)
BNN2C_FIXED_DEPTHWISE_OUTPUTS(i16, int16_t, i8, int8_t)
BNN2C_FIXED_DEPTHWISE_OUTPUTS(i16, int16_t, u8, uint8_t)
BNN2C_FIXED_DEPTHWISE_OUTPUTS(i16, int16_t, i16, int16_t)

#endif
