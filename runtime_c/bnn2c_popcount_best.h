/* bnn2c_popcount_best.h - the output channel with the fewest mismatches of each pixel, where an instruction counts bits.
 *
 * A dense layer whose only reader looks for its winner, such as the word of a language model: no sum is stored.  A key
 * has a row's mismatches in its upper half and the number of the row, XOR `last`, in its lower one: the smallest key is
 * the winner's.  Equal counters: `last` is 0 where the first channel wins and 0xFFFF where the last does.
 *
 * Weights: those of bnn2c_popcount_rows.h, with copies of the last channel in the rows behind it.
 * Timing does not depend on data.
 */
#ifndef BNN2C_POPCOUNT_BEST_H
#define BNN2C_POPCOUNT_BEST_H

#include "bnn2c_compiler.h"
#include "bnn2c_row_counts.h"

#include <stdint.h>

typedef struct {
  uint32_t pixels;
  uint32_t words; /* of a pixel */
  uint32_t channels;
  uint32_t last;
  const uint32_t *weights;
} bnn2c_popcount_best;

/* The smaller of two numbers below 2^31; nothing branches on data. */
BNN2C_INLINE uint32_t bnn2c_smaller(uint32_t a, uint32_t b) {
  uint32_t difference = b - a;
  BNN2C_KEEP(difference); /* compilers would branch */
  return a + (difference & (uint32_t)((int32_t)difference >> 31));
}

/* Keeps the smaller of keys[row] and the key of each row: its count in the upper half, its number XOR `flip` below. */
#if defined(__ARM_NEON)
BNN2C_INLINE void bnn2c_keep_keys(bnn2c_row_counts counts, uint32_t number, uint32_t flip, uint32_t *keys) {
  static const uint32_t row[4] = {0u, 1u, 2u, 3u};
  const uint32x4_t low = vaddq_u32(vld1q_u32(row), vdupq_n_u32(number));
  const uint32x4_t high = vaddq_u32(low, vdupq_n_u32(4u));
  const uint32x4_t flips = vdupq_n_u32(flip);
  const uint32x4_t first = vorrq_u32(vshll_n_u16(vget_low_u16(counts), 16), veorq_u32(low, flips));
  const uint32x4_t other = vorrq_u32(vshll_n_u16(vget_high_u16(counts), 16), veorq_u32(high, flips));
  vst1q_u32(keys, vminq_u32(vld1q_u32(keys), first));
  vst1q_u32(keys + 4, vminq_u32(vld1q_u32(keys + 4), other));
}
#else
BNN2C_INLINE void bnn2c_keep_keys(bnn2c_row_counts counts, uint32_t number, uint32_t flip, uint32_t *keys) {
  BNN2C_FLAT
  for (unsigned r = 0u; r < BNN2C_ROWS; r++) {
    const uint32_t key = (bnn2c_row_count(counts, r) << 16) | ((number + r) ^ flip);
    keys[r] = bnn2c_smaller(keys[r], key);
  }
}
#endif

/* Counts `blocks` blocks of rows from row `number` on; moves on behind them. */
BNN2C_INLINE void bnn2c_best_blocks(const bnn2c_popcount_best *p, const uint32_t *in, const uint32_t **weights,
                                    unsigned blocks, uint32_t number, uint32_t *keys) {
  bnn2c_row_counts counts[BNN2C_ROW_BLOCKS];
  bnn2c_count_rows(in, weights, p->words, blocks, counts);
  BNN2C_FLAT
  for (unsigned i = 0u; i < blocks; i++) {
    bnn2c_keep_keys(counts[i], number + i * BNN2C_ROWS, p->last, keys);
  }
}

/* The number of the winner of a pixel. */
BNN2C_NOINLINE BNN2C_STEADY uint32_t bnn2c_best_row(const bnn2c_popcount_best *p, const uint32_t *in) {
  const uint32_t *weights = p->weights;
  uint32_t keys[BNN2C_ROWS];
  uint32_t number = 0u;
  uint32_t left = p->channels;
  for (uint32_t r = 0u; r < BNN2C_ROWS; r++) {
    keys[r] = 0x7FFFFFFFu;
    BNN2C_KEEP(r);
  }
  while (left > BNN2C_ROWS * (BNN2C_ROW_BLOCKS - 1u)) {
    bnn2c_best_blocks(p, in, &weights, BNN2C_ROW_BLOCKS, number, keys);
    number += BNN2C_ROWS * BNN2C_ROW_BLOCKS;
    left -= (left > BNN2C_ROWS * BNN2C_ROW_BLOCKS) ? (BNN2C_ROWS * BNN2C_ROW_BLOCKS) : left;
  }
  while (left != 0u) { /* rows of fewer blocks */
    bnn2c_best_blocks(p, in, &weights, 1u, number, keys);
    number += BNN2C_ROWS;
    left -= (left > BNN2C_ROWS) ? BNN2C_ROWS : left;
  }
  for (uint32_t r = 1u; r < BNN2C_ROWS; r++) {
    keys[0] = bnn2c_smaller(keys[0], keys[r]);
  }
  number = (keys[0] ^ p->last) & 0xFFFFu;
  return bnn2c_smaller(number, p->channels - 1u);
}

/* nhwc_bits -> int32 [pixels]: number of the winner. */
BNN2C_KERNEL void bnn2c_popcount_best_run(const bnn2c_popcount_best *p, const uint32_t *in, int32_t *out) {
  for (uint32_t i = 0u; i < p->pixels; i++) {
    out[i] = (int32_t)bnn2c_best_row(p, in);
    in += p->words;
  }
}

#endif /* BNN2C_POPCOUNT_BEST_H */
