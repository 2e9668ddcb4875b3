/* bnn2c_rearrange.h - copies with an index map: transposes, slices, pads, shuffles.
 *
 * nest:   out[out_start + sum i*out_step] = in[in_start + sum i*in_step] over up to 6 nested loops, outermost first.
 * table:  out[k*unit ...] = in[table[k] ...], runs of `unit` elements; the table's largest value leaves the run alone.
 * fill:   out[i] = pattern[i % period]; called first when some elements have no source.
 *
 * Suffixes f32 ... u8 are element types.  `words` are the words of packed pixels that move as a whole.  `bits` counts
 * in bits of plane 0; plane q of the same element is q*in_plane (out_plane) words further.
 */
#ifndef BNN2C_REARRANGE_H
#define BNN2C_REARRANGE_H

#include "bnn2c.h"

#define BNN2C_REARRANGE_LOOPS 6

typedef struct {
  uint32_t count;
  int32_t out_step;
  int32_t in_step;
} bnn2c_rearrange_loop_t;

typedef struct {
  uint32_t size; /* entries of a table */
  uint32_t unit;
  uint32_t depth; /* loops of a nest */
  uint32_t out_start;
  uint32_t in_start;
  bnn2c_rearrange_loop_t loops[BNN2C_REARRANGE_LOOPS];
  uint32_t planes; /* bits only, as the following */
  uint32_t in_plane;
  uint32_t out_plane;
  uint32_t channels;
} bnn2c_rearrange_t;

/* Where the innermost loop starts. */
typedef struct {
  uint32_t counters[BNN2C_REARRANGE_LOOPS];
  uint32_t out;
  uint32_t in;
} bnn2c_rearrange_place_t;

BNN2C_KERNEL bnn2c_rearrange_place_t bnn2c_rearrange_begin(const bnn2c_rearrange_t *p) {
  const bnn2c_rearrange_place_t place = {{0u, 0u, 0u, 0u, 0u, 0u}, p->out_start, p->in_start};
  return place;
}

/* The next start; 0 when all loops are done. */
BNN2C_KERNEL int bnn2c_rearrange_next(const bnn2c_rearrange_t *p, bnn2c_rearrange_place_t *place) {
  for (uint32_t level = p->depth - 1u; level > 0u; level--) {
    const bnn2c_rearrange_loop_t *loop = &p->loops[level - 1u];
    place->out += (uint32_t)loop->out_step;
    place->in += (uint32_t)loop->in_step;
    place->counters[level - 1u]++;
    if (place->counters[level - 1u] < loop->count) {
      return 1;
    }
    place->counters[level - 1u] = 0u;
    place->out -= loop->count * (uint32_t)loop->out_step;
    place->in -= loop->count * (uint32_t)loop->in_step;
  }
  return 0;
}

