/* bnn2c_table_rows.h - binary convolution with a byte per counter and channel, for machines that permute bytes (AVX2).
 *
 * Four weights of a channel are one byte, and so is its counter.  The mismatches of four activations x with any four
 * weights w are row x of the table T[x][w] = population count of (x ^ w), 16 bytes.  One byte permutation of that row by
 * 32 bytes of weights, and one addition, serve 128 products.  Row x is row 0 permuted by x ^ (0, 1, ... 15): no address
 * depends on data.
 *
 * A vector of weights is 32 bytes: 16 channels for the low nibble of an input byte, and the same channels for the high
 * nibble.  A unit is 32 channels, a set is the units whose counters fit into the registers together.  An input byte adds
 * at most 4 to a counter, so after 7 blocks of 8 bytes the counters are added to sums of 16 bits.  Those begin at
 * 32767 - t; in the end their top bit is m > t.
 *
 * The input is copied to an image with its padding, ceil(in_c / 8) bytes a pixel.  A kernel row is a run of bytes in it,
 * read by blocks.  What a block reads behind the end of its run meets weights of 0x80, which give 0.
 *
 * Weights: [sets][blocks * 8 bytes][units of the set][2 halves][2 nibbles][16 channels].  Starts: [classes][units][2
 * halves][16 channels].  The channels of a half are 0..7 and 16..23, or 8..15 and 24..31, as bits are packed.
 * Scratch: sums, rows of the table for every input byte of a patch (two sets or more), image.
 * Timing does not depend on data.
 */
#ifndef BNN2C_TABLE_ROWS_H
#define BNN2C_TABLE_ROWS_H

#include "bnn2c_compiler.h"
#include "bnn2c_table_sets.h"

#if defined(__AVX2__)

/* One pixel of a layer of several sets. */
BNN2C_INLINE void bnn2c_table_pixel(const bnn2c_table_rows *p, uint32_t units, const uint8_t *window,
                                    const uint16_t *starts, uint32_t *scratch, uint32_t *out) {
  uint8_t *const rows = (uint8_t *)(scratch + 16u * units);
  const uint32_t sets = (units + BNN2C_TABLE_SET - 1u) / BNN2C_TABLE_SET;
  const uint8_t *weights = p->weights;
  const uint32_t large = units % sets;
  bnn2c_table_patch(p, window, rows);
  for (uint32_t set = 0u; set < sets; set++) {
    const uint32_t together = units / sets + ((set < large) ? 1u : 0u);
    uint16_t *const sums = (uint16_t *)scratch;
    if (together == 7u) {
      bnn2c_table_read7(p, weights, rows, starts, sums, out);
    } else if (together == 6u) {
      bnn2c_table_read6(p, weights, rows, starts, sums, out);
    } else if (together == 5u) {
      bnn2c_table_read5(p, weights, rows, starts, sums, out);
    } else {
      bnn2c_table_read4(p, weights, rows, starts, sums, out);
    }
    weights += 512u * together * p->blocks;
    starts += 32u * together;
    out += together;
  }
}

/* All pixels. */
BNN2C_INLINE void bnn2c_table_pixels(const bnn2c_table_rows *p, const uint8_t *image, uint32_t *scratch, uint32_t *out) {
  const uint32_t units = ((uint32_t)p->shape.out_c + 31u) / 32u;
  const uint32_t bytes = p->image.pixel_bytes;
  switch (units) {
    case 1u:
      bnn2c_table_make1(p, image, (uint16_t *)scratch, out);
      break;
    case 2u:
      bnn2c_table_make2(p, image, (uint16_t *)scratch, out);
      break;
    case 3u:
      bnn2c_table_make3(p, image, (uint16_t *)scratch, out);
      break;
    case 4u:
      bnn2c_table_make4(p, image, (uint16_t *)scratch, out);
      break;
    case 5u:
      bnn2c_table_make5(p, image, (uint16_t *)scratch, out);
      break;
    case 6u:
      bnn2c_table_make6(p, image, (uint16_t *)scratch, out);
      break;
    default:
      for (uint32_t y = 0u; y < p->shape.out_h; y++) {
        const uint32_t row = (uint32_t)p->shape.row_class[y] * p->shape.col_classes;
        const uint8_t *window = image + y * p->shape.stride_h * p->image.width * bytes;
        for (uint32_t x = 0u; x < p->shape.out_w; x++) {
          bnn2c_table_pixel(p, units, window, p->starts + 32u * units * (row + p->shape.col_class[x]), scratch, out);
          window += p->shape.stride_w * bytes;
          out += units;
        }
      }
      break;
  }
}

