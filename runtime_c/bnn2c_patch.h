/* bnn2c_patch.h - the activation bits under the kernel window of one output pixel, as one bit stream.
 *
 * Order: kernel row, kernel column, input channel; taps outside the input read 0; the stream ends with zeros up to a
 * full word.  The time depends on the shape only: pixels outside are read as pixel 0 and masked.
 */
#ifndef BNN2C_PATCH_H
#define BNN2C_PATCH_H

#include "bnn2c_compiler.h"
#include "bnn2c_conv_shape.h"

/* Bit `index` of `word` in all lanes. */
BNN2C_INLINE uint32_t bnn2c_broadcast(uint32_t word, unsigned index) {
  return (uint32_t)((int32_t)(word << (31u - index)) >> 31);
}

/* A bit stream under construction. */
typedef struct {
  uint32_t *to;
  uint32_t word;
  uint32_t fill; /* valid bits of `word`, 0..31 */
} bnn2c_bit_stream;

BNN2C_INLINE void bnn2c_append_bits(bnn2c_bit_stream *stream, uint32_t word, uint32_t bits) {
  stream->word |= word << stream->fill;
  stream->fill += bits;
  if (stream->fill >= 32u) {
    *stream->to = stream->word;
    stream->to++;
    stream->fill -= 32u;
    stream->word = (stream->fill != 0u) ? (word >> (bits - stream->fill)) : 0u;
  }
}

/* Fills up the last word: the next bits begin one. */
BNN2C_INLINE void bnn2c_end_bits(bnn2c_bit_stream *stream) {
  if (stream->fill != 0u) {
    *stream->to = stream->word;
    stream->to++;
  }
  stream->fill = 0u;
  stream->word = 0u;
}

/* The activations of one pixel's patch as one bit stream; returns its words. */
BNN2C_NOINLINE uint32_t bnn2c_gather_patch(const bnn2c_conv_shape *s, const uint32_t *in, uint32_t y, uint32_t x,
                                           uint32_t *patch) {
  const uint32_t pixel_words = ((uint32_t)s->in_c + 31u) / 32u;
  bnn2c_bit_stream stream = {patch, 0u, 0u};
  for (uint32_t ky = 0u; ky < s->kernel_h; ky++) {
    const uint32_t iy = y * s->stride_h + ky * s->dilation_h - s->pad_top; /* wraps above in_h when outside */
    for (uint32_t kx = 0u; kx < s->kernel_w; kx++) {
      const uint32_t ix = x * s->stride_w + kx * s->dilation_w - s->pad_left;
      const uint32_t inside = ((iy < s->in_h) && (ix < s->in_w)) ? 1u : 0u;
      const uint32_t *pixel = in + ((inside != 0u) ? ((iy * s->in_w + ix) * pixel_words) : 0u);
      uint32_t left = s->in_c;
      if ((left % 32u) == 0u) { /* whole words */
        for (const uint32_t *const end = pixel + pixel_words; pixel != end; pixel++) {
          *stream.to = *pixel & (0u - inside);
          stream.to++;
        }
        left = 0u;
      }
      while (left != 0u) {
        const uint32_t bits = (left < 32u) ? left : 32u;
        bnn2c_append_bits(&stream, *pixel & (0u - inside), bits);
        pixel++;
        left -= bits;
      }
    }
  }
  bnn2c_end_bits(&stream);
  return (uint32_t)(stream.to - patch);
}

typedef struct {
  uint32_t words[2];
} bnn2c_two_words;

typedef struct {
  uint32_t words[4];
} bnn2c_four_words;

/* Copies words; returns the end. */
BNN2C_INLINE uint32_t *bnn2c_copy_words(uint32_t *to, const uint32_t *from, uint32_t count) {
  for (uint32_t *const end = to + (count & ~3u); to != end; to += 4) {
    *(bnn2c_four_words *)to = *(const bnn2c_four_words *)from;
    from += 4;
    BNN2C_KEEP(from); /* no call of memcpy */
  }
  if ((count & 2u) != 0u) {
    *(bnn2c_two_words *)to = *(const bnn2c_two_words *)from;
    from += 2;
    to += 2;
  }
  if ((count & 1u) != 0u) {
    *to = *from;
    to++;
  }
  return to;
}

BNN2C_INLINE uint32_t *bnn2c_clear_words(uint32_t *to, uint32_t count) {
  for (; count != 0u; count--) {
    *to = 0u;
    to++;
    BNN2C_KEEP(count);
  }
  return to;
}

/* The same when channels fill words and kernel columns are neighbours: a kernel row is one run of words.  Faster, but
 * more code, which pays where the rest is fast. */
BNN2C_NOINLINE BNN2C_STEADY uint32_t bnn2c_gather_runs(const bnn2c_conv_shape *s, const uint32_t *in, uint32_t y,
                                                       uint32_t x, uint32_t *patch) {
  const uint32_t pixel_words = (uint32_t)s->in_c / 32u;
  const uint32_t columns = s->kernel_w;
  const uint32_t width = s->in_w;
  const uint32_t from = x * s->stride_w; /* with the padding in front */
  const uint32_t end = from + columns;
  const uint32_t pad = s->pad_left;
  const uint32_t gap = (from >= pad) ? 0u : (pad - from);
  const uint32_t before = (gap < columns) ? gap : columns;
  const uint32_t over = (end > width + pad) ? (end - width - pad) : 0u;
  const uint32_t behind = (over < columns - before) ? over : (columns - before);
  const uint32_t inside = columns - before - behind;
  uint32_t iy = y * s->stride_h - s->pad_top; /* wraps above in_h when outside */
  uint32_t *to = patch;
  for (uint32_t ky = s->kernel_h; ky != 0u; ky--) {
    if ((iy < s->in_h) && (inside != 0u)) {
      to = bnn2c_clear_words(to, before * pixel_words);
      to = bnn2c_copy_words(to, in + (iy * width + from + before - pad) * pixel_words, inside * pixel_words);
      to = bnn2c_clear_words(to, behind * pixel_words);
    } else {
      to = bnn2c_clear_words(to, columns * pixel_words);
    }
    iy += s->dilation_h;
  }
  return (uint32_t)(to - patch);
}

#endif /* BNN2C_PATCH_H */
