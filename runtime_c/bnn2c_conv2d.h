/* bnn2c_conv2d.h - float convolution, with groups; a dense layer is a 1x1 convolution of one pixel.
 *
 *   out[y][x][o] = sum over ky, kx, c of  in[row][col][g*I/groups + c] * weights[o][ky][kx][c]
 *   row = y*stride_h + ky*dilation_h - pad_top,  col = x*stride_w + kx*dilation_w - pad_left
 *
 * where g = o / (O/groups), I = in_c, O = out_c.  Taps outside the input read pad[channel], or are left out when
 * pad is NULL (zeros).
 * Input [in_h][in_w][in_c], weights [out_c][kernel_h][kernel_w][in_c/groups], output [out_h][out_w][out_c].
 * bnn2c_conv2d_patch: groups = 1; the caller lends memory for one window.
 * bnn2c_conv2d_depthwise: groups = in_c = out_c, weights [kernel_h][kernel_w][channel].
 */
#ifndef BNN2C_CONV2D_H
#define BNN2C_CONV2D_H

#include "bnn2c.h"
#include "bnn2c_dot.h"
#include "bnn2c_window.h"

typedef struct {
  bnn2c_window_t window;
  uint32_t in_c;
  uint32_t out_c;
  uint32_t groups;
  uint32_t group_in;  /* in_c / groups */
  uint32_t group_out; /* out_c / groups */
  const float *weights;
  const float *pad; /* [in_c] or NULL */
} bnn2c_conv2d_t;

/* First channel of the tap at input position (row, col). */
BNN2C_KERNEL const float *bnn2c_conv2d_tap(const bnn2c_conv2d_t *p, const float *in, uint32_t row, uint32_t col) {
  const bnn2c_window_t *w = &p->window;
  const int outside = (p->pad != NULL) && ((row >= w->in_h) || (col >= w->in_w));
  return outside ? p->pad : &in[((size_t)row * w->in_w + col) * p->in_c];
}

/* Adds `count` (1 or 4) channels at one output pixel: input channels from `first` on, weights of the first of them. */
BNN2C_KERNEL void bnn2c_conv2d_sums(const bnn2c_conv2d_t *p, const float *in, bnn2c_span_t rows, bnn2c_span_t cols,
                                    uint32_t first, const float *weights, uint32_t count, float *sums) {
  const bnn2c_window_t *w = &p->window;
  const uint32_t width = p->group_in;
  const size_t row_size = (size_t)w->kernel_h * w->kernel_w * width;
  /* Neighbouring taps of a row follow each other in memory: one long dot product. */
  const int joined = (p->pad == NULL) && (p->groups == 1u) && ((w->dilation_w == 1u) || (w->kernel_w == 1u));
  const uint32_t step = joined ? (cols.end - cols.first) : 1u;
  for (uint32_t ky = rows.first; ky < rows.end; ky++) {
    for (uint32_t kx = cols.first; kx < cols.end; kx += step) {
      const float *tap = bnn2c_conv2d_tap(p, in, rows.start + ky * w->dilation_h, cols.start + kx * w->dilation_w);
      bnn2c_dot(&tap[first], &weights[((size_t)ky * w->kernel_w + kx) * width], row_size, count, step * width, sums);
    }
  }
}

/* All output channels of one pixel. */
BNN2C_KERNEL void bnn2c_conv2d_pixel(const bnn2c_conv2d_t *p, const float *in, bnn2c_span_t rows, bnn2c_span_t cols,
                                     float *out) {
  const uint32_t outputs = p->group_out;
  const size_t row_size = (size_t)p->window.kernel_h * p->window.kernel_w * p->group_in;
  const float *weights = p->weights;
  for (uint32_t g = 0u; g < p->groups; g++) {
    uint32_t count = 0u;
    for (uint32_t o = 0u; o < outputs; o += count) {
      float sums[4];
      bnn2c_dot_clear(sums);
      count = (outputs - o >= 4u) ? 4u : 1u;
      bnn2c_conv2d_sums(p, in, rows, cols, g * p->group_in, weights, count, sums);
      for (uint32_t i = 0u; i < count; i++) {
        *out = sums[i];
        out++;
      }
      weights += row_size * count;
    }
  }
}

