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
#include "bnn2c_lanes.h"
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

/* `width` bits of a row from bit px on, every stride_w-th; zeros outside of the row. */
BNN2C_INLINE void bnn2c_append_row(bnn2c_bit_stream *stream, const bnn2c_conv_shape *s, const uint32_t *plane,
                                   uint32_t iy, uint32_t px, uint32_t width) {
  for (uint32_t x = 0u; x < width; x++) {
    const uint32_t ix = x * s->stride_w + px;
    const uint32_t at = iy * s->in_w + ix;
    uint32_t bit = 0u;
    if ((iy < s->in_h) && (ix < s->in_w)) {
      bit = (plane[at / 32u] >> (at % 32u)) & 1u;
    }
    bnn2c_append_bits(stream, bit, 1u);
  }
}

/* All phases of `in`, bit by bit. */
BNN2C_KERNEL void bnn2c_split_any_phases(const bnn2c_conv_shape *s, const uint32_t *in, uint32_t *phases) {
  const bnn2c_plane_image image = bnn2c_image_of(in, s->in_h, s->in_w);
  const uint32_t height = bnn2c_ceil_div(s->in_h, s->stride_h);
  const uint32_t width = bnn2c_ceil_div(s->in_w, s->stride_w);
  bnn2c_bit_stream stream = {phases, 0u, 0u};
  for (uint32_t phase = 0u; phase < (uint32_t)s->stride_h * s->stride_w; phase++) {
    for (uint32_t c = 0u; c < s->in_c; c++) {
      const uint32_t *const plane = in + c * (uint32_t)image.words;
      for (uint32_t y = 0u; y < height; y++) {
        bnn2c_append_row(&stream, s, plane, y * s->stride_h + phase / s->stride_w, phase % s->stride_w, width);
      }
      bnn2c_append_bits(&stream, 0u, (32u - stream.fill) % 32u);
    }
  }
}

/* A bit stream for each of several planes. */
typedef struct {
  uint32_t *to;
  bnn2c_lanes offsets; /* of the planes */
  bnn2c_lanes word;
  uint32_t fill; /* valid bits of `word`, 0..31 */
} bnn2c_plane_streams;

BNN2C_INLINE void bnn2c_append_planes(bnn2c_plane_streams *stream, bnn2c_lanes word, uint32_t bits) {
  stream->word |= word << stream->fill;
  stream->fill += bits;
  if (stream->fill >= 32u) {
    bnn2c_scatter_words(stream->to, stream->offsets, stream->word);
    stream->to++;
    stream->fill -= 32u;
    stream->word = (stream->fill != 0u) ? (word >> (bits - stream->fill)) : BNN2C_NO_LANES;
  }
}

/* Even bits of each word in its lower half, odd bits in its upper half. */
BNN2C_INLINE bnn2c_lanes bnn2c_part_bits(bnn2c_lanes x) {
  bnn2c_lanes swap = (x ^ (x >> 1)) & 0x22222222u;
  x ^= swap ^ (swap << 1);
  swap = (x ^ (x >> 2)) & 0x0C0C0C0Cu;
  x ^= swap ^ (swap << 2);
  swap = (x ^ (x >> 4)) & 0x00F000F0u;
  x ^= swap ^ (swap << 4);
  swap = (x ^ (x >> 8)) & 0x0000FF00u;
  return x ^ swap ^ (swap << 8);
}

/* Planes side by side. */
typedef struct {
  const uint32_t *first;
  bnn2c_lanes offsets;
} bnn2c_planes;

/* A row of `columns` pixels from pixel `at` on: even columns to one stream, odd columns to the other. */
BNN2C_INLINE void bnn2c_part_row(bnn2c_plane_streams *even, bnn2c_plane_streams *odd, const bnn2c_planes *from,
                                 uint32_t at, uint32_t columns) {
  for (uint32_t x = 0u; x < columns; x += 32u) {
    const uint32_t left = (columns - x < 32u) ? (columns - x) : 32u;
    const uint32_t pairs = (left + 1u) / 2u;
    const uint32_t word = (at + x) / 32u;
    const uint32_t shift = (at + x) % 32u;
    bnn2c_lanes row = bnn2c_gather_words(from->first + word, from->offsets) >> shift;
    if (shift + left > 32u) {
      row |= bnn2c_gather_words(from->first + word + 1u, from->offsets) << (32u - shift);
    }
    row = bnn2c_part_bits(row & (0xFFFFFFFFu >> (32u - left)));
    bnn2c_append_planes(even, row & 0xFFFFu, pairs);
    bnn2c_append_planes(odd, row >> 16, pairs);
  }
}

/* Two phases, those of rows py, py + stride_h, ...; to: planes of `words` words of both. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_part_planes(const bnn2c_conv_shape *s, const bnn2c_planes *from, uint32_t py,
                                                  bnn2c_plane_streams even, bnn2c_plane_streams odd, uint32_t words) {
  const uint32_t columns = s->in_w;
  const uint32_t *const end = even.to + words;
  for (uint32_t iy = py; iy < s->in_h; iy += s->stride_h) {
    bnn2c_part_row(&even, &odd, from, iy * columns, columns);
  }
  while (even.to != end) { /* a row beyond the input, and the rest of the last word */
    bnn2c_append_planes(&even, BNN2C_NO_LANES, 32u - even.fill);
    bnn2c_append_planes(&odd, BNN2C_NO_LANES, 32u - odd.fill);
  }
}

/* All phases of `in`. */
BNN2C_KERNEL void bnn2c_split_phases(const bnn2c_conv_shape *s, const uint32_t *in, uint32_t *phases) {
  const uint32_t apart = (uint32_t)bnn2c_image_of(in, s->in_h, s->in_w).words;
  const uint32_t rows = bnn2c_ceil_div(s->in_h, s->stride_h);
  const uint32_t words = (rows * (((uint32_t)s->in_w + 1u) / 2u) + 31u) / 32u;
  if (s->stride_w != 2u) {
    bnn2c_split_any_phases(s, in, phases);
    return;
  }
  for (uint32_t py = 0u; py < s->stride_h; py++) {
    for (uint32_t c = 0u; c < s->in_c; c += (uint32_t)BNN2C_LANE_WORDS) {
      const bnn2c_planes from = {in + c * apart, bnn2c_lane_offsets(s->in_c - c, apart)};
      const bnn2c_lanes offsets = bnn2c_lane_offsets(s->in_c - c, words);
      uint32_t *const to = phases + (2u * py * s->in_c + c) * words;
      const bnn2c_plane_streams even = {to, offsets, BNN2C_NO_LANES, 0u};
      const bnn2c_plane_streams odd = {to + s->in_c * words, offsets, BNN2C_NO_LANES, 0u};
      bnn2c_part_planes(s, &from, py, even, odd, words);
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
