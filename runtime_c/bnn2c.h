/* bnn2c runtime: types and macros shared by every generated network.
 *
 * Portable C99, no heap, no writable static data. SPDX-License-Identifier: MIT
 */
#ifndef BNN2C_H
#define BNN2C_H

#include <stddef.h>
#include <stdint.h>

#include "bnn2c_compiler.h"

/* Generated code and runtime must come from the same bnn2c release. */
#define BNN2C_ABI_VERSION 1

/* Result of a generated `<name>_run`. On error nothing has been written. */
typedef enum {
  BNN2C_OK = 0,
  BNN2C_ERROR_NULL = 1,      /* a pointer is NULL */
  BNN2C_ERROR_ALIGNMENT = 2, /* the arena is not aligned to <NAME>_ARENA_ALIGN */
  BNN2C_MORE = 3,            /* of `<name>_step`: no error, the result comes with a later frame */
  BNN2C_ERROR_WEIGHTS = 4    /* of `<name>_check`: the weights are damaged */
} bnn2c_status;

/* Attribute of the packed constants, for example __attribute__((section(".qspi"))). */
#ifndef BNN2C_WEIGHTS_SECTION
#define BNN2C_WEIGHTS_SECTION
#endif

/* Attribute of the code, kernels included, for example __attribute__((section(".itcm"))). */
#ifndef BNN2C_CODE_SECTION
#define BNN2C_CODE_SECTION
#endif

/* Hooks around layer number i, for profiling; empty unless defined before this header is read. */
#ifndef BNN2C_LAYER_BEGIN
#define BNN2C_LAYER_BEGIN(i) ((void)0)
#endif
#ifndef BNN2C_LAYER_END
#define BNN2C_LAYER_END(i) ((void)0)
#endif

/* Number of set bits of a 32-bit word (overridable). */
#ifndef BNN2C_POPCOUNT32
#define BNN2C_POPCOUNT32(x) bnn2c_popcount32(x)
#endif

static inline uint32_t bnn2c_popcount32(uint32_t x) {
#if defined(__riscv_zbb) || defined(__POPCNT__) || defined(__aarch64__)
  return (uint32_t)__builtin_popcount(x);
#else
  /* H. S. Warren, Hacker's Delight, 2nd ed., section 5-1. */
  x = x - ((x >> 1) & UINT32_C(0x55555555));
  x = (x & UINT32_C(0x33333333)) + ((x >> 2) & UINT32_C(0x33333333));
  x = (x + (x >> 4)) & UINT32_C(0x0F0F0F0F);
  return (x * UINT32_C(0x01010101)) >> 24;
#endif
}

#endif
