/* bnn2c_planes.h - layout "planes" and the patch of planes under 32 output pixels.
 *
 * planes: channel c owns ceil(height * width / 32) words; pixel (y, x) is number q = y * width + x and bit q % 32 of
 * word q / 32; spare bits are 0.  One bnn2c_lanes of the patch holds one input (tap, channel) of that many consecutive
 * output pixels.
 *
 * Patch: input i = tap * in_c + channel is word i + i / 127 + 1; words 0, 128, 256, ... and the last one are zero, so
 * that lists can be filled up with zeros from nearby.
 */
#ifndef BNN2C_PLANES_H
#define BNN2C_PLANES_H

#include "bnn2c_compiler.h"
#include "bnn2c_conv_shape.h"
#include "bnn2c_lanes.h"
#include "bnn2c_phases.h"

#define BNN2C_PATCH_RUN 127u /* inputs between two zero words of the patch */

/* Bits from..to-1 set, 0 <= from <= to <= 32. */
BNN2C_INLINE uint32_t bnn2c_lane_mask(uint32_t from, uint32_t to) {
  const uint32_t below_to = (to < 32u) ? ((1u << to) - 1u) : 0xFFFFFFFFu;
  return (from < 32u) ? ((below_to >> from) << from) : 0u;
}

/* Words of a plane of h x w pixels. */
BNN2C_INLINE uint32_t bnn2c_plane_words(uint32_t h, uint32_t w) { return (h * w + 31u) / 32u; }

/* A source of patch words: 32 bits from bit `offset` (may be negative) of each channel's plane, those in `mask`. */
typedef struct {
  int32_t offset;
  uint32_t mask;
} bnn2c_bit_window;

/* Walks over the patch, stepping over its zero words. */
typedef struct {
  uint32_t *to;  /* steps by BNN2C_LANE_WORDS */
  uint32_t room; /* inputs before the next zero word */
} bnn2c_patch_cursor;

/* `count` patch words from planes `stride` words apart: 32 bits from bit `shift` of the words from[0] and from[next]. */
BNN2C_INLINE void bnn2c_copy_windows(uint32_t *to, const uint32_t *from, uint32_t next, uint32_t stride,
                                     uint32_t shift, uint32_t mask, uint32_t count) {
  uint32_t *const end = to + count * (uint32_t)BNN2C_LANE_WORDS;
  if (shift == 0u) {
    BNN2C_UNROLL(4)
    for (; to != end; to += BNN2C_LANE_WORDS) {
      *to = *from & mask;
      from += stride;
    }
  } else {
    const uint32_t up = 32u - shift;
    BNN2C_UNROLL(4)
    for (; to != end; to += BNN2C_LANE_WORDS) {
      *to = ((*from >> shift) | (from[next] << up)) & mask;
      from += stride;
    }
  }
}

BNN2C_INLINE void bnn2c_merge_windows(uint32_t *to, const uint32_t *from, uint32_t next, uint32_t stride,
                                      uint32_t shift, uint32_t mask, uint32_t count) {
  for (uint32_t i = 0u; i < count; i++) {
    to[i * (uint32_t)BNN2C_LANE_WORDS] |= ((*from >> shift) | ((from[next] << 1) << (31u - shift))) & mask;
    from += stride;
  }
}

BNN2C_INLINE int32_t bnn2c_clamp_word(int32_t word, int32_t words) {
  return (word < 0) ? 0 : ((word < words) ? word : (words - 1));
}

/* One tap, all channels.  Words beyond the plane only feed lanes that the mask clears, so they are read from its ends. */
BNN2C_NOINLINE BNN2C_STEADY bnn2c_patch_cursor bnn2c_gather_tap(const bnn2c_plane_image *image, uint32_t channels,
                                                   bnn2c_bit_window window, bnn2c_patch_cursor at, uint32_t merge) {
  const int32_t words = image->words;
  const int32_t first = (window.offset >= 0) ? (window.offset / 32) : -((31 - window.offset) / 32);
  const uint32_t shift = (uint32_t)(window.offset - 32 * first);
  const int32_t low = bnn2c_clamp_word(first, words);
  const uint32_t next = (uint32_t)(bnn2c_clamp_word(first + 1, words) - low);
  const uint32_t *from = image->planes + low;
  uint32_t left = channels;
  while (left != 0u) {
    const uint32_t count = (left < at.room) ? left : at.room;
    if (merge != 0u) {
      bnn2c_merge_windows(at.to, from, next, (uint32_t)words, shift, window.mask, count);
    } else {
      bnn2c_copy_windows(at.to, from, next, (uint32_t)words, shift, window.mask, count);
    }
    from += count * (uint32_t)words;
    left -= count;
    at.to += count * (uint32_t)BNN2C_LANE_WORDS;
    at.room -= count;
    if (at.room == 0u) {
      at.to += BNN2C_LANE_WORDS;
      at.room = BNN2C_PATCH_RUN;
    }
  }
  return at;
}

