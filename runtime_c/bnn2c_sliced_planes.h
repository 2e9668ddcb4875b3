/* bnn2c_sliced_planes.h - bit-sliced binary convolution with several activation or weight planes.
 *
 *   acc[y][x][o] = sum over pairs (i, j) of 2^e(i,j) * mismatches of weight plane i and activation plane j
 *
 * The pairs are visited from the largest factor to the smallest; between two of them the vertical counters move up by
 * the difference of the exponents, which costs no arithmetic: digit d becomes digit d + shift. Each mismatch count is
 * that of bnn2c_sliced_channels.h, with its weight encoding, one flash bit per weight and plane.
 *
 * Input: word ((y*W + x)*planes + plane)*words + c/32. Output: raw accumulators, or codes: number of levels that the
 * accumulator reaches. preset[class][block][level][digit] are the digits of 2^(digits-1) - threshold, so that the top
 * digit of the sum is the comparison. Timing does not depend on data.
 */
#ifndef BNN2C_SLICED_PLANES_H
#define BNN2C_SLICED_PLANES_H

#include "bnn2c_sliced_channels.h"

typedef struct {
  uint8_t input_plane;
  uint8_t weight_plane;
  uint8_t shift; /* digits to move up before this pair is added */
} bnn2c_plane_pair;

typedef struct {
  bnn2c_conv_shape shape;
  uint8_t input_planes;
  uint8_t pairs;
  uint8_t digits; /* of the accumulator, one more when there are levels */
  uint8_t levels; /* thresholds per channel, 0 for raw accumulators */
  uint8_t output_planes;
  const bnn2c_plane_pair *plan;
  const uint32_t *weights; /* [weight plane][block][words * 32] */
  const uint32_t *preset;
} bnn2c_sliced_planes;

/* The window of one activation plane as a bit stream; returns its words. */
BNN2C_NOINLINE uint32_t bnn2c_gather_plane(const bnn2c_sliced_planes *p, const uint32_t *in, uint32_t plane, uint32_t y,
                                           uint32_t x, uint32_t *patch) {
  const bnn2c_conv_shape *s = &p->shape;
  const uint32_t pixel_words = ((uint32_t)s->in_c + 31u) / 32u;
  bnn2c_bit_stream stream = {patch, 0u, 0u};
  for (uint32_t ky = 0u; ky < s->kernel_h; ky++) {
    const uint32_t iy = y * s->stride_h + ky * s->dilation_h - s->pad_top; /* wraps above in_h when outside */
    for (uint32_t kx = 0u; kx < s->kernel_w; kx++) {
      const uint32_t ix = x * s->stride_w + kx * s->dilation_w - s->pad_left;
      const uint32_t inside = ((iy < s->in_h) && (ix < s->in_w)) ? 1u : 0u;
      const uint32_t pixel = (inside != 0u) ? ((iy * s->in_w + ix) * p->input_planes + plane) : 0u;
      for (uint32_t w = 0u; w < pixel_words; w++) {
        const uint32_t left = s->in_c - 32u * w;
        bnn2c_append_bits(&stream, in[pixel * pixel_words + w] & (0u - inside), (left < 32u) ? left : 32u);
      }
    }
  }
  bnn2c_end_bits(&stream);
  return (uint32_t)(stream.to - patch);
}

/* total = total * 2^shift + the mismatches of one pair. */
BNN2C_NOINLINE void bnn2c_sliced_planes_add(const bnn2c_sliced_planes *p, const uint32_t *weights, const uint32_t *patch,
                                            uint32_t words, uint32_t shift, uint32_t *carries, uint32_t *total) {
  uint32_t count[BNN2C_SLICED_CHANNELS_MAX_PLANES];
  uint32_t left = words;
  uint32_t carry = 0u;
  for (uint32_t d = 0u; d < 5u; d++) { /* the digits that one word of inputs can reach */
    count[d] = carry;
  }
  bnn2c_sliced_channels_count(weights, patch, words, count, carries, count);
  for (uint32_t d = 5u; d < p->digits; d++) {
    left = bnn2c_reduce_digit(carry, carries, left, &count[d]);
  }
  for (uint32_t d = p->digits; d-- > 0u;) {
    total[d] = (d >= shift) ? total[d - shift] : 0u;
  }
  for (uint32_t d = 0u; d < p->digits; d++) {
    const uint32_t half = total[d] ^ count[d];
    const uint32_t next = (total[d] & count[d]) | (half & carry);
    total[d] = half ^ carry;
    carry = next;
  }
}

/* Lanes whose accumulator reaches a level: the top digit of total + preset. */
BNN2C_INLINE uint32_t bnn2c_sliced_planes_reaches(const uint32_t *total, const uint32_t *preset, uint32_t digits) {
  uint32_t carry = 0u;
  for (uint32_t d = 0u; d + 1u < digits; d++) {
    const uint32_t half = total[d] ^ preset[d];
    carry = (total[d] & preset[d]) | (half & carry);
  }
  return total[digits - 1u] ^ preset[digits - 1u] ^ carry;
}

