/* bnn2c_history.h - the last frames of a stream, oldest first, as a sliding window reads them.
 *
 * A step brings `frames` frames. A frame has `rows` rows of `run` elements (words of packed bits); in `out` each row has
 * (old + frames) * run. The step's frames before `first` and behind `last` do not exist: zeros are appended.
 * The time does not depend on the frames.
 */
#ifndef BNN2C_HISTORY_H
#define BNN2C_HISTORY_H

#include "bnn2c.h"

typedef struct {
  uint32_t rows;
  uint32_t run;
  uint32_t frames;
  uint32_t old;
} bnn2c_history_t;

/* Copies elements down by `apart`, or from other memory, four at a time where the two fours do not overlap: a load and a
 * store of several registers. */
#define BNN2C_MOVE(suffix, type)                                                                                      \
  typedef struct {                                                                                                    \
    type elements[4];                                                                                                 \
  } bnn2c_four_##suffix;                                                                                              \
  BNN2C_INLINE void bnn2c_move_##suffix(type *to, const type *from, uint32_t count, uint32_t apart) {                 \
    uint32_t left = count;                                                                                            \
    for (; (left >= 4u) && (apart >= 4u); left -= 4u) {                                                               \
      *(bnn2c_four_##suffix *)to = *(const bnn2c_four_##suffix *)from;                                                \
      from += 4;                                                                                                      \
      BNN2C_KEEP(from); /* no call of memcpy */                                                                       \
      to += 4;                                                                                                        \
    }                                                                                                                 \
    for (; left != 0u; left--) {                                                                                      \
      *to = *from;                                                                                                    \
      from++;                                                                                                         \
      to++;                                                                                                           \
      BNN2C_KEEP(left);                                                                                               \
    }                                                                                                                 \
  }

BNN2C_MOVE(f32, float)
BNN2C_MOVE(i32, int32_t)
BNN2C_MOVE(i16, int16_t)
BNN2C_MOVE(i8, int8_t)
BNN2C_MOVE(u8, uint8_t)

/* Packed bits, whose frames are few words. */
BNN2C_INLINE void bnn2c_move_bits(uint32_t *to, const uint32_t *from, uint32_t count, uint32_t apart) {
  (void)apart;
  BNN2C_UNROLL(1)
  for (uint32_t i = 0u; i < count; i++) {
    to[i] = from[i];
  }
}

#define BNN2C_HISTORY(suffix, type)                                                                                   \
  BNN2C_KERNEL void bnn2c_history_##suffix(const bnn2c_history_t *p, const type *in, int32_t first, int32_t last,     \
                                           type *out) {                                                               \
    const uint32_t old = p->old * p->run;                                                                             \
    const uint32_t fresh = p->frames * p->run;                                                                        \
    for (uint32_t row = 0u; row < p->rows; row++) {                                                                   \
      bnn2c_move_##suffix(out, out + fresh, old, fresh);                                                              \
      out += old;                                                                                                     \
      for (int32_t frame = 0; frame < (int32_t)p->frames; frame++) {                                                  \
        if ((frame >= first) && (frame <= last)) {                                                                    \
          bnn2c_move_##suffix(out, in, p->run, 4u);                                                                   \
        } else {                                                                                                      \
          for (uint32_t i = 0u; i < p->run; i++) {                                                                    \
            out[i] = (type)0;                                                                                         \
          }                                                                                                           \
        }                                                                                                             \
        in += p->run;                                                                                                 \
        out += p->run;                                                                                                \
      }                                                                                                               \
    }                                                                                                                 \
  }

BNN2C_HISTORY(f32, float)
BNN2C_HISTORY(i32, int32_t)
BNN2C_HISTORY(i16, int16_t)
BNN2C_HISTORY(i8, int8_t)
BNN2C_HISTORY(u8, uint8_t)
BNN2C_HISTORY(bits, uint32_t)

/* How many of the bits of word `word` lie below bit `bits` of a row. */
BNN2C_INLINE uint32_t bnn2c_bits_below(uint32_t bits, uint32_t word) {
  const uint32_t from = 32u * word;
  return (bits <= from) ? 0u : (((bits - from) < 32u) ? ~(0xFFFFFFFFu << ((bits - from) & 31u)) : 0xFFFFFFFFu);
}

/* Moves a row of words down by `moved` words and `down` bits; zeros follow. */
BNN2C_INLINE void bnn2c_move_down(uint32_t *row, uint32_t words, uint32_t moved, uint32_t down) {
  const uint32_t left = words - moved;
  for (uint32_t w = 0u; w < left; w++) {
    const uint32_t high = ((w + 1u) < left) ? row[w + moved + 1u] : 0u;
    row[w] = (down == 0u) ? row[w + moved] : ((row[w + moved] >> down) | (high << (32u - down)));
  }
  for (uint32_t w = left; w < words; w++) {
    row[w] = 0u;
    BNN2C_KEEP(w);
  }
}

