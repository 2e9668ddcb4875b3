/* bnn2c_window.h - sliding windows over [height][width][channel] tensors: which taps lie inside the input.
 *
 * Tap k of output position i reads input position  i*stride + k*dilation - pad.  Positions are unsigned and wrap around
 * below 0, so `position < size` means inside.
 */
#ifndef BNN2C_WINDOW_H
#define BNN2C_WINDOW_H

#include "bnn2c.h"

typedef struct {
  uint32_t in_h;
  uint32_t in_w;
  uint32_t out_h;
  uint32_t out_w;
  uint32_t kernel_h;
  uint32_t kernel_w;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  uint32_t pad_top;
  uint32_t pad_left;
} bnn2c_window_t;

/* Taps first .. end - 1 of one output position are inside; tap k reads position start + k*dilation. */
typedef struct {
  uint32_t start;
  uint32_t first;
  uint32_t end;
} bnn2c_span_t;

BNN2C_KERNEL bnn2c_span_t bnn2c_window_span(uint32_t start, uint32_t kernel, uint32_t dilation, uint32_t size) {
  bnn2c_span_t span = {start, 0u, 0u};
  while ((span.first < kernel) && (start + span.first * dilation >= size)) {
    span.first++;
  }
  span.end = span.first;
  while ((span.end < kernel) && (start + span.end * dilation < size)) {
    span.end++;
  }
  return span;
}

/* Kernel rows inside the input for output row y. */
BNN2C_KERNEL bnn2c_span_t bnn2c_window_rows(const bnn2c_window_t *w, uint32_t y) {
  return bnn2c_window_span(y * w->stride_h - w->pad_top, w->kernel_h, w->dilation_h, w->in_h);
}

/* Kernel columns inside the input for output column x. */
BNN2C_KERNEL bnn2c_span_t bnn2c_window_cols(const bnn2c_window_t *w, uint32_t x) {
  return bnn2c_window_span(x * w->stride_w - w->pad_left, w->kernel_w, w->dilation_w, w->in_w);
}

/* All taps, for windows whose padding counts. */
BNN2C_KERNEL bnn2c_span_t bnn2c_window_all(bnn2c_span_t span, uint32_t kernel) {
  span.first = 0u;
  span.end = kernel;
  return span;
}

#endif