#define BNN2C_REARRANGE(suffix, type)                                                                                 \
  BNN2C_KERNEL void bnn2c_rearrange_fill_##suffix(const type *pattern, uint32_t period, uint32_t size, type *out) {   \
    uint32_t phase = 0u;                                                                                              \
    for (uint32_t i = 0u; i < size; i++) {                                                                            \
      out[i] = pattern[phase];                                                                                        \
      phase = (phase + 1u < period) ? (phase + 1u) : 0u;                                                              \
    }                                                                                                                 \
  }                                                                                                                   \
  BNN2C_KERNEL void bnn2c_rearrange_nest_##suffix(const bnn2c_rearrange_t *p, const type *in, type *out) {            \
    const bnn2c_rearrange_loop_t *inner = &p->loops[p->depth - 1u];                                                   \
    bnn2c_rearrange_place_t place = bnn2c_rearrange_begin(p);                                                         \
    do {                                                                                                              \
      uint32_t to = place.out;                                                                                        \
      uint32_t from = place.in;                                                                                       \
      for (uint32_t i = 0u; i < inner->count; i++) {                                                                  \
        out[to] = in[from];                                                                                           \
        to += (uint32_t)inner->out_step;                                                                              \
        from += (uint32_t)inner->in_step;                                                                             \
      }                                                                                                               \
    } while (bnn2c_rearrange_next(p, &place) != 0);                                                                   \
  }                                                                                                                   \
  BNN2C_REARRANGE_TABLE(16_##suffix, type, uint16_t, UINT16_MAX)                                                      \
  BNN2C_REARRANGE_TABLE(32_##suffix, type, uint32_t, UINT32_MAX)

#define BNN2C_REARRANGE_TABLE(suffix, type, index, none)                                                              \
  BNN2C_KERNEL void bnn2c_rearrange_table##suffix(const bnn2c_rearrange_t *p, const index *table, const type *in,     \
                                                  type *out) {                                                        \
    for (uint32_t k = 0u; k < p->size; k++) {                                                                         \
      const uint32_t from = table[k];                                                                                 \
      for (uint32_t i = 0u; (from != (none)) && (i < p->unit); i++) {                                                 \
        out[i] = in[from + i];                                                                                        \
      }                                                                                                               \
      out += p->unit;                                                                                                 \
    }                                                                                                                 \
  }

BNN2C_REARRANGE(f32, float)
BNN2C_REARRANGE(i32, int32_t)
BNN2C_REARRANGE(i16, int16_t)
BNN2C_REARRANGE(i8, int8_t)
BNN2C_REARRANGE(u8, uint8_t)
BNN2C_REARRANGE(words, uint32_t)

/* n <= 32 bits at the addresses from, from + step, ...; what lies above them is arbitrary. */
BNN2C_KERNEL uint32_t bnn2c_rearrange_gather(const uint32_t *in, uint32_t from, uint32_t step, uint32_t n) {
  uint32_t bits = 0u;
  if (step == 1u) {
    const uint32_t shift = from % 32u;
    bits = in[from / 32u] >> shift;
    if (shift + n > 32u) {
      bits |= in[from / 32u + 1u] << (32u - shift);
    }
  } else {
    for (uint32_t i = 0u; i < n; i++) {
      bits |= ((in[from / 32u] >> (from % 32u)) & 1u) << i;
      from += step;
    }
  }
  return bits;
}

/* Replaces n bits of one word, from address `to` on. */
BNN2C_KERNEL void bnn2c_rearrange_put(uint32_t *out, uint32_t to, uint32_t bits, uint32_t n) {
  const uint32_t mask = (UINT32_MAX >> (32u - n)) << (to % 32u);
  out[to / 32u] = (out[to / 32u] & ~mask) | ((bits << (to % 32u)) & mask);
}

/* One innermost loop for all planes, a word of the output at a time when its bits are neighbours. */
BNN2C_KERNEL void bnn2c_rearrange_run(const bnn2c_rearrange_t *p, const bnn2c_rearrange_loop_t *loop,
                                      const uint32_t *in, uint32_t from, uint32_t *out, uint32_t to) {
  uint32_t left = loop->count;
  while (left > 0u) {
    const uint32_t room = (loop->out_step == 1) ? (32u - to % 32u) : 1u;
    const uint32_t n = (left < room) ? left : room;
    for (uint32_t plane = 0u; plane < p->planes; plane++) {
      const uint32_t bits = bnn2c_rearrange_gather(&in[plane * p->in_plane], from, (uint32_t)loop->in_step, n);
      bnn2c_rearrange_put(&out[plane * p->out_plane], to, bits, n);
    }
    from += n * (uint32_t)loop->in_step;
    to += n * (uint32_t)loop->out_step;
    left -= n;
  }
}

BNN2C_KERNEL void bnn2c_rearrange_nest_bits(const bnn2c_rearrange_t *p, const uint32_t *in, uint32_t *out) {
  bnn2c_rearrange_place_t place = bnn2c_rearrange_begin(p);
  do {
    bnn2c_rearrange_run(p, &p->loops[p->depth - 1u], in, place.in, out, place.out);
  } while (bnn2c_rearrange_next(p, &place) != 0);
}

#define BNN2C_REARRANGE_TABLE_BITS(suffix, index, none)                                                               \
  BNN2C_KERNEL void bnn2c_rearrange_table##suffix##_bits(const bnn2c_rearrange_t *p, const index *table,              \
                                                         const uint32_t *in, uint32_t *out) {                         \
    for (uint32_t k = 0u; k < p->size; k += p->channels) {                                                            \
      for (uint32_t c = 0u; c < p->channels; c++) {                                                                   \
        const uint32_t from = table[k + c];                                                                           \
        for (uint32_t plane = 0u; (from != (none)) && (plane < p->planes); plane++) {                                 \
          const uint32_t bits = bnn2c_rearrange_gather(&in[plane * p->in_plane], from, 1u, 1u);                       \
          bnn2c_rearrange_put(&out[plane * p->out_plane], c, bits, 1u);                                               \
        }                                                                                                             \
      }                                                                                                               \
      out += p->planes * p->out_plane;                                                                                \
    }                                                                                                                 \
  }
BNN2C_REARRANGE_TABLE_BITS(16, uint16_t, UINT16_MAX)
BNN2C_REARRANGE_TABLE_BITS(32, uint32_t, UINT32_MAX)

#endif
