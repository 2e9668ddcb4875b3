/* bnn2c_lanes.h - the widest word of bits that the target computes on, and adders for vertical counters of that width.
 *
 * bnn2c_lanes holds 32 * BNN2C_LANE_WORDS lanes: a uint32_t, or a vector (4 words for NEON, MVE and SSE2, 8 for AVX2) by
 * the vector extension of gcc and clang; it needs no more than the alignment of uint32_t.  The generated code defines
 * BNN2C_LANE_WORDS for its target, because the arena depends on it.  Two carries travel as a pair
 * whose form suits the machine: plain where a full adder is 3 instructions or fewer; elsewhere as (first,
 * first ^ second), for which two chained full adders need 8 gates instead of 10 (the MDFA of Demenkov, Kojevnikov,
 * Kulikov and Yaroslavtsev, 2010).  With z the sum so far:
 *   half = z ^ a.other             sum of z and both words of a
 *   changed = (a.first ^ z) | a.other;  carry 1 = half ^ changed
 *   carry 1 ^ carry 2 = changed ^ ((b.first ^ half) & ~b.other)
 */
#ifndef BNN2C_LANES_H
#define BNN2C_LANES_H

#include "bnn2c_compiler.h"

#include <stdint.h>

#ifndef BNN2C_LANE_WORDS
#define BNN2C_LANE_WORDS 1
#endif

#if BNN2C_LANE_WORDS == 1
typedef uint32_t bnn2c_lanes;
#define BNN2C_NO_LANES 0u
#else
typedef uint32_t bnn2c_lanes __attribute__((vector_size(4 * BNN2C_LANE_WORDS), aligned(4), may_alias));
#define BNN2C_NO_LANES ((bnn2c_lanes){0u})
#endif

#if defined(__ARM_FEATURE_MVE) && (BNN2C_LANE_WORDS == 4)
#include <arm_mve.h>
#endif

/* One more gate, one value less to keep: pays for 14 scalar or 8 vector registers (Thumb-2, MVE). */
#ifndef BNN2C_FEW_REGISTERS
#if defined(__thumb2__) && !defined(__ARM_NEON)
#define BNN2C_FEW_REGISTERS 1
#else
#define BNN2C_FEW_REGISTERS 0
#endif
#endif

/* Full adders of 3 instructions (NEON bit select) or 2 (AVX-512 ternary logic); the compilers miss them. */
#if defined(__ARM_NEON) && (BNN2C_LANE_WORDS == 4)
#include <arm_neon.h>
#define BNN2C_SHORT_ADDER 1
BNN2C_INLINE bnn2c_lanes bnn2c_full_add(bnn2c_lanes *sum, bnn2c_lanes a, bnn2c_lanes b) {
  const bnn2c_lanes differ = a ^ b;
  const bnn2c_lanes carry = (bnn2c_lanes)vbslq_u32((uint32x4_t)differ, (uint32x4_t)*sum, (uint32x4_t)a);
  *sum ^= differ;
  return carry;
}
BNN2C_INLINE bnn2c_lanes bnn2c_full_add_inverted(bnn2c_lanes *sum, bnn2c_lanes a, bnn2c_lanes b) {
  const bnn2c_lanes differ = a ^ b;
  const bnn2c_lanes carry = (bnn2c_lanes)vbslq_u32((uint32x4_t)differ, (uint32x4_t)*sum, (uint32x4_t)~a);
  *sum ^= differ;
  return carry;
}
#elif defined(__AVX512VL__) && (BNN2C_LANE_WORDS == 8)
#include <immintrin.h>
#define BNN2C_SHORT_ADDER 1
BNN2C_INLINE bnn2c_lanes bnn2c_full_add(bnn2c_lanes *sum, bnn2c_lanes a, bnn2c_lanes b) {
  const bnn2c_lanes old = *sum;
  *sum = (bnn2c_lanes)_mm256_ternarylogic_epi32((__m256i)a, (__m256i)b, (__m256i)old, 0x96);
  return (bnn2c_lanes)_mm256_ternarylogic_epi32((__m256i)a, (__m256i)b, (__m256i)old, 0xE8);
}
BNN2C_INLINE bnn2c_lanes bnn2c_full_add_inverted(bnn2c_lanes *sum, bnn2c_lanes a, bnn2c_lanes b) {
  const bnn2c_lanes old = *sum;
  *sum = (bnn2c_lanes)_mm256_ternarylogic_epi32((__m256i)a, (__m256i)b, (__m256i)old, 0x96);
  return (bnn2c_lanes)_mm256_ternarylogic_epi32((__m256i)a, (__m256i)b, (__m256i)old, 0x2B);
}
#else
#define BNN2C_SHORT_ADDER 0
#endif

/* Word offsets of `count` pieces of memory that lie `apart`, one for each word of a vector; words without one take the
 * first again. */
BNN2C_INLINE bnn2c_lanes bnn2c_lane_offsets(uint32_t count, uint32_t apart) {
  bnn2c_lanes offsets = BNN2C_NO_LANES;
  for (uint32_t i = 1u; (i < (uint32_t)BNN2C_LANE_WORDS) && (i < count); i++) {
    ((uint32_t *)&offsets)[i] = i * apart;
  }
  return offsets;
}

