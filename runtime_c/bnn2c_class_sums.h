/* bnn2c_class_sums.h - the sums of the 8 input classes of a group of four output channels (see bnn2c_class_sharing.h).
 *
 * The counter of class i goes on counting class i + 4, since only u[i] and u[i] + u[i + 4] are needed.  Inputs that
 * count inverted are added while the lower digits of the counter are inverted: ~(~v + s) = v - s.
 *
 * List of a class: number of plain blocks, signs of the mixed block, number of inverted blocks; then the plain blocks,
 * the mixed block, the inverted blocks.  The numbers are one byte, or two (low one first) when the patch has more than
 * BNN2C_CLASS_NEAR_WORDS words.  A block is a window number and 8 bytes, one per input: word (window number * granule +
 * byte) of the patch (bnn2c_planes.h).  In the mixed block input i is inverted where bit i of the signs is set.  Unused
 * places read a zero word; each one in an inverted block adds 1, which the bounds allow for.
 */
#ifndef BNN2C_CLASS_SUMS_H
#define BNN2C_CLASS_SUMS_H

#include "bnn2c_compiler.h"
#include "bnn2c_lanes.h"
#include "bnn2c_patch.h"

#define BNN2C_CLASS_MAX_PLANES 16
#define BNN2C_CLASS_NEAR_WORDS 1024u /* patches up to this size have a granule of 4 words, others of 64 */
#define BNN2C_CLASS_NEAR_GRANULE 4u
#define BNN2C_CLASS_FAR_GRANULE 64u

typedef bnn2c_lanes bnn2c_class_sum[BNN2C_CLASS_MAX_PLANES];

/* Four listed inputs of a window, the second pair fetched only when the first is done with. */
BNN2C_INLINE bnn2c_lane_pair bnn2c_add_listed4(bnn2c_lanes *sum, const bnn2c_lanes *window, const uint8_t *entry) {
  const bnn2c_lane_pair a = bnn2c_pair_lanes(bnn2c_listed(window, entry[0]), bnn2c_listed(window, entry[1]));
  const bnn2c_lane_pair b = bnn2c_pair_lanes(bnn2c_listed(window, entry[2]), bnn2c_listed(window, entry[3]));
  return bnn2c_add_lane_pairs(sum, a, b);
}

/* Carries of weight 4 of eight listed inputs. */
BNN2C_INLINE bnn2c_lane_pair bnn2c_add_listed8(bnn2c_lanes *c, const bnn2c_lanes *window, const uint8_t *entry) {
  const bnn2c_lane_pair low = bnn2c_add_listed4(&c[0], window, entry);
#if BNN2C_FEW_REGISTERS
  const bnn2c_lanes low4 = bnn2c_add_lane_pair(&c[1], low);
  const bnn2c_lane_pair high = bnn2c_add_listed4(&c[0], window, entry + 4);
  return bnn2c_pair_lanes(low4, bnn2c_add_lane_pair(&c[1], high));
#else
  const bnn2c_lane_pair high = bnn2c_add_listed4(&c[0], window, entry + 4);
  return bnn2c_add_lane_pairs(&c[1], low, high);
#endif
}

BNN2C_INLINE bnn2c_lane_pair bnn2c_add_lanes4(bnn2c_lanes *sum, const bnn2c_lanes *x) {
  return bnn2c_add_lane_pairs(sum, bnn2c_pair_lanes(x[0], x[1]), bnn2c_pair_lanes(x[2], x[3]));
}

/* The same with inputs inverted where `signs` has a bit. */
BNN2C_INLINE bnn2c_lane_pair bnn2c_add_mixed8(bnn2c_lanes *c, const bnn2c_lanes *window, const uint8_t *entry,
                                              uint32_t signs) {
  bnn2c_lanes x[8];
  bnn2c_lane_pair low;
  bnn2c_lane_pair high;
  BNN2C_FLAT
  for (unsigned i = 0u; i < 8u; i++) {
    x[i] = bnn2c_listed(window, entry[i]) ^ bnn2c_broadcast(signs, i);
  }
  low = bnn2c_add_lanes4(&c[0], x);
  high = bnn2c_add_lanes4(&c[0], x + 4);
  return bnn2c_add_lane_pairs(&c[1], low, high);
}

/* Digits 3 and up: sum = base + carries up to `end`, followed by zeros up to a multiple of 4. */
BNN2C_INLINE void bnn2c_sum_carries(bnn2c_lanes *sum, const bnn2c_lanes *base, const bnn2c_lanes *carry,
                                    const bnn2c_lanes *end, uint32_t planes) {
  bnn2c_lanes c3 = base[3];
  bnn2c_lanes c4 = base[4];
  bnn2c_lanes c5 = base[5];
  bnn2c_lanes c6 = base[6];
  bnn2c_lanes c7 = base[7];
  for (uint32_t d = 8u; d < planes; d++) {
    sum[d] = base[d];
    BNN2C_KEEP(d);
  }
  do {
    const bnn2c_lanes c5_up = bnn2c_add_lane_pair(&c4, bnn2c_add_lanes4(&c3, carry));
    bnn2c_lanes up = bnn2c_add_lanes(&c7, bnn2c_add_lanes(&c6, bnn2c_add_lanes(&c5, c5_up)));
    for (uint32_t d = 8u; d < planes; d++) {
      up = bnn2c_add_lanes(&sum[d], up);
    }
    carry += 4;
  } while (carry < end);
  sum[3] = c3;
  sum[4] = c4;
  sum[5] = c5;
  sum[6] = c6;
  sum[7] = c7;
}

