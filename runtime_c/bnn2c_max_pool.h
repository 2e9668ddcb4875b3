/* bnn2c_max_pool.h - maximum over sliding windows; taps outside the input are skipped, but every window has one inside.
 *
 * Plain tensors: out[y][x][c] = the largest tap.  Packed codes (suffix bits): the smallest code of each window, because
 * smaller codes mean larger values, and the largest code in the channels of `mask`.  Codes are compared for 32 channels
 * at a time, by a borrow chain over their planes; no branch or address depends on data.
 */
#ifndef BNN2C_MAX_POOL_H
#define BNN2C_MAX_POOL_H

#include "bnn2c.h"
#include "bnn2c_math.h"
#include "bnn2c_window.h"

typedef struct {
  bnn2c_window_t window;
  uint32_t channels;    /* of a pixel; bits: words of one plane of a pixel */
  uint32_t planes;      /* bits only */
  const uint32_t *mask; /* bits only, [channels]: channels whose largest code wins; NULL for none */
} bnn2c_max_pool_t;

/* Index of the input pixel under tap (ky, kx). */
BNN2C_KERNEL size_t bnn2c_max_pool_pixel(const bnn2c_window_t *w, bnn2c_span_t rows, bnn2c_span_t cols, uint32_t ky,
                                         uint32_t kx) {
  return (size_t)(rows.start + ky * w->dilation_h) * w->in_w + (cols.start + kx * w->dilation_w);
}

#define BNN2C_MAX_POOL(suffix, type, larger)                                                               \
  BNN2C_KERNEL void bnn2c_max_pool_window_##suffix(const bnn2c_max_pool_t *p, const type *in, bnn2c_span_t rows, \
                                                   bnn2c_span_t cols, type *out) {                         \
    const size_t start = bnn2c_max_pool_pixel(&p->window, rows, cols, rows.first, cols.first);             \
    const type *first = &in[start * p->channels];                                                          \
    for (uint32_t c = 0u; c < p->channels; c++) {                                                          \
      out[c] = first[c];                                                                                   \
    }                                                                                                      \
    for (uint32_t ky = rows.first; ky < rows.end; ky++) {                                                  \
      for (uint32_t kx = cols.first; kx < cols.end; kx++) {                                                \
        const type *tap = &in[bnn2c_max_pool_pixel(&p->window, rows, cols, ky, kx) * p->channels];         \
        for (uint32_t c = 0u; c < p->channels; c++) {                                                      \
          const type a = out[c];                                                                           \
          const type b = tap[c];                                                                           \
          out[c] = larger;                                                                                 \
        }                                                                                                  \
      }                                                                                                    \
    }                                                                                                      \
  }                                                                                                        \
  BNN2C_KERNEL void bnn2c_max_pool_##suffix(const bnn2c_max_pool_t *p, const type *in, type *out) {        \
    for (uint32_t y = 0u; y < p->window.out_h; y++) {                                                      \
      const bnn2c_span_t rows = bnn2c_window_rows(&p->window, y);                                          \
      for (uint32_t x = 0u; x < p->window.out_w; x++) {                                                    \
        bnn2c_max_pool_window_##suffix(p, in, rows, bnn2c_window_cols(&p->window, x), out);                \
        out += p->channels;                                                                                \
      }                                                                                                    \
    }                                                                                                      \
  }

BNN2C_MAX_POOL(f32, float, bnn2c_maxf(a, b))
BNN2C_MAX_POOL(i32, int32_t, (a > b) ? a : b)
BNN2C_MAX_POOL(i16, int16_t, (a > b) ? a : b)
BNN2C_MAX_POOL(i8, int8_t, (a > b) ? a : b)
BNN2C_MAX_POOL(u8, uint8_t, (a > b) ? a : b)

/* Codes of 32 channels: `best` becomes the smaller of `best` and `tap`; planes are p->channels words apart. */
BNN2C_KERNEL void bnn2c_max_pool_codes(const bnn2c_max_pool_t *p, const uint32_t *tap, uint32_t invert,
                                       uint32_t *best) {
  uint32_t smaller = 0u;
  for (uint32_t plane = 0u; plane < p->planes; plane++) {
    const uint32_t a = best[plane * p->channels];
    const uint32_t b = tap[plane * p->channels] ^ invert;
    smaller = (a & ~b) | (smaller & ~(a ^ b));
  }
  for (uint32_t plane = 0u; plane < p->planes; plane++) {
    uint32_t *word = &best[plane * p->channels];
    *word ^= (*word ^ tap[plane * p->channels] ^ invert) & smaller;
  }
}

/* out = in with the channels of `mask` inverted, all planes of a pixel. */
BNN2C_KERNEL void bnn2c_max_pool_invert(const bnn2c_max_pool_t *p, const uint32_t *in, uint32_t *out) {
  for (uint32_t plane = 0u; plane < p->planes; plane++) {
    for (uint32_t w = 0u; w < p->channels; w++) {
      out[w] = in[w] ^ ((p->mask != NULL) ? p->mask[w] : 0u);
    }
    in += p->channels;
    out += p->channels;
  }
}

/* One tap more: the codes `out` have their masked channels inverted. */
BNN2C_KERNEL void bnn2c_max_pool_tap_bits(const bnn2c_max_pool_t *p, const uint32_t *tap, uint32_t *out) {
  for (uint32_t w = 0u; w < p->channels; w++) {
    const uint32_t invert = (p->mask != NULL) ? p->mask[w] : 0u;
    if (p->planes == 1u) {
      out[w] &= tap[w] ^ invert;
    } else {
      bnn2c_max_pool_codes(p, &tap[w], invert, &out[w]);
    }
  }
}

/* One output pixel: start with the first tap, take every tap, undo the inversion of the masked channels. */
BNN2C_KERNEL void bnn2c_max_pool_window_bits(const bnn2c_max_pool_t *p, const uint32_t *in, bnn2c_span_t rows,
                                             bnn2c_span_t cols, uint32_t *out) {
  const size_t size = (size_t)p->planes * p->channels;
  const size_t start = bnn2c_max_pool_pixel(&p->window, rows, cols, rows.first, cols.first);
  bnn2c_max_pool_invert(p, &in[start * size], out);
  for (uint32_t ky = rows.first; ky < rows.end; ky++) {
    for (uint32_t kx = cols.first; kx < cols.end; kx++) {
      bnn2c_max_pool_tap_bits(p, &in[bnn2c_max_pool_pixel(&p->window, rows, cols, ky, kx) * size], out);
    }
  }
  if (p->mask != NULL) {
    bnn2c_max_pool_invert(p, out, out);
  }
}

BNN2C_KERNEL void bnn2c_max_pool_bits(const bnn2c_max_pool_t *p, const uint32_t *in, uint32_t *out) {
  for (uint32_t y = 0u; y < p->window.out_h; y++) {
    const bnn2c_span_t rows = bnn2c_window_rows(&p->window, y);
    for (uint32_t x = 0u; x < p->window.out_w; x++) {
      bnn2c_max_pool_window_bits(p, in, rows, bnn2c_window_cols(&p->window, x), out);
      out += (size_t)p->planes * p->channels;
    }
  }
}

#endif
