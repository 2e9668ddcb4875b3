/* bnn2c_popcount_rows.h - binary convolution by counting bits, for machines that have an instruction for it.
 *
 * m = population count of (patch XOR weight row).  BNN2C_ROWS output channels or a few times as many are counted
 * together so that a patch word is loaded once for all of them, by NEON (vcnt on 16 bytes), AVX-512 (vpopcntd) or a
 * scalar instruction (Zbb cpop, x86 popcnt).  Without any the compiler's function is correct but slow: choose
 * bnn2c_sliced_channels.
 *
 * Weights: [ceil(out_c / rows)][words][rows].
 * Thresholds: [classes][out_c rounded up to rows]; output bit = m > t.  Timing does not depend on data.
 */
#ifndef BNN2C_POPCOUNT_ROWS_H
#define BNN2C_POPCOUNT_ROWS_H

#include "bnn2c_compiler.h"
#include "bnn2c_conv_shape.h"
#include "bnn2c_lane_counts.h"
#include "bnn2c_patch.h"
#include "bnn2c_row_counts.h"

typedef struct {
  bnn2c_conv_shape shape;
  const uint32_t *weights;
  const int16_t *thresholds; /* not read for raw counts */
} bnn2c_popcount_rows;

/* The thresholded bits of `blocks` blocks of rows; moves on behind them. */
BNN2C_INLINE uint32_t bnn2c_popcount_bits(const uint32_t *patch, const uint32_t **weights, uint32_t words,
                                          const int16_t **thresholds, unsigned blocks) {
  bnn2c_row_counts counts[BNN2C_ROW_BLOCKS];
  const int16_t *const t = *thresholds;
  *thresholds += BNN2C_ROWS * blocks;
  bnn2c_count_rows(patch, weights, words, blocks, counts);
  return bnn2c_rows_above(counts, blocks, t);
}

/* The thresholded bits of up to 32 rows; moves on behind them. */
BNN2C_INLINE uint32_t bnn2c_popcount_word(const uint32_t *patch, const uint32_t **weights, uint32_t words,
                                          const int16_t **thresholds, uint32_t rows) {
  uint32_t bits = 0u;
  uint32_t shift = 0u;
  if ((BNN2C_ROW_BLOCKS == 4u) && (rows > 3u * BNN2C_ROWS)) {
    return bnn2c_popcount_bits(patch, weights, words, thresholds, BNN2C_ROW_BLOCKS);
  }
  while (shift < rows) {
    if ((BNN2C_ROW_BLOCKS == 2u) && (rows - shift > BNN2C_ROWS)) {
      bits |= bnn2c_popcount_bits(patch, weights, words, thresholds, BNN2C_ROW_BLOCKS) << shift;
      shift += 2u * BNN2C_ROWS;
    } else {
      bits |= bnn2c_popcount_bits(patch, weights, words, thresholds, 1u) << shift;
      shift += BNN2C_ROWS;
    }
  }
  return bits;
}

/* The thresholded bits of one pixel. */
BNN2C_NOINLINE BNN2C_STEADY uint32_t *bnn2c_popcount_bits_pixel(const uint32_t *weights, const int16_t *thresholds,
                                                               const uint32_t *patch, uint32_t words,
                                                               uint32_t channels, uint32_t *out) {
  while (channels != 0u) {
    const uint32_t count = (channels < 32u) ? channels : 32u;
    *out = bnn2c_popcount_word(patch, &weights, words, &thresholds, count);
    out++;
    channels -= count;
  }
  return out;
}

/* Blocks to count next when `rows` rows are left. */
BNN2C_INLINE uint32_t bnn2c_next_blocks(uint32_t rows) {
  const uint32_t many = BNN2C_ROW_BLOCKS; /* 1 on some machines */
  return ((many == 1u) || (rows > BNN2C_ROWS * (many - 1u))) ? many : 1u;
}

/* The counts of eight rows, below 2^15. */
#if defined(__ARM_NEON)
BNN2C_INLINE void bnn2c_store_rows(bnn2c_row_counts counts, int16_t *out) {
  vst1q_s16(out, vreinterpretq_s16_u16(counts));
}
#else
BNN2C_INLINE void bnn2c_store_rows(bnn2c_row_counts counts, int16_t *out) {
  BNN2C_FLAT
  for (unsigned r = 0u; r < BNN2C_ROWS; r++) {
    out[r] = (int16_t)bnn2c_row_count(counts, r);
  }
}
#endif

/* Writes the counts of `rows` rows and moves on. */
BNN2C_INLINE void bnn2c_store_row_counts(bnn2c_channel_output *out, const bnn2c_row_counts *counts, uint32_t rows) {
  uint32_t r = 0u;
  for (; (out->i16 != NULL) && (rows - r >= BNN2C_ROWS); r += BNN2C_ROWS) {
    bnn2c_store_rows(counts[r / BNN2C_ROWS], out->i16);
    out->i16 += BNN2C_ROWS;
  }
  for (; r < rows; r++) {
    const uint32_t count = bnn2c_row_count(counts[r / BNN2C_ROWS], r % BNN2C_ROWS);
    if (out->i16 != NULL) {
      *out->i16 = (int16_t)count;
      out->i16++;
    } else {
      *out->i32 = (int32_t)count;
      out->i32++;
    }
  }
}

