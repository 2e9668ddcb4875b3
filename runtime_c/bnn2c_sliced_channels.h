/* bnn2c_sliced_channels.h - binary convolution, bit-sliced over output channels; one flash bit per weight.
 *
 * One bnn2c_lanes holds the same weight of 32 * BNN2C_LANE_WORDS output channels.  The activation bit is broadcast to
 * all lanes, and vertical counters (one word per binary digit, a counter per lane) add up the mismatches: no population
 * count, and the comparison with the threshold is the top digit of a counter that starts at 2^(planes - 1) - 1 - t.
 *
 * Encoding.  The adders of bnn2c_lanes.h want pairs of inputs as (first, first ^ second), the first XORed with the
 * running sum.  For the lowest digit these words are XOR sums of weight and activation bits, so weights (at compile
 * time) and activations (once per pixel) are stored in that form: even positions hold the parity of the stream up to
 * and including the position, odd positions the parity of the pair.  An input costs 2.5 gates at the lowest digit and
 * 1.9 above, besides two loads.
 *
 * Weights: [blocks of lanes][patch words * 32] lanes, encoded as above along the stream of (kernel row, kernel column,
 * input channel) positions, the stream padded with zeros to a multiple of 32.
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

typedef struct {
  bnn2c_conv_shape shape;
  uint8_t planes;          /* digits of a counter, 6..20 */
  const uint32_t *weights; /* encoded weight words */
  const uint32_t *preset;  /* start values of the counters */
} bnn2c_sliced_channels;

#define BNN2C_SLICED_CHANNELS_MAX_PLANES 20

/* The activations of 32 inputs: their bits, or for vectors 32 words that are all ones or zeros (one load each). */
#if BNN2C_LANE_WORDS == 1
typedef uint32_t bnn2c_activations;
BNN2C_INLINE uint32_t bnn2c_activation(bnn2c_activations act, unsigned at) { return bnn2c_broadcast(act, at); }
#else
typedef const uint32_t *bnn2c_activations;
BNN2C_INLINE uint32_t bnn2c_activation(bnn2c_activations act, unsigned at) { return act[at]; }
#endif

/* Lowest digit of four inputs: weights and activation in encoded form. */
BNN2C_INLINE bnn2c_lane_pair bnn2c_add_inputs4(bnn2c_lanes *sum, const bnn2c_lanes *w, bnn2c_activations act,
                                               unsigned at) {
  bnn2c_lane_pair carry;
  const bnn2c_lanes differ0 = w[at + 1u] ^ bnn2c_activation(act, at + 1u);
#if BNN2C_SHORT_ADDER
  const bnn2c_lanes first0 = w[at] ^ bnn2c_activation(act, at) ^ *sum;
  carry.first = bnn2c_full_add(sum, first0, first0 ^ differ0);
  const bnn2c_lanes differ1 = w[at + 3u] ^ bnn2c_activation(act, at + 3u);
  const bnn2c_lanes first1 = w[at + 2u] ^ bnn2c_activation(act, at + 2u) ^ *sum;
  carry.other = bnn2c_full_add(sum, first1, first1 ^ differ1);
#else
  const bnn2c_lanes changed = (w[at] ^ bnn2c_activation(act, at)) | differ0;
  const bnn2c_lanes half = *sum ^ differ0;
  const bnn2c_lanes differ1 = w[at + 3u] ^ bnn2c_activation(act, at + 3u);
  carry.first = half ^ changed;
  carry.other = changed ^ ((w[at + 2u] ^ bnn2c_activation(act, at + 2u)) & ~differ1);
  *sum = half ^ differ1;
#endif
  return carry;
}

BNN2C_INLINE bnn2c_lane_pair bnn2c_add_inputs8(bnn2c_lanes *c, const bnn2c_lanes *w, bnn2c_activations act,
                                               unsigned at) {
  const bnn2c_lane_pair low = bnn2c_add_inputs4(&c[0], w, act, at);
  const bnn2c_lane_pair high = bnn2c_add_inputs4(&c[0], w, act, at + 4u);
  return bnn2c_add_lane_pairs(&c[1], low, high);
}

BNN2C_INLINE bnn2c_lane_pair bnn2c_add_inputs16(bnn2c_lanes *c, const bnn2c_lanes *w, bnn2c_activations act,
                                               unsigned at) {
  const bnn2c_lane_pair low = bnn2c_add_inputs8(c, w, act, at);
  const bnn2c_lane_pair high = bnn2c_add_inputs8(c, w, act, at + 8u);
  return bnn2c_add_lane_pairs(&c[2], low, high);
}

/* Digits 0..4 of all inputs in c[0..4]; carries of weight 32, one per patch word, in `carries`.  patch: activations. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_sliced_channels_count(const bnn2c_lanes *weights, const uint32_t *patch,
                                                             uint32_t words, bnn2c_lanes *digits,
                                                             bnn2c_lanes *carries) {
  bnn2c_lanes c[5] = {BNN2C_NO_LANES, digits[1], digits[2], digits[3], digits[4]};
  const bnn2c_lanes *const end = carries + words;
  do {
#if BNN2C_LANE_WORDS == 1
    const bnn2c_activations act = *patch;
    patch++;
#else
    const bnn2c_activations act = patch;
    patch += 32;
#endif
    const bnn2c_lane_pair low = bnn2c_add_inputs16(c, weights, act, 0u);
    const bnn2c_lane_pair high = bnn2c_add_inputs16(c, weights, act, 16u);
    *carries = bnn2c_add_lane_pair(&c[4], bnn2c_add_lane_pairs(&c[3], low, high));
    weights += 32;
#if defined(__clang__)
    BNN2C_KEEP(weights); /* else offsets are negative: two more instructions a load on Cortex-M0 */
