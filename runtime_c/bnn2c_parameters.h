/* bnn2c_parameters.h - a copy of a layer's parameters, some of which are then set for one step or block. */
#ifndef BNN2C_PARAMETERS_H
#define BNN2C_PARAMETERS_H

#include "bnn2c_compiler.h"

#include <stddef.h>
#include <stdint.h>

/* The parameters hold a pointer, so that they are whole words; no call of memcpy. */
#if defined(__GNUC__)
typedef uintptr_t bnn2c_any_word __attribute__((may_alias));
#elif defined(__FRAMAC__) /* which follows pointers that are copied whole */
typedef uintptr_t bnn2c_any_word;
#else
typedef unsigned char bnn2c_any_word;
#endif

/* `bytes` is a constant, so that these are a load and a store for each of up to 16 words. */
BNN2C_INLINE void bnn2c_copy_parameters(const void *from, size_t bytes, void *to) {
  BNN2C_FLAT
  for (size_t i = 0u; i < bytes / sizeof(bnn2c_any_word); i++) {
    ((bnn2c_any_word *)to)[i] = ((const bnn2c_any_word *)from)[i];
  }
}

#endif
