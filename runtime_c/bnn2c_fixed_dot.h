/* bnn2c_fixed_dot.h - dot products of int16 patches with int8 or int16 weights, two pixels by two outputs at a time.
 *
 * Both operands are interleaved in blocks of four elements: patch[block][2 pixels][4], weights[block][2 outputs][4], so that
 * one pointer walks each, and every element is loaded once for two products.  The number of blocks is even.  With the DSP extension of Armv7E-M and Armv8-M
 * two products are one instruction; int8 weights are widened in pairs (0, 2) and (1, 3), so a patch for them holds its four
 * elements in the order 0, 2, 1, 3 (bnn2c_fixed_place_i8).
 */
#ifndef BNN2C_FIXED_DOT_H
#define BNN2C_FIXED_DOT_H

#include "bnn2c.h"

#if defined(__GNUC__) && defined(__ARM_FEATURE_SIMD32) && defined(__ARM_ARCH_PROFILE)
#if (__ARM_ARCH_PROFILE == 'M') && (__ARM_FEATURE_SIMD32 != 0)
#define BNN2C_FIXED_DSP 1
#endif
#endif

/* Where element k of one pixel lies in a patch of two: 8 elements a block. */
#define BNN2C_FIXED_SLOT(k) ((((k) >> 2) << 3) | ((k) & 3u))

#if defined(BNN2C_FIXED_DSP)

#include <arm_acle.h>
#include <string.h>

BNN2C_INLINE uint32_t bnn2c_fixed_place_i8(uint32_t k) {
  return ((k >> 2) << 3) | ((k & 1u) << 1) | ((k >> 1) & 1u);
}

/* Four bytes, or two int16. */
BNN2C_INLINE int32_t bnn2c_fixed_word(const void *from) {
  int32_t word;
  (void)memcpy(&word, from, sizeof(word));
  return word;
}

/* Bytes 1 and 3, sign-extended to two int16. */
BNN2C_INLINE int32_t bnn2c_fixed_odd(int32_t word) {
  int32_t pair;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
  return pair;
}

typedef struct {
  int16_t values[4];
} bnn2c_fixed_four_t;

/* Four int16 at an address that is a multiple of 4, as two words.  ldrd takes no register as an offset: `from` is a
 * pointer that the compiler knows nothing about (BNN2C_KEEP) and a constant.  "Uv" says so too, and costs an addition. */
#define BNN2C_FIXED_WORDS(from, first, second) \
  __asm__("ldrd %0, %1, %2" : "=r"(first), "=r"(second) : "m"(*(const bnn2c_fixed_four_t *)(const void *)(from)))

BNN2C_INLINE void bnn2c_fixed_store(int32_t first, int32_t second, int16_t *to) {
  __asm__("strd %1, %2, %0" : "=Uv"(*(bnn2c_fixed_four_t *)(void *)to) : "r"(first), "r"(second));
}

/* Four elements in the order of the patch. */
BNN2C_INLINE void bnn2c_fixed_four_i8_i8(const int8_t *from, int16_t *to) {
  const int32_t word = bnn2c_fixed_word(from);
  bnn2c_fixed_store(__sxtb16(word), bnn2c_fixed_odd(word), to);
}

BNN2C_INLINE void bnn2c_fixed_four_i8_u8(const uint8_t *from, int16_t *to) {
  const uint32_t word = (uint32_t)bnn2c_fixed_word(from);
  bnn2c_fixed_store((int32_t)(word & 0x00FF00FFu), (int32_t)((word >> 8) & 0x00FF00FFu), to);
}

BNN2C_INLINE void bnn2c_fixed_four_i8_i16(const int16_t *from, int16_t *to) {
  const uint32_t low = (uint32_t)bnn2c_fixed_word(from);
  const uint32_t high = (uint32_t)bnn2c_fixed_word(&from[2]);
  bnn2c_fixed_store((int32_t)((low & 0xFFFFu) | (high << 16)), (int32_t)((low >> 16) | (high & 0xFFFF0000u)), to);
}

BNN2C_INLINE void bnn2c_fixed_four_i16_i16(const int16_t *from, int16_t *to) {
  bnn2c_fixed_store(bnn2c_fixed_word(from), bnn2c_fixed_word(&from[2]), to);
}

#define BNN2C_FIXED_FIRST_i8(w) __sxtb16(bnn2c_fixed_word(w))
#define BNN2C_FIXED_SECOND_i8(w) bnn2c_fixed_odd(bnn2c_fixed_word(w))
#define BNN2C_FIXED_FIRST_i16(w) bnn2c_fixed_word(w)
#define BNN2C_FIXED_SECOND_i16(w) bnn2c_fixed_word(&(w)[2])

