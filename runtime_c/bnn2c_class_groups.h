/* bnn2c_class_groups.h - class sharing with four groups of output channels side by side, for machines that gather.
 *
 * The sums are those of bnn2c_class_sharing.h, layout "planes" (bnn2c_planes.h), but the words of a vector belong to
 * BNN2C_LANE_WORDS groups of four channels instead of as many words of pixels.  Every word looks its own input up, which
 * takes a gather load (MVE) and a list whose blocks go through all groups in step.  Maps that do not fill whole vectors
 * lose nothing, and an entry of the list is one byte of a vector instead of three instructions.
 *
 * Patch of 32 pixels: word v of the patch of bnn2c_planes.h is word 32 * (v / 16) + v % 16, its complement comes 16 words
 * later.  So inputs that count inverted are entries like the others.
 *
 * List: classes in the order 0 4 1 5 2 6 3 7; a class is its number of blocks (two bytes, low one first, at least 1) and
 * the blocks: a window number, and 8 entries of BNN2C_LANE_WORDS bytes: words from 64 * window number on.  Unused places
 * read a zero word.  Timing does not depend on data.
 */
#ifndef BNN2C_CLASS_GROUPS_H
#define BNN2C_CLASS_GROUPS_H

#include "bnn2c_border_lanes.h"
#include "bnn2c_class_sharing.h"
#include "bnn2c_class_sums.h"
#include "bnn2c_compiler.h"
#include "bnn2c_conv_shape.h"
#include "bnn2c_planes.h"

typedef struct {
  bnn2c_conv_shape shape;
  uint8_t row_classes;
  uint8_t planes;        /* digits of the sum of two classes, 8..14 */
  uint8_t digits;        /* digits of a bound */
  uint16_t carries;      /* places for the carries of a class: its blocks, and 3 */
  uint16_t steps;        /* how often BNN2C_LANE_WORDS groups are taken */
  const uint8_t *lists;
  const uint16_t *order; /* [steps][BNN2C_LANE_WORDS][4] output channels, 65535 for none */
  const uint8_t *bounds; /* [steps][4][row_classes][digits][BNN2C_LANE_WORDS] sets of column classes, as word offsets */
} bnn2c_class_groups;

#define BNN2C_GROUPS_RUN 16u
#define BNN2C_GROUPS_WINDOW 64u

/* Words at `entry[0]`, `entry[1]`, ... behind `words`. */
BNN2C_INLINE bnn2c_lanes bnn2c_look_up(const uint32_t *words, const uint8_t *entry) {
#if defined(__ARM_FEATURE_MVE) && (BNN2C_LANE_WORDS == 4)
  return bnn2c_gather_words(words, (bnn2c_lanes)vldrbq_u32(entry));
#else
  bnn2c_lanes found = BNN2C_NO_LANES;
  for (unsigned i = 0u; i < (unsigned)BNN2C_LANE_WORDS; i++) {
    ((uint32_t *)&found)[i] = words[entry[i]];
  }
  return found;
#endif
}

/* The same, moving on. */
BNN2C_INLINE bnn2c_lanes bnn2c_next_inputs(const uint32_t *words, const uint8_t **entry) {
  const bnn2c_lanes found = bnn2c_look_up(words, *entry);
  *entry += BNN2C_LANE_WORDS;
  BNN2C_KEEP(*entry);
  return found;
}

/* Adds four inputs of each group. */
BNN2C_INLINE bnn2c_lane_pair bnn2c_add_groups4(bnn2c_lanes *sum, const uint32_t *words, const uint8_t **entry) {
  bnn2c_lanes first = bnn2c_next_inputs(words, entry);
  const bnn2c_lane_pair a = bnn2c_pair_lanes(first, bnn2c_next_inputs(words, entry));
  first = bnn2c_next_inputs(words, entry);
  return bnn2c_add_lane_pairs(sum, a, bnn2c_pair_lanes(first, bnn2c_next_inputs(words, entry)));
}

