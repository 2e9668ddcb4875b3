/* bnn2c_class_sharing.h - binary convolution with pixels as lanes; four output channels share their sums.
 *
 * Layout "planes" (bnn2c_planes.h).  Take output channels in groups of four.  Relative to channel 0 the weights of an
 * input (tap, input channel) have one of 8 sign patterns, its class.  With y = x ^ weight of channel 0,
 *     u[i] = sum of y over class i,   m[0] = T = sum of all u,   m[j] = 2 A[j] - T + N[j],
 *     A[j] = sum of u[i] over classes where channel j has the weight of channel 0,  N[j] = inputs of the other classes.
 * So every input is added once per group instead of once per channel (bnn2c_class_sums.h), and few additions of small
 * numbers make the four sums.  The output bit is  T >= K  for channel 0 and  2 A >= T + K  for the others, where the
 * bound K = t + 1 - N (and a correction for unused places of the lists) depends on the border class.
 * Timing does not depend on data.
 */
#ifndef BNN2C_CLASS_SHARING_H
#define BNN2C_CLASS_SHARING_H

#include "bnn2c_border_lanes.h"
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
  const uint8_t *lists;  /* groups, each of 8 classes in the order 0 4 1 5 2 6 3 7 */
  const uint16_t *order; /* output channels in the order of the groups, 65535 for none */
  const uint8_t *bounds; /* [out_c rounded up to 4][row_classes][digits], in that order (bnn2c_border_lanes.h) */
} bnn2c_class_sharing;

#define BNN2C_CLASS_MAX_DIGITS 20u

typedef struct {
  bnn2c_lanes total[BNN2C_CLASS_MAX_DIGITS];
  bnn2c_lanes same[3][BNN2C_CLASS_MAX_DIGITS]; /* A[1..3] */
} bnn2c_group_sums;

/* r = u[0] + u[1] + u[2] + u[3], `digits` digits and two more. */
BNN2C_INLINE void bnn2c_add_four(bnn2c_lanes *r, bnn2c_class_sum *u, uint32_t digits) {
  bnn2c_lanes carry01 = BNN2C_NO_LANES;
  bnn2c_lanes carry23 = BNN2C_NO_LANES;
  bnn2c_lanes carry = BNN2C_NO_LANES;
  BNN2C_UNROLL(16)
  for (uint32_t d = 0u; d < digits; d++) {
    const bnn2c_lanes low = bnn2c_add_digit(u[0][d], u[1][d], &carry01);
    r[d] = bnn2c_add_digit(low, bnn2c_add_digit(u[2][d], u[3][d], &carry23), &carry);
  }
  r[digits] = bnn2c_add_digit(carry01, carry23, &carry);
  r[digits + 1u] = carry;
}

/* same[1] = n[0] + n[1], same[0] = n[0] + n[2], total = n[0] + n[1] + n[2] + n[3]. */
BNN2C_INLINE void bnn2c_combine_pairs(bnn2c_group_sums *s, bnn2c_class_sum *n, uint32_t digits) {
  bnn2c_lanes carry01 = BNN2C_NO_LANES;
  bnn2c_lanes carry23 = BNN2C_NO_LANES;
  bnn2c_lanes carry02 = BNN2C_NO_LANES;
  bnn2c_lanes carry = BNN2C_NO_LANES;
  BNN2C_UNROLL(16)
  for (uint32_t d = 0u; d < digits; d++) {
    const bnn2c_lanes low = bnn2c_add_digit(n[0][d], n[1][d], &carry01);
    s->same[1][d] = low;
    s->total[d] = bnn2c_add_digit(low, bnn2c_add_digit(n[2][d], n[3][d], &carry23), &carry);
    s->same[0][d] = bnn2c_add_digit(n[0][d], n[2][d], &carry02);
  }
  s->same[1][digits] = carry01;
  s->same[0][digits] = carry02;
  s->total[digits] = bnn2c_add_digit(carry01, carry23, &carry);
  s->total[digits + 1u] = carry;
}

/* The four sums of a group from its class sums. */
BNN2C_INLINE void bnn2c_combine_classes(bnn2c_class_sum *u, uint32_t planes, bnn2c_group_sums *s) {
  bnn2c_add_four(s->same[2], u, planes - 1u);
  bnn2c_combine_pairs(s, u + 4, planes);
}

BNN2C_NOINLINE BNN2C_STEADY void bnn2c_combine_classes8(bnn2c_class_sum *u, bnn2c_group_sums *s) {
  bnn2c_combine_classes(u, 8u, s);
}