/* Two pixels times one output: the first operands of a block's two pairs, then the second. */
#define BNN2C_FIXED_PAIR(first, second, sum_x, sum_y)  \
  do {                                                 \
    int32_t factors = (first);                         \
    (sum_x) = __smlad(x0, factors, (sum_x));           \
    (sum_y) = __smlad(y0, factors, (sum_y));           \
    factors = (second);                                \
    (sum_x) = __smlad(x1, factors, (sum_x));           \
    (sum_y) = __smlad(y1, factors, (sum_y));           \
  } while (0)

#define BNN2C_FIXED_BLOCK(suffix)                                                                            \
  do {                                                                                                       \
    int32_t x0;                                                                                              \
    int32_t x1;                                                                                              \
    int32_t y0;                                                                                              \
    int32_t y1;                                                                                              \
    BNN2C_FIXED_WORDS(a, x0, x1);                                                                            \
    BNN2C_FIXED_WORDS(&a[4], y0, y1);                                                                        \
    BNN2C_FIXED_PAIR(BNN2C_FIXED_FIRST_##suffix(w), BNN2C_FIXED_SECOND_##suffix(w), s0, s2);                 \
    BNN2C_FIXED_PAIR(BNN2C_FIXED_FIRST_##suffix(&w[4]), BNN2C_FIXED_SECOND_##suffix(&w[4]), s1, s3);         \
    a += 8;                                                                                                  \
    w += 8;                                                                                                  \
  } while (0)

#define BNN2C_FIXED_DOT(suffix, type)                                                                            \
  BNN2C_KERNEL BNN2C_STEADY void bnn2c_fixed_dot22_##suffix(const type *w, const int16_t *a, uint32_t blocks,    \
                                                            int32_t *sums) {                                     \
    const int16_t *const end = &a[blocks * 8u];                                                                  \
    int32_t s0 = 0;                                                                                              \
    int32_t s1 = 0;                                                                                              \
    int32_t s2 = 0;                                                                                              \
    int32_t s3 = 0;                                                                                              \
    BNN2C_KEEP(a);                                                                                               \
    if ((blocks % 4u) != 0u) {                                                                                   \
      BNN2C_FIXED_BLOCK(suffix);                                                                                 \
      BNN2C_FIXED_BLOCK(suffix);                                                                                 \
    }                                                                                                            \
    while (a != end) {                                                                                           \
      BNN2C_KEEP(a);                                                                                             \
      BNN2C_FIXED_BLOCK(suffix);                                                                                 \
      BNN2C_FIXED_BLOCK(suffix);                                                                                 \
      BNN2C_FIXED_BLOCK(suffix);                                                                                 \
      BNN2C_FIXED_BLOCK(suffix);                                                                                 \
    }                                                                                                            \
    sums[0] = s0;                                                                                                \
    sums[1] = s1;                                                                                                \
    sums[2] = s2;                                                                                                \
    sums[3] = s3;                                                                                                \
  }                                                                                                              \
  BNN2C_KERNEL BNN2C_STEADY void bnn2c_fixed_dot21_##suffix(const type *w, const int16_t *a, uint32_t blocks,    \
                                                            int32_t *sums) {                                     \
    const int16_t *const end = &a[blocks * 8u];                                                                  \
    int32_t s0 = 0;                                                                                              \
    int32_t s1 = 0;                                                                                              \
    do {                                                                                                         \
      const int32_t x0 = bnn2c_fixed_word(a);                                                                    \
      const int32_t x1 = bnn2c_fixed_word(&a[2]);                                                                \
      s0 = __smlad(x1, BNN2C_FIXED_SECOND_##suffix(w), __smlad(x0, BNN2C_FIXED_FIRST_##suffix(w), s0));          \
      s1 = __smlad(x1, BNN2C_FIXED_SECOND_##suffix(&w[4]), __smlad(x0, BNN2C_FIXED_FIRST_##suffix(&w[4]), s1));  \
      a += 8;                                                                                                    \
      w += 8;                                                                                                    \
    } while (a != end);                                                                                          \
    sums[0] = s0;                                                                                                \
    sums[1] = s1;                                                                                                \
  }

#else

#define bnn2c_fixed_place_i8(k) BNN2C_FIXED_SLOT(k)

#define BNN2C_FIXED_DOT21(suffix, type)                                                                           \
  BNN2C_KERNEL void bnn2c_fixed_dot21_##suffix(const type *w, const int16_t *a, uint32_t blocks, int32_t *sums) { \
    int32_t s0 = 0;                                                                                               \
    int32_t s1 = 0;                                                                                               \
    for (uint32_t b = 0u; b < blocks; b++) {                                                                      \
      for (uint32_t i = 0u; i < 4u; i++) {                                                                        \
        s0 += (int32_t)w[i] * a[i];                                                                               \
        s1 += (int32_t)w[i + 4u] * a[i];                                                                          \
      }                                                                                                           \
      a += 8;                                                                                                     \
      w += 8;                                                                                                     \
    }                                                                                                             \
    sums[0] = s0;                                                                                                 \
    sums[1] = s1;                                                                                                 \
  }

#if defined(__thumb__) && !defined(__thumb2__)

/* Eight registers hold the sums of one pixel only. */
#define BNN2C_FIXED_DOT(suffix, type)                                                                             \
  BNN2C_FIXED_DOT21(suffix, type)                                                                                 \
  BNN2C_KERNEL void bnn2c_fixed_dot22_##suffix(const type *w, const int16_t *a, uint32_t blocks, int32_t *sums) { \
    bnn2c_fixed_dot21_##suffix(w, a, blocks, sums);                                                               \
    bnn2c_fixed_dot21_##suffix(w, &a[4], blocks, &sums[2]);                                                       \
  }

