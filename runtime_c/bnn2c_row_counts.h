/* bnn2c_row_counts.h - mismatches of a patch with BNN2C_ROWS weight rows, by what counts bits on the machine.
 *
 * NEON (vcnt on 16 bytes), AVX-512 (vpopcntd) or a scalar instruction (Zbb cpop, x86 popcnt). The order of the words is
 * that of bnn2c_popcount_rows.h.
 */
#ifndef BNN2C_ROW_COUNTS_H
#define BNN2C_ROW_COUNTS_H

#include "bnn2c_compiler.h"

#include <stdint.h>

#if defined(__ARM_NEON)
#include <arm_neon.h>
#define BNN2C_ROW_UNIT 4u
#else
#define BNN2C_ROW_UNIT 1u
#if defined(__AVX512VPOPCNTDQ__) && defined(__AVX512VL__)
#include <immintrin.h>
#endif
#endif
#define BNN2C_ROWS 8u

#if defined(__ARM_NEON)

/* Loads 64 bytes and moves on. */
BNN2C_INLINE uint8x16x4_t bnn2c_load64(const uint32_t **from) {
#if defined(__aarch64__)
  const uint8x16x4_t value = vld1q_u8_x4((const uint8_t *)*from);
  *from += 16;
  BNN2C_KEEP(*from);
#else
  uint8x16x4_t value;
  BNN2C_UNROLL(4)
  for (unsigned i = 0u; i < 4u; i++) {
    value.val[i] = vreinterpretq_u8_u32(vld1q_u32(*from));
    *from += 4;
    BNN2C_KEEP(*from);
  }
#endif
  return value;
}

/* Bits per byte that differ in 64 bytes, four bytes summed. */
BNN2C_INLINE uint8x16_t bnn2c_differ64(uint8x16x4_t a, const uint32_t **w) {
  const uint8x16x4_t row = bnn2c_load64(w);
  const uint8x16_t low = vaddq_u8(vcntq_u8(veorq_u8(a.val[0], row.val[0])), vcntq_u8(veorq_u8(a.val[1], row.val[1])));
  const uint8x16_t high = vaddq_u8(vcntq_u8(veorq_u8(a.val[2], row.val[2])), vcntq_u8(veorq_u8(a.val[3], row.val[3])));
  return vaddq_u8(low, high);
}

typedef uint16x8_t bnn2c_row_counts;

/* Mismatches of `rows` of the eight rows of a block; `w`: the block.  Returns its end when `first` is 0. */
BNN2C_INLINE const uint32_t *bnn2c_count_some(const uint32_t *patch, const uint32_t *w, uint32_t words, unsigned first,
                                   unsigned rows, uint16x8_t *sum) {
  w += 16u * first;
  if (words >= 16u) {
    const uint8x16x4_t act = bnn2c_load64(&patch);
    BNN2C_UNROLL(8)
    for (unsigned r = 0u; r < rows; r++) {
      sum[r] = vpaddlq_u8(bnn2c_differ64(act, &w));
    }
    w += 16u * (8u - rows);
    words -= 16u;
  } else {
    BNN2C_UNROLL(8)
    for (unsigned r = 0u; r < rows; r++) {
      sum[r] = vdupq_n_u16(0u);
    }
  }
  for (; words >= 16u; words -= 16u) {
    const uint8x16x4_t act = bnn2c_load64(&patch);
    BNN2C_UNROLL(8)
    for (unsigned r = 0u; r < rows; r++) {
      sum[r] = vpadalq_u8(sum[r], bnn2c_differ64(act, &w));
    }
    w += 16u * (8u - rows);
  }
  w -= 12u * first;
  for (; words != 0u; words -= 4u) {
    const uint8x16_t act = vreinterpretq_u8_u32(vld1q_u32(patch));
    BNN2C_UNROLL(8)
    for (unsigned r = 0u; r < rows; r++) {
      sum[r] = vpadalq_u8(sum[r], vcntq_u8(veorq_u8(act, vreinterpretq_u8_u32(vld1q_u32(w)))));
      w += 4;
    }
    w += 4u * (8u - rows);
    patch += 4;
  }
  return w;
}