BNN2C_NOINLINE void bnn2c_combine_classes_any(bnn2c_class_sum *u, uint32_t planes, bnn2c_group_sums *s) {
  bnn2c_combine_classes(u, planes, s);
}

/* Lanes where T >= K: the sign of K + ~T.  Digit b of K is tab[digit[b]]. */
BNN2C_INLINE bnn2c_lanes bnn2c_reaches(const bnn2c_lanes *total, const bnn2c_lanes *tab, const uint8_t *digit,
                                       uint32_t digits) {
  bnn2c_lanes carry = BNN2C_NO_LANES;
  BNN2C_UNROLL(16)
  for (uint32_t b = 0u; b + 1u < digits; b++) {
    const bnn2c_lanes k = tab[digit[b]];
    carry ^= (k ^ total[b]) & (carry ^ k);
  }
  return ~(tab[digit[digits - 1u]] ^ total[digits - 1u]) ^ carry;
}

/* Lanes where 2 A >= T + K: the sign of T + K + ~(2 A), three numbers added as sum and carry words. */
BNN2C_INLINE bnn2c_lanes bnn2c_twice_reaches(const bnn2c_lanes *same, const bnn2c_lanes *total, const bnn2c_lanes *tab,
                                             const uint8_t *digit, uint32_t digits) {
  bnn2c_lanes saved = tab[digit[0]] | total[0]; /* digit 0 of ~(2 A) is 1 */
  bnn2c_lanes carry = BNN2C_NO_LANES;
  BNN2C_UNROLL(16)
  for (uint32_t b = 1u; b + 1u < digits; b++) {
    const bnn2c_lanes k = tab[digit[b]];
    const bnn2c_lanes half = k ^ total[b];
    const bnn2c_lanes unequal = half ^ same[b - 1u]; /* inverted sum word */
    carry ^= (unequal ^ saved) & (carry ^ saved);
    saved = (k & total[b]) | (half & unequal);
  }
  return ~(tab[digit[digits - 1u]] ^ total[digits - 1u] ^ same[digits - 2u]) ^ saved ^ carry;
}

/* Output lanes of channel `of` (0..3) of a group. */
BNN2C_INLINE bnn2c_lanes bnn2c_threshold(const bnn2c_group_sums *sums, unsigned of, const bnn2c_lanes *tab,
                                         const uint8_t *digit, uint32_t digits) {
  if (of == 0u) {
    return bnn2c_reaches(sums->total, tab, digit, digits);
  }
  return bnn2c_twice_reaches(sums->same[of - 1u], sums->total, tab, digit, digits);
}

BNN2C_NOINLINE BNN2C_STEADY bnn2c_lanes bnn2c_threshold11(const bnn2c_group_sums *sums, unsigned of,
                                                         const bnn2c_lanes *tab, const uint8_t *digit) {
  return bnn2c_threshold(sums, of, tab, digit, 11u);
}

BNN2C_NOINLINE bnn2c_lanes bnn2c_threshold_any(const bnn2c_group_sums *sums, unsigned of, const bnn2c_lanes *tab,
                                               const uint8_t *digit, uint32_t digits) {
  return bnn2c_threshold(sums, of, tab, digit, digits);
}

/* Where the lanes of a vector go: channel c to out + c * pitch, `there` words at most. */
typedef struct {
  uint32_t *out;
  uint32_t pitch;
  uint32_t there;
} bnn2c_lane_output;

/* Thresholds the channels of a group. */
BNN2C_KERNEL void bnn2c_threshold_group(const bnn2c_class_sharing *p, const bnn2c_group_sums *sums, uint32_t group,
                                        const bnn2c_border_lanes *border, const bnn2c_lane_output *to) {
  static const uint8_t in_order[BNN2C_CLASS_MAX_DIGITS] = {0u,  1u,  2u,  3u,  4u,  5u,  6u,  7u,  8u,  9u,
                                                           10u, 11u, 12u, 13u, 14u, 15u, 16u, 17u, 18u, 19u};
  const uint32_t per_channel = (uint32_t)p->row_classes * p->digits;
  const uint16_t *const order = p->order + 4u * group;
  const uint8_t *bounds = p->bounds + 4u * group * per_channel;
  for (unsigned of = 0u; (of < 4u) && (order[of] < p->shape.out_c); of++) {
    bnn2c_lanes merged[BNN2C_CLASS_MAX_DIGITS];
    const uint32_t row = border->present[0];
    const bnn2c_lanes *tab = border->unions + (row << p->shape.col_classes);
    const uint8_t *digit = bounds + row * p->digits;
    bnn2c_lanes result;
    if (border->rows != 1u) {
      bnn2c_merge_rows(&p->shape, border, bounds, p->digits, merged);
      tab = merged;
      digit = in_order;
    }
    result = (p->digits == 11u) ? bnn2c_threshold11(sums, of, tab, digit)
                                : bnn2c_threshold_any(sums, of, tab, digit, p->digits);
    bnn2c_store_lanes(to->out + order[of] * to->pitch, &result, border->valid, to->there);
    bounds += per_channel;
  }
}

