/* bnn2c_paired_conv2d.h - 8-bit input, two-valued weights, one threshold per output: two pixels in every word.
 *
 *   bit[y][x][o] = (sum over taps inside the input of weight * q) >= t[class][o]
 *
 * A word holds v0 + 65536 * v1, the values of two neighbouring pixels.  Sums of such words are such words, borrows
 * between the halves included, as long as |v| < 32768; in the end the bound 0x8000 - t is added to both halves, which
 * are then not negative, and the upper bit of each half is the result.  A bnn2c_lanes makes 2 * BNN2C_LANE_WORDS pixels
 * at once.  No multiplication: each four inputs have 16 signed sums, computed once; every output channel adds the one
 * that its four weights select.  Addresses depend on weights, never on data, and so does no timing.
 *
 * Codes: one byte per output channel and four inputs, 16 * group + signs (bit i is set where input i is subtracted).
 * Bounds: [class][out_c], 0x8000 - t in both halves.
 * Output: pixel (y, x) owns ceil(out_c / 32) words; channel c is bit c % 32 of word c / 32; spare bits are 0.
 */
#ifndef BNN2C_PAIRED_CONV2D_H
#define BNN2C_PAIRED_CONV2D_H

#include "bnn2c_compiler.h"
#include "bnn2c_conv_shape.h"
#include "bnn2c_lanes.h"

#define BNN2C_PAIRED_PIXELS (2u * (uint32_t)BNN2C_LANE_WORDS)

typedef struct {
  bnn2c_conv_shape shape;
  uint8_t groups;         /* of four inputs, at most 16 */
  const uint8_t *codes;   /* [out_c][groups] */
  const uint32_t *bounds; /* [classes][out_c] */
} bnn2c_paired_conv2d;

/* An output pixel. */
typedef struct {
  uint32_t y;
  uint32_t x;
} bnn2c_paired_pixel;

/* The classes among the pixels of a vector, and their halves of words. */
typedef struct {
  uint32_t count;
  uint32_t of[BNN2C_PAIRED_PIXELS];
  bnn2c_lanes mask[BNN2C_PAIRED_PIXELS];
} bnn2c_paired_classes;

/* The next pixel; the last one stays. */
BNN2C_INLINE void bnn2c_paired_next(const bnn2c_conv_shape *s, bnn2c_paired_pixel *pixel) {
  if ((pixel->x + 1u) < s->out_w) {
    pixel->x++;
  } else if ((pixel->y + 1u) < s->out_h) {
    pixel->x = 0u;
    pixel->y++;
  } else {
    /* the end */
  }
}

/* The first element of a pixel, or element 0 and an empty mask when it lies outside the input. */
BNN2C_INLINE uint32_t bnn2c_paired_element(const bnn2c_conv_shape *s, uint32_t row, uint32_t col, uint32_t *mask) {
  const uint32_t inside = ((row < s->in_h) && (col < s->in_w)) ? 1u : 0u;
  *mask = 0u - inside;
  return (inside != 0u) ? ((row * s->in_w + col) * s->in_c) : 0u;
}

/* Whether all taps of a kernel row lie side by side inside the input. */
BNN2C_INLINE uint32_t bnn2c_paired_whole(const bnn2c_conv_shape *s, uint32_t left) {
  return ((s->dilation_w == 1u) && (left < s->in_w) && ((left + s->kernel_w) <= s->in_w)) ? 1u : 0u;
}

/* The windows of two output pixels into words that are BNN2C_LANE_WORDS apart. */
#define BNN2C_PAIRED_GATHER(suffix, type)                                                                            \
  BNN2C_NOINLINE void bnn2c_paired_gather_##suffix(const bnn2c_conv_shape *s, const type *in,                        \
                                                   const bnn2c_paired_pixel *two, uint32_t *to) {                    \
    const uint32_t top0 = two[0].y * s->stride_h - s->pad_top; /* wraps when negative */                             \
    const uint32_t top1 = two[1].y * s->stride_h - s->pad_top;                                                       \
    const uint32_t left0 = two[0].x * s->stride_w - s->pad_left;                                                     \
    const uint32_t left1 = two[1].x * s->stride_w - s->pad_left;                                                     \
    const uint32_t whole = bnn2c_paired_whole(s, left0) & bnn2c_paired_whole(s, left1);                              \
    const uint32_t steps = (whole != 0u) ? 1u : s->kernel_w;                                                         \
    const uint32_t count = (whole != 0u) ? ((uint32_t)s->kernel_w * s->in_c) : s->in_c;                              \
    for (uint32_t ky = 0u; ky < s->kernel_h; ky++) {                                                                 \
      const uint32_t down = ky * s->dilation_h;                                                                      \
      for (uint32_t kx = 0u; kx < steps; kx++) {                                                                     \
        const uint32_t right = kx * s->dilation_w;                                                                   \
        uint32_t mask0;                                                                                              \
        uint32_t mask1;                                                                                              \
        const type *const from0 = in + bnn2c_paired_element(s, top0 + down, left0 + right, &mask0);                  \
        const type *const from1 = in + bnn2c_paired_element(s, top1 + down, left1 + right, &mask1);                  \
        for (uint32_t c = 0u; c < count; c++) {                                                                      \
          *to = ((uint32_t)(int32_t)from0[c] & mask0) + (((uint32_t)(int32_t)from1[c] & mask1) << 16);               \
          to += BNN2C_LANE_WORDS;                                                                                    \
        }                                                                                                            \
      }                                                                                                              \
    }                                                                                                                \
  }
