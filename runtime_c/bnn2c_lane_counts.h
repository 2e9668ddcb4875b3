/* bnn2c_lane_counts.h - vertical counters (one word per binary digit, 32 counters side by side) to integers. */
#ifndef BNN2C_LANE_COUNTS_H
#define BNN2C_LANE_COUNTS_H

#include "bnn2c_compiler.h"

#include <stdint.h>

/* Where the results of consecutive channels go; exactly one pointer is set. */
typedef struct {
  uint32_t *bits;
  int16_t *i16;
  int32_t *i32;
} bnn2c_channel_output;

#define BNN2C_TO_bits(out) {(out), NULL, NULL} /* all three: a shorter initialiser calls memset */
#define BNN2C_TO_i16(out) {NULL, (out), NULL}
#define BNN2C_TO_i32(out) {NULL, NULL, (out)}

/* The function of a kernel for one kind of result: of all pixels, of pixel (y, x). */
#define BNN2C_CHANNEL_RESULT(function, params, suffix, type)                                                         \
  BNN2C_KERNEL void function##_##suffix(const params *p, const uint32_t *in, uint32_t *scratch, type *out) {         \
    bnn2c_channel_output to = BNN2C_TO_##suffix(out);                                                                \
    function##_run(p, in, scratch, &to);                                                                             \
  }
#define BNN2C_PIXEL_RESULT(function, params, suffix, type)                                                           \
  BNN2C_KERNEL void function##_##suffix##_at(const params *p, const uint32_t *in, uint32_t y, uint32_t x,            \
                                             uint32_t *scratch, type *out) {                                         \
    bnn2c_channel_output to = BNN2C_TO_##suffix(out);                                                                \
    function##_at(p, in, y, x, scratch, &to);                                                                        \
  }

/* Digits from..to-1 of lanes lane, lane + 8, lane + 16, lane + 24, in the four bytes of the result. */
BNN2C_INLINE uint32_t bnn2c_gather_digits(const uint32_t *digits, uint32_t from, uint32_t to, uint32_t lane) {
  uint32_t bytes = 0u;
  while (to != from) {
    to--;
    bytes = (bytes << 1) | ((digits[to] >> lane) & 0x01010101u);
  }
  return bytes;
}

/* The 32 counters in `digits` as integers; planes <= 24. */
BNN2C_NOINLINE void bnn2c_lane_counts(const uint32_t *digits, uint32_t planes, uint32_t *counts) {
  for (uint32_t lane = 0u; lane < 32u; lane++) {
    counts[lane] = 0u;
    BNN2C_KEEP(lane);
  }
  for (uint32_t from = 0u; from < planes; from += 8u) {
    const uint32_t to = ((planes - from) < 8u) ? planes : (from + 8u);
    for (uint32_t lane = 0u; lane < 8u; lane++) {
      const uint32_t bytes = bnn2c_gather_digits(digits, from, to, lane);
      counts[lane] |= (bytes & 255u) << from;
      counts[lane + 8u] |= ((bytes >> 8) & 255u) << from;
      counts[lane + 16u] |= ((bytes >> 16) & 255u) << from;
      counts[lane + 24u] |= (bytes >> 24) << from;
    }
  }
}

/* Writes the counters of `channels` lanes and moves on. */
BNN2C_INLINE void bnn2c_store_counts(bnn2c_channel_output *out, const uint32_t *digits, uint32_t planes,
                                     uint32_t channels) {
  uint32_t counts[32];
  bnn2c_lane_counts(digits, planes, counts);
  if (out->i16 != NULL) {
    for (uint32_t lane = 0u; lane < channels; lane++) {
      out->i16[lane] = (int16_t)counts[lane];
    }
    out->i16 += channels;
  } else {
    for (uint32_t lane = 0u; lane < channels; lane++) {
      out->i32[lane] = (int32_t)counts[lane];
    }
    out->i32 += channels;
  }
}

#endif /* BNN2C_LANE_COUNTS_H */
