/* bnn2c_bit_layouts.h - nhwc_bits <-> planes.
 *
 * nhwc_bits: pixel q owns ceil(channels / 32) words, channel c is bit c % 32 of word c / 32.
 * planes: channel c owns ceil(pixels / 32) words, pixel q is bit q % 32 of word q / 32.
 * Both: spare bits are 0.  Either conversion transposes blocks of 32 x 32 bits (Warren, Hacker's Delight, 7-3), one in
 * each word of a vector, so it is the same function with the two dimensions exchanged.
 */
#ifndef BNN2C_BIT_LAYOUTS_H
#define BNN2C_BIT_LAYOUTS_H

#include "bnn2c_compiler.h"
#include "bnn2c_lanes.h"

#include <stdint.h>

/* Exchanges bit c of word r and bit r of word c, for all r and c, in every lane of 32 bits. */
BNN2C_NOINLINE void bnn2c_transpose32(bnn2c_lanes *rows) {
  uint32_t mask = 0x0000FFFFu;
  for (uint32_t half = 16u; half != 0u; half >>= 1) {
    for (uint32_t block = 0u; block < 32u; block += 2u * half) {
      bnn2c_lanes *low = rows + block;
      bnn2c_lanes *const end = low + half;
      for (; low != end; low++) {
        const bnn2c_lanes swap = ((low[0] >> half) ^ low[half]) & mask;
        low[0] ^= swap << half;
        low[half] ^= swap;
      }
    }
    mask ^= mask << (half >> 1);
  }
}

/* Blocks of 32 x 32 bits in memory: how far apart neighbouring blocks and rows are, in words. */
typedef struct {
  uint32_t apart; /* from block to block */
  uint32_t step;  /* from row to row */
  uint32_t rows; /* that exist, of 32 */
} bnn2c_bit_blocks;

/* Transposes up to BNN2C_LANE_WORDS blocks. */
BNN2C_NOINLINE void bnn2c_transpose_blocks(const uint32_t *in, bnn2c_bit_blocks from, uint32_t *out,
                                           bnn2c_bit_blocks to, uint32_t blocks) {
  bnn2c_lanes rows[32];
  const bnn2c_lanes read = bnn2c_lane_offsets(blocks, from.apart);
  const bnn2c_lanes written = bnn2c_lane_offsets(blocks, to.apart);
  const uint32_t full = ((BNN2C_LANE_WORDS > 1) && (blocks == (uint32_t)BNN2C_LANE_WORDS)) ? 1u : 0u;
  if ((full != 0u) && (from.apart == 1u) && (from.rows == 32u)) {
    for (uint32_t i = 0u; i < 32u; i++) {
      rows[i] = *(const bnn2c_lanes *)in;
      in += from.step;
    }
  } else {
    for (uint32_t i = 0u; i < 32u; i++) {
      rows[i] = (i < from.rows) ? bnn2c_gather_words(in + i * from.step, read) : BNN2C_NO_LANES;
      BNN2C_KEEP(i); /* not unrolled */
    }
  }
  bnn2c_transpose32(rows);
  if ((full != 0u) && (to.apart == 1u) && (to.rows == 32u)) {
    for (uint32_t i = 0u; i < 32u; i++) {
      *(bnn2c_lanes *)out = rows[i];
      out += to.step;
    }
  } else {
    for (uint32_t i = 0u; i < to.rows; i++) {
      bnn2c_scatter_words(out + i * to.step, written, rows[i]);
      BNN2C_KEEP(i);
    }
  }
}

BNN2C_INLINE uint32_t bnn2c_at_most(uint32_t value, uint32_t limit) { return (value < limit) ? value : limit; }

/* A matrix of bits, `rows` rows of ceil(columns / 32) words, into its transpose; blocks below each other in the lanes
 * of a vector where there are more of them, else side by side. */
BNN2C_KERNEL void bnn2c_transpose_bits(const uint32_t *in, uint32_t rows, uint32_t columns, uint32_t *out) {
  const uint32_t in_words = (columns + 31u) / 32u;
  const uint32_t out_words = (rows + 31u) / 32u;
  const uint32_t down = (out_words > in_words) ? 1u : 0u;
  const uint32_t full = ((down != 0u) ? rows : columns) / 32u; /* blocks of a line without a ragged one */
  const uint32_t line = (down != 0u) ? out_words : in_words;
  const uint32_t lines = (down != 0u) ? in_words : out_words;
  for (uint32_t other = 0u; other < lines; other++) {
    uint32_t blocks;
    for (uint32_t first = 0u; first < line; first += blocks) {
      const uint32_t row = (down != 0u) ? first : other;
      const uint32_t column = (down != 0u) ? other : first;
      const bnn2c_bit_blocks from = {(down != 0u) ? 32u * in_words : 1u, in_words, bnn2c_at_most(rows - 32u * row, 32u)};
      const bnn2c_bit_blocks to = {(down != 0u) ? 1u : 32u * out_words, out_words,
                                   bnn2c_at_most(columns - 32u * column, 32u)};
      blocks = (first < full) ? bnn2c_at_most(full - first, (uint32_t)BNN2C_LANE_WORDS) : 1u;
      bnn2c_transpose_blocks(in + 32u * row * in_words + column, from, out + 32u * column * out_words + row, to, blocks);
    }
  }
}

BNN2C_KERNEL void bnn2c_nhwc_to_planes(const uint32_t *in, uint32_t pixels, uint32_t channels, uint32_t *out) {
  bnn2c_transpose_bits(in, pixels, channels, out);
}

BNN2C_KERNEL void bnn2c_planes_to_nhwc(const uint32_t *in, uint32_t pixels, uint32_t channels, uint32_t *out) {
  bnn2c_transpose_bits(in, channels, pixels, out);
}

#endif /* BNN2C_BIT_LAYOUTS_H */
