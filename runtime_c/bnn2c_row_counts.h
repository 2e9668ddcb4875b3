/* bnn2c_row_counts.h - mismatches of a patch with BNN2C_ROWS weight rows, by what counts bits on the machine.
 *
 * NEON (vcnt on 16 bytes), AVX-512 (vpopcntd) or a scalar instruction (Zbb cpop, x86 popcnt). The order of the words is
 * that of bnn2c_popcount_rows.h: the same word of eight rows, then the next. A vector holds a word of four rows (eight
 * with AVX-512), so every row has lanes of its own; nothing is added across a vector until the end.
 */
#ifndef BNN2C_ROW_COUNTS_H
#define BNN2C_ROW_COUNTS_H

#include "bnn2c_compiler.h"

#include <stdint.h>

#if defined(__ARM_NEON)
#include <arm_neon.h>
#elif defined(__AVX512VPOPCNTDQ__) && defined(__AVX512VL__)
#include <immintrin.h>
#endif

/* Rows of a block, and blocks that are best counted together: as many as the registers hold. */
#define BNN2C_ROWS 8u
#if defined(__ARM_NEON) && defined(__aarch64__)
#define BNN2C_ROW_BLOCKS 4u
#elif defined(__ARM_NEON)
#define BNN2C_ROW_BLOCKS 2u
#else
#define BNN2C_ROW_BLOCKS 1u
#endif

#if defined(__ARM_NEON)

/* The values are computed here, in the order of the source: gcc would move them about, and clang load all first. */
#if defined(__clang__)
#define BNN2C_KEEP_VECTORS(a, b) __asm__ volatile("" : "+w"(a), "+w"(b) : : "memory")
#else
#define BNN2C_KEEP_VECTORS(a, b) __asm__("" : "+w"(a), "+w"(b))
#endif

typedef uint16x8_t bnn2c_row_counts;

/* Bits per byte that differ. */
BNN2C_INLINE uint8x16_t bnn2c_differ(uint32x4_t a, uint32x4_t b) {
  return vcntq_u8(vreinterpretq_u8_u32(veorq_u32(a, b)));
}

/* Two words of eight rows; bits per byte that differ from act[0], act[1], for the first and the last four rows. */
#if defined(__aarch64__)
BNN2C_INLINE uint8x16x2_t bnn2c_differ2(const uint32x4_t *act, const uint32_t **w) {
  const uint32x4x4_t row = vld1q_u32_x4(*w);
  uint8x16x2_t half;
  *w += 16;
  BNN2C_KEEP(*w);
  half.val[0] = vaddq_u8(bnn2c_differ(act[0], row.val[0]), bnn2c_differ(act[1], row.val[2]));
  half.val[1] = vaddq_u8(bnn2c_differ(act[0], row.val[1]), bnn2c_differ(act[1], row.val[3]));
  return half;
}
#else
BNN2C_INLINE uint32x4x2_t bnn2c_load8(const uint32_t **from) {
  uint32x4x2_t value;
#if defined(__GNUC__) && !defined(__clang__)
  typedef struct {
    uint32_t words[8];
  } eight_words; /* gcc before 14 has no intrinsic for this instruction */
  __asm__("vld1.32 %h0, [%1]!" : "=w"(value), "+r"(*from) : "m"(*(const eight_words *)*from));
#else
  value.val[0] = vld1q_u32(*from); /* vld1q_u32_x2 of clang 14 wants an address that is a multiple of 32 */
  value.val[1] = vld1q_u32(*from + 4);
  *from += 8;
#endif
  return value;
}

BNN2C_INLINE uint8x16x2_t bnn2c_differ2(const uint32x4_t *act, const uint32_t **w) {
  uint8x16x2_t half;
  uint32x4x2_t row = bnn2c_load8(w);
  half.val[0] = bnn2c_differ(act[0], row.val[0]);
  half.val[1] = bnn2c_differ(act[0], row.val[1]);
  BNN2C_KEEP_VECTORS(half.val[0], half.val[1]);
  row = bnn2c_load8(w);
  half.val[0] = vaddq_u8(half.val[0], bnn2c_differ(act[1], row.val[0]));
  half.val[1] = vaddq_u8(half.val[1], bnn2c_differ(act[1], row.val[1]));
  BNN2C_KEEP_VECTORS(half.val[0], half.val[1]);
  return half;
}
#endif

/* Adds to half[0], half[1] the mismatches of four words with the first and the last four rows of a block. */
BNN2C_INLINE void bnn2c_count_words4(const uint32x4_t *act, const uint32_t **w, uint16x8_t *half) {
  const uint8x16x2_t a = bnn2c_differ2(act, w);
  const uint8x16x2_t b = bnn2c_differ2(act + 2, w);
  half[0] = vpadalq_u8(half[0], vaddq_u8(a.val[0], b.val[0]));
  half[1] = vpadalq_u8(half[1], vaddq_u8(a.val[1], b.val[1]));
  BNN2C_KEEP_VECTORS(half[0], half[1]);
}

