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

/* Exchanges bits of two words: those of `mask` in `b` with the ones `distance` higher in `a`. */
BNN2C_INLINE void bnn2c_exchange_bits(uint32_t *a, uint32_t *b, unsigned distance, uint32_t mask) {
  const uint32_t changed = ((*a >> distance) ^ *b) & mask;
  *b ^= changed;
  *a ^= changed << distance;
}

/* bytes[i] = eight digits of lanes i, i + 8, i + 16 and i + 24: a transposition of 8 x 8 bits in every byte. */
BNN2C_NOINLINE void bnn2c_lane_bytes(const uint32_t *digits, uint32_t *bytes) {
  for (unsigned i = 0u; i < 4u; i++) {
    bytes[i] = digits[i];
    bytes[i + 4u] = digits[i + 4u];
    bnn2c_exchange_bits(&bytes[i], &bytes[i + 4u], 4u, 0x0F0F0F0Fu);
  }
  for (unsigned i = 0u; i < 4u; i++) {
    uint32_t *const pair = &bytes[i + (i & 2u)]; /* 0 1 4 5 */
    bnn2c_exchange_bits(&pair[0], &pair[2], 2u, 0x33333333u);
  }
  for (unsigned i = 0u; i < 8u; i += 2u) {
    bnn2c_exchange_bits(&bytes[i], &bytes[i + 1u], 1u, 0x55555555u);
  }
}

/* The counters of 32 lanes as integers of 16 bits; 16 digits. */
BNN2C_NOINLINE void bnn2c_lane_counts(const uint32_t *digits, uint16_t *counts) {
  uint32_t low[8];
  uint32_t high[8];
  bnn2c_lane_bytes(digits, low);
  bnn2c_lane_bytes(digits + 8, high);
  for (uint32_t lane = 0u; lane < 8u; lane++) {
    const uint32_t even = (low[lane] & 0x00FF00FFu) | ((high[lane] & 0x00FF00FFu) << 8);
    const uint32_t odd = ((low[lane] >> 8) & 0x00FF00FFu) | (high[lane] & 0xFF00FF00u);
    counts[lane] = (uint16_t)even;
    counts[lane + 8u] = (uint16_t)odd;
    counts[lane + 16u] = (uint16_t)(even >> 16);
    counts[lane + 24u] = (uint16_t)(odd >> 16);
  }
}

/* Writes the counters of `channels` lanes and moves on.  Digit d, of at most 24, is digits[d * stride]. */
BNN2C_KERNEL void bnn2c_store_counts(bnn2c_channel_output *out, const uint32_t *digits, uint32_t stride,
                                     uint32_t planes, uint32_t channels) {
  uint32_t padded[24];
  uint16_t counts[32];
  uint32_t upper[8];
  for (uint32_t d = 0u; d < 24u; d++) {
    padded[d] = (d < planes) ? digits[d * stride] : 0u;
    BNN2C_KEEP(d);
  }
  if ((out->i16 != NULL) && (channels == 32u)) {
    bnn2c_lane_counts(padded, (uint16_t *)out->i16); /* counts are never negative */
    out->i16 += 32;
  } else {
    bnn2c_lane_counts(padded, counts);
    bnn2c_lane_bytes(padded + 16, upper);
    for (uint32_t lane = 0u; lane < channels; lane++) {
      if (out->i16 != NULL) {
        *out->i16 = (int16_t)counts[lane];
        out->i16++;
      } else {
        const uint32_t byte = (upper[lane & 7u] >> (lane & 24u)) & 255u;
        const uint32_t count = (byte << 16) | counts[lane];
        *out->i32 = (int32_t)count;
        out->i32++;
      }
    }
  }
}

#endif /* BNN2C_LANE_COUNTS_H */