/* All output channels of pixel (y, x). */
BNN2C_KERNEL void bnn2c_conv2d_at(const bnn2c_conv2d_t *p, const float *in, uint32_t y, uint32_t x, float *out) {
  const bnn2c_window_t *w = &p->window;
  bnn2c_span_t rows = bnn2c_window_rows(w, y);
  bnn2c_span_t cols = bnn2c_window_cols(w, x);
  if (p->pad != NULL) {
    rows = bnn2c_window_all(rows, w->kernel_h);
    cols = bnn2c_window_all(cols, w->kernel_w);
  }
  bnn2c_conv2d_pixel(p, in, rows, cols, out);
}

/* Whether the windows of pixels x and x + 1 lie inside the input, in rows that are contiguous in memory. */
BNN2C_KERNEL int bnn2c_conv2d_paired(const bnn2c_conv2d_t *p, uint32_t x) {
  const bnn2c_window_t *w = &p->window;
  const uint32_t left = x * w->stride_w - w->pad_left;
  const int plain = (p->pad == NULL) && (p->groups == 1u) && ((w->dilation_w == 1u) || (w->kernel_w == 1u));
  return plain && (x + 1u < w->out_w) && (p->out_c % 4u == 0u) && (left < w->in_w) &&
         (w->in_w - left >= w->kernel_w + w->stride_w);
}

/* All outputs of two such pixels. */
BNN2C_KERNEL void bnn2c_conv2d_two(const bnn2c_conv2d_t *p, const float *in, uint32_t y, uint32_t x, float *out) {
  const bnn2c_window_t *w = &p->window;
  const bnn2c_span_t rows = bnn2c_window_rows(w, y);
  const uint32_t width = w->kernel_w * p->in_c;
  const size_t row_size = (size_t)w->kernel_h * width;
  for (uint32_t o = 0u; o < p->out_c; o += 4u) {
    float *const next = &out[p->out_c + o];
    for (uint32_t i = 0u; i < 4u; i++) {
      out[o + i] = 0.0f;
      next[i] = 0.0f;
    }
    for (uint32_t ky = rows.first; ky < rows.end; ky++) {
      const uint32_t row = rows.start + ky * w->dilation_h;
      const float *tap = &in[((size_t)row * w->in_w + (x * w->stride_w - w->pad_left)) * p->in_c];
      const float *weights = &p->weights[(size_t)o * row_size + (size_t)ky * width];
      for (uint32_t k = 0u; k < width; k += BNN2C_DOT_PIECE) {
        const uint32_t n = (width - k < BNN2C_DOT_PIECE) ? (width - k) : BNN2C_DOT_PIECE;
        bnn2c_dot4_two(&tap[k], &tap[w->stride_w * p->in_c + k], &weights[k], row_size, n, &out[o], next);
      }
    }
  }
}

BNN2C_KERNEL void bnn2c_conv2d(const bnn2c_conv2d_t *p, const float *in, float *out) {
  for (uint32_t y = 0u; y < p->window.out_h; y++) {
    uint32_t count = 1u;
    for (uint32_t x = 0u; x < p->window.out_w; x += count) {
      count = bnn2c_conv2d_paired(p, x) ? 2u : 1u;
      if (count == 2u) {
        bnn2c_conv2d_two(p, in, y, x, out);
      } else {
        bnn2c_conv2d_at(p, in, y, x, out);
      }
      out += (size_t)count * p->out_c;
    }
  }
}

/* Copies the window of pixel (y, x), padding included, to `patch` [kernel_h][kernel_w][in_c]. */
BNN2C_KERNEL void bnn2c_conv2d_gather(const bnn2c_conv2d_t *p, const float *in, uint32_t y, uint32_t x, float *patch) {
  const bnn2c_window_t *w = &p->window;
  for (uint32_t ky = 0u; ky < w->kernel_h; ky++) {
    const uint32_t row = y * w->stride_h + ky * w->dilation_h - w->pad_top;
    for (uint32_t kx = 0u; kx < w->kernel_w; kx++) {
      const uint32_t col = x * w->stride_w + kx * w->dilation_w - w->pad_left;
      const int inside = (row < w->in_h) && (col < w->in_w);
      const float *tap = inside ? &in[((size_t)row * w->in_w + col) * p->in_c] : p->pad;
      for (uint32_t c = 0u; c < p->in_c; c++) {
        *patch = (tap != NULL) ? tap[c] : 0.0f;
        patch++;
      }
    }
  }
}

