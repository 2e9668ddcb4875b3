/* bnn2c_phases.h - strided convolutions on planes: every stride_h-th row and stride_w-th column as an image of its own.
 *
 * Phase (py, px) holds the pixels (y * stride_h + py, x * stride_w + px), ceil(in_h / stride_h) rows of
 * ceil(in_w / stride_w) pixels, zeros where the input ends.  Tap (ky, kx) of a strided convolution reads one phase
 * at stride 1.  Storage: [stride_h][stride_w][in_c][words of a plane].
 */
#ifndef BNN2C_PHASES_H
#define BNN2C_PHASES_H

#include "bnn2c_compiler.h"
#include "bnn2c_conv_shape.h"
#include "bnn2c_patch.h"

/* Planes of an image: channel c from word c * words on. */
typedef struct {
  const uint32_t *planes;
  int32_t h;
  int32_t w;
  int32_t words;
} bnn2c_plane_image;

BNN2C_INLINE bnn2c_plane_image bnn2c_image_of(const uint32_t *planes, uint32_t h, uint32_t w) {
  const bnn2c_plane_image image = {planes, (int32_t)h, (int32_t)w, (int32_t)((h * w + 31u) / 32u)};
  return image;
}

BNN2C_INLINE uint32_t bnn2c_ceil_div(uint32_t a, uint32_t b) { return (a + b - 1u) / b; }

/* The even bits of a word, in its lower half. */
BNN2C_INLINE uint32_t bnn2c_even_bits(uint32_t x) {
  x &= 0x55555555u;
  x = (x | (x >> 1)) & 0x33333333u;
  x = (x | (x >> 2)) & 0x0F0F0F0Fu;
  x = (x | (x >> 4)) & 0x00FF00FFu;
  return (x | (x >> 8)) & 0x0000FFFFu;
}

/* 16 bits of a plane of `words` words, `step` apart, from bit `from` on; past the end of the plane anything. */
BNN2C_INLINE uint32_t bnn2c_stepped_bits(const uint32_t *plane, uint32_t words, uint32_t from, uint32_t step,
                                         uint32_t count) {
  uint32_t bits = 0u;
  if (step == 2u) {
    const uint32_t low = plane[from / 32u];
    const uint32_t high = plane[(from / 32u + 1u < words) ? (from / 32u + 1u) : (words - 1u)];
    const uint32_t shift = from % 32u;
    bits = bnn2c_even_bits((low >> shift) | ((high << 1) << (31u - shift)));
  } else {
    for (uint32_t i = 0u; i < count; i++) {
      bits |= ((plane[(from + i * step) / 32u] >> ((from + i * step) % 32u)) & 1u) << i;
    }
  }
  return bits & ((1u << count) - 1u);
}

/* Row `iy` of a plane, every stride_w-th bit from px on, `width` bits; zeros outside. */
BNN2C_INLINE void bnn2c_append_row(bnn2c_bit_stream *stream, const bnn2c_conv_shape *s, const uint32_t *plane,
                                   uint32_t words, uint32_t iy, uint32_t px, uint32_t width) {
  const uint32_t valid = ((iy < s->in_h) && (px < s->in_w)) ? bnn2c_ceil_div(s->in_w - px, s->stride_w) : 0u;
  for (uint32_t x = 0u; x < width; x += 16u) {
    const uint32_t left = (width - x < 16u) ? (width - x) : 16u;
    const uint32_t inside = (x >= valid) ? 0u : (((valid - x) < left) ? (valid - x) : left);
    uint32_t bits = 0u;
    if (inside != 0u) {
      bits = bnn2c_stepped_bits(plane, words, iy * s->in_w + px + x * s->stride_w, s->stride_w, inside);
    }
    bnn2c_append_bits(stream, bits, left);
  }
}

/* All phases of `in`. */
BNN2C_KERNEL void bnn2c_split_phases(const bnn2c_conv_shape *s, const uint32_t *in, uint32_t *phases) {
  const bnn2c_plane_image image = bnn2c_image_of(in, s->in_h, s->in_w);
  const uint32_t height = bnn2c_ceil_div(s->in_h, s->stride_h);
  const uint32_t width = bnn2c_ceil_div(s->in_w, s->stride_w);
  bnn2c_bit_stream stream = {phases, 0u, 0u};
  for (uint32_t phase = 0u; phase < (uint32_t)s->stride_h * s->stride_w; phase++) {
    for (uint32_t c = 0u; c < s->in_c; c++) {
      const uint32_t *const plane = in + c * (uint32_t)image.words;
      for (uint32_t y = 0u; y < height; y++) {
        const uint32_t iy = y * s->stride_h + phase / s->stride_w;
        bnn2c_append_row(&stream, s, plane, (uint32_t)image.words, iy, phase % s->stride_w, width);
      }
      bnn2c_append_bits(&stream, 0u, (32u - stream.fill) % 32u);
    }
  }
}

/* The image and the displacement that a tap reads. */
typedef struct {
  bnn2c_plane_image image;
  int32_t shift_y;
  int32_t shift_x;
} bnn2c_tap_source;

BNN2C_INLINE int32_t bnn2c_floor_div(int32_t a, int32_t b) { return (a >= 0) ? (a / b) : -((b - 1 - a) / b); }

/* Tap (ky, kx); `planes` is the input, or its phases when a stride is not 1. */
BNN2C_NOINLINE bnn2c_tap_source bnn2c_source_of_tap(const bnn2c_conv_shape *s, const uint32_t *planes, uint32_t ky,
                                                    uint32_t kx) {
  const int32_t dy = (int32_t)(ky * s->dilation_h) - (int32_t)s->pad_top;
  const int32_t dx = (int32_t)(kx * s->dilation_w) - (int32_t)s->pad_left;
  const int32_t stride_h = (int32_t)s->stride_h;
  const int32_t stride_w = (int32_t)s->stride_w;
  bnn2c_tap_source source;
  source.image =
      bnn2c_image_of(planes, bnn2c_ceil_div(s->in_h, s->stride_h), bnn2c_ceil_div(s->in_w, s->stride_w));
  source.shift_y = bnn2c_floor_div(dy, stride_h);
  source.shift_x = bnn2c_floor_div(dx, stride_w);
  source.image.planes += ((dy - source.shift_y * stride_h) * stride_w + dx - source.shift_x * stride_w) *
                         (int32_t)s->in_c * source.image.words;
  return source;
}

#endif /* BNN2C_PHASES_H */
