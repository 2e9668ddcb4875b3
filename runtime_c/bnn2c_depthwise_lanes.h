/* bnn2c_depthwise_lanes.h - depthwise binary convolution: one input channel for each output channel.
 *
 * The 32 channels of a word are counted side by side, in vertical counters (one word per binary digit): for every tap,
 * input word XOR weight word is added.  The counters start from a preset of the border class, so that the last digit
 * is  m > t  in the end; for raw counts from 0.  Weights: [kernel_h][kernel_w][words], words = ceil(channels / 32);
 * preset: [classes][words][digits].  Timing does not depend on data.
 */
#ifndef BNN2C_DEPTHWISE_LANES_H
#define BNN2C_DEPTHWISE_LANES_H

#include "bnn2c_compiler.h"
#include "bnn2c_conv_shape.h"
#include "bnn2c_lane_counts.h"

#define BNN2C_DEPTHWISE_MAX_DIGITS 20

typedef struct {
  bnn2c_conv_shape shape;
  uint8_t digits;
  const uint32_t *weights;
  const uint32_t *preset;
} bnn2c_depthwise_lanes;

/* digits += the bits of `word`; the same number of steps for every word. */
BNN2C_INLINE void bnn2c_depthwise_add(uint32_t *digits, uint32_t count, uint32_t word) {
  for (uint32_t d = 0u; d < count; d++) {
    const uint32_t carry = digits[d] & word;
    digits[d] ^= word;
    word = carry;
  }
}

/* Adds the taps of word `of` of pixel (y, x); taps outside the input read 0. */
BNN2C_KERNEL void bnn2c_depthwise_taps(const bnn2c_depthwise_lanes *p, const uint32_t *in, uint32_t y, uint32_t x,
                                       uint32_t of, uint32_t *digits) {
  const bnn2c_conv_shape *const s = &p->shape;
  const uint32_t words = ((uint32_t)s->in_c + 31u) / 32u;
  const uint32_t *weight = &p->weights[of];
  for (uint32_t ky = 0u; ky < s->kernel_h; ky++) {
    const uint32_t row = y * s->stride_h + ky * s->dilation_h - s->pad_top; /* wraps above in_h when outside */
    for (uint32_t kx = 0u; kx < s->kernel_w; kx++) {
      const uint32_t col = x * s->stride_w + kx * s->dilation_w - s->pad_left;
      const int inside = (row < s->in_h) && (col < s->in_w);
      const uint32_t value = inside ? in[(row * s->in_w + col) * words + of] : 0u;
      bnn2c_depthwise_add(digits, p->digits, value ^ *weight);
      weight += words;
    }
  }
}

/* All channels of pixel (y, x). */
BNN2C_KERNEL void bnn2c_depthwise_lanes_at(const bnn2c_depthwise_lanes *p, const uint32_t *in, uint32_t y, uint32_t x,
                                           const uint32_t *scratch, bnn2c_channel_output *out) {
  const uint32_t words = ((uint32_t)p->shape.in_c + 31u) / 32u;
  const uint32_t of_class = (uint32_t)p->shape.row_class[y] * p->shape.col_classes + p->shape.col_class[x];
  const uint32_t *preset = &p->preset[of_class * words * p->digits];
  (void)scratch;
  for (uint32_t of = 0u; of < words; of++) {
    uint32_t digits[BNN2C_DEPTHWISE_MAX_DIGITS];
    for (uint32_t d = 0u; d < p->digits; d++) {
      digits[d] = preset[d];
      BNN2C_KEEP(d);
    }
    bnn2c_depthwise_taps(p, in, y, x, of, digits);
    if (out->bits != NULL) {
      *out->bits = digits[p->digits - 1u];
      out->bits++;
    } else {
      const uint32_t left = p->shape.in_c - 32u * of;
      bnn2c_store_counts(out, digits, 1u, p->digits, (left < 32u) ? left : 32u);
    }
    preset += p->digits;
  }
}

BNN2C_KERNEL void bnn2c_depthwise_lanes_run(const bnn2c_depthwise_lanes *p, const uint32_t *in, const uint32_t *scratch,
                                            bnn2c_channel_output *out) {
  for (uint32_t y = 0u; y < p->shape.out_h; y++) {
    for (uint32_t x = 0u; x < p->shape.out_w; x++) {
      bnn2c_depthwise_lanes_at(p, in, y, x, scratch, out);
    }
  }
}

/* nhwc_bits -> _bits: nhwc_bits, thresholded; _i16, _i32: mismatches [out_h][out_w][out_c], or [out_c] of one pixel. */
BNN2C_CHANNEL_RESULT(bnn2c_depthwise_lanes, bnn2c_depthwise_lanes, bits, uint32_t)
BNN2C_CHANNEL_RESULT(bnn2c_depthwise_lanes, bnn2c_depthwise_lanes, i16, int16_t)
BNN2C_CHANNEL_RESULT(bnn2c_depthwise_lanes, bnn2c_depthwise_lanes, i32, int32_t)
BNN2C_PIXEL_RESULT(bnn2c_depthwise_lanes, bnn2c_depthwise_lanes, bits, uint32_t)
BNN2C_PIXEL_RESULT(bnn2c_depthwise_lanes, bnn2c_depthwise_lanes, i16, int16_t)
BNN2C_PIXEL_RESULT(bnn2c_depthwise_lanes, bnn2c_depthwise_lanes, i32, int32_t)

#endif /* BNN2C_DEPTHWISE_LANES_H */
