/* bnn2c_popcount_lanes.h - binary convolution with a 32-bit counter per output channel, for AVX-512 with VPOPCNTDQ.
 *
 * A vector holds the same 32 weights of 16 output channels.  A word of activations is broadcast; XOR, population count
 * and addition make 16 x 32 products, and the counters need no sum across the vector at the end: the comparison with 16
 * thresholds gives 16 bits of the output.
 *
 * The image of bnn2c_padded_image.h is read by kernel rows (or by taps, when they lie apart): runs of words.  Up to four
 * neighbouring pixels and 64 channels (two units) are counted together, so that a vector of weights is loaded once; two
 * words in a round where runs have an even number of them.
 *
 * Weights: [blocks of 2 units, the last of 1 or 2][runs * run words][vectors][16 channels], spare ones 0.
 * Thresholds: [classes][units][32], output bit = m > t.  Timing does not depend on data.
 */
#ifndef BNN2C_POPCOUNT_LANES_H
#define BNN2C_POPCOUNT_LANES_H

#include "bnn2c.h"
#include "bnn2c_compiler.h"
#include "bnn2c_conv_shape.h"
#include "bnn2c_padded_image.h"

#if defined(__AVX512VPOPCNTDQ__)
#include <immintrin.h>
#endif

typedef struct {
  bnn2c_conv_shape shape;
  bnn2c_image_size image;
  uint16_t runs;
  uint16_t run_words;
  const uint16_t *offsets; /* [runs], bytes from the first one under the window */
  const uint32_t *weights;
  const int32_t *thresholds;
} bnn2c_popcount_lanes;

#define BNN2C_LANES_PIXELS 4u /* counted together */

/* Some neighbouring pixels of a row: their windows, thresholds and places for 32 or 64 bits of output. */
typedef struct {
  const uint8_t *window;
  uint32_t step; /* bytes from one window to the next */
  const int32_t *thresholds[BNN2C_LANES_PIXELS];
  uint32_t *out;
  uint32_t out_words; /* from one pixel's output to the next */
} bnn2c_lanes_pixels;

#if defined(__AVX512VPOPCNTDQ__)

/* sum += words, in place: gcc copies every counter in every round otherwise. */
#if defined(__GNUC__)
#define BNN2C_ADD_WORDS(sum, words) __asm__("vpaddd %1, %0, %0" : "+v"(sum) : "v"(words))
/* In a register, once: at -Os gcc reads weights from memory in every XOR, and broadcasts the word apart. */
#define BNN2C_KEEP_WEIGHTS(some) __asm__("" : "+v"(some))
#else
#define BNN2C_KEEP_WEIGHTS(some) ((void)0)
#define BNN2C_ADD_WORDS(sum, words) ((sum) = _mm512_add_epi32((sum), (words)))
#endif

