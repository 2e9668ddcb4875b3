/* bnn2c_quantize.h - binarise and pack: level codes of a piecewise-constant function per channel.
 *
 *   code[y][x][c] = codes[class][c][number of breaks[class][c] that are <= in[y][x][c]]
 *
 * Output: word ((y*W + x)*planes + plane)*words + c/32, bit c%32; unused bits are 0. Code 0 is the largest real value, so
 * a +1/-1 tensor has bit 0 for +1. Classes are groups of rows and columns (borders); one class when row_class is NULL.
 * With `shared` set all channels use the same breaks and codes. Timing does not depend on data.
 */
#ifndef BNN2C_QUANTIZE_H
#define BNN2C_QUANTIZE_H

#include "bnn2c.h"

typedef struct {
  uint16_t height;
  uint16_t width;
  uint32_t channels;
  uint16_t col_classes;
  uint8_t steps;  /* breaks per channel */
  uint8_t planes;
  uint8_t shared;
  const void *breaks;   /* element type of the input (int32_t for narrower integers) */
  const uint8_t *codes; /* [class][channel][steps + 1] */
  const uint16_t *row_class;
  const uint16_t *col_class;
} bnn2c_quantize_t;

/* First entry of a pixel's class in breaks and codes. */
BNN2C_KERNEL size_t bnn2c_quantize_entry(const bnn2c_quantize_t *p, uint32_t y, uint32_t x) {
  const uint32_t row = (p->row_class != NULL) ? p->row_class[y] : 0u;
  const uint32_t col = (p->row_class != NULL) ? p->col_class[x] : 0u;
  const uint32_t channels = (p->shared != 0u) ? 1u : p->channels;
  return ((size_t)row * p->col_classes + col) * channels;
}

/* One plane of one pixel; a word is complete before it is stored. */
#define BNN2C_QUANTIZE(suffix, type, wide)                                                                         \
  BNN2C_KERNEL void bnn2c_quantize_plane_##suffix(const bnn2c_quantize_t *p, const type *in, size_t entry,         \
                                                  uint32_t plane, uint32_t *out) {                                 \
    const uint32_t step = (p->shared != 0u) ? 0u : 1u;                                                             \
    const wide *breaks = &((const wide *)p->breaks)[entry * p->steps];                                             \
    const uint8_t *codes = &p->codes[entry * (p->steps + 1u)];                                                     \
    uint32_t word = 0u;                                                                                            \
    for (uint32_t c = 0u; c < p->channels; c++) {                                                                  \
      uint32_t place = 0u;                                                                                         \
      for (uint32_t s = 0u; s < p->steps; s++) {                                                                   \
        place += ((wide)in[c] >= breaks[s]) ? 1u : 0u;                                                             \
        BNN2C_KEEP(place); /* GCC 12 for AArch64 makes wrong code of 16 comparisons in vectors at -O3 */           \
      }                                                                                                            \
      word |= (((uint32_t)codes[place] >> plane) & 1u) << (c % 32u);                                               \
      if (((c % 32u) == 31u) || ((c + 1u) == p->channels)) {                                                       \
        *out = word;                                                                                               \
        out++;                                                                                                     \
        word = 0u;                                                                                                 \
      }                                                                                                            \
      breaks += step * p->steps;                                                                                   \
      codes += step * (p->steps + 1u);                                                                             \
    }                                                                                                              \
  }                                                                                                                \
  /* All planes of pixel (y, x). */                                                                                \
  BNN2C_KERNEL void bnn2c_quantize_##suffix##_at(const bnn2c_quantize_t *p, uint32_t y, uint32_t x, const type *in, \
                                                 uint32_t *out) {                                                  \
    const size_t entry = bnn2c_quantize_entry(p, y, x);                                                            \
    for (uint32_t plane = 0u; plane < p->planes; plane++) {                                                        \
      bnn2c_quantize_plane_##suffix(p, in, entry, plane, out);                                                     \
      out += (p->channels + 31u) / 32u;                                                                            \
    }                                                                                                              \
  }                                                                                                                \
  BNN2C_KERNEL void bnn2c_quantize_##suffix(const bnn2c_quantize_t *p, const type *in, uint32_t *out) {            \
    for (uint32_t y = 0u; y < p->height; y++) {                                                                    \
      for (uint32_t x = 0u; x < p->width; x++) {                                                                   \
        bnn2c_quantize_##suffix##_at(p, y, x, in, out);                                                            \
        in += p->channels;                                                                                         \
        out += ((p->channels + 31u) / 32u) * p->planes;                                                            \
      }                                                                                                            \
    }                                                                                                              \
  }

BNN2C_QUANTIZE(f32, float, float)
BNN2C_QUANTIZE(i32, int32_t, int32_t)
BNN2C_QUANTIZE(i16, int16_t, int32_t)
BNN2C_QUANTIZE(i8, int8_t, int32_t)
BNN2C_QUANTIZE(u8, uint8_t, int32_t)

/* Code of channel c of a packed pixel. */
BNN2C_KERNEL uint32_t bnn2c_quantize_given(const bnn2c_quantize_t *p, const uint32_t *in, uint32_t in_planes, uint32_t c) {
  const uint32_t words = (p->channels + 31u) / 32u;
  uint32_t given = 0u;
  for (uint32_t plane = 0u; plane < in_planes; plane++) {
    given |= ((in[plane * words + c / 32u] >> (c % 32u)) & 1u) << plane;
  }
  return given;
}

/* New code of channel c: looked up in the entry of its class. */
BNN2C_KERNEL uint32_t bnn2c_quantize_lookup(const bnn2c_quantize_t *p, size_t entry, int32_t value) {
  const int32_t *const breaks = &((const int32_t *)p->breaks)[entry * p->steps];
  uint32_t place = 0u;
  for (uint32_t s = 0u; s < p->steps; s++) {
    place += (value >= breaks[s]) ? 1u : 0u;
    BNN2C_KEEP(place); /* as above */
  }
  return p->codes[entry * (p->steps + 1u) + place];
}

/* Level codes to codes: the input is packed as well. */
BNN2C_KERNEL void bnn2c_quantize_bits(const bnn2c_quantize_t *p, const uint32_t *in, uint32_t in_planes, uint32_t *out) {
  for (uint32_t y = 0u; y < p->height; y++) {
    for (uint32_t x = 0u; x < p->width; x++) {
      const size_t first = bnn2c_quantize_entry(p, y, x);
      for (uint32_t plane = 0u; plane < p->planes; plane++) {
        uint32_t word = 0u;
        for (uint32_t c = 0u; c < p->channels; c++) {
          const size_t entry = first + ((p->shared != 0u) ? 0u : c);
          const int32_t given = (int32_t)bnn2c_quantize_given(p, in, in_planes, c);
          word |= ((bnn2c_quantize_lookup(p, entry, given) >> plane) & 1u) << (c % 32u);
          if (((c % 32u) == 31u) || ((c + 1u) == p->channels)) {
            *out = word;
            out++;
            word = 0u;
          }
        }
      }
      in += ((p->channels + 31u) / 32u) * in_planes;
    }
  }
}

#endif
