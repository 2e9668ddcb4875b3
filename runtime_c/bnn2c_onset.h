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
BNN2C_KERNEL int32_t bnn2c_next_frame(uint32_t *number, uint32_t frames) {
  const uint32_t now = *number;
  *number += (now + 1u < frames) ? 1u : 0u;
  return (int32_t)now;
}

/* Classes of a step's frames, of which the first has the number `number` (below 0: before the first of the stream). */
BNN2C_KERNEL void bnn2c_frame_classes(const uint8_t *order, int32_t frames, int32_t number, uint32_t count,
                                      uint8_t *out) {
  int32_t at = number;
  for (uint32_t i = 0u; i < count; i++) {
    const int32_t known = (at < frames) ? at : (frames - 1);
    out[i] = order[(known < 0) ? 0 : known];
    at++;
  }
}

/* The classes of the last frames instead, of which `end` are still to come after the first one of the step. */
BNN2C_KERNEL void bnn2c_frame_classes_at_end(const uint8_t *ending, int32_t last, int32_t end, uint32_t count,
                                             uint8_t *out) {
  int32_t left = end;
  for (uint32_t i = 0u; i < count; i++) {
    if ((left >= 0) && (left < last)) {
      out[i] = ending[left];
    }
    left--;
  }
}

#endif