/* The same for two words. */
BNN2C_INLINE void bnn2c_count_words2(const uint32x4_t *act, const uint32_t **w, uint16x8_t *half) {
  const uint8x16x2_t a = bnn2c_differ2(act, w);
  half[0] = vpadalq_u8(half[0], a.val[0]);
  half[1] = vpadalq_u8(half[1], a.val[1]);
}

/* The counts of eight rows from those of half words. */
BNN2C_INLINE bnn2c_row_counts bnn2c_join_halves(uint16x8_t low, uint16x8_t high) {
#if defined(__aarch64__)
  return vpaddq_u16(low, high);
#else
  return vcombine_u16(vpadd_u16(vget_low_u16(low), vget_high_u16(low)),
                      vpadd_u16(vget_low_u16(high), vget_high_u16(high)));
#endif
}

/* Mismatches of `blocks` blocks of eight rows; moves on behind them. */
BNN2C_INLINE void bnn2c_count_rows(const uint32_t *patch, const uint32_t **weights, uint32_t words, unsigned blocks,
                                   bnn2c_row_counts *counts) {
  const uint32_t *w[BNN2C_ROW_BLOCKS];
  uint16x8_t half[2u * BNN2C_ROW_BLOCKS];
  const uint32_t *const fours = patch + words / 4u * 4u;
  BNN2C_FLAT
  for (unsigned i = 0u; i < blocks; i++) {
    w[i] = *weights + i * BNN2C_ROWS * words;
    half[2u * i] = vdupq_n_u16(0u);
    half[2u * i + 1u] = vdupq_n_u16(0u);
  }
  while (patch != fours) {
    uint32x4_t act[4];
    BNN2C_FLAT
    for (unsigned i = 0u; i < 4u; i++) {
      act[i] = vld1q_dup_u32(patch);
      patch++;
      BNN2C_KEEP(patch);
    }
    BNN2C_FLAT
    for (unsigned i = 0u; i < blocks; i++) {
      bnn2c_count_words4(act, &w[i], half + 2u * i);
    }
  }
  if ((words & 2u) != 0u) {
    uint32x4_t act[2];
    act[0] = vld1q_dup_u32(patch);
    patch++;
    BNN2C_KEEP(patch);
    act[1] = vld1q_dup_u32(patch);
    patch++;
    BNN2C_FLAT
    for (unsigned i = 0u; i < blocks; i++) {
      bnn2c_count_words2(act, &w[i], half + 2u * i);
    }
  }
  if ((words & 1u) != 0u) {
    const uint32x4_t act = vld1q_dup_u32(patch);
    BNN2C_FLAT
    for (unsigned i = 0u; i < 2u * blocks; i++) {
      half[i] = vpadalq_u8(half[i], bnn2c_differ(act, vld1q_u32(w[i / 2u] + 4u * (i % 2u))));
    }
  }
  *weights += blocks * BNN2C_ROWS * words;
  BNN2C_FLAT
  for (unsigned i = 0u; i < blocks; i++) {
    counts[i] = bnn2c_join_halves(half[2u * i], half[2u * i + 1u]);
  }
}

/* Adds the lanes of two blocks, at most 16 bits in all. */
BNN2C_INLINE uint32_t bnn2c_merge_bits(uint16x8_t set) {
#if defined(__aarch64__)
  return vaddvq_u16(set);
#else
  const uint16x4_t two = vpadd_u16(vget_low_u16(set), vget_high_u16(set));
  const uint16x4_t one = vpadd_u16(two, two);
  return vget_lane_u16(vpadd_u16(one, one), 0);
#endif
}

/* Bit r is set where row r of the blocks has more than t[r] mismatches. */
BNN2C_INLINE uint32_t bnn2c_rows_above(const bnn2c_row_counts *counts, unsigned blocks, const int16_t *t) {
  static const uint16_t bit[8] = {1u, 2u, 4u, 8u, 16u, 32u, 64u, 128u};
  const uint16x8_t low = vld1q_u16(bit);
  const uint16x8_t high = vshlq_n_u16(low, 8);
  uint32_t bits = 0u;
  BNN2C_FLAT
  for (unsigned i = 0u; i < blocks; i += 2u) {
    uint16x8_t set = vandq_u16(vcgtq_s16(vreinterpretq_s16_u16(counts[i]), vld1q_s16(t + BNN2C_ROWS * i)), low);
    if (i + 1u < blocks) {
      const int16x8_t bound = vld1q_s16(t + BNN2C_ROWS * (i + 1u));
      set = vorrq_u16(set, vandq_u16(vcgtq_s16(vreinterpretq_s16_u16(counts[i + 1u]), bound), high));
    }
    bits |= bnn2c_merge_bits(set) << (BNN2C_ROWS * i);
  }
  return bits;
}

