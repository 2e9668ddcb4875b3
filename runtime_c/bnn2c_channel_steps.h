/* bnn2c_channel_steps.h - binary convolution with pixels as lanes; every output channel starts from the one before.
 *
 * Layout "planes" (bnn2c_planes.h).  The output channels are visited in an order in which neighbours have similar
 * weights.  Where the weights of two channels agree, so do the products of the inputs; with z = x ^ weight of the
 * second one, and D the inputs (tap, input channel) whose weights differ,
 *     m[second] = m[first] - |D| + 2 * sum of z over D.
 * So a step adds few inputs to one counter, from the digit of 2 on, and leaves the constants -|D| to the bounds.  A
 * channel may be visited with all its weights inverted (n - m instead of m); its output is then inverted, too.
 *
 * Only for layers with a single border class: a bound is one number.
 *
 * Patch: every input and its complement, so that all additions are alike: patch[i] and patch[i + complement].
 * Steps, each: number of blocks, the blocks, 1 or 0, half a block if 1, bound (two bytes, low one first).  A block is 8
 * bytes, half a block 4, one per input: word (byte) of the patch, or in a kernel named far, word (window number *
 * granule + byte), the number of the window in front (bnn2c_class_sums.h).  The first step sums up all inputs of the
 * first channel and has no bound, the others those that differ.  Unused places read zero words.
 * Counters and bounds are modulo 2^digits, so wide that a counter minus its bound has a sign; every number of digits is
 * a kernel of its own, which keeps them in registers.  Timing does not depend on data.
 */
#ifndef BNN2C_CHANNEL_STEPS_H
#define BNN2C_CHANNEL_STEPS_H

#include "bnn2c_class_sums.h"
#include "bnn2c_compiler.h"
#include "bnn2c_conv_shape.h"
#include "bnn2c_planes.h"

typedef struct {
  bnn2c_conv_shape shape;
  const uint8_t *steps;  /* out_c steps */
  const uint32_t *order; /* of each step: 2 * first word of the output channel, + 1 when inverted */
} bnn2c_channel_steps;

/* All steps for the pixels of one patch; out: their first word in plane 0, valid: pixels that exist, there: words. */
typedef void (*bnn2c_step_runner)(const bnn2c_channel_steps *p, const bnn2c_lanes *patch, const uint32_t *valid,
                                  uint32_t *out, uint32_t there);

/* Where the bytes of a block count from; moves on to them. */
BNN2C_INLINE const bnn2c_lanes *bnn2c_step_window(const bnn2c_lanes *patch, const uint8_t **step, uint32_t near) {
  const bnn2c_lanes *window = patch;
  if (near == 0u) {
    window = bnn2c_window(patch, *step, BNN2C_CLASS_NEAR_GRANULE);
    (*step)++;
  }
  return window;
}

/* c[3..digits-1] += a carry. */
BNN2C_INLINE void bnn2c_add_step_carry(bnn2c_lanes *c, bnn2c_lanes carry, uint32_t digits) {
  BNN2C_FLAT
  for (uint32_t d = 3u; d < digits; d++) {
    carry = bnn2c_add_lanes(&c[d], carry);
  }
}

/* Adds the inputs of one step to the digits c[0..digits-1].  Returns the end of the step. */
BNN2C_INLINE const uint8_t *bnn2c_add_step(const uint8_t *step, const bnn2c_lanes *patch, bnn2c_lanes *c,
                                           uint32_t digits, uint32_t near) {
  uint32_t blocks = *step;
  step++;
  for (; blocks != 0u; blocks--) {
    const bnn2c_lanes *const window = bnn2c_step_window(patch, &step, near);
    bnn2c_add_step_carry(c, bnn2c_add_lane_pair(&c[2], bnn2c_add_listed8(c, window, step)), digits);
    step += 8;
  }
  step++;
  if (step[-1] != 0u) {
    const bnn2c_lanes *const window = bnn2c_step_window(patch, &step, near);
    const bnn2c_lanes fours = bnn2c_add_lane_pair(&c[1], bnn2c_add_listed4(&c[0], window, step));
    bnn2c_add_step_carry(c, bnn2c_add_lanes(&c[2], fours), digits);
    step += 4;
  }
  return step;
}