/* The same for layout "planes" (bnn2c_planes.h): a row is a channel's plane, `run` the pixels of a frame, all in bits. */
BNN2C_KERNEL void bnn2c_history_planes(const bnn2c_history_t *p, const uint32_t *in, int32_t first, int32_t last,
                                       uint32_t *out) {
  const int32_t frames = (int32_t)p->frames;
  const uint32_t below = ((first < 0) ? 0u : (uint32_t)((first < frames) ? first : frames)) * p->run;
  const uint32_t until = ((last < 0) ? 0u : (uint32_t)((last < frames) ? (last + 1) : frames)) * p->run;
  const uint32_t fresh = p->frames * p->run;
  const uint32_t old = p->old * p->run;
  const uint32_t words = (old + fresh + 31u) / 32u;
  const uint32_t in_words = (fresh + 31u) / 32u;
  const uint32_t moved = fresh / 32u;
  const uint32_t down = fresh % 32u;
  const uint32_t at = old / 32u;
  const uint32_t up = old % 32u;
  const uint32_t whole = ((below == 0u) && (until == fresh)) ? 1u : 0u;
  for (uint32_t row = 0u; row < p->rows; row++) {
    bnn2c_move_down(out, words, moved, down);
    for (uint32_t w = 0u; w < in_words; w++) {
      uint32_t word = in[w];
      if (whole == 0u) {
        word &= bnn2c_bits_below(until, w) & ~bnn2c_bits_below(below, w);
      }
      out[at + w] |= word << up;
      if ((up != 0u) && ((at + w + 1u) < words)) {
        out[at + w + 1u] |= word >> (32u - up);
      }
    }
    in += in_words;
    out += words;
  }
}

/* Steps of one frame: `wait` counts the frames until the window is complete, at first all of them, then `stride`.
 * Returns 1 when it is, else 0. */
BNN2C_KERNEL uint32_t bnn2c_history_ready(uint32_t *wait, uint32_t stride) {
  *wait -= 1u;
  if (*wait != 0u) {
    return 0u;
  }
  *wait = stride;
  return 1u;
}

/* Frames that are still to come after a step's first one, and the same of windows; less than 0 behind the end. */
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

/* Results of a step of several frames: the first one that exists, and how many do. */
BNN2C_KERNEL bnn2c_status bnn2c_results(int32_t first, int32_t last, int32_t results, uint32_t *from, uint32_t *count) {
  const int32_t begin = (first < 0) ? 0 : first;
  const int32_t end = (last < results) ? (last + 1) : results;
  *from = (begin < end) ? (uint32_t)begin : 0u;
  *count = (begin < end) ? (uint32_t)(end - begin) : 0u;
  return (begin < end) ? BNN2C_OK : BNN2C_MORE;
}

/* A tensor whose element (o, t, i) of outer x count x inner is element i of frame t, and some of its frames. */
typedef struct {
  size_t outer;
  size_t count;  /* frames of the tensor */
  size_t frames; /* frames of a step */
  size_t inner;
} bnn2c_frames;

/* `frames` frames from number `at` on, zeros behind the tensor's end; and frames of a step, from `first` on, back. */
#define BNN2C_FRAMES(type)                                                                                            \
  BNN2C_KERNEL void bnn2c_frames_out_of_##type(const bnn2c_frames *p, const type *tensor, size_t at, type *step) {    \
    const size_t left = p->count - at;                                                                                \
    const size_t run = ((left < p->frames) ? left : p->frames) * p->inner;                                            \
    for (size_t o = 0u; o < p->outer; o++) {                                                                          \
      const type *const from = &tensor[(o * p->count + at) * p->inner];                                               \
      for (size_t i = 0u; i < run; i++) {                                                                             \
        step[i] = from[i];                                                                                            \
      }                                                                                                               \
      for (size_t i = run; i < p->frames * p->inner; i++) {                                                           \
        step[i] = (type)0;                                                                                            \
      }                                                                                                               \
      step += p->frames * p->inner;                                                                                   \
    }                                                                                                                 \
  }                                                                                                                   \
  BNN2C_KERNEL void bnn2c_frames_into_##type(const bnn2c_frames *p, const type *step, size_t first, size_t frames,    \
                                             size_t at, type *tensor) {                                               \
    for (size_t o = 0u; o < p->outer; o++) {                                                                          \
      type *const to = &tensor[(o * p->count + at) * p->inner];                                                       \
      for (size_t i = 0u; i < frames * p->inner; i++) {                                                               \
        to[i] = step[first * p->inner + i];                                                                           \
      }                                                                                                               \
      step += p->frames * p->inner;                                                                                   \
    }                                                                                                                 \
  }

BNN2C_FRAMES(float)
BNN2C_FRAMES(int32_t)
BNN2C_FRAMES(int16_t)
BNN2C_FRAMES(int8_t)
BNN2C_FRAMES(uint8_t)

#endif
