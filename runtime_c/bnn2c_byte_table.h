/* bnn2c_byte_table.h - out[i] = table[in[i]] for bytes; in place is allowed. */
#ifndef BNN2C_BYTE_TABLE_H
#define BNN2C_BYTE_TABLE_H

#include "bnn2c.h"

BNN2C_KERNEL void bnn2c_byte_table(const uint8_t *table, size_t count, const uint8_t *in, uint8_t *out) {
  for (size_t i = 0u; i < count; i++) {
    out[i] = table[in[i]];
  }
}

#endif
