/* bnn2c_popcount_lanes.h - binary convolution with a 32-bit counter per output channel, for AVX-512 with VPOPCNTDQ.
 *
 * A vector holds the same 32 weights of 16 output channels.  A word of activations is broadcast; XOR with the weights,
 * population count and addition make 16 x 32 products, and the counters need no sum across the vector at the end: the
 * comparison with 16 thresholds gives 16 bits of the output.
 *
 * The image of bnn2c_padded_image.h is read by kernel rows (or by taps, when they lie apart): runs of words.  There is
 * one function for each number of vectors that make a block of channels; it counts as many neighbouring pixels together
 * as there are registers for, and those that are left in a row one by one.
 *
 * Weights: [blocks][runs * run words][vectors of a block][16 channels], spare ones 0.
 * Thresholds: [classes][vectors][16], output bit = m > t.  Timing does not depend on data.
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

/* The first of some neighbouring pixels, and a block of output channels. */
typedef struct {
  const uint8_t *window;
  uint32_t step; /* bytes from one window to the next */
  const uint32_t *weights;
  const int32_t *thresholds;
  const uint8_t *col_class;
  uint32_t *out;
  uint32_t out_words; /* of a pixel */
} bnn2c_lanes_place;

#if defined(__AVX512VPOPCNTDQ__)

#if defined(__GNUC__)
/* words ^ weights, which are read from memory: a register for those that several pixels read takes an instruction. */
#define BNN2C_XOR_WEIGHTS(result, words, weights) \
  __asm__("vpxord %2, %1, %0" : "=v"(result) : "v"(words), "m"(*(const __m512i_u *)(weights)))
/* sum += words, in place: gcc copies every counter in every round otherwise. */
#define BNN2C_ADD_WORDS(sum, words) __asm__("vpaddd %1, %0, %0" : "+v"(sum) : "v"(words))
#else
#define BNN2C_XOR_WEIGHTS(result, words, weights) \
  ((result) = _mm512_xor_si512((words), _mm512_loadu_si512(weights)))
#define BNN2C_ADD_WORDS(sum, words) ((sum) = _mm512_add_epi32((sum), (words)))
#endif

/* The mismatches of a word of each window: counts are set by the first one and grow by the others. */
BNN2C_INLINE void bnn2c_lanes_word(__m512i *counts, unsigned vectors, unsigned pixels, unsigned first,
                                   const uint8_t *from, uint64_t step, const uint32_t *weights) {
  BNN2C_FLAT
  for (unsigned pixel = 0u; pixel < pixels; pixel++) {
    int32_t word;
    __builtin_memcpy(&word, from + pixel * step, sizeof(word));
    const __m512i all = _mm512_set1_epi32(word);
    BNN2C_FLAT
    for (unsigned v = 0u; v < vectors; v++) {
      __m512i differ;
      BNN2C_XOR_WEIGHTS(differ, all, weights + 16u * v);
      if (first != 0u) {
        counts[pixel * vectors + v] = _mm512_popcnt_epi32(differ);
      } else {
        BNN2C_ADD_WORDS(counts[pixel * vectors + v], _mm512_popcnt_epi32(differ));
      }
    }
  }
}

