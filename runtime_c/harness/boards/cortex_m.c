/* Start of a measuring program on an M-profile Arm core under QEMU.
 * QEMU loads all sections where they run and its memory starts as zeros, so nothing is copied or cleared here. */
#include "../semihosting.h"

#define COPROCESSOR_ACCESS (*(volatile uint32_t *)0xE000ED88u) /* CPACR */

extern void __stack(void); /* an address of the linker script, declared so that it fits the table */
int main(void);
void bnn2c_reset(void);

static void leave(uintptr_t reason) {
  (void)bnn2c_semihosting(BNN2C_SYS_EXIT, reason);
  for (;;) {
  }
}

static void fault(void) {
  leave(BNN2C_EXIT_FAULT);
}

void bnn2c_reset(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
  COPROCESSOR_ACCESS |= 0xFu << 20; /* full access to CP10 and CP11: FPU and MVE */
  __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
  leave(main() == 0 ? BNN2C_EXIT_OK : BNN2C_EXIT_FAULT);
}

/* Initial stack pointer, reset, and the faults (3 to 6; the others cannot occur). */
__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
  __stack, bnn2c_reset, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault};
