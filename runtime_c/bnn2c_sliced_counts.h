/* bnn2c_sliced_counts.h - mismatches of 32 * BNN2C_LANE_WORDS output channels, in two layouts of the weights.
 *
 * Rows (BNN2C_DIAGONALS 0): a vector holds the weights of all lanes for one input, whose activation bit is broadcast.
 * The adders of bnn2c_lanes.h want pairs of inputs as (first, first ^ second), the first XORed with the running sum.
 * For the lowest digit these words are XOR sums of weight and activation bits, so weights (at compile time) and
 * activations (once per pixel) are stored in that form: even positions hold the parity of the stream up to and
 * including the position, odd positions the parity of the pair.  An input costs 2.5 gates at the lowest digit and 1.9
 * above, two loads, or a load and a broadcast.
 *
 * Diagonals (BNN2C_DIAGONALS 1, vectors of one word): in round r lane l sees input (l + r) mod 32 of a word, which is
 * the word turned by r: no instruction where an operand may be turned (Thumb-2).  A parity of several rounds is again
 * a word of weights (made at compile time) XOR a turned word of activations (made once per word), so three inputs need
 * two gates for their carry = p ^ q ^ r ^ ((p ^ q) | (q ^ r)).  A word of 32 inputs is ten such triples, rounds g,
 * g + 11 and g + 22, and the pair of rounds 10 and 21.  Its 32 weights: for the triples g = 0, 2, 4, 6, 8 and the one
 * behind each, p ^ q and q ^ r of the first, those of the second, p ^ q ^ r of both; then p and p ^ q of the pair.
 */
#ifndef BNN2C_SLICED_COUNTS_H
#define BNN2C_SLICED_COUNTS_H

#include "bnn2c_compiler.h"
#include "bnn2c_lanes.h"
#include "bnn2c_patch.h"

#ifndef BNN2C_DIAGONALS
#define BNN2C_DIAGONALS 0
#endif

/* Digits 0..4, kept in registers while the inputs are counted. */
BNN2C_INLINE void bnn2c_store_digits(const bnn2c_lanes *c, bnn2c_lanes *digits) {
  digits[0] = c[0];
  digits[1] = c[1];
  digits[2] = c[2];
  digits[3] = c[3];
  digits[4] = c[4];
}

#if BNN2C_DIAGONALS

/* Two words at `from`.  gcc knows the load of two words (at any whole word) but for addresses of 64 bits. */
BNN2C_INLINE void bnn2c_load_two(const uint32_t *from, uint32_t *first, uint32_t *second) {
#if defined(__thumb2__) && defined(__GNUC__) && !defined(__clang__)
  typedef uint64_t two __attribute__((aligned(4), may_alias));
  __asm__("ldrd %0, %1, %2" : "=r"(*first), "=r"(*second) : "Uv"(*(const two *)from));
#else
  *first = from[0];
  *second = from[1];
#endif
}

BNN2C_INLINE uint32_t bnn2c_turned(uint32_t word, unsigned by) {
  return (word >> by) | (word << ((32u - by) & 31u));
}

/* A word of activations x in all that its triples need: bits x[i] ^ x[i + 11], and x[i] ^ x[i + 11] ^ x[i + 22]. */
typedef struct {
  uint32_t pairs;
  uint32_t triples;
} bnn2c_parities;

/* Of two triples: their carries, and their parities as a pair to add to the lowest digit. */
typedef struct {
  bnn2c_lane_pair carries;
  bnn2c_lane_pair sums;
} bnn2c_two_triples;

BNN2C_INLINE bnn2c_two_triples bnn2c_add_triples(const uint32_t *weights, bnn2c_parities x, unsigned round) {
  bnn2c_two_triples found;
  uint32_t pq;
  uint32_t qr;
  uint32_t sum;
  bnn2c_load_two(weights + 3u * round, &pq, &qr);
  const uint32_t either = (pq ^ bnn2c_turned(x.pairs, round)) | (qr ^ bnn2c_turned(x.pairs, round + 11u));
  bnn2c_load_two(weights + 3u * round + 2u, &pq, &qr);
  const uint32_t behind = (pq ^ bnn2c_turned(x.pairs, round + 1u)) | (qr ^ bnn2c_turned(x.pairs, round + 12u));
  bnn2c_load_two(weights + 3u * round + 4u, &found.sums.first, &sum);
  found.sums.first ^= bnn2c_turned(x.triples, round);
  found.sums.other = sum ^ bnn2c_turned(x.triples, round + 1u) ^ found.sums.first;
  found.carries.first = found.sums.first ^ either;
  found.carries.other = found.sums.other ^ either ^ behind;
  return found;
}