/* Lanes of output columns from..to-1 (all in row y, column x0 in lane lane0) that read an input pixel, and where. */
BNN2C_INLINE bnn2c_bit_window bnn2c_row_window(const bnn2c_plane_image *s, int32_t iy, int32_t shift_x, int32_t x0,
                                               int32_t x1, int32_t lane0) {
  bnn2c_bit_window window;
  const int32_t first = (x0 < -shift_x) ? -shift_x : x0;
  const int32_t end = (x1 > s->w - shift_x) ? (s->w - shift_x) : x1;
  window.offset = iy * s->w + x0 + shift_x - lane0;
  window.mask = 0u;
  if ((iy >= 0) && (iy < s->h) && (first < end)) {
    window.mask = bnn2c_lane_mask((uint32_t)(first - x0 + lane0), (uint32_t)(end - x0 + lane0));
  }
  return window;
}

/* The patch words of one tap: rows whose bits lie at the same distance are fetched together. */
BNN2C_NOINLINE bnn2c_patch_cursor bnn2c_gather_rows(const bnn2c_conv_shape *s, const bnn2c_tap_source *source,
                                                    uint32_t word, bnn2c_patch_cursor at) {
  const int32_t width = (int32_t)s->out_w;
  int32_t y = (int32_t)(32u * word) / width;
  int32_t x = (int32_t)(32u * word) - y * width;
  uint32_t merge = 0u;
  bnn2c_bit_window pending = {0, 0u};
  bnn2c_patch_cursor next = at;
  for (int32_t lane = 0; (lane < 32) && (y < (int32_t)s->out_h); y++) {
    const int32_t end = ((width - x) < (32 - lane)) ? width : (x + 32 - lane);
    const bnn2c_bit_window row = bnn2c_row_window(&source->image, y + source->shift_y, source->shift_x, x, end, lane);
    if ((row.mask != 0u) && (pending.mask != 0u) && (row.offset != pending.offset)) {
      next = bnn2c_gather_tap(&source->image, s->in_c, pending, at, merge);
      merge = 1u;
      pending.mask = 0u;
    }
    if (row.mask != 0u) {
      pending.offset = row.offset;
      pending.mask |= row.mask;
    }
    lane += end - x;
    x = 0;
  }
  next = bnn2c_gather_tap(&source->image, s->in_c, pending, at, merge);
  return next;
}

#if BNN2C_LANE_WORDS >= 4
/* Lanes of output word `word` whose tap (shift_y, shift_x) lies inside the input. */
BNN2C_NOINLINE uint32_t bnn2c_tap_mask(const bnn2c_conv_shape *s, const bnn2c_tap_source *source, uint32_t word) {
  const int32_t width = (int32_t)s->out_w;
  int32_t y = (int32_t)(32u * word) / width;
  int32_t x = (int32_t)(32u * word) - y * width;
  uint32_t mask = 0u;
  for (int32_t lane = 0; (lane < 32) && (y < (int32_t)s->out_h); y++) {
    const int32_t end = ((width - x) < (32 - lane)) ? width : (x + 32 - lane);
    mask |= bnn2c_row_window(&source->image, y + source->shift_y, source->shift_x, x, end, lane).mask;
    lane += end - x;
    x = 0;
  }
  return mask;
}

/* One channel near the ends of the input, word by word. */
BNN2C_NOINLINE void bnn2c_copy_clamped(uint32_t *to, const uint32_t *plane, int32_t first, int32_t words,
                                       uint32_t shift, const uint32_t *mask) {
  for (int32_t i = 0; i < BNN2C_LANE_WORDS; i++) {
    const uint32_t low = plane[bnn2c_clamp_word(first + i, words)];
    const uint32_t high = plane[bnn2c_clamp_word(first + i + 1, words)];
    to[i] = ((low >> shift) | ((high << 1) << (31u - shift))) & mask[i];
  }
}

/* `count` vectors of the patch from planes `words` words apart, all bits from bit `shift` of from[0] on. */
BNN2C_INLINE void bnn2c_copy_wide(bnn2c_lanes *to, const uint32_t *from, uint32_t words, uint32_t shift,
                                  bnn2c_lanes mask, uint32_t count) {
  const bnn2c_lanes *const end = to + count;
  if (shift == 0u) {
    for (; to != end; to++) {
      *to = *(const bnn2c_lanes *)from & mask;
      from += words;
    }
  } else {
    for (; to != end; to++) {
      *to = ((*(const bnn2c_lanes *)from >> shift) | (*(const bnn2c_lanes *)(from + 1) << (32u - shift))) & mask;
      from += words;
    }
  }
}

/* The channels whose vectors, read whole from word `first` of their plane on, stay inside the input. */
BNN2C_INLINE void bnn2c_safe_channels(int32_t words, int32_t first, int32_t channels, int32_t *from, int32_t *to) {
  const int32_t last = words * channels - first - BNN2C_LANE_WORDS; /* c * words < last */
  *from = (first >= 0) ? 0 : ((words - 1 - first) / words);
  *to = (last <= 0) ? 0 : ((last + words - 1) / words);
}