/* The carry of weight 8 of a block. */
BNN2C_INLINE bnn2c_lanes bnn2c_add_groups8(bnn2c_lanes *c, const uint32_t *words, const uint8_t **entry) {
  const bnn2c_lanes low = bnn2c_add_lane_pair(&c[1], bnn2c_add_groups4(&c[0], words, entry));
  const bnn2c_lane_pair high = bnn2c_add_groups4(&c[0], words, entry);
  return bnn2c_add_lane_pair(&c[2], bnn2c_pair_lanes(low, bnn2c_add_lane_pair(&c[1], high)));
}

/* Adds one class to the digits c[0..2]; sum = base + class in the digits above. */
BNN2C_INLINE const uint8_t *bnn2c_add_groups_class(bnn2c_lanes *c, const uint8_t *list, const uint32_t *patch,
                                                   bnn2c_lanes *carries, const bnn2c_lanes *base, bnn2c_lanes *sum,
                                                   uint32_t planes) {
  bnn2c_lanes *carry = carries;
  const bnn2c_lanes *const end = carries + (list[0] | ((uint32_t)list[1] << 8));
  list += 2;
  do {
    const uint32_t *const words = patch + list[0] * BNN2C_GROUPS_WINDOW;
    list++;
    *carry = bnn2c_add_groups8(c, words, &list);
    carry++;
  } while (carry != end);
  bnn2c_end_class(c, carries, carry, base, sum, planes);
  return list;
}

/* u[i] for i < 4, and u[i] + u[i + 4] at place i + 4; returns the end of the lists. */
BNN2C_INLINE const uint8_t *bnn2c_sum_groups(const uint8_t *list, const uint32_t *patch, bnn2c_lanes *carries,
                                             bnn2c_class_sum *u, uint32_t planes) {
  static const bnn2c_class_sum zero; /* all digits 0 */
  for (unsigned i = 0u; i < 4u; i++) {
    bnn2c_lanes c[3] = {BNN2C_NO_LANES, BNN2C_NO_LANES, BNN2C_NO_LANES};
    list = bnn2c_add_groups_class(c, list, patch, carries, zero, u[i], planes);
    list = bnn2c_add_groups_class(c, list, patch, carries, u[i], u[i + 4u], planes);
  }
  return list;
}

BNN2C_NOINLINE BNN2C_STEADY const uint8_t *bnn2c_sum_groups8(const uint8_t *list, const uint32_t *patch,
                                                            bnn2c_lanes *carries, bnn2c_class_sum *u) {
  return bnn2c_sum_groups(list, patch, carries, u, 8u);
}

BNN2C_NOINLINE BNN2C_STEADY const uint8_t *bnn2c_sum_groups_any(const uint8_t *list, const uint32_t *patch,
                                                               bnn2c_lanes *carries, bnn2c_class_sum *u,
                                                               uint32_t planes) {
  return bnn2c_sum_groups(list, patch, carries, u, planes);
}

/* Digits of the bounds of one channel of each group, over the row classes present; `words`: unions of the pixels. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_groups_bounds(const bnn2c_class_groups *p, const bnn2c_border_lanes *border,
                                                    uint32_t word, const uint8_t *bounds, bnn2c_lanes *planes) {
  const uint32_t digits = p->digits;
  for (uint32_t i = 0u; i < border->rows; i++) {
    const uint32_t row = border->present[i];
    const uint32_t *const words = (const uint32_t *)(border->unions + (row << p->shape.col_classes)) + word;
    const uint8_t *sets = bounds + row * digits * (uint32_t)BNN2C_LANE_WORDS;
    for (uint32_t d = 0u; d < digits; d++) {
      bnn2c_lanes plane = bnn2c_look_up(words, sets);
      if (i != 0u) {
        plane |= planes[d];
      }
      planes[d] = plane;
      sets += BNN2C_LANE_WORDS;
    }
  }
}

/* Output lanes of channel `of` of each group, by the digits of its bounds. */
BNN2C_INLINE bnn2c_lanes bnn2c_compare_groups(const bnn2c_group_sums *sums, unsigned of, const bnn2c_lanes *bound,
                                              uint32_t digits) {
  static const uint8_t in_order[BNN2C_CLASS_MAX_DIGITS] = {0u,  1u,  2u,  3u,  4u,  5u,  6u,  7u,  8u,  9u,
                                                           10u, 11u, 12u, 13u, 14u, 15u, 16u, 17u, 18u, 19u};
  return bnn2c_threshold(sums, of, bound, in_order, digits);
}

