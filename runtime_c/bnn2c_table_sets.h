/* bnn2c_table_sets.h - parameters of bnn2c_table_rows.h, and with AVX2 its sets of output channels. */
#ifndef BNN2C_TABLE_SETS_H
#define BNN2C_TABLE_SETS_H

#include "bnn2c_compiler.h"
#include "bnn2c_padded_image.h"

typedef struct {
  bnn2c_conv_shape shape;
  bnn2c_image_size image;
  uint16_t blocks;
  const uint16_t *offsets; /* [blocks], bytes from the first one under the window */
  const uint8_t *weights;
  const uint16_t *starts;
} bnn2c_table_rows;

#define BNN2C_TABLE_SET 7u  /* units of the largest set */
#define BNN2C_TABLE_MADE 6u /* units for which the rows of the table are made when they are needed */

#if defined(__AVX2__)

#define BNN2C_TABLE_BLOCKS 7u /* that a counter of a byte holds; even numbers of blocks where rows are read */

/* sum += bytes, here: a compiler that moves additions runs out of registers.  gcc copies fewer sums when 14 of them stay
 * where they are, and when 12 and fewer may move. */
#if defined(__GNUC__)
#define BNN2C_ADD_BYTES(sum, bytes) __asm__ volatile("vpaddb %1, %0, %0" : "+x"(sum) : "x"(bytes))
#define BNN2C_MOVE_BYTES(sum, bytes) __asm__ volatile("vpaddb %1, %2, %0" : "=x"(sum) : "x"(bytes), "x"(sum))
#else
#define BNN2C_ADD_BYTES(sum, bytes) ((sum) = _mm256_add_epi8((sum), (bytes)))
#define BNN2C_MOVE_BYTES(sum, bytes) BNN2C_ADD_BYTES((sum), (bytes))
#endif

BNN2C_INLINE __m256i bnn2c_table_load(const void *from) { return _mm256_loadu_si256((const __m256i_u *)from); }

#define BNN2C_16(n) n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n
#define BNN2C_NUMBERS 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#define BNN2C_NIBBLE_BITS 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4
static const uint8_t bnn2c_table_choices[320] = {
    BNN2C_16(0), BNN2C_16(0), BNN2C_16(1), BNN2C_16(1), BNN2C_16(2), BNN2C_16(2), BNN2C_16(3), BNN2C_16(3),
    BNN2C_16(4), BNN2C_16(4), BNN2C_16(5), BNN2C_16(5), BNN2C_16(6), BNN2C_16(6), BNN2C_16(7), BNN2C_16(7),
    BNN2C_NUMBERS, BNN2C_NUMBERS, BNN2C_NIBBLE_BITS, BNN2C_NIBBLE_BITS};

/* The nibbles of 8 bytes: the low ones in the lower half, the high ones in the upper half. */
BNN2C_INLINE __m256i bnn2c_table_nibbles(const uint8_t *bytes) {
  const __m256i eight = _mm256_broadcastq_epi64(_mm_loadl_epi64((const __m128i_u *)bytes));
  return _mm256_and_si256(_mm256_srlv_epi64(eight, _mm256_setr_epi64x(0, 0, 4, 4)), _mm256_set1_epi8(15));
}

/* Rows of the table for the nibbles of byte 0..7.  choices: bnn2c_table_choices; counts: row 0, twice. */
BNN2C_INLINE __m256i bnn2c_table_row(__m256i nibbles, const uint8_t *choices, __m256i counts, unsigned byte) {
  const __m256i all = _mm256_shuffle_epi8(nibbles, bnn2c_table_load(choices + 32u * byte));
  return _mm256_shuffle_epi8(counts, _mm256_xor_si256(all, bnn2c_table_load(choices + 256)));
}

