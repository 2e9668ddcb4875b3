/* bnn2c_fixed_average_pool.h - average over sliding windows of integers, in the format of the input.
 *
 *   out[y][x][c] = (sum of the taps inside the input) / divisors[y*divisor_row + x*divisor_col], ties away from zero
 *
 * The steps are 0 along an axis on which all divisors are equal.  Scratch: int32 sums[channels].
 */
#ifndef BNN2C_FIXED_AVERAGE_POOL_H
#define BNN2C_FIXED_AVERAGE_POOL_H

#include "bnn2c_fixed.h"
#include "bnn2c_window.h"

typedef struct {
  bnn2c_window_t window;
  uint32_t channels;
  uint32_t divisor_row;
  uint32_t divisor_col;
  const int32_t *divisors;
} bnn2c_fixed_average_pool_t;

#define BNN2C_FIXED_AVERAGE_POOL(suffix, type)                                                                          \
  BNN2C_KERNEL void bnn2c_fixed_average_sums_##suffix(const bnn2c_fixed_average_pool_t *p, const type *in,              \
                                                      bnn2c_span_t rows, bnn2c_span_t cols, int32_t *sums) {            \
    const bnn2c_window_t *w = &p->window;                                                                               \
    for (uint32_t c = 0u; c < p->channels; c++) {                                                                       \
      sums[c] = 0;                                                                                                      \
    }                                                                                                                   \
    for (uint32_t ky = rows.first; ky < rows.end; ky++) {                                                               \
      for (uint32_t kx = cols.first; kx < cols.end; kx++) {                                                             \
        const size_t pixel = (size_t)(rows.start + ky * w->dilation_h) * w->in_w + (cols.start + kx * w->dilation_w);   \
        for (uint32_t c = 0u; c < p->channels; c++) {                                                                   \
          sums[c] += (int32_t)in[pixel * p->channels + c];                                                              \
        }                                                                                                               \
      }                                                                                                                 \
    }                                                                                                                   \
  }                                                                                                                     \
  BNN2C_KERNEL void bnn2c_fixed_average_pool_##suffix(const bnn2c_fixed_average_pool_t *p, const type *in,              \
                                                      int32_t *sums, type *out) {                                       \
    const bnn2c_window_t *w = &p->window;                                                                               \
    for (uint32_t y = 0u; y < w->out_h; y++) {                                                                          \
      const bnn2c_span_t rows = bnn2c_window_rows(w, y);                                                                \
      for (uint32_t x = 0u; x < w->out_w; x++) {                                                                        \
        const int32_t divisor = p->divisors[y * p->divisor_row + x * p->divisor_col];                                   \
        bnn2c_fixed_average_sums_##suffix(p, in, rows, bnn2c_window_cols(w, x), sums);                                  \
        for (uint32_t c = 0u; c < p->channels; c++) {                                                                   \
          out[c] = (type)bnn2c_divide(sums[c], divisor);                                                                \
        }                                                                                                               \
        out += p->channels;                                                                                             \
      }                                                                                                                 \
    }                                                                                                                   \
  }

BNN2C_FIXED_AVERAGE_POOL(i16, int16_t)
BNN2C_FIXED_AVERAGE_POOL(i8, int8_t)
BNN2C_FIXED_AVERAGE_POOL(u8, uint8_t)

#endif