/* The counts of one pixel. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_popcount_counts_pixel(const uint32_t *weights, const uint32_t *patch,
                                                            uint32_t words, uint32_t channels,
                                                            bnn2c_channel_output *out) {
  while (channels != 0u) {
    const uint32_t blocks = bnn2c_next_blocks(channels);
    const uint32_t rows = (channels < BNN2C_ROWS * blocks) ? channels : (BNN2C_ROWS * blocks);
    bnn2c_row_counts counts[BNN2C_ROW_BLOCKS];
    if (blocks == BNN2C_ROW_BLOCKS) {
      bnn2c_count_rows(patch, &weights, words, BNN2C_ROW_BLOCKS, counts);
    } else {
      bnn2c_count_rows(patch, &weights, words, 1u, counts);
    }
    bnn2c_store_row_counts(out, counts, rows);
    channels -= rows;
  }
}

/* The words of the only pixel under a 1x1 kernel, where channels fill words; NULL otherwise. */
BNN2C_INLINE const uint32_t *bnn2c_pixel_itself(const bnn2c_conv_shape *s, const uint32_t *in, uint32_t y, uint32_t x) {
  if (((uint32_t)s->kernel_h * s->kernel_w == 1u) && ((s->in_c % 32u) == 0u)) {
    const uint32_t iy = y * s->stride_h - s->pad_top;
    const uint32_t ix = x * s->stride_w - s->pad_left;
    if ((iy < s->in_h) && (ix < s->in_w)) {
      return in + (iy * s->in_w + ix) * (s->in_c / 32u);
    }
  }
  return NULL;
}

/* The patch of pixel (y, x); returns its words. */
BNN2C_INLINE uint32_t bnn2c_gather_inputs(const bnn2c_conv_shape *s, const uint32_t *in, uint32_t y, uint32_t x,
                                          uint32_t *patch) {
  if ((BNN2C_ROW_BLOCKS > 1u) && ((s->in_c % 32u) == 0u) && (s->dilation_w == 1u)) {
    return bnn2c_gather_runs(s, in, y, x, patch);
  }
  return bnn2c_gather_patch(s, in, y, x, patch);
}

/* Pixel (y, x). */
BNN2C_KERNEL void bnn2c_popcount_rows_at(const bnn2c_popcount_rows *p, const uint32_t *in, uint32_t y, uint32_t x,
                                         uint32_t *scratch, bnn2c_channel_output *out) {
  const uint32_t stride = ((uint32_t)p->shape.out_c + BNN2C_ROWS - 1u) / BNN2C_ROWS * BNN2C_ROWS;
  const uint32_t of = (uint32_t)p->shape.row_class[y] * p->shape.col_classes + p->shape.col_class[x];
  const uint32_t *patch = bnn2c_pixel_itself(&p->shape, in, y, x);
  uint32_t words = (uint32_t)p->shape.in_c / 32u;
  if (patch == NULL) {
    patch = scratch;
    words = bnn2c_gather_inputs(&p->shape, in, y, x, scratch);
  }
  if (out->bits != NULL) {
    out->bits = bnn2c_popcount_bits_pixel(p->weights, p->thresholds + of * stride, patch, words, p->shape.out_c,
                                          out->bits);
  } else {
    bnn2c_popcount_counts_pixel(p->weights, patch, words, p->shape.out_c, out);
  }
}

BNN2C_KERNEL void bnn2c_popcount_rows_run(const bnn2c_popcount_rows *p, const uint32_t *in, uint32_t *scratch,
                                          bnn2c_channel_output *out) {
  for (uint32_t y = 0u; y < p->shape.out_h; y++) {
    for (uint32_t x = 0u; x < p->shape.out_w; x++) {
      bnn2c_popcount_rows_at(p, in, y, x, scratch, out);
    }
  }
}

/* nhwc_bits -> _bits: nhwc_bits, thresholded; _i16, _i32: mismatches [out_h][out_w][out_c], or [out_c] of one pixel. */
BNN2C_CHANNEL_RESULT(bnn2c_popcount_rows, bnn2c_popcount_rows, bits, uint32_t)
BNN2C_CHANNEL_RESULT(bnn2c_popcount_rows, bnn2c_popcount_rows, i16, int16_t)
BNN2C_CHANNEL_RESULT(bnn2c_popcount_rows, bnn2c_popcount_rows, i32, int32_t)
BNN2C_PIXEL_RESULT(bnn2c_popcount_rows, bnn2c_popcount_rows, bits, uint32_t)
BNN2C_PIXEL_RESULT(bnn2c_popcount_rows, bnn2c_popcount_rows, i16, int16_t)
BNN2C_PIXEL_RESULT(bnn2c_popcount_rows, bnn2c_popcount_rows, i32, int32_t)

#endif /* BNN2C_POPCOUNT_ROWS_H */
