/* bnn2c_padded_image.h - the input of a convolution with its padding of zeros, pixel after pixel, as bytes.
 *
 * A kernel row is a run of bytes in it, whatever the channels, and no window has to be gathered.  Up to 32 bytes are
 * written behind the image.
 */
#ifndef BNN2C_PADDED_IMAGE_H
#define BNN2C_PADDED_IMAGE_H

#include "bnn2c_compiler.h"
#include "bnn2c_conv_shape.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

/* What the windows cover, in pixels with padding; bytes of a pixel: from the channels' up to those of its words. */
typedef struct {
  uint16_t height;
  uint16_t width;
  uint16_t pixel_bytes;
} bnn2c_image_size;

/* Zeros up to `end`, or a vector of them more: what follows is written later. */
BNN2C_INLINE void bnn2c_zero_bytes(uint8_t *to, const uint8_t *end) {
  while (to < end) {
#if defined(__AVX2__)
    _mm256_storeu_si256((__m256i_u *)to, _mm256_setzero_si256());
    to += 32;
#else
    *to = 0u;
    to++;
#endif
    BNN2C_KEEP(to);
  }
}

/* Words as bytes, the lowest first. */
BNN2C_INLINE void bnn2c_copy_bytes(uint8_t *to, const uint32_t *from, uint32_t words) {
  const uint32_t *const end = from + words;
#if defined(__AVX2__)
  for (uint32_t left = words / 8u; left != 0u; left--) {
    _mm256_storeu_si256((__m256i_u *)to, _mm256_loadu_si256((const __m256i_u *)from));
    to += 32;
    from += 8;
    BNN2C_KEEP(from);
  }
#endif
  while (from != end) {
    to[0] = (uint8_t)*from;
    to[1] = (uint8_t)(*from >> 8);
    to[2] = (uint8_t)(*from >> 16);
    to[3] = (uint8_t)(*from >> 24);
    to += 4;
    from++;
  }
}

/* The input with its padding.  Pixels are copied by words: what is too much, the next one overwrites. */
BNN2C_NOINLINE void bnn2c_padded_image(const bnn2c_conv_shape *s, bnn2c_image_size size, const uint32_t *in,
                                       uint8_t *image) {
  const uint32_t words = ((uint32_t)s->in_c + 31u) / 32u;
  const uint32_t room = (uint32_t)size.width - s->pad_left;
  const uint32_t columns = (room < s->in_w) ? room : s->in_w;
  const uint32_t run = (4u * words == size.pixel_bytes) ? columns : 1u; /* pixels that are copied at once */
  for (uint32_t row = 0u; row < size.height; row++) {
    const uint32_t y = row - s->pad_top; /* wraps above in_h when outside */
    uint8_t *const end = image + (uint32_t)size.width * size.pixel_bytes;
    if (y < s->in_h) {
      const uint32_t *from = in + y * s->in_w * words;
      bnn2c_zero_bytes(image, image + (uint32_t)s->pad_left * size.pixel_bytes);
      image += (uint32_t)s->pad_left * size.pixel_bytes;
      for (uint32_t x = 0u; x < columns; x += run) {
        bnn2c_copy_bytes(image, from, run * words);
        from += run * words;
        image += run * size.pixel_bytes;
      }
    }
    bnn2c_zero_bytes(image, end);
    image = end;
  }
}

/* Where the image lies: the input itself when there is no padding and words are stored as their bytes, else `room`,
 * which is filled.  tail: how many bytes may be read behind a pixel. */
BNN2C_INLINE const uint8_t *bnn2c_pad_image(const bnn2c_conv_shape *s, bnn2c_image_size size, uint32_t tail,
                                           const uint32_t *in, uint8_t *room) {
#if defined(__x86_64__)
  const uint32_t padding = (uint32_t)s->pad_top | s->pad_left | (uint32_t)(size.pixel_bytes % (tail + 1u));
  const uint32_t whole = ((size.width == s->in_w) && (size.height <= s->in_h)) ? 1u : 0u;
  if ((padding == 0u) && (whole != 0u) && (((uint32_t)s->in_c % 32u) == 0u)) {
    return (const uint8_t *)in;
  }
#else
  (void)tail;
#endif
  bnn2c_padded_image(s, size, in, room);
  return room;
}

#endif /* BNN2C_PADDED_IMAGE_H */
