/* bnn2c_spaced_history.h - frames of a stream that lie `gap` frames apart, as a dilated window reads them.
 *
 * A frame is `run` words. `out` holds `kept` frames, the newest one last. `ring` holds the place of the oldest frame and
 * (kept - 1) * gap frames, the others and those between them. The time does not depend on the frames.
 */
#ifndef BNN2C_SPACED_HISTORY_H
#define BNN2C_SPACED_HISTORY_H

#include "bnn2c_history.h"

typedef struct {
  uint32_t run;
  uint32_t kept;
  uint32_t gap;
} bnn2c_spaced_history_t;

/* One frame comes, zeros instead of it when `last` is below 0. */
BNN2C_KERNEL void bnn2c_spaced_history(const bnn2c_spaced_history_t *p, const uint32_t *in, int32_t last,
                                       uint32_t *ring, uint32_t *out) {
  const uint32_t run = p->run;
  const uint32_t step = p->gap * run;
  const uint32_t words = (p->kept - 1u) * step;
  const uint32_t exists = (last < 0) ? 0u : 0xFFFFFFFFu;
  uint32_t *const frames = ring + 1;
  uint32_t *newest = frames + ring[0];
  uint32_t at = ring[0];
  for (uint32_t frame = 1u; frame < p->kept; frame++) {
    bnn2c_move_bits(out, frames + at, run, run);
    out += run;
    at += step;
    at -= (at < words) ? 0u : words;
  }
  for (uint32_t i = 0u; i < run; i++) {
    const uint32_t word = in[i] & exists;
    newest[i] = word;
    out[i] = word;
  }
  ring[0] = (at + run == words) ? 0u : (at + run);
}

#endif
