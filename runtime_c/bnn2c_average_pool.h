/* bnn2c_average_pool.h - average over sliding windows of a float tensor.
 *
 *   out[y][x][c] = (sum of the taps inside the input) / divisors[y*divisor_row + x*divisor_col]
 *
 * The steps are 0 along an axis on which all divisors are equal.  Input [in_h][in_w][channels], channels last.
 */
#ifndef BNN2C_AVERAGE_POOL_H
#define BNN2C_AVERAGE_POOL_H

#include "bnn2c.h"
#include "bnn2c_window.h"

typedef struct {
  bnn2c_window_t window;
  uint32_t channels;
  uint32_t divisor_row;
  uint32_t divisor_col;
  const float *divisors;
} bnn2c_average_pool_t;

/* Sums of all channels of one window. */
BNN2C_KERNEL void bnn2c_average_pool_sums(const bnn2c_average_pool_t *p, const float *in, bnn2c_span_t rows,
                                          bnn2c_span_t cols, float *out) {
  const bnn2c_window_t *w = &p->window;
  for (uint32_t c = 0u; c < p->channels; c++) {
    out[c] = 0.0f;
  }
  for (uint32_t ky = rows.first; ky < rows.end; ky++) {
    for (uint32_t kx = cols.first; kx < cols.end; kx++) {
      const size_t pixel = (size_t)(rows.start + ky * w->dilation_h) * w->in_w + (cols.start + kx * w->dilation_w);
      const float *tap = &in[pixel * p->channels];
      for (uint32_t c = 0u; c < p->channels; c++) {
        out[c] += tap[c];
      }
    }
  }
}

BNN2C_KERNEL void bnn2c_average_pool(const bnn2c_average_pool_t *p, const float *in, float *out) {
  const bnn2c_window_t *w = &p->window;
  for (uint32_t y = 0u; y < w->out_h; y++) {
    const bnn2c_span_t rows = bnn2c_window_rows(w, y);
    for (uint32_t x = 0u; x < w->out_w; x++) {
      const float divisor = p->divisors[y * p->divisor_row + x * p->divisor_col];
      bnn2c_average_pool_sums(p, in, rows, bnn2c_window_cols(w, x), out);
      for (uint32_t c = 0u; c < p->channels; c++) {
        out[c] /= divisor;
      }
      out += p->channels;
    }
  }
}

#endif