/* Bit `index` of `word` in all lanes. */
BNN2C_INLINE bnn2c_lanes bnn2c_lane_bit(uint32_t word, unsigned index) {
#if BNN2C_LANE_WORDS == 1
  return bnn2c_broadcast(word, index);
#else
  static const uint32_t either[2] = {0u, 0xFFFFFFFFu};
  return BNN2C_NO_LANES + either[(word >> index) & 1u];
#endif
}

/* Lanes where the counter (its lowest digit `lowest`, then c) reaches the bound: the sign of bound + ~counter. */
BNN2C_INLINE bnn2c_lanes bnn2c_step_reaches(bnn2c_lanes lowest, const bnn2c_lanes *c, uint32_t bound,
                                            uint32_t digits) {
  bnn2c_lanes carry = bnn2c_lane_bit(bound, 0u) & ~lowest;
  BNN2C_FLAT
  for (unsigned d = 1u; d + 1u < digits; d++) {
    const bnn2c_lanes k = bnn2c_lane_bit(bound, d);
    carry ^= (k ^ c[d - 1u]) & (carry ^ k);
  }
  return ~(bnn2c_lane_bit(bound, digits - 1u) ^ c[digits - 2u] ^ carry);
}

/* A bnn2c_step_runner. */
BNN2C_INLINE void bnn2c_run_steps(const bnn2c_channel_steps *p, const bnn2c_lanes *patch, const uint32_t *valid,
                                  uint32_t *out, uint32_t there, uint32_t digits, uint32_t near) {
  const uint8_t *step = p->steps;
  const uint32_t *order = p->order;
  const uint32_t *const end = order + p->shape.out_c;
  bnn2c_lanes lowest;
  bnn2c_lanes c[10];
  BNN2C_FLAT
  for (uint32_t d = 0u; d < digits; d++) {
    c[d] = BNN2C_NO_LANES;
  }
  step = bnn2c_add_step(step, patch, c, digits, near); /* counts ones, the others twos */
  lowest = c[0];
  BNN2C_FLAT
  for (uint32_t d = 1u; d < digits; d++) {
    c[d - 1u] = c[d];
  }
  do {
    bnn2c_lanes result;
    uint32_t bound;
    step = bnn2c_add_step(step, patch, c, digits - 1u, near);
    bound = step[0] | ((uint32_t)step[1] << 8);
    step += 2;
    result = bnn2c_step_reaches(lowest, c, bound, digits) ^ (0u - (*order & 1u));
    bnn2c_store_lanes(out + (*order >> 1), &result, valid, there);
    order++;
  } while (order != end);
}

/* The complements of the inputs, `distance` vectors behind them; words that are zero stay so. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_complement_patch(bnn2c_lanes *patch, uint32_t inputs, uint32_t distance) {
  for (uint32_t done = 0u; done < inputs; done += BNN2C_PATCH_RUN) {
    const uint32_t count = ((inputs - done) < BNN2C_PATCH_RUN) ? (inputs - done) : BNN2C_PATCH_RUN;
    const bnn2c_lanes *const end = patch + count;
    BNN2C_UNROLL(4)
    while (patch != end) {
      patch++;
      patch[distance] = ~*patch;
    }
    patch++;
  }
}

/* Pixels that exist in the words from `first` on of a plane of `pixels` pixels. */
BNN2C_INLINE void bnn2c_valid_pixels(uint32_t pixels, uint32_t first, uint32_t *valid) {
  BNN2C_KEEP(first); /* gcc 12 chooses constant vectors of MVE by a constant that its assembler refuses */
  for (uint32_t i = 0u; i < (uint32_t)BNN2C_LANE_WORDS; i++) {
    const uint32_t before = 32u * (first + i);
    const uint32_t left = (before < pixels) ? (pixels - before) : 0u;
    valid[i] = bnn2c_lane_mask(0u, (left < 32u) ? left : 32u);
  }
}

/* Prepares the scratch (patch and complements; with strides, phases); returns the image to read: the input, or its
 * phases. */