/* The output bits of 1 or 4 pixels and 2 or 4 vectors of channels, 1 or 2 words in a round; these are constants. */
BNN2C_INLINE void bnn2c_lanes_count(const bnn2c_popcount_lanes *p, const uint32_t *weights, unsigned vectors,
                                    unsigned pixels, unsigned words, const bnn2c_lanes_pixels *at) {
  __m512i counts[4u * BNN2C_LANES_PIXELS];
  BNN2C_UNROLL(16)
  for (unsigned i = 0u; i < 16u; i++) {
    counts[i] = _mm512_setzero_si512();
  }
  const bnn2c_lanes_pixels to = *at;
  const uint64_t step = to.step;
  uint32_t run = 0u;
  do {
    const uint8_t *from = to.window + p->offsets[run];
    const uint8_t *const end = from + 4u * (uint32_t)p->run_words;
    do {
      BNN2C_UNROLL(8)
      for (unsigned i = 0u; i < 8u; i++) {
        const unsigned v = i % 4u;
        if ((v < vectors) && (i < 4u * words)) {
          __m512i some = _mm512_loadu_si512(weights + 16u * (i / 4u * vectors + v));
          BNN2C_KEEP_WEIGHTS(some);
          BNN2C_UNROLL(4)
          for (unsigned pixel = 0u; pixel < 4u; pixel++) {
            if (pixel < pixels) {
              int32_t word;
              BNN2C_KEEP(from); /* no register for what XOR broadcasts from memory by itself */
              __builtin_memcpy(&word, from + pixel * step + i / 4u * 4u, sizeof(word));
              const __m512i differ = _mm512_xor_si512(some, _mm512_set1_epi32(word));
              BNN2C_ADD_WORDS(counts[4u * pixel + v], _mm512_popcnt_epi32(differ));
            }
          }
        }
      }
      weights += 16u * vectors * words;
      from += 4u * words;
    } while (from != end);
    run++;
  } while (run != p->runs);
  BNN2C_UNROLL(4)
  for (unsigned pixel = 0u; pixel < 4u; pixel++) {
    BNN2C_UNROLL(4)
    for (unsigned v = 0u; v < 4u; v++) {
      if ((pixel < pixels) && (v < vectors)) {
        const __m512i bound = _mm512_loadu_si512(to.thresholds[pixel] + 16u * v);
        const uint16_t bits = (uint16_t)_mm512_cmpgt_epi32_mask(counts[4u * pixel + v], bound);
        __builtin_memcpy((uint8_t *)(to.out + pixel * to.out_words) + 2u * v, &bits, sizeof(bits));
      }
    }
  }
}

#define BNN2C_LANES_COUNT(name, vectors, pixels, words)                                                              \
  BNN2C_NOINLINE void name(const bnn2c_popcount_lanes *p, const uint32_t *weights, const bnn2c_lanes_pixels *at) {   \
    bnn2c_lanes_count(p, weights, (vectors), (pixels), (words), at);                                                 \
  }
BNN2C_LANES_COUNT(bnn2c_lanes_4x4x1, 4u, 4u, 1u)
BNN2C_LANES_COUNT(bnn2c_lanes_4x1x1, 4u, 1u, 1u)
BNN2C_LANES_COUNT(bnn2c_lanes_2x4x1, 2u, 4u, 1u)
BNN2C_LANES_COUNT(bnn2c_lanes_2x1x1, 2u, 1u, 1u)
BNN2C_LANES_COUNT(bnn2c_lanes_4x4x2, 4u, 4u, 2u)
BNN2C_LANES_COUNT(bnn2c_lanes_4x1x2, 4u, 1u, 2u)
BNN2C_LANES_COUNT(bnn2c_lanes_2x4x2, 2u, 4u, 2u)
BNN2C_LANES_COUNT(bnn2c_lanes_2x1x2, 2u, 1u, 2u)

/* 1 or 4 pixels and 1 or 2 units. */
BNN2C_INLINE void bnn2c_lanes_block(const bnn2c_popcount_lanes *p, const uint32_t *weights, uint32_t units,
                                    uint32_t pixels, const bnn2c_lanes_pixels *at) {
  const uint32_t even = (p->run_words % 2u == 0u) ? 4u : 0u;
  switch (even + ((units == 2u) ? 2u : 0u) + ((pixels == BNN2C_LANES_PIXELS) ? 1u : 0u)) {
    case 0u:
      bnn2c_lanes_2x1x1(p, weights, at);
      break;
    case 1u:
      bnn2c_lanes_2x4x1(p, weights, at);
      break;
    case 2u:
      bnn2c_lanes_4x1x1(p, weights, at);
      break;
    case 3u:
      bnn2c_lanes_4x4x1(p, weights, at);
      break;
    case 4u:
      bnn2c_lanes_2x1x2(p, weights, at);
      break;
    case 5u:
      bnn2c_lanes_2x4x2(p, weights, at);
      break;
    case 6u:
      bnn2c_lanes_4x1x2(p, weights, at);
      break;
    default:
      bnn2c_lanes_4x4x2(p, weights, at);
      break;
  }
}

#else