#elif defined(__ARM_NEON)

#include <arm_neon.h>

#define BNN2C_FIXED_EIGHT_i8(w) vmovl_s8(vld1_s8(w))
#define BNN2C_FIXED_EIGHT_i16(w) vld1q_s16(w)

/* A block is two vectors of eight: two pixels, two outputs. */
#define BNN2C_FIXED_DOT(suffix, type)                                                                             \
  BNN2C_FIXED_DOT21(suffix, type)                                                                                 \
  BNN2C_KERNEL void bnn2c_fixed_dot22_##suffix(const type *w, const int16_t *a, uint32_t blocks, int32_t *sums) { \
    int32x4_t parts[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};                        \
    for (uint32_t b = 0u; b < blocks; b++) {                                                                      \
      const int16x8_t x = vld1q_s16(a);                                                                           \
      const int16x8_t u = BNN2C_FIXED_EIGHT_##suffix(w);                                                          \
      parts[0] = vmlal_s16(parts[0], vget_low_s16(u), vget_low_s16(x));                                           \
      parts[1] = vmlal_s16(parts[1], vget_high_s16(u), vget_low_s16(x));                                          \
      parts[2] = vmlal_s16(parts[2], vget_low_s16(u), vget_high_s16(x));                                          \
      parts[3] = vmlal_s16(parts[3], vget_high_s16(u), vget_high_s16(x));                                         \
      a += 8;                                                                                                     \
      w += 8;                                                                                                     \
    }                                                                                                             \
    for (uint32_t i = 0u; i < 4u; i++) {                                                                          \
      const int32x2_t half = vadd_s32(vget_low_s32(parts[i]), vget_high_s32(parts[i]));                           \
      sums[i] = vget_lane_s32(half, 0) + vget_lane_s32(half, 1);                                                  \
    }                                                                                                             \
  }

#else

#define BNN2C_FIXED_DOT(suffix, type)                                                                             \
  BNN2C_FIXED_DOT21(suffix, type)                                                                                 \
  BNN2C_KERNEL void bnn2c_fixed_dot22_##suffix(const type *w, const int16_t *a, uint32_t blocks, int32_t *sums) { \
    int32_t s0 = 0;                                                                                               \
    int32_t s1 = 0;                                                                                               \
    int32_t s2 = 0;                                                                                               \
    int32_t s3 = 0;                                                                                               \
    for (uint32_t b = 0u; b < blocks; b++) {                                                                      \
      for (uint32_t i = 0u; i < 4u; i++) {                                                                        \
        s0 += (int32_t)w[i] * a[i];                                                                               \
        s1 += (int32_t)w[i + 4u] * a[i];                                                                          \
        s2 += (int32_t)w[i] * a[i + 4u];                                                                          \
        s3 += (int32_t)w[i + 4u] * a[i + 4u];                                                                     \
      }                                                                                                           \
      a += 8;                                                                                                     \
      w += 8;                                                                                                     \
    }                                                                                                             \
    sums[0] = s0;                                                                                                 \
    sums[1] = s1;                                                                                                 \
    sums[2] = s2;                                                                                                 \
    sums[3] = s3;                                                                                                 \
  }

#endif

#endif

#define bnn2c_fixed_place_i16(k) BNN2C_FIXED_SLOT(k)

#define BNN2C_FIXED_FOUR(kind, suffix, type)                                                         \
  BNN2C_INLINE void bnn2c_fixed_four_##kind##_##suffix(const type *from, int16_t *to) {               \
    for (uint32_t i = 0u; i < 4u; i++) {                                                              \
      to[i] = (int16_t)from[i];                                                                       \
    }                                                                                                 \
  }

#if !defined(BNN2C_FIXED_DSP)
BNN2C_FIXED_FOUR(i8, i8, int8_t)
BNN2C_FIXED_FOUR(i8, u8, uint8_t)
BNN2C_FIXED_FOUR(i8, i16, int16_t)
BNN2C_FIXED_FOUR(i16, i16, int16_t)
#endif
BNN2C_FIXED_FOUR(i16, i8, int8_t)
BNN2C_FIXED_FOUR(i16, u8, uint8_t)

/* sums[0 .. 1]: two outputs of the first pixel; dot22: sums[2 .. 3] of the second. */
BNN2C_FIXED_DOT(i8, int8_t)
BNN2C_FIXED_DOT(i16, int16_t)

#endif
