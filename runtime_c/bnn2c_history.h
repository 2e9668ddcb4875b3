/* bnn2c_history.h - the last `span` frames of a stream, oldest first, as a sliding window reads them.
 *
 * A frame has `rows` rows of `run` elements (words of packed bits); in `out` each row has span*run. `wait` counts the
 * frames until the window is complete: span at first, then stride. Returns 1 when it is, else 0. Without a frame (NULL)
 * zeros are appended.
 */
#ifndef BNN2C_HISTORY_H
#define BNN2C_HISTORY_H

#include "bnn2c.h"

typedef struct {
  uint32_t rows;
  uint32_t run;
  uint32_t span;
  uint32_t stride;
} bnn2c_history_t;

#define BNN2C_HISTORY(suffix, type)                                                                                   \
  BNN2C_KERNEL uint32_t bnn2c_history_##suffix(const bnn2c_history_t *p, const type *in, uint32_t *wait, type *out) { \
    const uint32_t old = (p->span - 1u) * p->run;                                                                     \
    for (uint32_t row = 0u; row < p->rows; row++) {                                                                   \
      for (uint32_t i = 0u; i < old; i++) {                                                                           \
        out[i] = out[i + p->run];                                                                                     \
      }                                                                                                               \
      for (uint32_t i = 0u; i < p->run; i++) {                                                                        \
        out[old + i] = (in == NULL) ? (type)0 : in[row * p->run + i];                                                 \
      }                                                                                                               \
      out += old + p->run;                                                                                            \
    }                                                                                                                 \
    *wait -= 1u;                                                                                                      \
    if (*wait != 0u) {                                                                                                \
      return 0u;                                                                                                      \
    }                                                                                                                 \
    *wait = p->stride;                                                                                                \
    return 1u;                                                                                                        \
  }

BNN2C_HISTORY(f32, float)
BNN2C_HISTORY(i32, int32_t)
BNN2C_HISTORY(i16, int16_t)
BNN2C_HISTORY(i8, int8_t)
BNN2C_HISTORY(u8, uint8_t)
BNN2C_HISTORY(bits, uint32_t)

/* Frames that are still to come after this one, and the same of a window over them; less than 0 behind the end. */
#define BNN2C_ENDLESS INT32_MAX

BNN2C_KERNEL int32_t bnn2c_from_end(int32_t end, int32_t tail, int32_t stride) {
  const int32_t left = (end == BNN2C_ENDLESS) ? 0 : (end + tail);
  const int32_t windows = (left >= 0) ? (left / stride) : (-1 - ((-1 - left) / stride));
  return (end == BNN2C_ENDLESS) ? BNN2C_ENDLESS : windows;
}

/* The past of a new stream is zeros. */
BNN2C_KERNEL void bnn2c_history_clear(unsigned char *frames, size_t bytes) {
  for (size_t i = 0u; i < bytes; i++) {
    frames[i] = 0u;
  }
}

/* Elements from (o*count + number)*inner on, for all o < outer: one frame of a tensor, or back. */
BNN2C_KERNEL void bnn2c_frame_out_of(const unsigned char *in, size_t outer, size_t count, size_t number, size_t inner,
                                     unsigned char *frame) {
  for (size_t o = 0u; o < outer; o++) {
    for (size_t i = 0u; i < inner; i++) {
      frame[o * inner + i] = in[(o * count + number) * inner + i];
    }
  }
}

BNN2C_KERNEL void bnn2c_frame_into(const unsigned char *frame, size_t outer, size_t count, size_t number, size_t inner,
                                   unsigned char *out) {
  for (size_t o = 0u; o < outer; o++) {
    for (size_t i = 0u; i < inner; i++) {
      out[(o * count + number) * inner + i] = frame[o * inner + i];
    }
  }
}

#endif