BNN2C_PAIRED_GATHER(u8, uint8_t)
BNN2C_PAIRED_GATHER(i8, int8_t)

/* The 16 sums +-a +-b +-c +-d of four inputs; bit i of the index is set where input i is subtracted. */
BNN2C_INLINE void bnn2c_paired_table(const bnn2c_lanes *four, bnn2c_lanes *table) {
  const bnn2c_lanes plus = four[0] + four[1];
  const bnn2c_lanes minus = four[0] - four[1];
  const bnn2c_lanes high_plus = four[2] + four[3];
  const bnn2c_lanes high_minus = four[3] - four[2];
  table[0] = high_plus + plus;
  table[1] = high_plus - minus;
  table[2] = high_plus + minus;
  table[3] = high_plus - plus;
  table[4] = high_minus + plus;
  table[5] = high_minus - minus;
  table[6] = high_minus + minus;
  table[7] = high_minus - plus;
  BNN2C_FLAT
  for (uint32_t i = 0u; i < 8u; i++) {
    table[15u - i] = BNN2C_NO_LANES - table[i];
  }
}

/* Tables of all groups of four inputs. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_paired_tables(const bnn2c_lanes *patch, uint32_t groups, bnn2c_lanes *table) {
  for (uint32_t i = 0u; i < groups; i++) {
    bnn2c_paired_table(patch, table);
    patch += 4;
    table += 16;
  }
}

/* Marks the classes of the pixels of a vector. */
BNN2C_NOINLINE void bnn2c_paired_mark(const bnn2c_conv_shape *s, const bnn2c_paired_pixel *pixel,
                                      bnn2c_paired_classes *classes) {
  classes->count = 0u;
  for (uint32_t i = 0u; i < BNN2C_PAIRED_PIXELS; i++) {
    const uint32_t of = (uint32_t)s->row_class[pixel[i].y] * s->col_classes + s->col_class[pixel[i].x];
    uint32_t at = 0u;
    while ((at < classes->count) && (classes->of[at] != of)) {
      at++;
    }
    if (at == classes->count) {
      classes->of[at] = of;
      classes->mask[at] = BNN2C_NO_LANES;
      classes->count++;
    }
    ((uint32_t *)&classes->mask[at])[i / 2u] |= 0xFFFFu << (16u * (i % 2u));
  }
}

/* The bounds of channel `channel`, each pixel with that of its class; `stride`: channels. */
BNN2C_INLINE bnn2c_lanes bnn2c_paired_bound(const bnn2c_paired_classes *classes, const uint32_t *bounds,
                                            uint32_t stride) {
  bnn2c_lanes found = classes->mask[0] & (BNN2C_NO_LANES + bounds[classes->of[0] * stride]);
  for (uint32_t i = 1u; i < classes->count; i++) {
    found |= classes->mask[i] & (BNN2C_NO_LANES + bounds[classes->of[i] * stride]);
  }
  return found;
}

/* Results of at most 16 channels from `channel` on, bit by bit in each half; `mixed`: several classes. */
BNN2C_INLINE bnn2c_lanes bnn2c_paired_bits(const bnn2c_paired_conv2d *p, const bnn2c_lanes *table,
                                           const bnn2c_paired_classes *classes, uint32_t channel, uint32_t groups,
                                           uint32_t mixed) {
  const uint32_t left = (uint32_t)p->shape.out_c - channel;
  const uint32_t count = (left < 16u) ? left : 16u;
  const uint8_t *codes = p->codes + channel * groups;
  const uint8_t *const end = codes + count * groups;
  const uint32_t *bounds = p->bounds + ((mixed != 0u) ? 0u : (classes->of[0] * p->shape.out_c)) + channel;
  bnn2c_lanes bits = BNN2C_NO_LANES;
  while (codes != end) {
    bnn2c_lanes sum = BNN2C_NO_LANES + *bounds;
    if (mixed != 0u) {
      sum = bnn2c_paired_bound(classes, bounds, p->shape.out_c);
    }
    BNN2C_UNROLL(8)
    for (uint32_t g = 0u; g < groups; g++) {
      sum += bnn2c_listed(table, codes[g]);
    }
    bits = ((bits >> 1) & 0x7FFF7FFFu) | (sum & 0x80008000u);
    codes += groups;
    bounds++;
  }
  const uint32_t half = ((uint32_t)1u << count) - 1u;
  return (bits >> (16u - count)) & (half * 0x00010001u);
}

