/* bnn2c_fixed_conv2d.h - convolution in fixed point (bnn2c_fixed_output.h), for all groupings but depthwise.
 *
 * bnn2c_fixed_conv2d_<weights>_<input>_<output>: weights i8 or i16, input and output i8, u8 or i16.
 *
 * Two pixels' windows are copied to int16 patches (bnn2c_fixed_dot.h), then all outputs are computed two at a time.
 * Weights [group][pair of outputs][block][2][4], the taps of an output in the order (kernel row, kernel column, channel),
 * filled with zeros; `row` elements per output, so 2*row per pair.  An odd last output has a partner of zeros.
 * Scratch: int32 sums[2][out_c + 1], then int16 patch[2*row].
 */
#ifndef BNN2C_FIXED_CONV2D_H
#define BNN2C_FIXED_CONV2D_H

#include "bnn2c_fixed_dot.h"
#include "bnn2c_fixed_output.h"

/* Channels first .. first + group_in of every tap of pixel (y, x), as one of the two pixels of a patch; neighbouring taps
 * of a row follow each other in memory and are copied as one. */
#define BNN2C_FIXED_PATCH(kind, suffix, type)                                                                          \
  BNN2C_KERNEL uint32_t bnn2c_fixed_tap_##kind##_##suffix(const type *tap, uint32_t count, uint32_t k, int16_t *patch) { \
    const uint32_t end = k + count;                                                                                    \
    if (k % 4u == 0u) {                                                                                                \
      int16_t *block = &patch[2u * k];                                                                                 \
      for (; end - k >= 8u; k += 8u) {                                                                                 \
        bnn2c_fixed_four_##kind##_##suffix(tap, block);                                                                \
        bnn2c_fixed_four_##kind##_##suffix(&tap[4], &block[8]);                                                        \
        tap += 8;                                                                                                      \
        block += 16;                                                                                                   \
      }                                                                                                                \
      if (end - k >= 4u) {                                                                                             \
        bnn2c_fixed_four_##kind##_##suffix(tap, block);                                                                \
        tap += 4;                                                                                                      \
        k += 4u;                                                                                                       \
      }                                                                                                                \
    }                                                                                                                  \
    for (; k < end; k++) {                                                                                             \
      patch[bnn2c_fixed_place_##kind(k)] = (int16_t)*tap;                                                              \
      tap++;                                                                                                           \
    }                                                                                                                  \
    return end;                                                                                                        \
  }                                                                                                                    \
  BNN2C_KERNEL void bnn2c_fixed_patch_##kind##_##suffix(const bnn2c_fixed_conv2d_t *p, const type *in, uint32_t y,     \
                                                        uint32_t x, uint32_t first, int16_t *patch) {                  \
    const bnn2c_window_t *w = &p->window;                                                                              \
    uint32_t k = 0u;                                                                                                   \
    for (uint32_t ky = 0u; ky < w->kernel_h; ky++) {                                                                   \
      const uint32_t row = y * w->stride_h + ky * w->dilation_h - w->pad_top;                                          \
      const uint32_t left = x * w->stride_w - w->pad_left;                                                             \
      const int whole = (row < w->in_h) && (left < w->in_w) && (w->in_w - left >= w->kernel_w);                        \
      const uint32_t joined = (whole && (p->groups == 1u) && (w->dilation_w == 1u)) ? w->kernel_w : 1u;                \
      for (uint32_t kx = 0u; kx < w->kernel_w; kx += joined) {                                                         \
        const uint32_t col = x * w->stride_w + kx * w->dilation_w - w->pad_left;                                       \
        if ((row < w->in_h) && (col < w->in_w)) {                                                                      \
          const type *tap = &in[((size_t)row * w->in_w + col) * p->in_c + first];                                      \
          k = bnn2c_fixed_tap_##kind##_##suffix(tap, joined * p->group_in, k, patch);                                  \
        } else {                                                                                                       \
          for (uint32_t c = 0u; c < p->group_in; c++) {                                                                \
            patch[bnn2c_fixed_place_##kind(k)] = (p->pad != NULL) ? p->pad[first + c] : (int16_t)0;                    \
            k++;                                                                                                       \
          }                                                                                                            \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
    for (; k < p->row; k++) {                                                                                          \
      patch[bnn2c_fixed_place_##kind(k)] = 0;                                                                          \
    }                                                                                                                  \
  }

BNN2C_FIXED_PATCH(i8, i8, int8_t)
BNN2C_FIXED_PATCH(i8, u8, uint8_t)
BNN2C_FIXED_PATCH(i8, i16, int16_t)
BNN2C_FIXED_PATCH(i16, i8, int8_t)
BNN2C_FIXED_PATCH(i16, u8, uint8_t)
BNN2C_FIXED_PATCH(i16, i16, int16_t)

/* All outputs of one group at one or two pixels; sums of the second pixel lie `next` after those of the first. */
#define BNN2C_FIXED_GROUP(suffix, type)                                                                            \
  BNN2C_KERNEL void bnn2c_fixed_group_##suffix(const bnn2c_fixed_conv2d_t *p, const type *weights,                 \
                                               const int16_t *patch, uint32_t pixels, uint32_t next, int32_t *sums) { \
    for (uint32_t o = 0u; o < p->group_out; o += 2u) {                                                             \
      int32_t found[4];                                                                                            \
      if (pixels == 2u) {                                                                                          \
        bnn2c_fixed_dot22_##suffix(weights, patch, p->row / 4u, found);                                            \
        sums[next + o] = found[2];                                                                                 \
        sums[next + o + 1u] = found[3];                                                                            \
      } else {                                                                                                     \
        bnn2c_fixed_dot21_##suffix(weights, patch, p->row / 4u, found);                                            \
      }                                                                                                            \
      sums[o] = found[0];                                                                                          \
      sums[o + 1u] = found[1];                                                                                     \
      weights += (size_t)p->row * 2u;                                                                              \
    }                                                                                                              \
  }

BNN2C_FIXED_GROUP(i8, int8_t)
BNN2C_FIXED_GROUP(i16, int16_t)

/* Sums of pixels number `pixel` and, when `pixels` is 2, the next. */
#define BNN2C_FIXED_SUMS(kind, weight_type, suffix, type)                                                          \
  BNN2C_KERNEL void bnn2c_fixed_sums_##kind##_##suffix(const bnn2c_fixed_conv2d_t *p, const type *in,              \
                                                          uint32_t pixel, uint32_t pixels, int32_t *sums) {           \
    const uint32_t next = p->out_c + 1u;                                                                              \
    const size_t group_size = (size_t)p->row * ((p->group_out + 1u) & ~1u);                                           \
    const weight_type *rows = (const weight_type *)p->weights;                                                        \
    int16_t *patch = (int16_t *)(void *)&sums[2u * next];                                                             \
    for (uint32_t g = 0u; g < p->groups; g++) {                                                                       \
      for (uint32_t i = 0u; i < pixels; i++) {                                                                        \
        const uint32_t y = (pixel + i) / p->window.out_w;                                                             \
        const uint32_t x = (pixel + i) % p->window.out_w;                                                             \
        bnn2c_fixed_patch_##kind##_##suffix(p, in, y, x, g * p->group_in, &patch[4u * i]);                         \
      }                                                                                                               \
      bnn2c_fixed_group_##kind(p, &rows[g * group_size], patch, pixels, next, &sums[g * p->group_out]);            \
    }                                                                                                                 \
  }

BNN2C_FIXED_SUMS(i8, int8_t, i8, int8_t)
BNN2C_FIXED_SUMS(i8, int8_t, u8, uint8_t)
BNN2C_FIXED_SUMS(i8, int8_t, i16, int16_t)
BNN2C_FIXED_SUMS(i16, int16_t, i8, int8_t)
BNN2C_FIXED_SUMS(i16, int16_t, u8, uint8_t)
BNN2C_FIXED_SUMS(i16, int16_t, i16, int16_t)

#define BNN2C_FIXED_CONV2D(kind, suffix, type, out_suffix, out_type)                                               \
  BNN2C_KERNEL void bnn2c_fixed_conv2d_##kind##_##suffix##_##out_suffix(                                           \
      const bnn2c_fixed_conv2d_t *p, const type *in, int32_t *scratch, out_type *out) {                               \
    const uint32_t count = p->window.out_h * p->window.out_w;                                                         \
    for (uint32_t pixel = 0u; pixel < count; pixel += 2u) {                                                           \
      const uint32_t pixels = (count - pixel < 2u) ? 1u : 2u;                                                         \
      bnn2c_fixed_sums_##kind##_##suffix(p, in, pixel, pixels, scratch);                                           \
      for (uint32_t i = 0u; i < pixels; i++) {                                                                        \
        bnn2c_fixed_output_##out_suffix(p, &scratch[i * (p->out_c + 1u)], out);                                       \
        out += p->out_c;                                                                                              \
      }                                                                                                               \
    }                                                                                                                 \
  }
#define BNN2C_FIXED_CONV2D_OUTPUTS(kind, suffix, type)       \
  BNN2C_FIXED_CONV2D(kind, suffix, type, i8, int8_t)         \
  BNN2C_FIXED_CONV2D(kind, suffix, type, u8, uint8_t)        \
  BNN2C_FIXED_CONV2D(kind, suffix, type, i16, int16_t)

BNN2C_FIXED_CONV2D_OUTPUTS(i8, i8, int8_t)
BNN2C_FIXED_CONV2D_OUTPUTS(i8, u8, uint8_t)
BNN2C_FIXED_CONV2D_OUTPUTS(i8, i16, int16_t)
BNN2C_FIXED_CONV2D_OUTPUTS(i16, i8, int8_t)
BNN2C_FIXED_CONV2D_OUTPUTS(i16, u8, uint8_t)
BNN2C_FIXED_CONV2D_OUTPUTS(i16, i16, int16_t)

#endif
