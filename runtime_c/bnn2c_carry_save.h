/* bnn2c_carry_save.h - adders for vertical counters: one word per binary digit, 32 counters side by side.
 *
 * Two chained full adders that pass their two carries on as (first, first ^ second), and take such pairs, need 8 gates
 * instead of 10 (the MDFA of Demenkov, Kojevnikov, Kulikov and Yaroslavtsev, 2010).  With z the sum so far:
 *   half = z ^ a.differ            sum of z and both words of a
 *   changed = (a.first ^ z) | a.differ;  carry 1 = half ^ changed
 *   carry 1 ^ carry 2 = changed ^ ((b.first ^ half) & ~b.differ)
 */
#ifndef BNN2C_CARRY_SAVE_H
#define BNN2C_CARRY_SAVE_H

#include "bnn2c_compiler.h"

#include <stdint.h>

/* Two carries of equal weight, as the first and the difference of both. */
typedef struct {
  uint32_t first;
  uint32_t differ;
} bnn2c_carry_pair;

/* Adds four words of one digit to `*sum`; the two carries go to the next digit. */
BNN2C_INLINE bnn2c_carry_pair bnn2c_add_pairs(uint32_t *sum, bnn2c_carry_pair a, bnn2c_carry_pair b) {
  bnn2c_carry_pair carry;
  const uint32_t half = *sum ^ a.differ;
  const uint32_t changed = (a.first ^ *sum) | a.differ;
  carry.first = half ^ changed;
  carry.differ = changed ^ ((b.first ^ half) & ~b.differ);
  *sum = half ^ b.differ;
  return carry;
}

/* Adds two words of one digit to `*sum` and returns the carry. */
BNN2C_INLINE uint32_t bnn2c_add_pair(uint32_t *sum, bnn2c_carry_pair a) {
  const uint32_t changed = (a.first ^ *sum) | a.differ;
  *sum ^= a.differ;
  return *sum ^ changed;
}

/* Adds one word to one digit and returns the carry. */
BNN2C_INLINE uint32_t bnn2c_add_word(uint32_t *sum, uint32_t word) {
  const uint32_t carry = *sum & word;
  *sum ^= word;
  return carry;
}

#endif /* BNN2C_CARRY_SAVE_H */
