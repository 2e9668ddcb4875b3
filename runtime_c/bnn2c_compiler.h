/* bnn2c_compiler.h - what the kernels ask of a compiler beyond C99, each with a harmless fallback.
 *
 * BNN2C_INLINE     inline even at -Os: the kernels' inner steps keep their counters in registers only when inlined
 * BNN2C_NOINLINE   keep out of line: shared by several callers, or a register allocation of its own
 * BNN2C_KERNEL     a static function of a header; not every program uses all of them
 * BNN2C_STEADY     -O2 even at -Os, and no scheduling before register allocation: it spills the counters (4.94 -> 4.39
 *                  instructions per 32 products of one kernel on Cortex-M4)
 * BNN2C_LEAN       the same with values computed near their uses: fewer of them wait in registers at a time
 * BNN2C_UNROLL(n)  unroll the following loop of at most n rounds, at any optimisation level
 * BNN2C_FLAT       unroll the following loop completely; its number of rounds is a constant up to 16
 * BNN2C_KEEP(x)    the value of x is computed here, into one register: no re-association with its uses, and
 *                  on a loop's counter: no call of memset or memcpy in place of the loop
 */
#ifndef BNN2C_COMPILER_H
#define BNN2C_COMPILER_H

#include <stddef.h> /* NULL */

#ifndef BNN2C_CODE_SECTION
#define BNN2C_CODE_SECTION
#endif

#if defined(__GNUC__)
#define BNN2C_INLINE static inline __attribute__((always_inline, unused))
#define BNN2C_NOINLINE BNN2C_CODE_SECTION static __attribute__((noinline, unused))
#define BNN2C_KERNEL BNN2C_CODE_SECTION static __attribute__((unused))
#define BNN2C_KEEP(x) __asm__("" : "+r"(x))
#else
#define BNN2C_INLINE static inline
#define BNN2C_NOINLINE BNN2C_CODE_SECTION static
#define BNN2C_KERNEL BNN2C_CODE_SECTION static
#define BNN2C_KEEP(x) ((void)0)
#endif

#if defined(__GNUC__) && !defined(__clang__)
#define BNN2C_STEADY __attribute__((optimize("O2", "no-schedule-insns")))
#define BNN2C_LEAN __attribute__((optimize("O2", "no-schedule-insns", "live-range-shrinkage")))
#else
#define BNN2C_STEADY
#define BNN2C_LEAN
#endif

#define BNN2C_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define BNN2C_UNROLL(n) BNN2C_PRAGMA(clang loop unroll_count(n))
#define BNN2C_FLAT BNN2C_PRAGMA(clang loop unroll(full))
#elif defined(__GNUC__)
#define BNN2C_UNROLL(n) BNN2C_PRAGMA(GCC unroll n)
#define BNN2C_FLAT BNN2C_PRAGMA(GCC unroll 16)
#else
#define BNN2C_UNROLL(n)
#define BNN2C_FLAT
#endif

#endif /* BNN2C_COMPILER_H */