/* Codes of 32 channels: the number of levels reached, one word per output plane, `stride` words apart. */
BNN2C_KERNEL void bnn2c_sliced_planes_codes(const bnn2c_sliced_planes *p, const uint32_t *total, const uint32_t *preset,
                                            uint32_t stride, uint32_t *out) {
  uint32_t code[8];
  for (uint32_t plane = 0u; plane < p->output_planes; plane++) { /* an initialiser would call memset */
    uint32_t none = 0u;
    BNN2C_KEEP(none);
    code[plane] = none;
  }
  for (uint32_t level = 0u; level < p->levels; level++) {
    uint32_t carry = bnn2c_sliced_planes_reaches(total, &preset[level * p->digits], p->digits);
    for (uint32_t plane = 0u; plane < p->output_planes; plane++) {
      const uint32_t old = code[plane];
      code[plane] = old ^ carry;
      carry &= old;
    }
  }
  for (uint32_t plane = 0u; plane < p->output_planes; plane++) {
    out[plane * stride] = code[plane];
  }
}

/* All output channels of one pixel from its encoded patches [plane][words]. */
BNN2C_KERNEL void bnn2c_sliced_planes_pixel(const bnn2c_sliced_planes *p, uint32_t class_index, uint32_t words,
                                            uint32_t *scratch, bnn2c_channel_output *out) {
  const uint32_t blocks = ((uint32_t)p->shape.out_c + 31u) / 32u;
  uint32_t *const carries = &scratch[words * p->input_planes];
  for (uint32_t block = 0u; block < blocks; block++) {
    const uint32_t left = p->shape.out_c - 32u * block;
    uint32_t total[BNN2C_SLICED_CHANNELS_MAX_PLANES];
    for (uint32_t d = 0u; d < p->digits; d++) { /* an initialiser would call memset */
      uint32_t none = 0u;
      BNN2C_KEEP(none);
      total[d] = none;
    }
    for (uint32_t i = 0u; i < p->pairs; i++) {
      const bnn2c_plane_pair *pair = &p->plan[i];
      const uint32_t *weights = &p->weights[((uint32_t)pair->weight_plane * blocks + block) * words * 32u];
      bnn2c_sliced_planes_add(p, weights, &scratch[pair->input_plane * words], words, pair->shift, carries, total);
    }
    if (out->bits != NULL) {
      const uint32_t first = (class_index * blocks + block) * p->levels * p->digits;
      bnn2c_sliced_planes_codes(p, total, &p->preset[first], blocks, out->bits);
      out->bits++;
    } else {
      bnn2c_store_counts(out, total, 1u, p->digits, (left < 32u) ? left : 32u);
    }
  }
  if (out->bits != NULL) {
    out->bits += blocks * (p->output_planes - 1u);
  }
}

/* Pixel (y, x). */
BNN2C_KERNEL void bnn2c_sliced_planes_at(const bnn2c_sliced_planes *p, const uint32_t *in, uint32_t y, uint32_t x,
                                         uint32_t *scratch, bnn2c_channel_output *out) {
  const uint32_t row = (uint32_t)p->shape.row_class[y] * p->shape.col_classes;
  uint32_t words = 0u;
  for (uint32_t plane = 0u; plane < p->input_planes; plane++) {
    words = bnn2c_gather_plane(p, in, plane, y, x, &scratch[plane * words]);
    (void)bnn2c_activations_of(&scratch[plane * words], words, &scratch[plane * words]); /* where they lie */
  }
  bnn2c_sliced_planes_pixel(p, row + p->shape.col_class[x], words, scratch, out);
}

BNN2C_KERNEL void bnn2c_sliced_planes_run(const bnn2c_sliced_planes *p, const uint32_t *in, uint32_t *scratch,
                                          bnn2c_channel_output *out) {
  for (uint32_t y = 0u; y < p->shape.out_h; y++) {
    for (uint32_t x = 0u; x < p->shape.out_w; x++) {
      bnn2c_sliced_planes_at(p, in, y, x, scratch, out);
    }
  }
}

/* Packed codes -> _bits: packed codes; _i16, _i32: accumulators [out_h][out_w][out_c], or [out_c] of one pixel. */
BNN2C_CHANNEL_RESULT(bnn2c_sliced_planes, bnn2c_sliced_planes, bits, uint32_t)
BNN2C_CHANNEL_RESULT(bnn2c_sliced_planes, bnn2c_sliced_planes, i16, int16_t)
BNN2C_CHANNEL_RESULT(bnn2c_sliced_planes, bnn2c_sliced_planes, i32, int32_t)
BNN2C_PIXEL_RESULT(bnn2c_sliced_planes, bnn2c_sliced_planes, bits, uint32_t)
BNN2C_PIXEL_RESULT(bnn2c_sliced_planes, bnn2c_sliced_planes, i16, int16_t)
BNN2C_PIXEL_RESULT(bnn2c_sliced_planes, bnn2c_sliced_planes, i32, int32_t)

#endif
