/* bnn2c_lanes.h - the widest word of bits that the target computes on, and adders for vertical counters of that width.
 *
 * bnn2c_lanes holds 32 * BNN2C_LANE_WORDS lanes: a uint32_t, or a vector (NEON, MVE, SSE2, AVX2) by the vector extension
 * of gcc and clang; it needs no more than the alignment of uint32_t.  Two carries travel as a pair whose form suits
 * the machine: with a bit select (NEON) a full adder is 3 instructions on plain words; without, pairs are (first,
 * first ^ second) as in bnn2c_carry_save.h.
 */
#ifndef BNN2C_LANES_H
#define BNN2C_LANES_H

#include "bnn2c_compiler.h"

#include <stdint.h>

#ifndef BNN2C_LANE_WORDS
#if !defined(__GNUC__)
#define BNN2C_LANE_WORDS 1
#elif defined(__AVX2__)
#define BNN2C_LANE_WORDS 8
#elif defined(__SSE2__) || defined(__ARM_NEON) || defined(__ARM_FEATURE_MVE)
#define BNN2C_LANE_WORDS 4
#else
#define BNN2C_LANE_WORDS 1
#endif
#endif

#if BNN2C_LANE_WORDS == 1
typedef uint32_t bnn2c_lanes;
#define BNN2C_NO_LANES 0u
#else
typedef uint32_t bnn2c_lanes __attribute__((vector_size(4 * BNN2C_LANE_WORDS), aligned(4), may_alias));
#define BNN2C_NO_LANES ((bnn2c_lanes){0u})
#endif

#if defined(__ARM_NEON) || defined(__AVX512VL__)
#define BNN2C_BIT_SELECT 1
#else
#define BNN2C_BIT_SELECT 0
#endif

/* Two carries of equal weight. */
typedef struct {
  bnn2c_lanes first;
  bnn2c_lanes other; /* the second, or first ^ second */
} bnn2c_lane_pair;

BNN2C_INLINE bnn2c_lane_pair bnn2c_pair_lanes(bnn2c_lanes a, bnn2c_lanes b) {
  bnn2c_lane_pair pair;
  pair.first = a;
  pair.other = BNN2C_BIT_SELECT ? b : (a ^ b);
  return pair;
}

/* Adds one word to one digit and returns the carry. */
BNN2C_INLINE bnn2c_lanes bnn2c_add_lanes(bnn2c_lanes *sum, bnn2c_lanes word) {
  const bnn2c_lanes carry = *sum & word;
  *sum ^= word;
  return carry;
}

/* Adds two words of one digit to `*sum` and returns the carry: of two equal words that word, else the old sum. */
BNN2C_INLINE bnn2c_lanes bnn2c_add_lane_pair(bnn2c_lanes *sum, bnn2c_lane_pair a) {
#if BNN2C_BIT_SELECT
  const bnn2c_lanes differ = a.first ^ a.other;
  const bnn2c_lanes carry = (differ & *sum) | (a.first & ~differ);
  *sum ^= differ;
  return carry;
#else
  const bnn2c_lanes changed = (a.first ^ *sum) | a.other;
  *sum ^= a.other;
  return *sum ^ changed;
#endif
}

/* The same for the inverted words of the pair. */
BNN2C_INLINE bnn2c_lanes bnn2c_add_inverted_lane_pair(bnn2c_lanes *sum, bnn2c_lane_pair a) {
#if BNN2C_BIT_SELECT
  const bnn2c_lanes differ = a.first ^ a.other;
  const bnn2c_lanes carry = (differ & *sum) | ~(a.first | differ);
  *sum ^= differ;
  return carry;
#else
  const bnn2c_lanes changed = a.other | ~(a.first ^ *sum);
  *sum ^= a.other;
  return *sum ^ changed;
#endif
}

/* Adds four words of one digit to `*sum`; the two carries go to the next digit. */
BNN2C_INLINE bnn2c_lane_pair bnn2c_add_lane_pairs(bnn2c_lanes *sum, bnn2c_lane_pair a, bnn2c_lane_pair b) {
  bnn2c_lane_pair carry;
#if BNN2C_BIT_SELECT
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
  const bnn2c_lanes differ = a ^ b;
  const bnn2c_lanes sum = differ ^ *carry;
  *carry = (a & b) | (differ & *carry);
  return sum;
}

#endif /* BNN2C_LANES_H */
