/* bnn2c_fixed_dot.h - dot products of int16 patches with int8 or int16 weights, two pixels by two outputs at a time.
 *
 * Both operands are interleaved in blocks of four elements: patch[block][2 pixels][4], weights[block][2 outputs][4], so that
 * one pointer walks each, and every element is loaded once for two products.  With the DSP extension of Armv7E-M and Armv8-M
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
  (void)memcpy(&word, from, sizeof word);
  return word;
}

/* Bytes 1 and 3, sign-extended to two int16. */
BNN2C_INLINE int32_t bnn2c_fixed_odd(int32_t word) {
  int32_t pair;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
  return pair;
}

#define BNN2C_FIXED_FIRST_i8(w) __sxtb16(bnn2c_fixed_word(w))
#define BNN2C_FIXED_SECOND_i8(w) bnn2c_fixed_odd(bnn2c_fixed_word(w))
#define BNN2C_FIXED_FIRST_i16(w) bnn2c_fixed_word(w)
#define BNN2C_FIXED_SECOND_i16(w) bnn2c_fixed_word(&(w)[2])

#define BNN2C_FIXED_DOT(suffix, type)                                                                            \
  BNN2C_KERNEL BNN2C_STEADY void bnn2c_fixed_dot22_##suffix(const type *w, const int16_t *a, uint32_t blocks,    \
                                                            int32_t *sums) {                                     \
    int32_t s0 = 0;                                                                                              \
    int32_t s1 = 0;                                                                                              \
    int32_t s2 = 0;                                                                                              \
    int32_t s3 = 0;                                                                                              \
    BNN2C_UNROLL(4)                                                                                              \
    for (uint32_t b = blocks; b > 0u; b--) {                                                                     \
      const int32_t x0 = bnn2c_fixed_word(a);                                                                    \
      const int32_t x1 = bnn2c_fixed_word(&a[2]);                                                                \
      const int32_t y0 = bnn2c_fixed_word(&a[4]);                                                                \
      const int32_t y1 = bnn2c_fixed_word(&a[6]);                                                                \
      const int32_t u0 = BNN2C_FIXED_FIRST_##suffix(w);                                                          \
      const int32_t u1 = BNN2C_FIXED_SECOND_##suffix(w);                                                         \
      const int32_t v0 = BNN2C_FIXED_FIRST_##suffix(&w[4]);                                                      \
      const int32_t v1 = BNN2C_FIXED_SECOND_##suffix(&w[4]);                                                     \
      s0 = __smlad(x1, u1, __smlad(x0, u0, s0));                                                                 \
      s2 = __smlad(y1, u1, __smlad(y0, u0, s2));                                                                 \
      s1 = __smlad(x1, v1, __smlad(x0, v0, s1));                                                                 \
      s3 = __smlad(y1, v1, __smlad(y0, v0, s3));                                                                 \
      a += 8;                                                                                                    \
      w += 8;                                                                                                    \
    }                                                                                                            \
    sums[0] = s0;                                                                                                \
    sums[1] = s1;                                                                                                \
    sums[2] = s2;                                                                                                \
    sums[3] = s3;                                                                                                \
  }                                                                                                              \
  BNN2C_KERNEL BNN2C_STEADY void bnn2c_fixed_dot21_##suffix(const type *w, const int16_t *a, uint32_t blocks,    \
                                                            int32_t *sums) {                                     \
    int32_t s0 = 0;                                                                                              \
    int32_t s1 = 0;                                                                                              \
    BNN2C_UNROLL(4)                                                                                              \
    for (uint32_t b = blocks; b > 0u; b--) {                                                                     \
      const int32_t x0 = bnn2c_fixed_word(a);                                                                    \
      const int32_t x1 = bnn2c_fixed_word(&a[2]);                                                                \
      s0 = __smlad(x1, BNN2C_FIXED_SECOND_##suffix(w), __smlad(x0, BNN2C_FIXED_FIRST_##suffix(w), s0));          \
      s1 = __smlad(x1, BNN2C_FIXED_SECOND_##suffix(&w[4]), __smlad(x0, BNN2C_FIXED_FIRST_##suffix(&w[4]), s1));  \
      a += 8;                                                                                                    \
      w += 8;                                                                                                    \
    }                                                                                                            \
    sums[0] = s0;                                                                                                \
    sums[1] = s1;                                                                                                \
  }

#else

#define bnn2c_fixed_place_i8(k) BNN2C_FIXED_SLOT(k)

#define BNN2C_FIXED_DOT(suffix, type)                                                                            \
  BNN2C_KERNEL void bnn2c_fixed_dot22_##suffix(const type *w, const int16_t *a, uint32_t blocks, int32_t *sums) { \
    int32_t s0 = 0;                                                                                              \
    int32_t s1 = 0;                                                                                              \
    int32_t s2 = 0;                                                                                              \
    int32_t s3 = 0;                                                                                              \
    for (uint32_t b = 0u; b < blocks; b++) {                                                                     \
      for (uint32_t i = 0u; i < 4u; i++) {                                                                       \
        s0 += (int32_t)w[i] * a[i];                                                                              \
        s1 += (int32_t)w[i + 4u] * a[i];                                                                         \
        s2 += (int32_t)w[i] * a[i + 4u];                                                                         \
        s3 += (int32_t)w[i + 4u] * a[i + 4u];                                                                    \
      }                                                                                                          \
      a += 8;                                                                                                    \
      w += 8;                                                                                                    \
    }                                                                                                            \
    sums[0] = s0;                                                                                                \
    sums[1] = s1;                                                                                                \
    sums[2] = s2;                                                                                                \
    sums[3] = s3;                                                                                                \
  }                                                                                                              \
  BNN2C_KERNEL void bnn2c_fixed_dot21_##suffix(const type *w, const int16_t *a, uint32_t blocks, int32_t *sums) { \
    int32_t s0 = 0;                                                                                              \
    int32_t s1 = 0;                                                                                              \
    for (uint32_t b = 0u; b < blocks; b++) {                                                                     \
      for (uint32_t i = 0u; i < 4u; i++) {                                                                       \
        s0 += (int32_t)w[i] * a[i];                                                                              \
        s1 += (int32_t)w[i + 4u] * a[i];                                                                         \
      }                                                                                                          \
      a += 8;                                                                                                    \
      w += 8;                                                                                                    \
    }                                                                                                            \
    sums[0] = s0;                                                                                                \
    sums[1] = s1;                                                                                                \
  }

#endif

#define bnn2c_fixed_place_i16(k) BNN2C_FIXED_SLOT(k)

/* sums[0 .. 1]: two outputs of the first pixel; dot22: sums[2 .. 3] of the second. */
BNN2C_FIXED_DOT(i8, int8_t)
BNN2C_FIXED_DOT(i16, int16_t)

#endif
