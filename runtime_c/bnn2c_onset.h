/* bnn2c_onset.h - which variant of a layer runs in this step of a stream.
 *
 * `step` counts the steps since the reset, up to the last of the `frames` that are told apart.
 */
#ifndef BNN2C_ONSET_H
#define BNN2C_ONSET_H

#include "bnn2c.h"

BNN2C_KERNEL uint32_t bnn2c_onset(const uint8_t *order, uint32_t frames, uint32_t *step) {
  const uint32_t variant = order[*step];
  *step += (*step + 1u < frames) ? 1u : 0u;
  return variant;
}

/* The same for a stream that ends: the last frames, of which `end` are still to come, have an order of their own. */
BNN2C_KERNEL uint32_t bnn2c_onset_and_end(const uint8_t *order, uint32_t frames, uint32_t *step, const uint8_t *ending,
                                          int32_t last, int32_t end) {
  const uint32_t variant = bnn2c_onset(order, frames, step);
  return ((end >= 0) && (end < last)) ? ending[end] : variant;
}

#endif