/* bnn2c_conv2d_at for groups = 1 and few input channels: one dot product per output instead of one per kernel row. */
BNN2C_KERNEL void bnn2c_conv2d_patch_at(const bnn2c_conv2d_t *p, const float *in, uint32_t y, uint32_t x, float *patch,
                                        float *out) {
  const uint32_t size = p->window.kernel_h * p->window.kernel_w * p->in_c;
  uint32_t count = 0u;
  bnn2c_conv2d_gather(p, in, y, x, patch);
  for (uint32_t o = 0u; o < p->out_c; o += count) {
    float sums[4];
    bnn2c_dot_clear(sums);
    count = (p->out_c - o >= 4u) ? 4u : 1u;
    bnn2c_dot(patch, &p->weights[(size_t)o * size], size, count, size, sums);
    for (uint32_t i = 0u; i < count; i++) {
      out[o + i] = sums[i];
    }
  }
}

BNN2C_KERNEL void bnn2c_conv2d_patch(const bnn2c_conv2d_t *p, const float *in, float *patch, float *out) {
  for (uint32_t y = 0u; y < p->window.out_h; y++) {
    for (uint32_t x = 0u; x < p->window.out_w; x++) {
      bnn2c_conv2d_patch_at(p, in, y, x, patch, out);
      out += p->out_c;
    }
  }
}

/* Channels c .. c + count - 1 (count 1 or 4) of one pixel, each with its own weights. */
BNN2C_KERNEL void bnn2c_conv2d_depthwise_sums(const bnn2c_conv2d_t *p, const float *in, bnn2c_span_t rows,
                                              bnn2c_span_t cols, uint32_t c, uint32_t count, float *out) {
  const bnn2c_window_t *w = &p->window;
  float sums[4];
  bnn2c_dot_clear(sums);
  for (uint32_t ky = rows.first; ky < rows.end; ky++) {
    for (uint32_t kx = cols.first; kx < cols.end; kx++) {
      const float *tap = &bnn2c_conv2d_tap(p, in, rows.start + ky * w->dilation_h, cols.start + kx * w->dilation_w)[c];
      const float *weights = &p->weights[((size_t)ky * w->kernel_w + kx) * p->in_c + c];
      sums[0] = BNN2C_MULTIPLY_ADD(tap[0], weights[0], sums[0]);
      if (count == 4u) {
        sums[1] = BNN2C_MULTIPLY_ADD(tap[1], weights[1], sums[1]);
        sums[2] = BNN2C_MULTIPLY_ADD(tap[2], weights[2], sums[2]);
        sums[3] = BNN2C_MULTIPLY_ADD(tap[3], weights[3], sums[3]);
      }
    }
  }
  for (uint32_t i = 0u; i < count; i++) {
    out[c + i] = sums[i];
  }
}

/* All channels of pixel (y, x), one input channel each. */
BNN2C_KERNEL void bnn2c_conv2d_depthwise_at(const bnn2c_conv2d_t *p, const float *in, uint32_t y, uint32_t x,
                                            float *out) {
  const bnn2c_window_t *w = &p->window;
  bnn2c_span_t rows = bnn2c_window_rows(w, y);
  bnn2c_span_t cols = bnn2c_window_cols(w, x);
  uint32_t count = 0u;
  if (p->pad != NULL) {
    rows = bnn2c_window_all(rows, w->kernel_h);
    cols = bnn2c_window_all(cols, w->kernel_w);
  }
  for (uint32_t c = 0u; c < p->out_c; c += count) {
    count = (p->out_c - c >= 4u) ? 4u : 1u;
    bnn2c_conv2d_depthwise_sums(p, in, rows, cols, c, count, out);
  }
}

BNN2C_KERNEL void bnn2c_conv2d_depthwise(const bnn2c_conv2d_t *p, const float *in, float *out) {
  for (uint32_t y = 0u; y < p->window.out_h; y++) {
    for (uint32_t x = 0u; x < p->window.out_w; x++) {
      bnn2c_conv2d_depthwise_at(p, in, y, x, out);
      out += p->out_c;
    }
  }
}

#endif