BNN2C_KERNEL const uint32_t *bnn2c_begin_steps(const bnn2c_channel_steps *p, const uint32_t *in, uint32_t *scratch) {
  const uint32_t inputs = (uint32_t)p->shape.kernel_h * p->shape.kernel_w * p->shape.in_c;
  const uint32_t distance = bnn2c_patch_words(inputs);
  bnn2c_lanes *const patch = (bnn2c_lanes *)scratch;
  bnn2c_clear_patch_zeros(patch, inputs);
  bnn2c_clear_patch_zeros(patch + distance, inputs);
  if ((p->shape.stride_h != 1u) || (p->shape.stride_w != 1u)) {
    uint32_t *const phases = (uint32_t *)(patch + 2u * distance);
    bnn2c_split_phases(&p->shape, in, phases);
    in = phases;
  }
  return in;
}

/* Gathers the patch of one vector of pixels, from word `first` of a plane on, and hands it to `steps`. */
BNN2C_INLINE void bnn2c_step_patch(const bnn2c_channel_steps *p, const uint32_t *image, uint32_t first,
                                   uint32_t *scratch, uint32_t *out, bnn2c_step_runner steps) {
  const uint32_t pixels = (uint32_t)p->shape.out_h * p->shape.out_w;
  const uint32_t inputs = (uint32_t)p->shape.kernel_h * p->shape.kernel_w * p->shape.in_c;
  bnn2c_lanes *const patch = (bnn2c_lanes *)scratch;
  uint32_t valid[BNN2C_LANE_WORDS];
  bnn2c_valid_pixels(pixels, first, valid);
  bnn2c_gather_planes(&p->shape, image, first, patch);
  bnn2c_complement_patch(patch, inputs, bnn2c_patch_words(inputs));
  steps(p, patch, valid, out, (pixels + 31u) / 32u - first);
}

/* The kernel for some number of digits: planes -> planes, thresholded; pixels of one vector (the distance of output
 * planes is in p->order, `pitch` is for the other families), or all. */
#define BNN2C_CHANNEL_STEPS(name, digits, near)                                                                      \
  BNN2C_NOINLINE BNN2C_STEADY void bnn2c_run_steps_##name(const bnn2c_channel_steps *p, const bnn2c_lanes *patch,    \
                                                          const uint32_t *valid, uint32_t *out, uint32_t there) {    \
    bnn2c_run_steps(p, patch, valid, out, there, (digits), (near));                                                  \
  }                                                                                                                  \
  BNN2C_KERNEL const uint32_t *bnn2c_channel_steps_##name##_begin(const bnn2c_channel_steps *p, const uint32_t *in,  \
                                                                  uint32_t *scratch) {                               \
    return bnn2c_begin_steps(p, in, scratch);                                                                        \
  }                                                                                                                  \
  BNN2C_NOINLINE void bnn2c_channel_steps_##name##_words(const bnn2c_channel_steps *p, const uint32_t *image,        \
                                                         uint32_t first, uint32_t *scratch, uint32_t *out,           \
                                                         uint32_t pitch) {                                           \
    (void)pitch;                                                                                                     \
    bnn2c_step_patch(p, image, first, scratch, out, bnn2c_run_steps_##name);                                         \
  }                                                                                                                  \
  BNN2C_KERNEL void bnn2c_channel_steps_##name##_bits(const bnn2c_channel_steps *p, const uint32_t *in,              \
                                                      uint32_t *scratch, uint32_t *out) {                            \
    const uint32_t words = bnn2c_plane_words(p->shape.out_h, p->shape.out_w);                                        \
    const uint32_t *const image = bnn2c_begin_steps(p, in, scratch);                                                 \
    for (uint32_t first = 0u; first < words; first += (uint32_t)BNN2C_LANE_WORDS) {                                  \
      bnn2c_step_patch(p, image, first, scratch, out + first, bnn2c_run_steps_##name);                               \
    }                                                                                                                \
  }

BNN2C_CHANNEL_STEPS(near7, 7u, 1u)
BNN2C_CHANNEL_STEPS(near8, 8u, 1u)
BNN2C_CHANNEL_STEPS(far8, 8u, 0u)
BNN2C_CHANNEL_STEPS(far9, 9u, 0u)
BNN2C_CHANNEL_STEPS(far10, 10u, 0u)

#endif /* BNN2C_CHANNEL_STEPS_H */