/* Digits 0..4 of all inputs and start[0..4]; carries of weight 32, one per word of activations, in `carries`. */
BNN2C_NOINLINE BNN2C_LEAN void bnn2c_sliced_channels_count(const uint32_t *weights, const uint32_t *patch,
                                                           uint32_t words, const uint32_t *start, uint32_t *carries,
                                                           uint32_t *digits) {
  uint32_t c[5] = {start[0], start[1], start[2], start[3], start[4]};
  const uint32_t *const end = carries + words;
  do {
    const uint32_t word = *patch;
    bnn2c_parities x;
    x.pairs = word ^ bnn2c_turned(word, 11u);
    x.triples = x.pairs ^ bnn2c_turned(word, 22u);
    bnn2c_two_triples now = bnn2c_add_triples(weights, x, 0u);
    bnn2c_two_triples next = bnn2c_add_triples(weights, x, 2u);
    bnn2c_lane_pair twos = bnn2c_add_lane_pairs(&c[1], now.carries, next.carries);
    bnn2c_lane_pair ones = bnn2c_add_lane_pairs(&c[0], now.sums, next.sums);
    now = bnn2c_add_triples(weights, x, 4u);
    const bnn2c_lane_pair low = bnn2c_add_lane_pairs(&c[2], twos, bnn2c_add_lane_pairs(&c[1], ones, now.carries));
    next = bnn2c_add_triples(weights, x, 6u);
    ones = bnn2c_add_lane_pairs(&c[0], now.sums, next.sums);
    twos = bnn2c_add_lane_pairs(&c[1], ones, next.carries);
    now = bnn2c_add_triples(weights, x, 8u);
    bnn2c_lane_pair last;
    bnn2c_load_two(weights + 30, &last.first, &last.other);
    last.first ^= bnn2c_turned(word, 10u);
    last.other ^= bnn2c_turned(x.pairs, 10u);
    ones = bnn2c_add_lane_pairs(&c[0], now.sums, last);
    const bnn2c_lane_pair high = bnn2c_add_lane_pairs(&c[2], twos, bnn2c_add_lane_pairs(&c[1], now.carries, ones));
    *carries = bnn2c_add_lane_pair(&c[4], bnn2c_add_lane_pairs(&c[3], low, high));
    weights += 32;
    patch++;
    carries++;
  } while (carries != end);
  bnn2c_store_digits(c, digits);
}

/* What the counters read: the stream itself. */
BNN2C_INLINE const uint32_t *bnn2c_activations_of(const uint32_t *stream, uint32_t words, uint32_t *patch) {
  (void)words;
  (void)patch;
  return stream;
}

#else

/* The activations of 32 inputs: their bits, or for vectors 32 words that are all ones or zeros (one load each). */
#if BNN2C_LANE_WORDS == 1
typedef uint32_t bnn2c_activations;
BNN2C_INLINE uint32_t bnn2c_activation(bnn2c_activations act, unsigned at) { return bnn2c_broadcast(act, at); }
#else
typedef const uint32_t *bnn2c_activations;
BNN2C_INLINE uint32_t bnn2c_activation(bnn2c_activations act, unsigned at) { return act[at]; }
#endif

/* Lowest digit of four inputs: weights and activation in encoded form. */
BNN2C_INLINE bnn2c_lane_pair bnn2c_add_inputs4(bnn2c_lanes *sum, const bnn2c_lanes *w, bnn2c_activations act,
                                               unsigned at) {
  bnn2c_lane_pair carry;
  const bnn2c_lanes differ0 = w[at + 1u] ^ bnn2c_activation(act, at + 1u);
#if BNN2C_SHORT_ADDER
  const bnn2c_lanes first0 = w[at] ^ bnn2c_activation(act, at) ^ *sum;
  carry.first = bnn2c_full_add(sum, first0, first0 ^ differ0);
  const bnn2c_lanes differ1 = w[at + 3u] ^ bnn2c_activation(act, at + 3u);
  const bnn2c_lanes first1 = w[at + 2u] ^ bnn2c_activation(act, at + 2u) ^ *sum;
  carry.other = bnn2c_full_add(sum, first1, first1 ^ differ1);
#else
  const bnn2c_lanes changed = (w[at] ^ bnn2c_activation(act, at)) | differ0;
  const bnn2c_lanes half = *sum ^ differ0;
  const bnn2c_lanes differ1 = w[at + 3u] ^ bnn2c_activation(act, at + 3u);
  carry.first = half ^ changed;
  carry.other = changed ^ ((w[at + 2u] ^ bnn2c_activation(act, at + 2u)) & ~differ1);
  *sum = half ^ differ1;
#endif
  return carry;
}

