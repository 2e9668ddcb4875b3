/* Start of a measuring program on a bare RISC-V core under QEMU.
 * QEMU loads all sections where they run and its memory starts as zeros, so nothing is copied or cleared here.
 * The thread pointer is set because the C library keeps errno in thread-local storage. */
#include "../semihosting.h"

int main(void);
void bnn2c_reset(void);
void bnn2c_start(void);
void bnn2c_fault(void);

/* .insn spells `csrw mtvec, t0`, which assemblers refuse when the Zicsr extension is not named in -march. */
__attribute__((section(".vectors"), naked, used)) void bnn2c_reset(void) {
  __asm__ volatile(
    ".option push\n\t.option norelax\n\tla gp, __global_pointer$\n\t.option pop\n\t"
    "la sp, __stack\n\t"
    "la tp, __tls_base\n\t"
    "la t0, bnn2c_fault\n\t"
    ".insn i SYSTEM, 1, x0, t0, 0x305\n\t"
    "j bnn2c_start");
}

static void leave(uintptr_t reason) {
  (void)bnn2c_semihosting(BNN2C_SYS_EXIT, reason);
  for (;;) {
  }
}

__attribute__((aligned(4))) void bnn2c_fault(void) {
  leave(BNN2C_EXIT_FAULT);
}

void bnn2c_start(void) {
  leave(main() == 0 ? BNN2C_EXIT_OK : BNN2C_EXIT_FAULT);
}
