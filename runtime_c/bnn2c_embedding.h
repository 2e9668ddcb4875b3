/* bnn2c_embedding.h - rows of a constant float table: out[t][:] = table[ids[t]][:].
 *
 * Negative ids count from the end; ids outside the table are clamped into it.  The variant is the ids' element type.
 */
#ifndef BNN2C_EMBEDDING_H
#define BNN2C_EMBEDDING_H

#include "bnn2c.h"

typedef struct {
  uint32_t count; /* ids */
  int32_t rows;
  uint32_t width;
  const float *table; /* [rows][width] */
} bnn2c_embedding_t;

/* A float id as an integer, limited to what matters; NaN is the first row. */
BNN2C_KERNEL int32_t bnn2c_embedding_id(float id, int32_t rows) {
  return (id >= (float)rows) ? rows : ((id > -(float)rows) ? (int32_t)id : -rows);
}

BNN2C_KERNEL void bnn2c_embedding_row(const bnn2c_embedding_t *p, int32_t id, float *out) {
  const int32_t place = (id < 0) ? (id + p->rows) : id;
  const int32_t row = (place < 0) ? 0 : ((place < p->rows) ? place : (p->rows - 1));
  const float *source = &p->table[(size_t)row * p->width];
  for (uint32_t d = 0u; d < p->width; d++) {
    out[d] = source[d];
  }
}

#define BNN2C_EMBEDDING(suffix, type, as_integer)                                                       \
  BNN2C_KERNEL void bnn2c_embedding_##suffix(const bnn2c_embedding_t *p, const type *ids, float *out) { \
    for (uint32_t t = 0u; t < p->count; t++) {                                                          \
      bnn2c_embedding_row(p, as_integer, &out[(size_t)t * p->width]);                                   \
    }                                                                                                   \
  }

BNN2C_EMBEDDING(i32, int32_t, ids[t])
BNN2C_EMBEDDING(i16, int16_t, ids[t])
BNN2C_EMBEDDING(i8, int8_t, ids[t])
BNN2C_EMBEDDING(u8, uint8_t, ids[t])
BNN2C_EMBEDDING(f32, float, bnn2c_embedding_id(ids[t], p->rows))

#endif