/* The words at offsets[0], offsets[1], ... behind `words`: MVE has an instruction for it. */
BNN2C_INLINE bnn2c_lanes bnn2c_gather_words(const uint32_t *words, bnn2c_lanes offsets) {
#if defined(__ARM_FEATURE_MVE) && (BNN2C_LANE_WORDS == 4)
  return (bnn2c_lanes)vldrwq_gather_shifted_offset_u32(words, (uint32x4_t)offsets);
#elif BNN2C_LANE_WORDS == 1
  return words[offsets];
#else
  bnn2c_lanes found = BNN2C_NO_LANES;
  BNN2C_FLAT
  for (unsigned i = 0u; i < (unsigned)BNN2C_LANE_WORDS; i++) {
    found[i] = words[offsets[i]];
  }
  return found;
#endif
}

/* Stores the words of a vector at such places. */
BNN2C_INLINE void bnn2c_scatter_words(uint32_t *to, bnn2c_lanes offsets, bnn2c_lanes words) {
#if defined(__ARM_FEATURE_MVE) && (BNN2C_LANE_WORDS == 4)
  vstrwq_scatter_shifted_offset_u32(to, (uint32x4_t)offsets, (uint32x4_t)words);
#elif BNN2C_LANE_WORDS == 1
  to[offsets] = words;
#else
  BNN2C_FLAT
  for (unsigned i = 0u; i < (unsigned)BNN2C_LANE_WORDS; i++) {
    to[offsets[i]] = words[i];
  }
#endif
}

/* Vector `entry` (0..255) of an array.  gcc's AArch64 costs avoid scaled addresses of whole vectors, which take no instruction. */
#if defined(__aarch64__) && defined(__GNUC__) && !defined(__clang__) && (BNN2C_LANE_WORDS == 4)
typedef struct {
  bnn2c_lanes entries[256];
} bnn2c_window_memory;

BNN2C_INLINE bnn2c_lanes bnn2c_listed(const bnn2c_lanes *window, uint32_t entry) {
  const bnn2c_window_memory *const memory = (const bnn2c_window_memory *)window;
  bnn2c_lanes value;
  __asm__("ldr %q0, [%1, %2, lsl #4]" : "=w"(value) : "r"(window), "r"((uint64_t)entry), "m"(*memory));
  return value;
}
#else
BNN2C_INLINE bnn2c_lanes bnn2c_listed(const bnn2c_lanes *window, uint32_t entry) { return window[entry]; }
#endif

/* Two carries of equal weight. */
typedef struct {
  bnn2c_lanes first;
  bnn2c_lanes other; /* the second, or first ^ second */
} bnn2c_lane_pair;

BNN2C_INLINE bnn2c_lane_pair bnn2c_pair_lanes(bnn2c_lanes a, bnn2c_lanes b) {
  bnn2c_lane_pair pair;
  pair.first = a;
#if BNN2C_SHORT_ADDER
  pair.other = b;
#else
  pair.other = a ^ b;
#endif
  return pair;
}

/* Adds one word to one digit and returns the carry. */
BNN2C_INLINE bnn2c_lanes bnn2c_add_lanes(bnn2c_lanes *sum, bnn2c_lanes word) {
  const bnn2c_lanes carry = *sum & word;
  *sum ^= word;
  return carry;
}

/* Adds two words of one digit to `*sum` and returns the carry. */
BNN2C_INLINE bnn2c_lanes bnn2c_add_lane_pair(bnn2c_lanes *sum, bnn2c_lane_pair a) {
#if BNN2C_SHORT_ADDER
  return bnn2c_full_add(sum, a.first, a.other);
#else
  const bnn2c_lanes changed = (a.first ^ *sum) | a.other;
  *sum ^= a.other;
  return *sum ^ changed;
#endif
}

/* The same for the inverted words of the pair. */
BNN2C_INLINE bnn2c_lanes bnn2c_add_inverted_lane_pair(bnn2c_lanes *sum, bnn2c_lane_pair a) {
#if BNN2C_SHORT_ADDER
  return bnn2c_full_add_inverted(sum, a.first, a.other);
#else
  const bnn2c_lanes changed = a.other | ~(a.first ^ *sum);
  *sum ^= a.other;
  return *sum ^ changed;
#endif
}

/* Adds four words of one digit to `*sum`; the two carries go to the next digit. */
BNN2C_INLINE bnn2c_lane_pair bnn2c_add_lane_pairs(bnn2c_lanes *sum, bnn2c_lane_pair a, bnn2c_lane_pair b) {
  bnn2c_lane_pair carry;
#if BNN2C_SHORT_ADDER
  carry.first = bnn2c_add_lane_pair(sum, a);
  carry.other = bnn2c_add_lane_pair(sum, b);
#else
  const bnn2c_lanes half = *sum ^ a.other;
  const bnn2c_lanes changed = (a.first ^ *sum) | a.other;
  carry.first = half ^ changed;
  carry.other = changed ^ ((b.first ^ half) & ~b.other);
  *sum = half ^ b.other;
#endif
  return carry;
}

/* One digit of a number a + b with the carry kept in `*carry`. */
BNN2C_INLINE bnn2c_lanes bnn2c_add_digit(bnn2c_lanes a, bnn2c_lanes b, bnn2c_lanes *carry) {
#if BNN2C_SHORT_ADDER
  bnn2c_lanes sum = *carry;
  *carry = bnn2c_full_add(&sum, a, b);
  return sum;
#else
  const bnn2c_lanes differ = a ^ b;
  const bnn2c_lanes sum = differ ^ *carry;
  *carry = (a & b) | (differ & *carry);
  return sum;
#endif
}

#endif /* BNN2C_LANES_H */