/* Mismatches of a channel; weights: its words, `stride` apart. */
BNN2C_INLINE int32_t bnn2c_lanes_channel(const bnn2c_popcount_lanes *p, const uint32_t *weights, uint32_t stride,
                                         const uint8_t *window) {
  uint32_t count = 0u;
  for (uint32_t run = 0u; run < p->runs; run++) {
    const uint8_t *from = window + p->offsets[run];
    for (uint32_t word = 0u; word < p->run_words; word++) {
      const uint32_t low = from[0] | ((uint32_t)from[1] << 8);
      count += BNN2C_POPCOUNT32(*weights ^ (low | ((uint32_t)from[2] << 16) | ((uint32_t)from[3] << 24)));
      weights += stride;
      from += 4;
    }
  }
  return (int32_t)count;
}

/* 1 or 4 pixels and 1 or 2 units. */
BNN2C_INLINE void bnn2c_lanes_block(const bnn2c_popcount_lanes *p, const uint32_t *weights, uint32_t units,
                                    uint32_t pixels, const bnn2c_lanes_pixels *at) {
  for (uint32_t pixel = 0u; pixel < pixels; pixel++) {
    uint32_t *const out = at->out + pixel * at->out_words;
    for (uint32_t c = 0u; c < 32u * units; c++) {
      const int32_t count = bnn2c_lanes_channel(p, weights + c, 32u * units, at->window + pixel * at->step);
      const uint32_t before = (c % 32u == 0u) ? 0u : out[c / 32u];
      out[c / 32u] = before | (((count > at->thresholds[pixel][c]) ? 1u : 0u) << (c % 32u));
    }
  }
}

#endif

/* All output channels of some pixels of a row; moves on to their thresholds and outputs unit by unit. */
BNN2C_INLINE void bnn2c_lanes_columns(const bnn2c_popcount_lanes *p, uint32_t pixels, bnn2c_lanes_pixels *at) {
  const uint32_t words = (uint32_t)p->runs * p->run_words;
  const uint32_t *weights = p->weights;
  uint32_t *const out = at->out;
  for (uint32_t left = at->out_words; left != 0u;) {
    const uint32_t units = (left < 2u) ? 1u : 2u;
    bnn2c_lanes_block(p, weights, units, pixels, at);
    weights += 32u * units * words;
    for (uint32_t pixel = 0u; pixel < pixels; pixel++) {
      at->thresholds[pixel] += 32u * units;
    }
    at->out += units;
    left -= units;
  }
  at->out = out + pixels * at->out_words;
  at->window += pixels * at->step;
}

/* nhwc_bits -> nhwc_bits, thresholded. */
BNN2C_KERNEL void bnn2c_popcount_lanes_bits(const bnn2c_popcount_lanes *p, const uint32_t *in, uint32_t *scratch,
                                            uint32_t *out) {
  const uint8_t *const image = bnn2c_image_of(&p->shape, p->image, 3u, in, (uint8_t *)scratch);
  bnn2c_lanes_pixels at = {0};
  at.step = (uint32_t)p->shape.stride_w * p->image.pixel_bytes;
  at.out = out;
  at.out_words = ((uint32_t)p->shape.out_c + 31u) / 32u;
  for (uint32_t y = 0u; y < p->shape.out_h; y++) {
    const int32_t *const row = p->thresholds + 32u * at.out_words * p->shape.row_class[y] * p->shape.col_classes;
    at.window = image + y * p->shape.stride_h * p->image.width * p->image.pixel_bytes;
    for (uint32_t x = 0u; x < p->shape.out_w;) {
      const uint32_t pixels = ((p->shape.out_w - x) < BNN2C_LANES_PIXELS) ? 1u : BNN2C_LANES_PIXELS;
      for (uint32_t pixel = 0u; pixel < pixels; pixel++) {
        at.thresholds[pixel] = row + 32u * at.out_words * p->shape.col_class[x + pixel];
      }
      bnn2c_lanes_columns(p, pixels, &at);
      x += pixels;
    }
  }
}

#endif /* BNN2C_POPCOUNT_LANES_H */