/* One tap, all channels, when rows of input and output have the same length: one distance for all lanes.  Vectors may
 * be read beyond the channel's plane, where the mask clears them, but not beyond the input. */
BNN2C_NOINLINE BNN2C_STEADY bnn2c_lanes *bnn2c_gather_wide_tap(const bnn2c_plane_image *image, uint32_t channels,
                                                              int32_t offset, const uint32_t *mask, bnn2c_lanes *to,
                                                              uint32_t *room) {
  const int32_t first = (offset >= 0) ? (offset / 32) : -((31 - offset) / 32);
  const uint32_t shift = (uint32_t)(offset - 32 * first);
  const uint32_t words = (uint32_t)image->words;
  int32_t safe_from;
  int32_t safe_to;
  bnn2c_safe_channels(image->words, first, (int32_t)channels, &safe_from, &safe_to);
  for (uint32_t c = 0u; c != channels;) {
    const uint32_t *const plane = image->planes + c * words;
    uint32_t count = 1u;
    if (((int32_t)c >= safe_from) && ((int32_t)c < safe_to)) {
      count = (uint32_t)safe_to - c;
      count = (count < channels - c) ? count : (channels - c);
      count = (count < *room) ? count : *room;
      bnn2c_copy_wide(to, plane + first, words, shift, *(const bnn2c_lanes *)mask, count);
    } else {
      bnn2c_copy_clamped((uint32_t *)to, plane, first, image->words, shift, mask);
    }
    c += count;
    to += count;
    *room -= count;
    if (*room == 0u) {
      to++;
      *room = BNN2C_PATCH_RUN;
    }
  }
  return to;
}

BNN2C_KERNEL void bnn2c_gather_wide(const bnn2c_conv_shape *s, const uint32_t *in, uint32_t first,
                                    bnn2c_lanes *patch) {
  bnn2c_lanes *to = patch + 1;
  uint32_t room = BNN2C_PATCH_RUN;
  for (uint32_t tap = 0u; tap < (uint32_t)s->kernel_h * s->kernel_w; tap++) {
    const bnn2c_tap_source source = bnn2c_source_of_tap(s, in, tap / s->kernel_w, tap % s->kernel_w);
    const int32_t offset = (int32_t)(32u * first) + source.shift_y * source.image.w + source.shift_x;
    uint32_t mask[BNN2C_LANE_WORDS];
    for (uint32_t i = 0u; i < (uint32_t)BNN2C_LANE_WORDS; i++) {
      mask[i] = bnn2c_tap_mask(s, &source, first + i);
    }
    to = bnn2c_gather_wide_tap(&source.image, s->in_c, offset, mask, to, &room);
  }
}
#endif

/* The whole patch of the output pixels from word `first` on; `in`: planes, or phases when a stride is not 1. */
BNN2C_KERNEL void bnn2c_gather_planes(const bnn2c_conv_shape *s, const uint32_t *in, uint32_t first,
                                      bnn2c_lanes *patch) {
#if BNN2C_LANE_WORDS >= 4
  if (bnn2c_ceil_div(s->in_w, s->stride_w) == s->out_w) {
    bnn2c_gather_wide(s, in, first, patch);
    return;
  }
#endif
  for (uint32_t word = 0u; word < (uint32_t)BNN2C_LANE_WORDS; word++) {
    bnn2c_patch_cursor at = {(uint32_t *)(patch + 1) + word, BNN2C_PATCH_RUN};
    for (uint32_t ky = 0u; ky < s->kernel_h; ky++) {
      for (uint32_t kx = 0u; kx < s->kernel_w; kx++) {
        const bnn2c_tap_source source = bnn2c_source_of_tap(s, in, ky, kx);
        at = bnn2c_gather_rows(s, &source, first + word, at);
      }
    }
  }
}

/* Writes the words of a plane that exist; `words`: how many. */
BNN2C_INLINE void bnn2c_store_lanes(uint32_t *to, const bnn2c_lanes *lanes, const uint32_t *valid, uint32_t words) {
  const uint32_t *const from = (const uint32_t *)lanes;
  if (words >= (uint32_t)BNN2C_LANE_WORDS) {
    *(bnn2c_lanes *)to = *lanes & *(const bnn2c_lanes *)valid;
  } else {
    for (uint32_t i = 0u; i < words; i++) {
      to[i] = from[i] & valid[i];
    }
  }
}

/* Words of a patch, zero words included. */
BNN2C_INLINE uint32_t bnn2c_patch_words(uint32_t inputs) { return inputs + (inputs - 1u) / BNN2C_PATCH_RUN + 2u; }

/* Clears the zero words of a patch of `inputs` inputs; gathering leaves them alone. */
BNN2C_KERNEL void bnn2c_clear_patch_zeros(bnn2c_lanes *patch, uint32_t inputs) {
  const uint32_t words = bnn2c_patch_words(inputs);
  for (uint32_t i = 0u; i < words; i += BNN2C_PATCH_RUN + 1u) {
    patch[i] = BNN2C_NO_LANES;
  }
  patch[words - 1u] = BNN2C_NO_LANES;
}

#endif /* BNN2C_PLANES_H */