BNN2C_NOINLINE BNN2C_STEADY bnn2c_lanes bnn2c_compare_groups11(const bnn2c_group_sums *sums, unsigned of,
                                                              const bnn2c_lanes *bound) {
  return bnn2c_compare_groups(sums, of, bound, 11u);
}

BNN2C_NOINLINE bnn2c_lanes bnn2c_compare_groups_any(const bnn2c_group_sums *sums, unsigned of,
                                                   const bnn2c_lanes *bound, uint32_t digits) {
  return bnn2c_compare_groups(sums, of, bound, digits);
}

/* Thresholds the channels of BNN2C_LANE_WORDS groups for word `word` of the vectors: channel c to out + c * pitch. */
BNN2C_KERNEL void bnn2c_threshold_groups(const bnn2c_class_groups *p, const bnn2c_group_sums *sums, uint32_t step,
                                         const bnn2c_border_lanes *border, uint32_t word, uint32_t *out,
                                         uint32_t pitch) {
  const uint32_t per_channel = (uint32_t)p->row_classes * p->digits * (uint32_t)BNN2C_LANE_WORDS;
  const uint16_t *const order = p->order + 4u * step * (uint32_t)BNN2C_LANE_WORDS;
  for (unsigned of = 0u; of < 4u; of++) {
    bnn2c_lanes bound[BNN2C_CLASS_MAX_DIGITS];
    bnn2c_lanes result;
    bnn2c_groups_bounds(p, border, word, p->bounds + (4u * step + of) * per_channel, bound);
    result = (p->digits == 11u) ? bnn2c_compare_groups11(sums, of, bound)
                                : bnn2c_compare_groups_any(sums, of, bound, p->digits);
    for (unsigned i = 0u; i < (unsigned)BNN2C_LANE_WORDS; i++) {
      const uint32_t channel = order[4u * i + of];
      if (channel < p->shape.out_c) {
        out[channel * pitch] = ((const uint32_t *)&result)[i] & border->valid[word];
      }
    }
  }
}

/* Word `word` of each vector of a patch and its complement, in the order of the header. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_spread_patch(const bnn2c_lanes *patch, uint32_t vectors, uint32_t word,
                                                   uint32_t *to) {
  const bnn2c_lanes apart = bnn2c_lane_offsets(BNN2C_LANE_WORDS, BNN2C_LANE_WORDS);
  const uint32_t *from = (const uint32_t *)patch + word;
  for (uint32_t run = 0u; run < vectors; run += BNN2C_GROUPS_RUN) {
    for (uint32_t i = 0u; i < BNN2C_GROUPS_RUN; i += (uint32_t)BNN2C_LANE_WORDS) {
      const bnn2c_lanes inputs = bnn2c_gather_words(from, apart);
      *(bnn2c_lanes *)to = inputs;
      *(bnn2c_lanes *)(to + BNN2C_GROUPS_RUN) = ~inputs;
      from += BNN2C_LANE_WORDS * BNN2C_LANE_WORDS;
      to += BNN2C_LANE_WORDS;
    }
    to += BNN2C_GROUPS_RUN;
  }
}

/* All groups for the pixels of one word. */
BNN2C_KERNEL void bnn2c_run_group_steps(const bnn2c_class_groups *p, const bnn2c_border_lanes *border, uint32_t word,
                                        const uint32_t *patch, bnn2c_lanes *carries, uint32_t *out, uint32_t pitch) {
  const uint8_t *list = p->lists;
  bnn2c_group_sums sums;
  bnn2c_class_sum u[8];
  for (uint32_t d = 0u; d < BNN2C_CLASS_MAX_DIGITS; d++) { /* an initialiser would call memset */
    sums.total[d] = BNN2C_NO_LANES;
    sums.same[0][d] = BNN2C_NO_LANES;
    sums.same[1][d] = BNN2C_NO_LANES;
    sums.same[2][d] = BNN2C_NO_LANES;
    BNN2C_KEEP(d);
  }
  for (uint32_t step = 0u; step < p->steps; step++) {
    if (p->planes == 8u) {
      list = bnn2c_sum_groups8(list, patch, carries, u);
      bnn2c_combine_classes8(u, &sums);
    } else {
      list = bnn2c_sum_groups_any(list, patch, carries, u, p->planes);
      bnn2c_combine_classes_any(u, p->planes, &sums);
    }
    bnn2c_threshold_groups(p, &sums, step, border, word, out, pitch);
  }
}

