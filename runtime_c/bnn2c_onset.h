/* bnn2c_onset.h - which kind of frame a step of a stream computes: the first and last ones of a padded stream differ.
 *
 * `order` holds the classes of the first `frames` frames; those behind it are like its last one. Of a stream that ends,
 * `ending` holds the classes of the last `last` frames, the last one first; `end` frames are still to come.
 */
#ifndef BNN2C_ONSET_H
#define BNN2C_ONSET_H

#include "bnn2c.h"
#include "bnn2c_compiler.h"

/* Number of the frame since the reset, up to frames - 1. */
BNN2C_KERNEL uint32_t bnn2c_next_frame(uint32_t *number, uint32_t frames) {
  const uint32_t now = *number;
  *number += (now + 1u < frames) ? 1u : 0u;
  return now;
}

BNN2C_KERNEL void bnn2c_frame_class(const uint8_t *order, uint32_t number, uint8_t *out) { *out = order[number]; }

BNN2C_KERNEL void bnn2c_frame_class_and_end(const uint8_t *order, uint32_t number, const uint8_t *ending, int32_t last,
                                            int32_t end, uint8_t *out) {
  *out = ((end >= 0) && (end < last)) ? ending[end] : order[number];
}

/* Copies the parameters of a layer, in which the classes of this step are then set. */
#if defined(__GNUC__)
typedef uint32_t bnn2c_any_word __attribute__((may_alias));
#else
typedef unsigned char bnn2c_any_word;
#endif

BNN2C_KERNEL void bnn2c_copy_parameters(const void *from, size_t bytes, void *to) {
  for (size_t i = 0u; i < bytes / sizeof(bnn2c_any_word); i++) {
    ((bnn2c_any_word *)to)[i] = ((const bnn2c_any_word *)from)[i];
    BNN2C_KEEP(i);
  }
}

#endif
