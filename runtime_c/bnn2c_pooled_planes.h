/* bnn2c_pooled_planes.h - 2 x 2 max pooling of planes (bnn2c_planes.h) behind a binary convolution.
 *
 * The convolution makes its output vector by vector; each goes into a ring of `pitch` words per channel, and as soon as
 * two rows are complete their pooled row is appended to the planes of the result.  So the map before pooling is never
 * in memory as a whole.  Codes: the smaller one of a window wins (AND), in the channels of `mask` the larger one (OR).
 *
 * Pixels 2x, 2x + 1 of rows 2y, 2y + 1; a last row or column without a partner is left out:
 *     both = upper & lower,   pairs = both & (both >> 1),   pooled = the even bits of pairs.
 */
#ifndef BNN2C_POOLED_PLANES_H
#define BNN2C_POOLED_PLANES_H

#include "bnn2c_compiler.h"
#include "bnn2c_lanes.h"
#include "bnn2c_phases.h"

typedef struct {
  uint16_t channels;
  uint16_t in_w;  /* of a row before pooling */
  uint16_t out_h; /* after pooling */
  uint16_t out_w;
  uint32_t pitch;       /* words of a channel's ring: a power of two, whole vectors or the whole plane */
  const uint32_t *mask; /* bit c % 32 of word c / 32: the larger code of channel c wins; NULL for none */
} bnn2c_pooled_planes;

/* Even bits of each word in its lower half. */
BNN2C_INLINE bnn2c_lanes bnn2c_even_bits(bnn2c_lanes x) {
  x &= 0x55555555u;
  x = (x | (x >> 1)) & 0x33333333u;
  x = (x | (x >> 2)) & 0x0F0F0F0Fu;
  x = (x | (x >> 4)) & 0x00FF00FFu;
  return (x | (x >> 8)) & 0x0000FFFFu;
}

/* Where bits of all channels begin in words a pitch apart: word, the word behind it, bit. */
typedef struct {
  uint32_t word;
  uint32_t next; /* the same again when the bits end in it */
  uint32_t shift;
} bnn2c_bits_at;

/* `bits` bits from pixel `at` of a ring on. */
BNN2C_INLINE void bnn2c_ring_bits(const bnn2c_pooled_planes *p, uint32_t at, uint32_t bits, bnn2c_bits_at *from) {
  from->word = (at / 32u) & (p->pitch - 1u);
  from->next = ((at + bits - 1u) / 32u) & (p->pitch - 1u);
  from->shift = at % 32u;
}

BNN2C_INLINE bnn2c_lanes bnn2c_fetch_bits(const uint32_t *ring, bnn2c_lanes offsets,
                                         const bnn2c_bits_at *from) {
  const bnn2c_lanes high = bnn2c_gather_words(ring + from->next, offsets);
  return (bnn2c_gather_words(ring + from->word, offsets) >> from->shift) | ((high << 1) << (31u - from->shift));
}

/* Ones in the words of the masked channels from c on; words without a channel are those of the first. */
BNN2C_INLINE bnn2c_lanes bnn2c_pool_mask(const bnn2c_pooled_planes *p, uint32_t c) {
  bnn2c_lanes found = BNN2C_NO_LANES;
  for (uint32_t i = 0u; i < (uint32_t)BNN2C_LANE_WORDS; i++) {
    const uint32_t channel = (c + i < p->channels) ? (c + i) : c;
    ((uint32_t *)&found)[i] = 0u - ((p->mask[channel / 32u] >> (channel % 32u)) & 1u);
  }
  return found;
}

