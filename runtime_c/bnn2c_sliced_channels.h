/* bnn2c_sliced_channels.h - binary convolution, bit-sliced over output channels; one flash bit per weight.
 *
 * One bnn2c_lanes holds weights of 32 * BNN2C_LANE_WORDS output channels, and vertical counters (one word per binary
 * digit, a counter per lane) add up the mismatches: no population count, and the comparison with the threshold is the
 * top digit of a counter that starts at 2^(planes - 1) - 1 - t.
 *
 * Weights: [blocks of lanes][patch words * 32] lanes, encoded as in bnn2c_sliced_counts.h along the stream of (kernel
 * row, kernel column, input channel) positions, the stream padded with zeros to a multiple of 32.
 * Preset: [classes][blocks][planes] lanes: digit d of the start value per output channel; for raw counts [planes] zeros.
 * planes: digits of the counter.  Timing does not depend on data.
 */
#ifndef BNN2C_SLICED_CHANNELS_H
#define BNN2C_SLICED_CHANNELS_H

#include "bnn2c_compiler.h"
#include "bnn2c_conv_shape.h"
#include "bnn2c_lane_counts.h"
#include "bnn2c_lanes.h"
#include "bnn2c_patch.h"
#include "bnn2c_sliced_counts.h"

typedef struct {
  bnn2c_conv_shape shape;
  uint8_t planes;          /* digits of a counter, 6..20 */
  const uint32_t *weights; /* encoded weight words */
  const uint32_t *preset;  /* start values of the counters */
} bnn2c_sliced_channels;

#define BNN2C_SLICED_CHANNELS_MAX_PLANES 20

/* Adds `count` words to `start`; leaves the carries in front of `words` and returns how many there are. */
BNN2C_INLINE uint32_t bnn2c_reduce_digit(bnn2c_lanes start, bnn2c_lanes *words, uint32_t count, bnn2c_lanes *digit) {
  bnn2c_lanes sum = start;
  const bnn2c_lanes *from = words;
  bnn2c_lanes *to = words;
  for (uint32_t pairs = count / 2u; pairs != 0u; pairs--) {
    bnn2c_lanes carry = sum;
    sum = bnn2c_add_digit(from[0], from[1], &carry);
    *to = carry;
    to++;
    from += 2;
  }
  if ((count & 1u) != 0u) {
    *to = bnn2c_add_lanes(&sum, *from);
    to++;
  }
  *digit = sum;
  return (uint32_t)(to - words);
}

#if !BNN2C_DIAGONALS
/* Adds the lowest digit of the preset, for which rows have no room. */
BNN2C_INLINE void bnn2c_add_lowest_preset(bnn2c_lanes *digits, bnn2c_lanes preset, uint32_t planes) {
  bnn2c_lanes carry = preset;
  for (uint32_t d = 0u; d < planes; d++) {
    carry = bnn2c_add_lanes(&digits[d], carry);
  }
}
#endif

/* All digits of the counters of one block of output channels. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_sliced_channels_block(const bnn2c_lanes *weights, const bnn2c_lanes *preset,
                                                             uint32_t planes, uint32_t words, const uint32_t *patch,
                                                             bnn2c_lanes *carries, bnn2c_lanes *digits) {
  uint32_t count = words;
  bnn2c_sliced_channels_count(weights, patch, words, preset, carries, digits);
  for (uint32_t d = 5u; d < planes; d++) {
    count = bnn2c_reduce_digit(preset[d], carries, count, &digits[d]);
  }
#if !BNN2C_DIAGONALS
  bnn2c_add_lowest_preset(digits, preset[0], planes);
#endif
}

/* Writes the results of one block: at most `channels` of its lanes. */
BNN2C_INLINE void bnn2c_store_block(bnn2c_channel_output *out, const bnn2c_lanes *digits, uint32_t planes,
                                    uint32_t channels) {
  for (uint32_t word = 0u; (word < (uint32_t)BNN2C_LANE_WORDS) && (channels > 32u * word); word++) {
    const uint32_t left = channels - 32u * word;
    if (out->bits != NULL) {
      *out->bits = ((const uint32_t *)&digits[planes - 1u])[word];
      out->bits++;
    } else {
      const uint32_t *const first = (const uint32_t *)digits + word;
      bnn2c_store_counts(out, first, (uint32_t)BNN2C_LANE_WORDS, planes, (left < 32u) ? left : 32u);
    }
  }
}

/* All output channels of one pixel from the bit stream of its inputs.  scratch: carries, patch, with vectors the
 * activations of every input; the stream may lie in the place of the patch, or of the carries unless BNN2C_DIAGONALS. */
BNN2C_KERNEL void bnn2c_sliced_channels_pixel(const bnn2c_sliced_channels *p, uint32_t class_index, uint32_t words,
                                              const uint32_t *stream, uint32_t *scratch, bnn2c_channel_output *out) {
  const uint32_t lanes = 32u * (uint32_t)BNN2C_LANE_WORDS;
  const uint32_t blocks = ((uint32_t)p->shape.out_c + lanes - 1u) / lanes;
  const uint32_t apart = (out->bits != NULL) ? p->planes : 0u;
  const bnn2c_lanes *preset = (const bnn2c_lanes *)p->preset + class_index * blocks * apart;
  const bnn2c_lanes *weights = (const bnn2c_lanes *)p->weights;
  bnn2c_lanes *const carries = (bnn2c_lanes *)scratch;
  uint32_t *const patch = (uint32_t *)(carries + words);
  bnn2c_lanes digits[BNN2C_SLICED_CHANNELS_MAX_PLANES];
  const uint32_t *const activations = bnn2c_activations_of(stream, words, patch);
  for (uint32_t block = 0u; block < blocks; block++) {
    bnn2c_sliced_channels_block(weights, preset, p->planes, words, activations, carries, digits);
    bnn2c_store_block(out, digits, p->planes, p->shape.out_c - lanes * block);
    preset += apart;
    weights += 32u * words;
  }
}