#endif
    carries++;
  } while (carries != end);
  digits[0] = c[0];
  digits[1] = c[1];
  digits[2] = c[2];
  digits[3] = c[3];
  digits[4] = c[4];
}

/* Adds `count` words to one digit; leaves the carries in front of `words` and returns how many there are. */
BNN2C_INLINE uint32_t bnn2c_reduce_digit(bnn2c_lanes *digit, bnn2c_lanes *words, uint32_t count) {
  bnn2c_lanes sum = *digit;
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

/* Adds the lowest digit of the preset, for which the encoding of the lowest digit has no room. */
BNN2C_INLINE void bnn2c_add_lowest_preset(bnn2c_lanes *digits, bnn2c_lanes preset, uint32_t planes) {
  bnn2c_lanes carry = preset;
  for (uint32_t d = 0u; d < planes; d++) {
    carry = bnn2c_add_lanes(&digits[d], carry);
  }
}

/* All digits of the counters of one block of output channels. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_sliced_channels_block(const bnn2c_lanes *weights, const bnn2c_lanes *preset,
                                                             uint32_t planes, uint32_t words, const uint32_t *patch,
                                                             bnn2c_lanes *carries, bnn2c_lanes *digits) {
  uint32_t count = words;
  for (uint32_t d = 1u; d < planes; d++) {
    digits[d] = preset[d];
    BNN2C_KEEP(d);
  }
  bnn2c_sliced_channels_count(weights, patch, words, digits, carries);
  bnn2c_add_lowest_preset(digits, preset[0], planes);
  for (uint32_t d = 5u; d < planes; d++) {
    count = bnn2c_reduce_digit(&digits[d], carries, count);
  }
}

/* Encodes the stream (in place when to == from): parity up to here at even positions, parity of the pair at odd ones. */
BNN2C_NOINLINE void bnn2c_encode_patch(const uint32_t *from, uint32_t words, uint32_t *to) {
  uint32_t before = 0u;
  for (uint32_t i = 0u; i < words; i++) {
    const uint32_t pairs = from[i] ^ (from[i] << 1);
    uint32_t parity = pairs ^ (pairs << 2);
    parity ^= parity << 4;
    parity ^= parity << 8;
    parity ^= parity << 16;
    parity ^= before;
    before = bnn2c_broadcast(parity, 31u);
    to[i] = (parity & 0x55555555u) | (pairs & 0xAAAAAAAAu);
  }
}

#if BNN2C_LANE_WORDS > 1
/* Every bit of the stream as a word of ones or zeros. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_widen_patch(const uint32_t *patch, uint32_t words, uint32_t *wide) {
  static const uint32_t number[32] = {0u,  1u,  2u,  3u,  4u,  5u,  6u,  7u,  8u,  9u,  10u, 11u, 12u, 13u, 14u, 15u,
                                      16u, 17u, 18u, 19u, 20u, 21u, 22u, 23u, 24u, 25u, 26u, 27u, 28u, 29u, 30u, 31u};
  bnn2c_lanes *to = (bnn2c_lanes *)wide;
  for (uint32_t i = 0u; i < words; i++) {
    const bnn2c_lanes word = BNN2C_NO_LANES + patch[i];
    BNN2C_UNROLL(8)
    for (uint32_t bit = 0u; bit < 32u; bit += (uint32_t)BNN2C_LANE_WORDS) {
      *to = BNN2C_NO_LANES - ((word >> *(const bnn2c_lanes *)&number[bit]) & 1u);
      to++;
    }
  }
}
#endif

/* What the counters read: the encoded stream itself; for vectors a word per input, made behind it. */
BNN2C_INLINE const uint32_t *bnn2c_activations_of(uint32_t *patch, uint32_t words) {
#if BNN2C_LANE_WORDS > 1
  bnn2c_widen_patch(patch, words, patch + words);
  return patch + words;
#else
  (void)words;
  return patch;
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
 * activations of every input; the stream may lie in the place of the carries or of the patch. */
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
  bnn2c_encode_patch(stream, words, patch);
  const uint32_t *const activations = bnn2c_activations_of(patch, words);
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

/* 1x1 kernels with stride 1 and no padding, dense layers among them: the patch is the pixel. */
BNN2C_KERNEL void bnn2c_sliced_pointwise_run(const bnn2c_sliced_channels *p, const uint32_t *in, uint32_t *scratch,
                                             bnn2c_channel_output *out) {
  const uint32_t words = ((uint32_t)p->shape.in_c + 31u) / 32u;
  const uint32_t *pixel = in;
  for (uint32_t left = (uint32_t)p->shape.out_h * p->shape.out_w; left != 0u; left--) {
    bnn2c_sliced_channels_pixel(p, 0u, words, pixel, scratch, out);
    pixel += words;
  }
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

#endif /* BNN2C_SLICED_CHANNELS_H */
