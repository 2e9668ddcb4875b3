/* bnn2c_bit_layouts.h - nhwc_bits <-> planes.
 *
 * nhwc_bits: pixel q owns ceil(channels / 32) words, channel c is bit c % 32 of word c / 32.
 * planes: channel c owns ceil(pixels / 32) words, pixel q is bit q % 32 of word q / 32.
 * Both: spare bits are 0.  Either conversion transposes blocks of 32 x 32 bits (Warren, Hacker's Delight, 7-3), so it
 * is the same function with the two dimensions exchanged.
 */
#ifndef BNN2C_BIT_LAYOUTS_H
#define BNN2C_BIT_LAYOUTS_H

#include "bnn2c_compiler.h"

#include <stdint.h>

/* Exchanges bit c of word r and bit r of word c, for all r and c. */
BNN2C_NOINLINE void bnn2c_transpose32(uint32_t *rows) {
  uint32_t mask = 0x0000FFFFu;
  for (uint32_t half = 16u; half != 0u; half >>= 1) {
    for (uint32_t block = 0u; block < 32u; block += 2u * half) {
      uint32_t *low = rows + block;
      uint32_t *const end = low + half;
      for (; low != end; low++) {
        const uint32_t swap = ((low[0] >> half) ^ low[half]) & mask;
        low[0] ^= swap << half;
        low[half] ^= swap;
      }
    }
    mask ^= mask << (half >> 1);
  }
}

/* A matrix of bits, `rows` rows of ceil(columns / 32) words, into its transpose. */
BNN2C_KERNEL void bnn2c_transpose_bits(const uint32_t *in, uint32_t rows, uint32_t columns, uint32_t *out) {
  const uint32_t in_words = (columns + 31u) / 32u;
  const uint32_t out_words = (rows + 31u) / 32u;
  for (uint32_t row = 0u; row < rows; row += 32u) {
    for (uint32_t column = 0u; column < columns; column += 32u) {
      uint32_t block[32];
      for (uint32_t i = 0u; i < 32u; i++) {
        block[i] = (row + i < rows) ? in[(row + i) * in_words + column / 32u] : 0u;
        BNN2C_KEEP(i);
      }
      bnn2c_transpose32(block);
      for (uint32_t i = 0u; (i < 32u) && (column + i < columns); i++) {
        out[(column + i) * out_words + row / 32u] = block[i];
        BNN2C_KEEP(i);
      }
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