/* Adds `bits` / 2 pooled pixels to the planes of all channels: behind `to.shift` bits of a word, and up to `to.next`. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_pool_piece(const bnn2c_pooled_planes *p, const uint32_t *ring,
                                                  const bnn2c_bits_at *upper, const bnn2c_bits_at *lower,
                                                  uint32_t bits, uint32_t *out, const bnn2c_bits_at *to) {
  const uint32_t words = ((uint32_t)p->out_h * p->out_w + 31u) / 32u;
  const uint32_t valid = 0xFFFFu >> (16u - bits / 2u);
  for (uint32_t c = 0u; c < p->channels; c += (uint32_t)BNN2C_LANE_WORDS) {
    const bnn2c_lanes apart = bnn2c_lane_offsets(p->channels - c, p->pitch);
    const bnn2c_lanes places = bnn2c_lane_offsets(p->channels - c, words);
    const bnn2c_lanes mask = (p->mask != NULL) ? bnn2c_pool_mask(p, c) : BNN2C_NO_LANES;
    const bnn2c_lanes both = (bnn2c_fetch_bits(ring, apart, upper) ^ mask) & (bnn2c_fetch_bits(ring, apart, lower) ^ mask);
    const bnn2c_lanes pooled = (bnn2c_even_bits(both & (both >> 1)) ^ mask) & valid;
    bnn2c_lanes word = pooled << to->shift;
    if (to->shift != 0u) {
      word |= bnn2c_gather_words(out + to->word, places);
    }
    bnn2c_scatter_words(out + to->word, places, word);
    if (to->next != to->word) {
      bnn2c_scatter_words(out + to->next, places, pooled >> (32u - to->shift));
    }
    ring += (uint32_t)BNN2C_LANE_WORDS * p->pitch;
    out += (uint32_t)BNN2C_LANE_WORDS * words;
  }
}

/* Pooled row y. */
BNN2C_KERNEL void bnn2c_pool_row(const bnn2c_pooled_planes *p, const uint32_t *ring, uint32_t y, uint32_t *out) {
  const uint32_t width = 2u * p->out_w;
  bnn2c_bits_at upper;
  bnn2c_bits_at lower;
  bnn2c_bits_at to;
  for (uint32_t x = 0u; x < width; x += 32u) {
    const uint32_t bits = (width - x < 32u) ? (width - x) : 32u;
    const uint32_t at = 2u * y * p->in_w + x;
    const uint32_t first = y * p->out_w + x / 2u;
    bnn2c_ring_bits(p, at, bits, &upper);
    bnn2c_ring_bits(p, at + p->in_w, bits, &lower);
    to.word = first / 32u;
    to.next = (first + bits / 2u - 1u) / 32u;
    to.shift = first % 32u;
    bnn2c_pool_piece(p, ring, &upper, &lower, bits, out, &to);
  }
}

/* Pooled rows from `row` on that the first `pixels` pixels before pooling make complete; returns the next row. */
BNN2C_KERNEL uint32_t bnn2c_pool_rows(const bnn2c_pooled_planes *p, const uint32_t *ring, uint32_t row, uint32_t pixels,
                                      uint32_t *out) {
  for (; (row < p->out_h) && ((2u * row + 2u) * p->in_w <= pixels); row++) {
    bnn2c_pool_row(p, ring, row, out);
  }
  return row;
}

/* Function `name`: a convolution by the kernel family `family`, pooled.  scratch: the rings, then that of the kernel. */
#define BNN2C_POOLED_PLANES(name, params, family)                                                                    \
  BNN2C_KERNEL void name(const params *p, const bnn2c_pooled_planes *pool, const uint32_t *in, uint32_t *scratch,    \
                         uint32_t *out) {                                                                            \
    uint32_t *const own = scratch + pool->channels * pool->pitch;                                                    \
    const uint32_t *const image = family##_begin(p, in, own);                                                        \
    uint32_t first = 0u;                                                                                             \
    for (uint32_t row = 0u; row < pool->out_h;) {                                                                    \
      family##_words(p, image, first, own, scratch + (first & (pool->pitch - 1u)), pool->pitch);                     \
      first += (uint32_t)BNN2C_LANE_WORDS;                                                                           \
      row = bnn2c_pool_rows(pool, scratch, row, 32u * first, out);                                                   \
    }                                                                                                                \
  }

#endif /* BNN2C_POOLED_PLANES_H */
