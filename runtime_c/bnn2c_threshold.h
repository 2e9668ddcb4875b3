/* bnn2c_threshold.h - binarise and pack: one comparison per element.
 *
 *   bit[y][x][c] = (in[y][x][c] >= breaks[class][c]) XOR invert[class][c]
 *
 * Output: word (y*W + x)*words + c/32, bit c%32, unused bits 0; bit 0 stands for the larger of the two real values, +1.
 * invert is packed like a pixel. Classes are groups of rows and columns (borders); one class when row_class is NULL. With
 * `step` 0 all channels use the same break. Timing does not depend on data.
 */
#ifndef BNN2C_THRESHOLD_H
#define BNN2C_THRESHOLD_H

#include "bnn2c.h"

typedef struct {
  uint16_t height;
  uint16_t width;
  uint32_t channels;
  uint16_t col_classes;
  uint8_t step;           /* 1: a break per channel, 0: one for all */
  const void *breaks;     /* float or int32_t, as wide as the comparison */
  const uint32_t *invert; /* [class][words] */
  const uint16_t *row_class;
  const uint16_t *col_class;
} bnn2c_threshold_t;

/* `count` <= 32 float comparisons as one word. */
BNN2C_INLINE uint32_t bnn2c_threshold_word_f32(const float *in, const float *breaks, uint32_t step, uint32_t count) {
  uint32_t word = 0u;
  for (uint32_t c = 0u; c < count; c++) {
    word |= ((in[c] >= *breaks) ? UINT32_C(1) : UINT32_C(0)) << c;
    breaks += step;
  }
  return word;
}

/* Integer comparisons: x >= t is the sign of t - 1 - x. Breaks and inputs are below 2^30, so that nothing overflows. */
#define BNN2C_THRESHOLD_WORD(suffix, type)                                                                           \
  BNN2C_INLINE uint32_t bnn2c_threshold_word_##suffix(const type *in, const int32_t *breaks, uint32_t step,          \
                                                      uint32_t count) {                                              \
    uint32_t word = 0u;                                                                                              \
    for (uint32_t c = 0u; c < count; c++) {                                                                          \
      word = (word >> 1) | ((uint32_t)(*breaks - 1 - (int32_t)in[c]) & UINT32_C(0x80000000));                        \
      breaks += step;                                                                                                \
    }                                                                                                                \
    return word >> (32u - count);                                                                                    \
  }
BNN2C_THRESHOLD_WORD(i32, int32_t)
BNN2C_THRESHOLD_WORD(i16, int16_t)
BNN2C_THRESHOLD_WORD(i8, int8_t)
BNN2C_THRESHOLD_WORD(u8, uint8_t)

#define BNN2C_THRESHOLD(suffix, type, wide)                                                                         \
  /* All channels of pixel (y, x). */                                                                               \
  BNN2C_KERNEL void bnn2c_threshold_##suffix##_at(const bnn2c_threshold_t *p, uint32_t y, uint32_t x,               \
                                                  const type *in, uint32_t *out) {                                  \
    const uint32_t row = (p->row_class != NULL) ? p->row_class[y] : 0u;                                             \
    const uint32_t col = (p->row_class != NULL) ? p->col_class[x] : 0u;                                             \
    const uint32_t group = row * p->col_classes + col;                                                              \
    const uint32_t *invert = &p->invert[(size_t)group * ((p->channels + 31u) / 32u)];                               \
    const wide *breaks = &((const wide *)p->breaks)[(size_t)group * ((p->step != 0u) ? p->channels : 1u)];          \
    for (uint32_t c = 0u; c < p->channels; c += 32u) {                                                              \
      const uint32_t left = p->channels - c;                                                                        \
      *out = bnn2c_threshold_word_##suffix(&in[c], breaks, p->step, (left < 32u) ? left : 32u) ^ *invert;           \
      breaks += 32u * (uint32_t)p->step;                                                                            \
      invert++;                                                                                                     \
      out++;                                                                                                        \
    }                                                                                                               \
  }                                                                                                                 \
  BNN2C_KERNEL void bnn2c_threshold_##suffix(const bnn2c_threshold_t *p, const type *in, uint32_t *out) {           \
    for (uint32_t y = 0u; y < p->height; y++) {                                                                     \
      for (uint32_t x = 0u; x < p->width; x++) {                                                                    \
        bnn2c_threshold_##suffix##_at(p, y, x, in, out);                                                            \
        in += p->channels;                                                                                          \
        out += (p->channels + 31u) / 32u;                                                                           \
      }                                                                                                             \
    }                                                                                                               \
  }

BNN2C_THRESHOLD(f32, float, float)
BNN2C_THRESHOLD(i32, int32_t, int32_t)
BNN2C_THRESHOLD(i16, int16_t, int32_t)
BNN2C_THRESHOLD(i8, int8_t, int32_t)
BNN2C_THRESHOLD(u8, uint8_t, int32_t)

#endif
