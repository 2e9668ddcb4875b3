/* One semihosting request of a bare-metal program on an M-profile Arm or a RISC-V core. */
#ifndef BNN2C_HARNESS_SEMIHOSTING_H
#define BNN2C_HARNESS_SEMIHOSTING_H

#include <stdint.h>

enum { BNN2C_SYS_OPEN = 0x01, BNN2C_SYS_CLOSE = 0x02, BNN2C_SYS_WRITE = 0x05, BNN2C_SYS_READ = 0x06, BNN2C_SYS_EXIT = 0x18 };

/* Reasons of BNN2C_SYS_EXIT: a regular end, and a fault. */
#define BNN2C_EXIT_OK 0x20026u
#define BNN2C_EXIT_FAULT 0x20023u

#if defined(__riscv)
/* The three instructions must lie in one page, or they are a plain breakpoint. */
#define BNN2C_SEMIHOSTING_CALL \
  ".option push\n.option norvc\n.balign 16\nslli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n.option pop"
#define BNN2C_REGISTER_0 "a0"
#define BNN2C_REGISTER_1 "a1"
#else
#define BNN2C_SEMIHOSTING_CALL "bkpt 0xab"
#define BNN2C_REGISTER_0 "r0"
#define BNN2C_REGISTER_1 "r1"
#endif

/* `argument` is the address of the request's block, or a reason for BNN2C_SYS_EXIT. */
static inline long bnn2c_semihosting(long operation, uintptr_t argument) {
  register long r0 __asm__(BNN2C_REGISTER_0) = operation;
  register uintptr_t r1 __asm__(BNN2C_REGISTER_1) = argument;
  __asm__ volatile(BNN2C_SEMIHOSTING_CALL : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

#endif