/* The output bits of some pixels and vectors of channels; both are constants. */
BNN2C_INLINE void bnn2c_lanes_count(const bnn2c_popcount_lanes *p, const bnn2c_lanes_place *at, unsigned vectors,
                                    unsigned pixels) {
  __m512i counts[16];
  const uint64_t step = at->step;
  const uint32_t *weights = at->weights + 16u * vectors;
  const uint8_t *from = at->window + 4;
  const uint16_t *offset = p->offsets;
  const uint16_t *const last = offset + p->runs - 1u;
  uint32_t left = (uint32_t)p->run_words - 1u;
  bnn2c_lanes_word(counts, vectors, pixels, 1u, at->window, step, at->weights);
  for (;;) {
    if ((left & 1u) != 0u) {
      bnn2c_lanes_word(counts, vectors, pixels, 0u, from, step, weights);
      weights += 16u * vectors;
      from += 4;
    }
    for (left /= 2u; left != 0u; left--) {
      bnn2c_lanes_word(counts, vectors, pixels, 0u, from, step, weights);
      bnn2c_lanes_word(counts, vectors, pixels, 0u, from + 4, step, weights + 16u * vectors);
      weights += 32u * vectors;
      from += 8;
    }
    if (offset == last) {
      break;
    }
    offset++;
    from = at->window + *offset;
    left = p->run_words;
  }
  BNN2C_FLAT
  for (unsigned pixel = 0u; pixel < pixels; pixel++) {
    const int32_t *const thresholds = at->thresholds + 32u * at->out_words * at->col_class[pixel];
    uint8_t *const out = (uint8_t *)(at->out + pixel * at->out_words);
    BNN2C_FLAT
    for (unsigned v = 0u; v < vectors; v++) {
      const __m512i bound = _mm512_loadu_si512(thresholds + 16u * v);
      const uint16_t bits = (uint16_t)_mm512_cmpgt_epi32_mask(counts[pixel * vectors + v], bound);
      __builtin_memcpy(out + 2u * v, &bits, sizeof(bits));
    }
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

/* The output bits of some pixels and vectors of channels. */
BNN2C_INLINE void bnn2c_lanes_count(const bnn2c_popcount_lanes *p, const bnn2c_lanes_place *at, unsigned vectors,
                                    unsigned pixels) {
  for (uint32_t pixel = 0u; pixel < pixels; pixel++) {
    const int32_t *const thresholds = at->thresholds + 32u * at->out_words * at->col_class[pixel];
    uint32_t *const out = at->out + pixel * at->out_words;
    for (uint32_t c = 0u; c < 16u * vectors; c++) {
      const int32_t count = bnn2c_lanes_channel(p, at->weights + c, 16u * vectors, at->window + pixel * at->step);
      const uint32_t before = (c % 32u == 0u) ? 0u : out[c / 32u];
      out[c / 32u] = before | (((count > thresholds[c]) ? 1u : 0u) << (c % 32u));
    }
  }
}

#endif

/* On to the pixels behind these. */
BNN2C_INLINE void bnn2c_lanes_move(bnn2c_lanes_place *at, unsigned pixels) {
  at->window += pixels * at->step;
  at->col_class += pixels;
  at->out += pixels * at->out_words;
}

/* nhwc_bits -> nhwc_bits, thresholded; vectors of a block (even) and pixels together are constants. */
BNN2C_INLINE void bnn2c_popcount_lanes_rows(const bnn2c_popcount_lanes *p, const uint32_t *in, uint32_t *scratch,
                                            uint32_t *out, unsigned vectors, unsigned pixels) {
  const uint8_t *const image = bnn2c_pad_image(&p->shape, p->image, 3u, in, (uint8_t *)scratch);
  const uint32_t all = ((uint32_t)p->shape.out_c + 31u) / 32u * 2u;
  bnn2c_lanes_place at = {0};
  at.step = (uint32_t)p->shape.stride_w * p->image.pixel_bytes;
  at.out_words = all / 2u;
  for (uint32_t y = 0u; y < p->shape.out_h; y++) {
    const int32_t *const thresholds = p->thresholds + 16u * all * p->shape.row_class[y] * p->shape.col_classes;
    at.weights = p->weights;
    for (uint32_t vector = 0u; vector < all; vector += vectors) {
      at.window = image + y * p->shape.stride_h * p->image.width * p->image.pixel_bytes;
      at.thresholds = thresholds + 16u * vector;
      at.col_class = p->shape.col_class;
      at.out = out + y * p->shape.out_w * at.out_words + vector / 2u;
      uint32_t left = p->shape.out_w;
      for (; left >= pixels; left -= pixels) {
        bnn2c_lanes_count(p, &at, vectors, pixels);
        bnn2c_lanes_move(&at, pixels);
      }
      for (; (pixels != 1u) && (left != 0u); left--) {
        bnn2c_lanes_count(p, &at, vectors, 1u);
        bnn2c_lanes_move(&at, 1u);
      }
      at.weights += 16u * vectors * p->runs * p->run_words;
    }
  }
}

#define BNN2C_POPCOUNT_LANES(vectors, pixels)                                                                        \
  BNN2C_KERNEL void bnn2c_popcount_lanes##vectors##_bits(const bnn2c_popcount_lanes *p, const uint32_t *in,          \
                                                         uint32_t *scratch, uint32_t *out) {                         \
    bnn2c_popcount_lanes_rows(p, in, scratch, out, vectors##u, pixels##u);                                           \
  }

BNN2C_POPCOUNT_LANES(2, 8)
BNN2C_POPCOUNT_LANES(4, 4)
BNN2C_POPCOUNT_LANES(6, 2)
BNN2C_POPCOUNT_LANES(8, 2)
BNN2C_POPCOUNT_LANES(10, 1)
BNN2C_POPCOUNT_LANES(12, 1)
BNN2C_POPCOUNT_LANES(14, 1)
BNN2C_POPCOUNT_LANES(16, 1)

#endif /* BNN2C_POPCOUNT_LANES_H */
