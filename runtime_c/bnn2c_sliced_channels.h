/* bnn2c_sliced_channels.h - binary convolution, bit-sliced over output channels; one flash bit per weight.
 *
 * One word holds the same weight of 32 output channels.  The activation bit is broadcast to all lanes, and vertical
 * counters (one word per binary digit, 32 counters side by side) add up the mismatches: no population count, and the
 * comparison with the threshold is the top digit of a counter that starts at 2^(planes - 1) - 1 - t.
 *
 * Encoding.  The adders of bnn2c_carry_save.h want pairs of inputs as (first, first ^ second), the first XORed with the
 * running sum.  For the lowest digit these words
 * are XOR sums of weight and activation bits, so weights (at compile time) and activations (once per pixel) are stored
 * in that form: even positions hold the parity of the stream up to and including the position, odd positions the
 * parity of the pair.  An input costs 2.5 gates at the lowest digit and 1.9 above, besides two loads.
 *
 * Weights: [ceil(out_c / 32)][patch words * 32] words, encoded as above along the stream of (kernel row, kernel
 * column, input channel) positions, the stream padded with zeros to a multiple of 32.
 * Preset: [classes][ceil(out_c / 32)][planes] words: digit d of the start value, per output channel lane; all zero for
 * raw counts.  planes: digits of the counter.  Timing does not depend on data.
 */
#ifndef BNN2C_SLICED_CHANNELS_H
#define BNN2C_SLICED_CHANNELS_H

#include "bnn2c_carry_save.h"
#include "bnn2c_compiler.h"
#include "bnn2c_conv_shape.h"
#include "bnn2c_lane_counts.h"
#include "bnn2c_patch.h"

typedef struct {
  bnn2c_conv_shape shape;
  uint8_t planes;          /* digits of a counter, 6..20 */
  const uint32_t *weights; /* encoded weight words */
  const uint32_t *preset;  /* start values of the counters */
} bnn2c_sliced_channels;

/* Words of scratch: the patch, and one carry per patch word. */
#define BNN2C_SLICED_CHANNELS_SCRATCH_WORDS(kernel_h, kernel_w, in_c) \
  (2u * (((uint32_t)(kernel_h) * (uint32_t)(kernel_w) * (uint32_t)(in_c) + 31u) / 32u))
#define BNN2C_SLICED_CHANNELS_MAX_PLANES 20

/* Lowest digit of four inputs: weights and activation in encoded form. */
BNN2C_INLINE bnn2c_carry_pair bnn2c_add_inputs4(uint32_t *sum, const uint32_t *w, uint32_t act, unsigned at) {
  bnn2c_carry_pair carry;
  const uint32_t differ0 = w[at + 1u] ^ bnn2c_broadcast(act, at + 1u);
  const uint32_t changed = (w[at] ^ bnn2c_broadcast(act, at)) | differ0;
  const uint32_t half = *sum ^ differ0;
  const uint32_t differ1 = w[at + 3u] ^ bnn2c_broadcast(act, at + 3u);
  carry.first = half ^ changed;
  carry.differ = changed ^ ((w[at + 2u] ^ bnn2c_broadcast(act, at + 2u)) & ~differ1);
  *sum = half ^ differ1;
  return carry;
}

BNN2C_INLINE bnn2c_carry_pair bnn2c_add_inputs8(uint32_t *c, const uint32_t *w, uint32_t act, unsigned at) {
  const bnn2c_carry_pair low = bnn2c_add_inputs4(&c[0], w, act, at);
  const bnn2c_carry_pair high = bnn2c_add_inputs4(&c[0], w, act, at + 4u);
  return bnn2c_add_pairs(&c[1], low, high);
}

BNN2C_INLINE bnn2c_carry_pair bnn2c_add_inputs16(uint32_t *c, const uint32_t *w, uint32_t act, unsigned at) {
  const bnn2c_carry_pair low = bnn2c_add_inputs8(c, w, act, at);
  const bnn2c_carry_pair high = bnn2c_add_inputs8(c, w, act, at + 8u);
  return bnn2c_add_pairs(&c[2], low, high);
}

/* Digits 0..4 of all inputs in c[0..4]; carries of weight 32, one per patch word, in `carries`. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_sliced_channels_count(const uint32_t *weights, const uint32_t *patch,
                                                             uint32_t words, uint32_t *digits, uint32_t *carries) {
  uint32_t c[5] = {0u, digits[1], digits[2], digits[3], digits[4]};
  const uint32_t *const end = patch + words;
  do {
    const uint32_t act = *patch;
    const bnn2c_carry_pair low = bnn2c_add_inputs16(c, weights, act, 0u);
    const bnn2c_carry_pair high = bnn2c_add_inputs16(c, weights, act, 16u);
    *carries = bnn2c_add_pair(&c[4], bnn2c_add_pairs(&c[3], low, high));
    carries++;
    patch++;
    weights += 32;
  } while (patch != end);
  for (unsigned d = 0u; d < 5u; d++) {
    digits[d] = c[d];
  }
}

/* Adds `count` words to one digit; leaves the carries in front of `words` and returns how many there are. */
BNN2C_INLINE uint32_t bnn2c_reduce_digit(uint32_t *digit, uint32_t *words, uint32_t count) {
  uint32_t sum = *digit;
  const uint32_t *from = words;
  uint32_t *to = words;
  for (uint32_t pairs = count / 2u; pairs != 0u; pairs--) {
    const uint32_t differ = from[0] ^ from[1];
    const uint32_t carry = (from[0] & from[1]) | (differ & sum);
    sum ^= differ;
    *to = carry;
    to++;
    from += 2;
  }
  if ((count & 1u) != 0u) {
    const uint32_t last = *from;
    *to = last & sum;
    sum ^= last;
    to++;
  }
  *digit = sum;
  return (uint32_t)(to - words);
}