BNN2C_INLINE bnn2c_lane_pair bnn2c_add_inputs8(bnn2c_lanes *c, const bnn2c_lanes *w, bnn2c_activations act,
                                               unsigned at) {
  const bnn2c_lane_pair low = bnn2c_add_inputs4(&c[0], w, act, at);
  const bnn2c_lane_pair high = bnn2c_add_inputs4(&c[0], w, act, at + 4u);
  return bnn2c_add_lane_pairs(&c[1], low, high);
}

BNN2C_INLINE bnn2c_lane_pair bnn2c_add_inputs16(bnn2c_lanes *c, const bnn2c_lanes *w, bnn2c_activations act,
                                               unsigned at) {
  const bnn2c_lane_pair low = bnn2c_add_inputs8(c, w, act, at);
  const bnn2c_lane_pair high = bnn2c_add_inputs8(c, w, act, at + 8u);
  return bnn2c_add_lane_pairs(&c[2], low, high);
}

/* Digits 0..4 of all inputs and start[1..4]; carries of weight 32, one per patch word, in `carries`. */
BNN2C_NOINLINE BNN2C_LEAN void bnn2c_sliced_channels_count(const bnn2c_lanes *weights, const uint32_t *patch,
                                                           uint32_t words, const bnn2c_lanes *start,
                                                           bnn2c_lanes *carries, bnn2c_lanes *digits) {
  bnn2c_lanes c[5] = {BNN2C_NO_LANES, start[1], start[2], start[3], start[4]};
  const bnn2c_lanes *const end = carries + words;
  do {
#if BNN2C_LANE_WORDS == 1
    const bnn2c_activations act = *patch;
    patch++;
#else
    const bnn2c_activations act = patch;
    patch += 32;
#endif
    const bnn2c_lane_pair low = bnn2c_add_inputs16(c, weights, act, 0u);
    const bnn2c_lane_pair high = bnn2c_add_inputs16(c, weights, act, 16u);
    *carries = bnn2c_add_lane_pair(&c[4], bnn2c_add_lane_pairs(&c[3], low, high));
    weights += 32;
#if defined(__clang__)
    BNN2C_KEEP(weights); /* else offsets are negative: two more instructions a load on Cortex-M0 */
#endif
    carries++;
  } while (carries != end);
  bnn2c_store_digits(c, digits);
}

/* Encodes the stream (in place when to == from): parity up to here at even positions, parity of the pair at odd ones. */
BNN2C_NOINLINE void bnn2c_encode_patch(const uint32_t *from, uint32_t words, uint32_t *to) {
  uint32_t before = 0u;
  for (uint32_t i = 0u; i < words; i++) {
    const uint32_t pairs = from[i] ^ (from[i] << 1);
    uint32_t parity = pairs ^ (pairs << 2);
    parity ^= parity << 4;
    parity ^= parity << 8;
    parity ^= parity << 16;
    parity ^= before;
    before = bnn2c_broadcast(parity, 31u);
    to[i] = (parity & 0x55555555u) | (pairs & 0xAAAAAAAAu);
  }
}

#if BNN2C_LANE_WORDS > 1
/* Every bit of the stream as a word of ones or zeros. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_widen_patch(const uint32_t *patch, uint32_t words, uint32_t *wide) {
  static const uint32_t number[32] = {0u,  1u,  2u,  3u,  4u,  5u,  6u,  7u,  8u,  9u,  10u, 11u, 12u, 13u, 14u, 15u,
                                      16u, 17u, 18u, 19u, 20u, 21u, 22u, 23u, 24u, 25u, 26u, 27u, 28u, 29u, 30u, 31u};
  bnn2c_lanes *to = (bnn2c_lanes *)wide;
  for (uint32_t i = 0u; i < words; i++) {
    const bnn2c_lanes word = BNN2C_NO_LANES + patch[i];
    BNN2C_UNROLL(8)
    for (uint32_t bit = 0u; bit < 32u; bit += (uint32_t)BNN2C_LANE_WORDS) {
      *to = BNN2C_NO_LANES - ((word >> *(const bnn2c_lanes *)&number[bit]) & 1u);
      to++;
    }
  }
}
#endif

/* What the counters read of a stream: encoded in `patch`; for vectors a word per input, made behind it. */
BNN2C_INLINE const uint32_t *bnn2c_activations_of(const uint32_t *stream, uint32_t words, uint32_t *patch) {
  bnn2c_encode_patch(stream, words, patch);
#if BNN2C_LANE_WORDS > 1
  bnn2c_widen_patch(patch, words, patch + words);
  return patch + words;
#else
  return patch;
#endif
}

#endif /* BNN2C_DIAGONALS */

#endif /* BNN2C_SLICED_COUNTS_H */