/* Pixel (y, x). */
BNN2C_KERNEL void bnn2c_sliced_channels_at(const bnn2c_sliced_channels *p, const uint32_t *in, uint32_t y, uint32_t x,
                                           uint32_t *scratch, bnn2c_channel_output *out) {
  const uint32_t inputs = (uint32_t)p->shape.kernel_h * p->shape.kernel_w * p->shape.in_c;
  uint32_t *const patch = (uint32_t *)((bnn2c_lanes *)scratch + (inputs + 31u) / 32u);
  const uint32_t row = (uint32_t)p->shape.row_class[y] * p->shape.col_classes;
  const uint32_t words = bnn2c_gather_patch(&p->shape, in, y, x, patch);
  bnn2c_sliced_channels_pixel(p, row + p->shape.col_class[x], words, patch, scratch, out);
}

BNN2C_KERNEL void bnn2c_sliced_channels_run(const bnn2c_sliced_channels *p, const uint32_t *in, uint32_t *scratch,
                                            bnn2c_channel_output *out) {
  for (uint32_t y = 0u; y < p->shape.out_h; y++) {
    for (uint32_t x = 0u; x < p->shape.out_w; x++) {
      bnn2c_sliced_channels_at(p, in, y, x, scratch, out);
    }
  }
}

/* 1x1 kernels with stride 1 and no padding, dense layers among them: the patch is the pixel, the class that of all. */
BNN2C_KERNEL void bnn2c_sliced_pointwise_run(const bnn2c_sliced_channels *p, const uint32_t *in, uint32_t *scratch,
                                             bnn2c_channel_output *out) {
  const uint32_t words = ((uint32_t)p->shape.in_c + 31u) / 32u;
  const uint32_t class_index = (uint32_t)p->shape.row_class[0] * p->shape.col_classes + p->shape.col_class[0];
  const uint32_t *pixel = in;
  for (uint32_t left = (uint32_t)p->shape.out_h * p->shape.out_w; left != 0u; left--) {
    bnn2c_sliced_channels_pixel(p, class_index, words, pixel, scratch, out);
    pixel += words;
  }
}

/* Pixel (y, x) of such a layer, read where it lies. */
BNN2C_KERNEL void bnn2c_sliced_pointwise_at(const bnn2c_sliced_channels *p, const uint32_t *in, uint32_t y, uint32_t x,
                                            uint32_t *scratch, bnn2c_channel_output *out) {
  const uint32_t words = ((uint32_t)p->shape.in_c + 31u) / 32u;
  const uint32_t class_index = (uint32_t)p->shape.row_class[0] * p->shape.col_classes + p->shape.col_class[0];
  bnn2c_sliced_channels_pixel(p, class_index, words, &in[(y * p->shape.out_w + x) * words], scratch, out);
}

/* nhwc_bits -> _bits: nhwc_bits, thresholded; _i16, _i32: mismatches [out_h][out_w][out_c], or [out_c] of one pixel. */
BNN2C_CHANNEL_RESULT(bnn2c_sliced_channels, bnn2c_sliced_channels, bits, uint32_t)
BNN2C_CHANNEL_RESULT(bnn2c_sliced_channels, bnn2c_sliced_channels, i16, int16_t)
BNN2C_CHANNEL_RESULT(bnn2c_sliced_channels, bnn2c_sliced_channels, i32, int32_t)
BNN2C_CHANNEL_RESULT(bnn2c_sliced_pointwise, bnn2c_sliced_channels, bits, uint32_t)
BNN2C_CHANNEL_RESULT(bnn2c_sliced_pointwise, bnn2c_sliced_channels, i16, int16_t)
BNN2C_CHANNEL_RESULT(bnn2c_sliced_pointwise, bnn2c_sliced_channels, i32, int32_t)
BNN2C_PIXEL_RESULT(bnn2c_sliced_channels, bnn2c_sliced_channels, bits, uint32_t)
BNN2C_PIXEL_RESULT(bnn2c_sliced_channels, bnn2c_sliced_channels, i16, int16_t)
BNN2C_PIXEL_RESULT(bnn2c_sliced_channels, bnn2c_sliced_channels, i32, int32_t)
BNN2C_PIXEL_RESULT(bnn2c_sliced_pointwise, bnn2c_sliced_channels, bits, uint32_t)
BNN2C_PIXEL_RESULT(bnn2c_sliced_pointwise, bnn2c_sliced_channels, i16, int16_t)
BNN2C_PIXEL_RESULT(bnn2c_sliced_pointwise, bnn2c_sliced_channels, i32, int32_t)

#endif /* BNN2C_SLICED_CHANNELS_H */