/* Mismatches of eight rows, moving on to the next eight; ARMv7 has registers for four at a time. */
#if defined(__aarch64__)
BNN2C_INLINE bnn2c_row_counts bnn2c_count_rows(const uint32_t *patch, const uint32_t **weights, uint32_t words) {
  uint16x8_t sum[8];
  *weights = bnn2c_count_some(patch, *weights, words, 0u, 8u, sum);
  return vpaddq_u16(vpaddq_u16(vpaddq_u16(sum[0], sum[1]), vpaddq_u16(sum[2], sum[3])),
                    vpaddq_u16(vpaddq_u16(sum[4], sum[5]), vpaddq_u16(sum[6], sum[7])));
}
#else
BNN2C_INLINE uint16x4_t bnn2c_count_four(const uint32_t *patch, const uint32_t *w, uint32_t words, unsigned first) {
  uint16x8_t sum[4];
  uint16x4_t half[4];
  (void)bnn2c_count_some(patch, w, words, first, 4u, sum);
  BNN2C_UNROLL(4)
  for (unsigned i = 0u; i < 4u; i++) {
    half[i] = vpadd_u16(vget_low_u16(sum[i]), vget_high_u16(sum[i]));
  }
  return vpadd_u16(vpadd_u16(half[0], half[1]), vpadd_u16(half[2], half[3]));
}

BNN2C_INLINE bnn2c_row_counts bnn2c_count_rows(const uint32_t *patch, const uint32_t **weights, uint32_t words) {
  const uint32_t *const w = *weights;
  const uint16x4_t low = bnn2c_count_four(patch, w, words, 0u);
  *weights += BNN2C_ROWS * words;
  return vcombine_u16(low, bnn2c_count_four(patch, w, words, 4u));
}
#endif

/* Bit r is set where row r has more than t[r] mismatches. */
BNN2C_INLINE uint32_t bnn2c_rows_above(bnn2c_row_counts counts, const int16_t *t) {
  static const uint16_t bit[8] = {1u, 2u, 4u, 8u, 16u, 32u, 64u, 128u};
  const uint16x8_t set = vandq_u16(vcgtq_s16(vreinterpretq_s16_u16(counts), vld1q_s16(t)), vld1q_u16(bit));
#if defined(__aarch64__)
  return vaddvq_u16(set);
#else
  const uint16x4_t two = vpadd_u16(vget_low_u16(set), vget_high_u16(set));
  const uint16x4_t one = vpadd_u16(two, two);
  return vget_lane_u16(vpadd_u16(one, one), 0);
#endif
}

BNN2C_INLINE uint32_t bnn2c_row_count(bnn2c_row_counts counts, unsigned row) {
  uint16_t all[8];
  vst1q_u16(all, counts);
  return all[row];
}

#elif defined(__AVX512VPOPCNTDQ__) && defined(__AVX512VL__)

typedef __m256i bnn2c_row_counts;

/* Mismatches of eight rows, one per 32-bit lane; moves on to the next eight. */
BNN2C_INLINE bnn2c_row_counts bnn2c_count_rows(const uint32_t *patch, const uint32_t **weights, uint32_t words) {
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

BNN2C_INLINE uint32_t bnn2c_rows_above(bnn2c_row_counts counts, const int16_t *t) {
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

BNN2C_INLINE uint32_t bnn2c_popcount(uint32_t x) {
#if defined(__GNUC__)
  return (uint32_t)__builtin_popcount(x);
#else
  x -= (x >> 1) & 0x55555555u;
  x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
  return (((x + (x >> 4)) & 0x0F0F0F0Fu) * 0x01010101u) >> 24;
#endif
}

/* Mismatches of eight rows; moves on to the next eight. */
BNN2C_INLINE bnn2c_row_counts bnn2c_count_rows(const uint32_t *patch, const uint32_t **weights, uint32_t words) {
  bnn2c_row_counts counts = {{0u}};
  const uint32_t *w = *weights;
  const uint32_t *const end = patch + words;
  BNN2C_UNROLL(4)
  while (patch != end) {
    const uint32_t act = *patch;
    BNN2C_UNROLL(8)
    for (unsigned r = 0u; r < BNN2C_ROWS; r++) {
      counts.row[r] += bnn2c_popcount(act ^ w[r]);
    }
    w += BNN2C_ROWS;
    patch++;
  }
  *weights = w;
  return counts;
}

BNN2C_INLINE uint32_t bnn2c_rows_above(bnn2c_row_counts counts, const int16_t *t) {
  uint32_t bits = 0u;
  BNN2C_UNROLL(8)
  for (unsigned r = 0u; r < BNN2C_ROWS; r++) {
    bits |= (((int32_t)counts.row[r] > t[r]) ? 1u : 0u) << r;
  }
  return bits;
}

BNN2C_INLINE uint32_t bnn2c_row_count(bnn2c_row_counts counts, unsigned row) { return counts.row[row]; }

#endif

#endif /* BNN2C_ROW_COUNTS_H */
