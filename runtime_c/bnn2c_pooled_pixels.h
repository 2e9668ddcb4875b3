/* bnn2c_pooled_pixels.h - max pooling of packed codes, pixel by pixel as a binary convolution makes them.
 *
 * Windows lie side by side and inside the map, so each pixel of the map is made once, and only one is in memory.
 */
#ifndef BNN2C_POOLED_PIXELS_H
#define BNN2C_POOLED_PIXELS_H

#include "bnn2c_max_pool.h"

/* Function `name`: the convolution `family`, pooled.  scratch: one pixel, then that of the kernel. */
#define BNN2C_POOLED_PIXELS(name, params, family)                                                                     \
  BNN2C_KERNEL void name(const params *p, const bnn2c_max_pool_t *pool, const uint32_t *in, uint32_t *scratch,        \
                         uint32_t *out) {                                                                             \
    const uint32_t words = pool->planes * pool->channels;                                                             \
    const bnn2c_window_t *const window = &pool->window;                                                               \
    for (uint32_t y = 0u; y < window->out_h; y++) {                                                                   \
      for (uint32_t x = 0u; x < window->out_w; x++) {                                                                 \
        (void)family##_bits_at(p, in, y * window->stride_h, x * window->stride_w, scratch + words, out);              \
        bnn2c_max_pool_invert(pool, out, out);                                                                        \
        for (uint32_t tap = 1u; tap < window->kernel_h * window->kernel_w; tap++) {                                   \
          (void)family##_bits_at(p, in, y * window->stride_h + tap / window->kernel_w,                                \
                                 x * window->stride_w + tap % window->kernel_w, scratch + words, scratch);            \
          bnn2c_max_pool_tap_bits(pool, scratch, out);                                                                \
        }                                                                                                             \
        bnn2c_max_pool_invert(pool, out, out);                                                                        \
        out += words;                                                                                                 \
      }                                                                                                               \
    }                                                                                                                 \
  }

#endif /* BNN2C_POOLED_PIXELS_H */