/* Counters of 16 channels, both nibbles, and sums so far. */
BNN2C_INLINE __m256i bnn2c_table_widen(__m256i counters, const uint16_t *sums) {
  const __m256i low = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(counters));
  const __m256i high = _mm256_cvtepu8_epi16(_mm256_extracti128_si256(counters, 1));
  return _mm256_add_epi16(_mm256_add_epi16(low, high), bnn2c_table_load(sums));
}

/* The top bits of 32 sums, in the order of the channels. */
BNN2C_INLINE uint32_t bnn2c_table_tops(__m256i low, __m256i high) {
  return (uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(low, high));
}

/* `step` for every vector of a set; loops would leave the counters in memory with clang. */
#define BNN2C_EACH_VECTOR(step, vectors)                                                                             \
  step(0u, vectors) step(1u, vectors) step(2u, vectors) step(3u, vectors) step(4u, vectors) step(5u, vectors)        \
  step(6u, vectors) step(7u, vectors) step(8u, vectors) step(9u, vectors) step(10u, vectors) step(11u, vectors)      \
  step(12u, vectors) step(13u, vectors)
#define BNN2C_TABLE_CLEAR(v, vectors)                                                                                \
  if ((v) < (vectors)) {                                                                                             \
    counters[v] = _mm256_setzero_si256();                                                                            \
  }
#define BNN2C_TABLE_ADD(v, vectors)                                                                                  \
  if ((v) < (vectors)) {                                                                                             \
    const __m256i found = _mm256_shuffle_epi8(row, bnn2c_table_load(weights + 32u * (v)));                           \
    if (made != 0u) {                                                                                                \
      BNN2C_MOVE_BYTES(counters[v], found);                                                                          \
    } else {                                                                                                         \
      BNN2C_ADD_BYTES(counters[v], found);                                                                           \
    }                                                                                                                \
  }
#define BNN2C_TABLE_SUM(v, vectors)                                                                                  \
  if ((v) < (vectors)) {                                                                                             \
    _mm256_storeu_si256((__m256i_u *)(sums + 16u * (v)), bnn2c_table_widen(counters[v], starts + 16u * (v)));        \
  }
#define BNN2C_TABLE_BITS(v, vectors)                                                                                 \
  if (((v) < (vectors)) && ((v) % 2u == 0u)) {                                                                       \
    out[(v) / 2u] = bnn2c_table_tops(bnn2c_table_widen(counters[v], starts + 16u * (v)),                             \
                                     bnn2c_table_widen(counters[(v) + 1u], starts + 16u * (v) + 16u));               \
  }

/* The bits of a set.  The table's rows are made from the bytes at `source`, or `source` are the rows. */
BNN2C_INLINE void bnn2c_table_set(const bnn2c_table_rows *p, unsigned vectors, unsigned made, const uint8_t *weights,
                                  const uint8_t *source, const uint16_t *starts, uint16_t *sums, uint32_t *out) {
  const uint8_t *choices = bnn2c_table_choices;
  const __m256i counts = bnn2c_table_load(choices + 288);
  const uint16_t *offset = p->offsets;
  const uint32_t step = (made != 0u) ? 1u : 2u; /* blocks of a round */
  uint32_t left = p->blocks;
  __m256i counters[2u * BNN2C_TABLE_SET];
  for (;;) {
    const uint32_t most = BNN2C_TABLE_BLOCKS / step * step;
    uint32_t blocks = (left < most) ? left : most;
    left -= blocks;
    BNN2C_EACH_VECTOR(BNN2C_TABLE_CLEAR, vectors)
    do {
      __m256i nibbles = _mm256_setzero_si256();
      BNN2C_KEEP(choices);
      if (made != 0u) {
        nibbles = bnn2c_table_nibbles(source + *offset);
        offset++;
      }
      BNN2C_FLAT
      for (unsigned byte = 0u; byte < 8u * step; byte++) {
        const __m256i row = (made != 0u) ? bnn2c_table_row(nibbles, choices, counts, byte)
                                         : bnn2c_table_load(source + 32u * byte);
        BNN2C_EACH_VECTOR(BNN2C_TABLE_ADD, vectors)
        weights += 32u * vectors;
      }
      source += (made != 0u) ? 0u : 512u;
      blocks -= step;
    } while (blocks != 0u);
    if (left == 0u) {
      break;
    }
    BNN2C_EACH_VECTOR(BNN2C_TABLE_SUM, vectors)
    starts = sums;
    BNN2C_KEEP(starts); /* what was stored needs no register */
  }
  BNN2C_EACH_VECTOR(BNN2C_TABLE_BITS, vectors)
}