/* Instances: 3x3 pixels of three colours and one class, and any. */
BNN2C_NOINLINE BNN2C_STEADY bnn2c_lanes bnn2c_paired_bits7(const bnn2c_paired_conv2d *p, const bnn2c_lanes *table,
                                                           const bnn2c_paired_classes *classes, uint32_t channel) {
  return bnn2c_paired_bits(p, table, classes, channel, 7u, 0u);
}

BNN2C_NOINLINE BNN2C_STEADY bnn2c_lanes bnn2c_paired_bits_any(const bnn2c_paired_conv2d *p, const bnn2c_lanes *table,
                                                              const bnn2c_paired_classes *classes, uint32_t channel) {
  return bnn2c_paired_bits(p, table, classes, channel, p->groups, 1u);
}

BNN2C_INLINE bnn2c_lanes bnn2c_paired_sixteen(const bnn2c_paired_conv2d *p, const bnn2c_lanes *table,
                                              const bnn2c_paired_classes *classes, uint32_t channel) {
  if (channel >= p->shape.out_c) {
    return BNN2C_NO_LANES;
  }
  return ((p->groups == 7u) && (classes->count == 1u))
             ? bnn2c_paired_bits7(p, table, classes, channel)
             : bnn2c_paired_bits_any(p, table, classes, channel);
}

/* All channels of the pixels whose tables are given; `out`: the first of them, `pixels` of them exist. */
BNN2C_KERNEL void bnn2c_paired_channels(const bnn2c_paired_conv2d *p, const bnn2c_lanes *table,
                                        const bnn2c_paired_classes *classes, uint32_t *out, uint32_t pixels) {
  const uint32_t words = ((uint32_t)p->shape.out_c + 31u) / 32u;
  for (uint32_t word = 0u; word < words; word++) {
    const bnn2c_lanes low = bnn2c_paired_sixteen(p, table, classes, 32u * word);
    const bnn2c_lanes high = bnn2c_paired_sixteen(p, table, classes, 32u * word + 16u);
    const bnn2c_lanes even = (low & 0xFFFFu) | (high << 16);
    const bnn2c_lanes odd = (low >> 16) | (high & 0xFFFF0000u);
    for (uint32_t i = 0u; (i < BNN2C_PAIRED_PIXELS) && (i < pixels); i++) {
      out[i * words + word] = ((const uint32_t *)(((i % 2u) == 0u) ? &even : &odd))[i / 2u];
    }
  }
}

/* u8 or i8 -> nhwc_bits.  scratch: tables and patch, 20 vectors for each group. */
#define BNN2C_PAIRED_CONV2D(suffix, type)                                                                            \
  BNN2C_KERNEL void bnn2c_paired_conv2d_##suffix(const bnn2c_paired_conv2d *p, const type *in, uint32_t *scratch,    \
                                                 uint32_t *out) {                                                    \
    bnn2c_lanes *const table = (bnn2c_lanes *)scratch;                                                               \
    bnn2c_lanes *const patch = table + 16u * p->groups;                                                              \
    const uint32_t pixels = (uint32_t)p->shape.out_h * p->shape.out_w;                                               \
    const uint32_t words = ((uint32_t)p->shape.out_c + 31u) / 32u;                                                   \
    bnn2c_paired_pixel pixel = {0u, 0u};                                                                             \
    for (uint32_t i = 1u; i < 4u; i++) { /* inputs that do not exist */                                              \
      patch[4u * p->groups - i] = BNN2C_NO_LANES;                                                                    \
    }                                                                                                                \
    for (uint32_t first = 0u; first < pixels; first += BNN2C_PAIRED_PIXELS) {                                        \
      bnn2c_paired_pixel made[BNN2C_PAIRED_PIXELS];                                                                  \
      bnn2c_paired_classes classes;                                                                                  \
      for (uint32_t i = 0u; i < BNN2C_PAIRED_PIXELS; i++) {                                                          \
        made[i] = pixel;                                                                                             \
        bnn2c_paired_next(&p->shape, &pixel);                                                                        \
      }                                                                                                              \
      for (uint32_t i = 0u; i < (uint32_t)BNN2C_LANE_WORDS; i++) {                                                   \
        bnn2c_paired_gather_##suffix(&p->shape, in, &made[2u * i], (uint32_t *)patch + i);                           \
      }                                                                                                              \
      bnn2c_paired_tables(patch, p->groups, table);                                                                  \
      bnn2c_paired_mark(&p->shape, made, &classes);                                                                  \
      bnn2c_paired_channels(p, table, &classes, out + first * words, pixels - first);                                \
    }                                                                                                                \
  }
BNN2C_PAIRED_CONV2D(u8, uint8_t)
BNN2C_PAIRED_CONV2D(i8, int8_t)

#endif /* BNN2C_PAIRED_CONV2D_H */
