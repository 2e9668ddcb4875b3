/* bnn2c_sliced_best.h - the output channel with the fewest mismatches of each pixel, bit-sliced over channels.
 *
 * A dense layer whose only reader looks for its winner, such as the word of a language model: no sum is stored.  Each
 * lane keeps the smallest counter it has seen and the number of the block that had it, as vertical counters; the block
 * replaces it where the subtraction of two counters borrows.  At the end the digits of the kept numbers, highest first,
 * rule out lanes until one is left.  Equal counters: `last` is 0 where the first channel wins and ~0 where the last does.
 *
 * Weights: those of bnn2c_sliced_channels.h, with copies of the last channel in the lanes behind it.
 * Timing does not depend on data.
 */
#ifndef BNN2C_SLICED_BEST_H
#define BNN2C_SLICED_BEST_H

#include "bnn2c_sliced_channels.h"

#define BNN2C_BEST_DIGITS 31 /* of a block's number and of a counter, together */

typedef struct {
  uint32_t pixels;
  uint32_t words;    /* of a pixel */
  uint32_t channels;
  uint32_t planes;   /* digits of a counter, 6..20 */
  uint32_t places;   /* digits of the number of a block */
  uint32_t last;
  const uint32_t *weights;
} bnn2c_sliced_best;

/* Takes the counters of block `number` where they are smaller than those kept in best[places ...], or not larger. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_keep_fewest(const bnn2c_lanes *digits, uint32_t planes, uint32_t number,
                                                   uint32_t places, uint32_t last, bnn2c_lanes *best) {
  bnn2c_lanes taken = BNN2C_NO_LANES + last;
  bnn2c_lanes *kept = best + places;
  for (uint32_t d = 0u; d < planes; d++) {
    taken ^= (taken ^ kept[d]) & (kept[d] ^ digits[d]);
  }
  for (uint32_t d = 0u; d < planes; d++) {
    kept[d] ^= (kept[d] ^ digits[d]) & taken;
  }
  for (; kept != best; number >>= 1) {
    const uint32_t digit = 0u - (number & 1u);
    *best ^= (*best ^ digit) & taken;
    best++;
  }
}

/* Rules out lanes where a digit (XOR `flip`) is 1, if it is 0 in any that is left; returns the digit of those left. */
BNN2C_INLINE uint32_t bnn2c_rule_out(uint32_t *left, const uint32_t *digit, uint32_t flip) {
  uint32_t zeros = 0u;
  for (uint32_t w = 0u; w < (uint32_t)BNN2C_LANE_WORDS; w++) {
    zeros |= left[w] & ~(digit[w] ^ flip);
  }
  const uint32_t all = ((zeros | (0u - zeros)) >> 31) - 1u; /* ones where no lane has a zero */
  for (uint32_t w = 0u; w < (uint32_t)BNN2C_LANE_WORDS; w++) {
    left[w] &= ~(digit[w] ^ flip) | all;
  }
  return (all ^ flip) & 1u;
}

/* The lane with the smallest kept number, and its block: number of the channel. */
BNN2C_NOINLINE uint32_t bnn2c_best_channel(const bnn2c_lanes *best, uint32_t planes, uint32_t places, uint32_t last) {
  static const uint32_t numbers[5] = {0xAAAAAAAAu, 0xCCCCCCCCu, 0xF0F0F0F0u, 0xFF00FF00u, 0xFFFF0000u};
  uint32_t left[BNN2C_LANE_WORDS];
  uint32_t digit[BNN2C_LANE_WORDS];
  uint32_t found = 0u;
  for (uint32_t w = 0u; w < (uint32_t)BNN2C_LANE_WORDS; w++) {
    left[w] = 0xFFFFFFFFu;
  }
  for (uint32_t d = places + planes; d != 0u; d--) {
    found = (found << 1) | bnn2c_rule_out(left, (const uint32_t *)&best[d - 1u], (d > places) ? 0u : last);
  }
  found &= (1u << places) - 1u;
  for (uint32_t bit = (uint32_t)BNN2C_LANE_WORDS / 2u; bit != 0u; bit /= 2u) {
    for (uint32_t w = 0u; w < (uint32_t)BNN2C_LANE_WORDS; w++) {
      digit[w] = ((w & bit) != 0u) ? 0xFFFFFFFFu : 0u;
    }
    found = (found << 1) | bnn2c_rule_out(left, digit, last);
  }
  for (uint32_t d = 5u; d != 0u; d--) {
    for (uint32_t w = 0u; w < (uint32_t)BNN2C_LANE_WORDS; w++) {
      digit[w] = numbers[d - 1u];
    }
    found = (found << 1) | bnn2c_rule_out(left, digit, last);
  }
  return found;
}

/* nhwc_bits -> int32 [pixels]: number of the winner.  scratch: as bnn2c_sliced_channels. */
BNN2C_KERNEL void bnn2c_sliced_best_run(const bnn2c_sliced_best *p, const uint32_t *in, uint32_t *scratch, int32_t *out) {
  static const uint32_t none[BNN2C_SLICED_CHANNELS_MAX_PLANES * BNN2C_LANE_WORDS] = {0u};
  const uint32_t lanes = 32u * (uint32_t)BNN2C_LANE_WORDS;
  const uint32_t blocks = (p->channels + lanes - 1u) / lanes;
  bnn2c_lanes *const carries = (bnn2c_lanes *)scratch;
  uint32_t *const patch = (uint32_t *)(carries + p->words);
  bnn2c_lanes digits[BNN2C_SLICED_CHANNELS_MAX_PLANES];
  bnn2c_lanes best[BNN2C_BEST_DIGITS];
  for (uint32_t i = 0u; i < p->pixels; i++) {
    const bnn2c_lanes *weights = (const bnn2c_lanes *)p->weights;
    for (uint32_t d = 0u; d < p->places + p->planes; d++) {
      best[d] = BNN2C_NO_LANES + ((d < p->places) ? 0u : 0xFFFFFFFFu);
    }
    const uint32_t *const activations = bnn2c_activations_of(in, p->words, patch);
    for (uint32_t block = 0u; block < blocks; block++) {
      bnn2c_sliced_channels_block(weights, (const bnn2c_lanes *)none, p->planes, p->words, activations, carries, digits);
      bnn2c_keep_fewest(digits, p->planes, block, p->places, p->last, best);
      weights += 32u * p->words;
    }
    const uint32_t found = bnn2c_best_channel(best, p->planes, p->places, p->last);
    int32_t beyond = (int32_t)(p->channels - 1u) - (int32_t)found; /* below 0 for copies of the last channel */
    BNN2C_KEEP(beyond); /* compilers would branch */
    out[i] = (int32_t)found + (beyond & (beyond >> 31));
    in += p->words;
  }
}

#endif /* BNN2C_SLICED_BEST_H */