/* A set whose rows are ready; all pixels of a layer that has one set only. */
#define BNN2C_TABLE_READ(name, units)                                                                                \
  BNN2C_NOINLINE void name(const bnn2c_table_rows *p, const uint8_t *weights, const uint8_t *rows,                   \
                           const uint16_t *starts, uint16_t *sums, uint32_t *out) {                                  \
    bnn2c_table_set(p, 2u * (units), 0u, weights, rows, starts, sums, out);                                          \
  }
#define BNN2C_TABLE_MAKE(name, units)                                                                                \
  BNN2C_NOINLINE void name(const bnn2c_table_rows *layer, const uint8_t *image, uint16_t *sums, uint32_t *out) {     \
    const bnn2c_table_rows p = *layer; /* a copy of its own stays in registers */                                    \
    const uint32_t next = (uint32_t)p.shape.stride_w * p.image.pixel_bytes;                                          \
    for (uint32_t y = 0u; y < p.shape.out_h; y++) {                                                                  \
      const uint16_t *const starts = p.starts + 32u * (units) * p.shape.row_class[y] * p.shape.col_classes;          \
      const uint8_t *window = image + y * p.shape.stride_h * p.image.width * p.image.pixel_bytes;                    \
      for (uint32_t x = 0u; x < p.shape.out_w; x++) {                                                                \
        bnn2c_table_set(&p, 2u * (units), 1u, p.weights, window, starts + 32u * (units) * p.shape.col_class[x],      \
                        sums, out);                                                                                  \
        window += next;                                                                                              \
        out += (units);                                                                                              \
      }                                                                                                              \
    }                                                                                                                \
  }
BNN2C_TABLE_READ(bnn2c_table_read4, 4u)
BNN2C_TABLE_READ(bnn2c_table_read5, 5u)
BNN2C_TABLE_READ(bnn2c_table_read6, 6u)
BNN2C_TABLE_READ(bnn2c_table_read7, 7u)
BNN2C_TABLE_MAKE(bnn2c_table_make1, 1u)
BNN2C_TABLE_MAKE(bnn2c_table_make2, 2u)
BNN2C_TABLE_MAKE(bnn2c_table_make3, 3u)
BNN2C_TABLE_MAKE(bnn2c_table_make4, 4u)
BNN2C_TABLE_MAKE(bnn2c_table_make5, 5u)
BNN2C_TABLE_MAKE(bnn2c_table_make6, 6u)

/* The rows of the table for every byte of a patch. */
BNN2C_NOINLINE void bnn2c_table_patch(const bnn2c_table_rows *p, const uint8_t *window, uint8_t *rows) {
  const uint8_t *choices = bnn2c_table_choices;
  const __m256i counts = bnn2c_table_load(choices + 288);
  for (uint32_t block = 0u; block < p->blocks; block++) {
    const __m256i nibbles = bnn2c_table_nibbles(window + p->offsets[block]);
    BNN2C_KEEP(choices);
    BNN2C_FLAT
    for (unsigned byte = 0u; byte < 8u; byte++) {
      _mm256_storeu_si256((__m256i_u *)rows, bnn2c_table_row(nibbles, choices, counts, byte));
      rows += 32;
    }
  }
}

#endif /* __AVX2__ */

#endif /* BNN2C_TABLE_SETS_H */