BNN2C_INLINE uint32_t bnn2c_row_count(bnn2c_row_counts counts, unsigned row) {
  uint16_t all[8];
  vst1q_u16(all, counts);
  return all[row];
}

#elif defined(__AVX512VPOPCNTDQ__) && defined(__AVX512VL__)
typedef __m256i bnn2c_row_counts;

/* Mismatches of the eight rows of a block, one per 32-bit lane; moves on to the next block. */
BNN2C_INLINE bnn2c_row_counts bnn2c_count_block(const uint32_t *patch, const uint32_t **weights, uint32_t words) {
  __m256i counts = _mm256_setzero_si256();
  const uint32_t *w = *weights;
  const uint32_t *const end = patch + words;
  BNN2C_UNROLL(4)
  while (patch != end) {
    const __m256i row = _mm256_loadu_si256((const __m256i_u *)w);
    counts = _mm256_add_epi32(counts, _mm256_popcnt_epi32(_mm256_xor_si256(row, _mm256_set1_epi32((int32_t)*patch))));
    w += BNN2C_ROWS;
    patch++;
  }
  *weights = w;
  return counts;
}

BNN2C_INLINE uint32_t bnn2c_block_above(bnn2c_row_counts counts, const int16_t *t) {
  return _mm256_cmpgt_epi32_mask(counts, _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i_u *)t)));
}

BNN2C_INLINE uint32_t bnn2c_row_count(bnn2c_row_counts counts, unsigned row) {
  uint32_t all[BNN2C_ROWS];
  _mm256_storeu_si256((__m256i_u *)all, counts);
  return all[row];
}

#else

typedef struct {
  uint32_t row[BNN2C_ROWS];
} bnn2c_row_counts;

/* Always inline, unlike bnn2c_popcount32, which functions with attributes of their own call. */
BNN2C_INLINE uint32_t bnn2c_popcount(uint32_t x) {
#if defined(__GNUC__)
  return (uint32_t)__builtin_popcount(x);
#else
  x -= (x >> 1) & 0x55555555u;
  x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
  return (((x + (x >> 4)) & 0x0F0F0F0Fu) * 0x01010101u) >> 24;
#endif
}

/* Mismatches of the eight rows of a block; moves on to the next block. */
BNN2C_INLINE bnn2c_row_counts bnn2c_count_block(const uint32_t *patch, const uint32_t **weights, uint32_t words) {
  bnn2c_row_counts counts = {{0u}};
  const uint32_t *w = *weights;
  const uint32_t *const end = patch + words;
  BNN2C_UNROLL(4)
  while (patch != end) {
    const uint32_t act = *patch;
    BNN2C_FLAT
    for (unsigned r = 0u; r < BNN2C_ROWS; r++) {
      counts.row[r] += bnn2c_popcount(act ^ w[r]);
    }
    w += BNN2C_ROWS;
    patch++;
  }
  *weights = w;
  return counts;
}

BNN2C_INLINE uint32_t bnn2c_block_above(bnn2c_row_counts counts, const int16_t *t) {
  uint32_t bits = 0u;
  BNN2C_FLAT
  for (unsigned r = 0u; r < BNN2C_ROWS; r++) {
    uint32_t above = ((int32_t)counts.row[r] > t[r]) ? 1u : 0u;
    BNN2C_KEEP(above); /* clang would branch */
    bits |= above << r;
  }
  return bits;
}

BNN2C_INLINE uint32_t bnn2c_row_count(bnn2c_row_counts counts, unsigned row) { return counts.row[row]; }
#endif

#if !defined(__ARM_NEON)
/* Mismatches of `blocks` blocks of eight rows; moves on behind them. */
BNN2C_INLINE void bnn2c_count_rows(const uint32_t *patch, const uint32_t **weights, uint32_t words, unsigned blocks,
                                   bnn2c_row_counts *counts) {
  BNN2C_FLAT
  for (unsigned i = 0u; i < blocks; i++) {
    counts[i] = bnn2c_count_block(patch, weights, words);
  }
}

/* Bit r is set where row r of the blocks has more than t[r] mismatches. */
BNN2C_INLINE uint32_t bnn2c_rows_above(const bnn2c_row_counts *counts, unsigned blocks, const int16_t *t) {
  uint32_t bits = 0u;
  BNN2C_FLAT
  for (unsigned i = 0u; i < blocks; i++) {
    bits |= bnn2c_block_above(counts[i], t + BNN2C_ROWS * i) << (BNN2C_ROWS * i);
  }
  return bits;
}
#endif

#endif /* BNN2C_ROW_COUNTS_H */