/* The end of a class: its digits c[0..2], and above them base + its carries up to `end`. */
BNN2C_INLINE void bnn2c_end_class(const bnn2c_lanes *c, const bnn2c_lanes *carries, bnn2c_lanes *end,
                                  const bnn2c_lanes *base, bnn2c_lanes *sum, uint32_t planes) {
  end[0] = BNN2C_NO_LANES;
  end[1] = BNN2C_NO_LANES;
  end[2] = BNN2C_NO_LANES;
  sum[0] = c[0];
  sum[1] = c[1];
  sum[2] = c[2];
  bnn2c_sum_carries(sum, base, carries, end, planes);
}

BNN2C_INLINE const bnn2c_lanes *bnn2c_window(const bnn2c_lanes *patch, const uint8_t *block, uint32_t granule) {
  const bnn2c_lanes *window = patch + block[0] * granule;
  BNN2C_KEEP(window);
  return window;
}

/* A number of blocks, one byte or two. */
BNN2C_INLINE uint32_t bnn2c_block_count(const uint8_t **list, uint32_t granule) {
  uint32_t count = (*list)[0];
  (*list)++;
  if (granule != BNN2C_CLASS_NEAR_GRANULE) {
    count |= (uint32_t)(*list)[0] << 8;
    (*list)++;
  }
  return count;
}

/* Adds one class to the digits c[0..2]; sum = base + class in the digits above. */
BNN2C_INLINE const uint8_t *bnn2c_add_class(bnn2c_lanes *c, const uint8_t *list, const bnn2c_lanes *patch,
                                            bnn2c_lanes *carries, const bnn2c_lanes *base, bnn2c_lanes *sum,
                                            uint32_t planes, uint32_t granule) {
  uint32_t plain = bnn2c_block_count(&list, granule);
  const uint32_t signs = *list;
  uint32_t inverted;
  bnn2c_lanes *carry = carries;
  list++;
  inverted = bnn2c_block_count(&list, granule);
  for (; plain != 0u; plain--) {
    *carry = bnn2c_add_lane_pair(&c[2], bnn2c_add_listed8(c, bnn2c_window(patch, list, granule), list + 1));
    carry++;
    list += 9;
  }
  *carry = bnn2c_add_lane_pair(&c[2], bnn2c_add_mixed8(c, bnn2c_window(patch, list, granule), list + 1, signs));
  carry++;
  list += 9;
  c[0] = ~c[0];
  c[1] = ~c[1];
  for (; inverted != 0u; inverted--) {
    *carry = bnn2c_add_inverted_lane_pair(&c[2], bnn2c_add_listed8(c, bnn2c_window(patch, list, granule), list + 1));
    carry++;
    list += 9;
  }
  c[0] = ~c[0];
  c[1] = ~c[1];
  bnn2c_end_class(c, carries, carry, base, sum, planes);
  return list;
}

/* u[i] for i < 4, and u[i] + u[i + 4] at place i + 4; returns the end of the lists of the group. */
BNN2C_INLINE const uint8_t *bnn2c_sum_classes(const uint8_t *list, const bnn2c_lanes *patch, bnn2c_lanes *carries,
                                              bnn2c_class_sum *u, uint32_t planes, uint32_t granule) {
  static const bnn2c_class_sum zero; /* all digits 0 */
  for (unsigned i = 0u; i < 4u; i++) {
    bnn2c_lanes c[3] = {BNN2C_NO_LANES, BNN2C_NO_LANES, BNN2C_NO_LANES};
    list = bnn2c_add_class(c, list, patch, carries, zero, u[i], planes, granule);
    list = bnn2c_add_class(c, list, patch, carries, u[i], u[i + 4u], planes, granule);
  }
  return list;
}

/* Instances: the common small one, any number of digits, any patch. */
BNN2C_NOINLINE BNN2C_STEADY const uint8_t *bnn2c_sum_classes_near8(const uint8_t *list, const bnn2c_lanes *patch,
                                                                  bnn2c_lanes *carries, bnn2c_class_sum *u) {
  return bnn2c_sum_classes(list, patch, carries, u, 8u, BNN2C_CLASS_NEAR_GRANULE);
}

BNN2C_NOINLINE BNN2C_STEADY const uint8_t *bnn2c_sum_classes_near(const uint8_t *list, const bnn2c_lanes *patch,
                                                                 bnn2c_lanes *carries, bnn2c_class_sum *u,
                                                                 uint32_t planes) {
  return bnn2c_sum_classes(list, patch, carries, u, planes, BNN2C_CLASS_NEAR_GRANULE);
}

BNN2C_NOINLINE BNN2C_STEADY const uint8_t *bnn2c_sum_classes_far(const uint8_t *list, const bnn2c_lanes *patch,
                                                                bnn2c_lanes *carries, bnn2c_class_sum *u,
                                                                uint32_t planes) {
  return bnn2c_sum_classes(list, patch, carries, u, planes, BNN2C_CLASS_FAR_GRANULE);
}

#endif /* BNN2C_CLASS_SUMS_H */