/* All groups for the pixels of one patch; carries: p->carries places. */
BNN2C_KERNEL void bnn2c_run_groups(const bnn2c_class_sharing *p, const bnn2c_border_lanes *border,
                                   const bnn2c_lanes *patch, uint32_t near, bnn2c_lanes *carries,
                                   const bnn2c_lane_output *to) {
  const uint32_t groups = ((uint32_t)p->shape.out_c + 3u) / 4u;
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
  for (uint32_t group = 0u; group < groups; group++) {
    if ((near != 0u) && (p->planes == 8u)) {
      list = bnn2c_sum_classes_near8(list, patch, carries, u);
      bnn2c_combine_classes8(u, &sums);
    } else {
      list = (near != 0u) ? bnn2c_sum_classes_near(list, patch, carries, u, p->planes)
                          : bnn2c_sum_classes_far(list, patch, carries, u, p->planes);
      bnn2c_combine_classes_any(u, p->planes, &sums);
    }
    bnn2c_threshold_group(p, &sums, group, border, to);
  }
}

/* scratch: unions of border lanes, carries of a class, patch; with strides, phases. */
BNN2C_INLINE bnn2c_lanes *bnn2c_class_sharing_patch(const bnn2c_class_sharing *p, uint32_t *scratch) {
  return (bnn2c_lanes *)scratch + ((uint32_t)p->row_classes << p->shape.col_classes) + p->carries;
}

/* Prepares the scratch; returns the image to read: the input, or its phases. */
BNN2C_KERNEL const uint32_t *bnn2c_class_sharing_begin(const bnn2c_class_sharing *p, const uint32_t *in,
                                                       uint32_t *scratch) {
  const uint32_t inputs = (uint32_t)p->shape.kernel_h * p->shape.kernel_w * p->shape.in_c;
  bnn2c_lanes *const patch = bnn2c_class_sharing_patch(p, scratch);
  bnn2c_clear_patch_zeros(patch, inputs);
  if ((p->shape.stride_h != 1u) || (p->shape.stride_w != 1u)) {
    uint32_t *const phases = (uint32_t *)(patch + bnn2c_patch_words(inputs));
    bnn2c_split_phases(&p->shape, in, phases);
    in = phases;
  }
  return in;
}

/* The pixels of one vector, from word `first` of a plane on, thresholded: channel c to out + c * pitch. */
BNN2C_NOINLINE void bnn2c_class_sharing_words(const bnn2c_class_sharing *p, const uint32_t *image, uint32_t first,
                                              uint32_t *scratch, uint32_t *out, uint32_t pitch) {
  const uint32_t inputs = (uint32_t)p->shape.kernel_h * p->shape.kernel_w * p->shape.in_c;
  const uint32_t near = (bnn2c_patch_words(inputs) <= BNN2C_CLASS_NEAR_WORDS) ? 1u : 0u;
  bnn2c_lanes *const patch = bnn2c_class_sharing_patch(p, scratch);
  const bnn2c_lane_output to = {out, pitch, bnn2c_plane_words(p->shape.out_h, p->shape.out_w) - first};
  bnn2c_border_lanes border;
  border.unions = (bnn2c_lanes *)scratch;
  bnn2c_mark_borders(&p->shape, 32u * first, p->row_classes, &border);
  bnn2c_unite_borders(&p->shape, &border);
  bnn2c_gather_planes(&p->shape, image, first, patch);
  bnn2c_run_groups(p, &border, patch, near, patch - p->carries, &to);
}

/* planes -> planes. */
BNN2C_KERNEL void bnn2c_class_sharing_bits(const bnn2c_class_sharing *p, const uint32_t *in, uint32_t *scratch,
                                           uint32_t *out) {
  const uint32_t words = bnn2c_plane_words(p->shape.out_h, p->shape.out_w);
  const uint32_t *const image = bnn2c_class_sharing_begin(p, in, scratch);
  for (uint32_t first = 0u; first < words; first += (uint32_t)BNN2C_LANE_WORDS) {
    bnn2c_class_sharing_words(p, image, first, scratch, out + first, words);
  }
}

#endif /* BNN2C_CLASS_SHARING_H */
