/* bnn2c_few_pixels.h - class sharing (bnn2c_class_sharing.h), but for the pixels of a last word that fill few lanes.
 *
 * A word of pixels takes as long with 8 of them as with 32.  So the patch of the last word is turned into one stream of
 * inputs per pixel, eight pixels at a time, which bit-sliced channels read (bnn2c_sliced_channels.h); their results are
 * turned back into planes.  For vectors of one word.
 *
 * `few` has its weights in the order of the patch, whose zero words meet zeros, and no geometry but its channels.
 * Timing does not depend on data.
 */
#ifndef BNN2C_FEW_PIXELS_H
#define BNN2C_FEW_PIXELS_H

#include "bnn2c_class_sharing.h"
#include "bnn2c_sliced_channels.h"

typedef struct {
  bnn2c_class_sharing many;
  bnn2c_sliced_channels few;
  uint32_t behind; /* words of scratch that class sharing takes */
} bnn2c_few_pixels;

/* Eight pixels, from bit `from` on, of 32 words of a patch of which `left` exist: streams[p * words] for pixel p. */
BNN2C_NOINLINE void bnn2c_stream_word(const uint32_t *patch, uint32_t left, uint32_t from, uint32_t *streams,
                                      uint32_t words) {
  uint32_t inputs[8];
  uint32_t pixels[8];
  for (uint32_t i = 0u; i < 8u; i++) {
    uint32_t bytes = 0u;
    BNN2C_UNROLL(4)
    for (uint32_t at = 0u; at < 32u; at += 8u) {
      bytes |= (at + i < left) ? (((patch[at + i] >> from) & 255u) << at) : 0u;
    }
    inputs[i] = bytes;
  }
  bnn2c_lane_bytes(inputs, pixels);
  for (uint32_t i = 0u; i < 8u; i++) {
    streams[i * words] = pixels[i];
  }
}

/* Packed channels of eight pixels, `blocks` words each, to bits `from` and up of the words of all planes. */
BNN2C_NOINLINE void bnn2c_pixels_to_planes(const uint32_t *packed, uint32_t blocks, uint32_t channels, uint32_t from,
                                           uint32_t *out, uint32_t pitch) {
  uint32_t pixels[8];
  uint32_t bytes[8];
  for (uint32_t c = 0u; c < channels; c++) {
    if ((c % 32u) == 0u) {
      for (uint32_t i = 0u; i < 8u; i++) {
        pixels[i] = packed[i * blocks + c / 32u];
      }
      bnn2c_lane_bytes(pixels, bytes);
    }
    const uint32_t found = ((bytes[c & 7u] >> (c & 24u)) & 255u) << from;
    *out = (from == 0u) ? found : (*out | found);
    out += pitch;
  }
}

/* `count` pixels, at most eight: number `pixel` of the map and behind it, bits `from` and up of the patch. */
BNN2C_NOINLINE void bnn2c_few_pixels_eight(const bnn2c_few_pixels *p, const uint32_t *patch, uint32_t pixel,
                                           uint32_t from, uint32_t count, uint32_t *scratch, uint32_t *out,
                                           uint32_t pitch) {
  const bnn2c_conv_shape *const s = &p->many.shape;
  const uint32_t length = bnn2c_patch_words((uint32_t)s->kernel_h * s->kernel_w * s->in_c);
  const uint32_t words = (length + 31u) / 32u;
  const uint32_t blocks = ((uint32_t)s->out_c + 31u) / 32u;
  uint32_t *const packed = scratch + 8u * words;
  uint32_t *const own = packed + 8u * blocks;
  bnn2c_channel_output to = BNN2C_TO_bits(packed);
  for (uint32_t word = 0u; word < words; word++) {
    bnn2c_stream_word(patch + 32u * word, length - 32u * word, from, scratch + word, words);
  }
  for (uint32_t i = 0u; i < count; i++) {
    const uint32_t y = (pixel + i) / s->out_w;
    const uint32_t x = (pixel + i) - y * s->out_w;
    const uint32_t row = (uint32_t)s->row_class[y] * s->col_classes;
    bnn2c_sliced_channels_pixel(&p->few, row + s->col_class[x], words, scratch + i * words, own, &to);
  }
  for (uint32_t i = count * blocks; i < 8u * blocks; i++) {
    packed[i] = 0u;
    BNN2C_KEEP(i);
  }
  bnn2c_pixels_to_planes(packed, blocks, s->out_c, from, out, pitch);
}

/* As of class sharing. */
BNN2C_KERNEL const uint32_t *bnn2c_few_pixels_begin(const bnn2c_few_pixels *p, const uint32_t *in, uint32_t *scratch) {
  return bnn2c_class_sharing_begin(&p->many, in, scratch);
}

BNN2C_KERNEL void bnn2c_few_pixels_words(const bnn2c_few_pixels *p, const uint32_t *image, uint32_t first,
                                         uint32_t *scratch, uint32_t *out, uint32_t pitch) {
  const uint32_t pixels = (uint32_t)p->many.shape.out_h * p->many.shape.out_w - 32u * first;
  if (pixels >= 32u) {
    bnn2c_class_sharing_words(&p->many, image, first, scratch, out, pitch);
  } else {
    uint32_t *const patch = bnn2c_class_sharing_patch(&p->many, scratch);
    bnn2c_gather_planes(&p->many.shape, image, first, patch);
    for (uint32_t from = 0u; from < pixels; from += 8u) {
      const uint32_t count = (pixels - from < 8u) ? (pixels - from) : 8u;
      bnn2c_few_pixels_eight(p, patch, 32u * first + from, from, count, scratch + p->behind, out, pitch);
    }
  }
}

/* planes -> planes. */
BNN2C_KERNEL void bnn2c_few_pixels_bits(const bnn2c_few_pixels *p, const uint32_t *in, uint32_t *scratch,
                                        uint32_t *out) {
  const uint32_t words = bnn2c_plane_words(p->many.shape.out_h, p->many.shape.out_w);
  const uint32_t *const image = bnn2c_few_pixels_begin(p, in, scratch);
  for (uint32_t first = 0u; first < words; first++) {
    bnn2c_few_pixels_words(p, image, first, scratch, out + first, words);
  }
}

#endif /* BNN2C_FEW_PIXELS_H */
