/* bnn2c_embedding.h - rows of a constant table: out[t][:] = table[ids[t]][:].
 *
 * A name says the elements of the table, then those of the ids; `words` are packed level codes (width is the words of a
 * row, all planes). Negative ids count from the end; ids outside the table are clamped into it.
 */
#ifndef BNN2C_EMBEDDING_H
#define BNN2C_EMBEDDING_H

#include "bnn2c.h"

/* A float id as an integer, limited to what matters; NaN is the first row. */
BNN2C_KERNEL int32_t bnn2c_embedding_id(float id, int32_t rows) {
  return (id >= (float)rows) ? rows : ((id > -(float)rows) ? (int32_t)id : -rows);
}

BNN2C_KERNEL size_t bnn2c_embedding_place(int32_t id, int32_t rows) {
  const int32_t place = (id < 0) ? (id + rows) : id;
  return (size_t)((place < 0) ? 0 : ((place < rows) ? place : (rows - 1)));
}

#define BNN2C_EMBEDDING_IDS(kind, element, suffix, type, as_integer)                                  \
  BNN2C_KERNEL void bnn2c_embedding_##kind##_##suffix(const bnn2c_embedding_##kind##_t *p,            \
                                                      const type *ids, element *out) {                \
    for (uint32_t t = 0u; t < p->count; t++) {                                                        \
      const element *row = &p->table[bnn2c_embedding_place(as_integer, p->rows) * p->width];          \
      for (uint32_t d = 0u; d < p->width; d++) {                                                      \
        *out = row[d];                                                                                \
        out++;                                                                                        \
      }                                                                                               \
    }                                                                                                 \
  }

#define BNN2C_EMBEDDING(kind, element)                                                 \
  typedef struct {                                                                     \
    uint32_t count; /* ids */                                                          \
    int32_t rows;                                                                      \
    uint32_t width;                                                                    \
    const element *table; /* [rows][width] */                                          \
  } bnn2c_embedding_##kind##_t;                                                        \
  BNN2C_EMBEDDING_IDS(kind, element, i32, int32_t, ids[t])                             \
  BNN2C_EMBEDDING_IDS(kind, element, i16, int16_t, ids[t])                             \
  BNN2C_EMBEDDING_IDS(kind, element, i8, int8_t, ids[t])                               \
  BNN2C_EMBEDDING_IDS(kind, element, u8, uint8_t, ids[t])                              \
  BNN2C_EMBEDDING_IDS(kind, element, f32, float, bnn2c_embedding_id(ids[t], p->rows))

BNN2C_EMBEDDING(f32, float)
BNN2C_EMBEDDING(i16, int16_t)
BNN2C_EMBEDDING(i8, int8_t)
BNN2C_EMBEDDING(u8, uint8_t)
BNN2C_EMBEDDING(words, uint32_t)

#endif