/* Adds the lowest digit of the preset, for which the encoding of the lowest digit has no room. */
BNN2C_INLINE void bnn2c_add_lowest_preset(uint32_t *digits, uint32_t preset, uint32_t planes) {
  uint32_t carry = preset;
  for (uint32_t d = 0u; d < planes; d++) {
    const uint32_t sum = digits[d] ^ carry;
    carry &= digits[d];
    digits[d] = sum;
  }
}

/* All digits of the counters of 32 output channels. */
BNN2C_NOINLINE void bnn2c_sliced_channels_block(const bnn2c_sliced_channels *p, const uint32_t *preset, uint32_t block,
                                                uint32_t words, uint32_t *scratch, uint32_t *digits) {
  uint32_t *const carries = scratch + words;
  uint32_t count = words;
  for (uint32_t d = 1u; d < p->planes; d++) {
    digits[d] = preset[d];
  }
  bnn2c_sliced_channels_count(p->weights + block * words * 32u, scratch, words, digits, carries);
  bnn2c_add_lowest_preset(digits, preset[0], p->planes);
  for (uint32_t d = 5u; d < p->planes; d++) {
    count = bnn2c_reduce_digit(&digits[d], carries, count);
  }
}

/* Encodes the stream in place: parity up to here at even positions, parity of the pair at odd ones. */
BNN2C_NOINLINE void bnn2c_encode_patch(uint32_t *patch, uint32_t words) {
  uint32_t before = 0u;
  for (uint32_t i = 0u; i < words; i++) {
    const uint32_t pairs = patch[i] ^ (patch[i] << 1);
    uint32_t parity = pairs ^ (pairs << 2);
    parity ^= parity << 4;
    parity ^= parity << 8;
    parity ^= parity << 16;
    parity ^= before;
    before = bnn2c_broadcast(parity, 31u);
    patch[i] = (parity & 0x55555555u) | (pairs & 0xAAAAAAAAu);
  }
}

/* All output channels of one pixel from its encoded patch. */
BNN2C_KERNEL void bnn2c_sliced_channels_pixel(const bnn2c_sliced_channels *p, uint32_t class_index, uint32_t words,
                                              uint32_t *scratch, bnn2c_channel_output *out) {
  const uint32_t blocks = ((uint32_t)p->shape.out_c + 31u) / 32u;
  const uint32_t *preset = p->preset + class_index * blocks * p->planes;
  uint32_t digits[BNN2C_SLICED_CHANNELS_MAX_PLANES];
  for (uint32_t block = 0u; block < blocks; block++) {
    const uint32_t left = p->shape.out_c - 32u * block;
    const uint32_t channels = (left < 32u) ? left : 32u;
    bnn2c_sliced_channels_block(p, preset + block * p->planes, block, words, scratch, digits);
    if (out->bits != 0) {
      *out->bits = digits[p->planes - 1u];
      out->bits++;
    } else {
      bnn2c_store_counts(out, digits, p->planes, channels);
    }
  }
}

BNN2C_KERNEL void bnn2c_sliced_channels_run(const bnn2c_sliced_channels *p, const uint32_t *in, uint32_t *scratch,
                                            bnn2c_channel_output out) {
  for (uint32_t y = 0u; y < p->shape.out_h; y++) {
    for (uint32_t x = 0u; x < p->shape.out_w; x++) {
      const uint32_t row = (uint32_t)p->shape.row_class[y] * p->shape.col_classes;
      const uint32_t words = bnn2c_gather_patch(&p->shape, in, y, x, scratch);
      bnn2c_encode_patch(scratch, words);
      bnn2c_sliced_channels_pixel(p, row + p->shape.col_class[x], words, scratch, &out);
    }
  }
}

/* nhwc_bits -> nhwc_bits, thresholded. */
BNN2C_KERNEL void bnn2c_sliced_channels_bits(const bnn2c_sliced_channels *p, const uint32_t *in, uint32_t *scratch,
                                             uint32_t *out) {
  const bnn2c_channel_output to = {out, 0, 0};
  bnn2c_sliced_channels_run(p, in, scratch, to);
}

/* nhwc_bits -> mismatches as int16 [out_h][out_w][out_c]. */
BNN2C_KERNEL void bnn2c_sliced_channels_i16(const bnn2c_sliced_channels *p, const uint32_t *in, uint32_t *scratch,
                                            int16_t *out) {
  const bnn2c_channel_output to = {0, out, 0};
  bnn2c_sliced_channels_run(p, in, scratch, to);
}

/* nhwc_bits -> mismatches as int32 [out_h][out_w][out_c]. */
BNN2C_KERNEL void bnn2c_sliced_channels_i32(const bnn2c_sliced_channels *p, const uint32_t *in, uint32_t *scratch,
                                            int32_t *out) {
  const bnn2c_channel_output to = {0, 0, out};
  bnn2c_sliced_channels_run(p, in, scratch, to);
}

#endif /* BNN2C_SLICED_CHANNELS_H */