/* scratch: unions of border lanes, carries of a class, patch of vectors, patch of words; with strides, phases. */
BNN2C_INLINE bnn2c_lanes *bnn2c_class_groups_patch(const bnn2c_class_groups *p, uint32_t *scratch) {
  return (bnn2c_lanes *)scratch + ((uint32_t)p->row_classes << p->shape.col_classes) + p->carries;
}

/* Vectors of the patch, in whole runs. */
BNN2C_INLINE uint32_t bnn2c_class_groups_vectors(uint32_t inputs) {
  return bnn2c_ceil_div(bnn2c_patch_words(inputs), BNN2C_GROUPS_RUN) * BNN2C_GROUPS_RUN;
}

/* Prepares the scratch; returns the image to read: the input, or its phases. */
BNN2C_KERNEL const uint32_t *bnn2c_class_groups_begin(const bnn2c_class_groups *p, const uint32_t *in,
                                                      uint32_t *scratch) {
  const uint32_t inputs = (uint32_t)p->shape.kernel_h * p->shape.kernel_w * p->shape.in_c;
  const uint32_t vectors = bnn2c_class_groups_vectors(inputs);
  bnn2c_lanes *const patch = bnn2c_class_groups_patch(p, scratch);
  bnn2c_clear_patch_zeros(patch, inputs);
  if ((p->shape.stride_h != 1u) || (p->shape.stride_w != 1u)) {
    uint32_t *const phases = (uint32_t *)(patch + vectors) + 2u * vectors;
    bnn2c_split_phases(&p->shape, in, phases);
    in = phases;
  }
  return in;
}

/* The pixels of one vector, from word `first` of a plane on, thresholded: channel c to out + c * pitch. */
BNN2C_NOINLINE void bnn2c_class_groups_words(const bnn2c_class_groups *p, const uint32_t *image, uint32_t first,
                                             uint32_t *scratch, uint32_t *out, uint32_t pitch) {
  const uint32_t words = bnn2c_plane_words(p->shape.out_h, p->shape.out_w);
  const uint32_t inputs = (uint32_t)p->shape.kernel_h * p->shape.kernel_w * p->shape.in_c;
  const uint32_t vectors = bnn2c_class_groups_vectors(inputs);
  bnn2c_lanes *const patch = bnn2c_class_groups_patch(p, scratch);
  uint32_t *const spread = (uint32_t *)(patch + vectors);
  bnn2c_border_lanes border;
  border.unions = (bnn2c_lanes *)scratch;
  bnn2c_mark_borders(&p->shape, 32u * first, p->row_classes, &border);
  bnn2c_unite_borders(&p->shape, &border);
  bnn2c_gather_planes(&p->shape, image, first, patch);
  for (uint32_t word = 0u; (word < (uint32_t)BNN2C_LANE_WORDS) && (first + word < words); word++) {
    bnn2c_spread_patch(patch, vectors, word, spread);
    bnn2c_run_group_steps(p, &border, word, spread, patch - p->carries, out + word, pitch);
  }
}

/* planes -> planes. */
BNN2C_KERNEL void bnn2c_class_groups_bits(const bnn2c_class_groups *p, const uint32_t *in, uint32_t *scratch,
                                          uint32_t *out) {
  const uint32_t words = bnn2c_plane_words(p->shape.out_h, p->shape.out_w);
  const uint32_t *const image = bnn2c_class_groups_begin(p, in, scratch);
  for (uint32_t first = 0u; first < words; first += (uint32_t)BNN2C_LANE_WORDS) {
    bnn2c_class_groups_words(p, image, first, scratch, out + first, words);
  }
}

#endif /* BNN2C_CLASS_GROUPS_H */
