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

#endif