#else

/* Bits of a nibble that differ from a weight byte, 0 when that is 0x80. */
BNN2C_INLINE uint32_t bnn2c_table_entry(uint32_t nibble, uint32_t weight) {
  const uint32_t differ = (nibble ^ weight) & (((weight >> 7) - 1u) & 15u);
  const uint32_t pairs = (differ & 5u) + ((differ >> 1) & 5u);
  return (pairs & 3u) + (pairs >> 2);
}

/* Sums of a set of units, from the bytes under the window; the bits go to `out`. */
BNN2C_INLINE void bnn2c_table_set(const bnn2c_table_rows *p, uint32_t units, const uint8_t *weights,
                                  const uint8_t *window, const uint16_t *starts, uint16_t *sums, uint32_t *out) {
  for (uint32_t c = 0u; c < 32u * units; c++) {
    sums[c] = starts[c];
  }
  for (uint32_t byte = 0u; byte < 8u * (uint32_t)p->blocks; byte++) {
    const uint32_t x = window[p->offsets[byte / 8u] + byte % 8u];
    for (uint32_t c = 0u; c < 32u * units; c++) {
      const uint8_t *const w = weights + 32u * (c / 16u) + c % 16u; /* in the order of storage */
      sums[c] = (uint16_t)(sums[c] + bnn2c_table_entry(x & 15u, w[0]) + bnn2c_table_entry(x >> 4, w[16]));
    }
    weights += 64u * units;
  }
  for (uint32_t unit = 0u; unit < units; unit++) {
    out[unit] = 0u;
    for (uint32_t c = 0u; c < 32u; c++) {
      const uint32_t stored = (c & 7u) | ((c & 16u) >> 1) | ((c & 8u) << 1);
      out[unit] |= ((uint32_t)sums[32u * unit + stored] >> 15) << c;
    }
  }
}

/* All pixels. */
BNN2C_INLINE void bnn2c_table_pixels(const bnn2c_table_rows *p, const uint8_t *image, uint32_t *scratch, uint32_t *out) {
  const uint32_t units = ((uint32_t)p->shape.out_c + 31u) / 32u;
  const uint32_t bytes = p->image.pixel_bytes;
  for (uint32_t y = 0u; y < p->shape.out_h; y++) {
    for (uint32_t x = 0u; x < p->shape.out_w; x++) {
      const uint32_t border = (uint32_t)p->shape.row_class[y] * p->shape.col_classes + p->shape.col_class[x];
      const uint8_t *const window = image + (y * p->shape.stride_h * p->image.width + x * p->shape.stride_w) * bytes;
      const uint8_t *weights = p->weights;
      const uint16_t *starts = p->starts + 32u * units * border;
      for (uint32_t left = units; left != 0u;) {
        const uint32_t sets = (left + BNN2C_TABLE_SET - 1u) / BNN2C_TABLE_SET;
        const uint32_t together = (left + sets - 1u) / sets;
        bnn2c_table_set(p, together, weights, window, starts, (uint16_t *)scratch, out);
        weights += 512u * together * p->blocks;
        starts += 32u * together;
        out += together;
        left -= together;
      }
    }
  }
}

#endif

/* nhwc_bits -> nhwc_bits, thresholded. */
BNN2C_KERNEL void bnn2c_table_rows_bits(const bnn2c_table_rows *p, const uint32_t *in, uint32_t *scratch,
                                        uint32_t *out) {
  const uint32_t units = ((uint32_t)p->shape.out_c + 31u) / 32u;
  const uint32_t rows = (units <= BNN2C_TABLE_MADE) ? 0u : (64u * p->blocks);
  uint8_t *const room = (uint8_t *)(scratch + 16u * units + rows);
  bnn2c_table_pixels(p, bnn2c_pad_image(&p->shape, p->image, 7u, in, room), scratch, out);
}

#endif /* BNN2C_TABLE_ROWS_H */
