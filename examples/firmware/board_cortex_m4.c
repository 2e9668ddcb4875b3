/*
 * The board "MPS2 with a Cortex-M4" as QEMU emulates it: start-up code, and text out by semihosting (Arm's protocol by
 * which a program asks its debugger, here QEMU, to do something). Real firmware has its vendor's start-up code and a
 * UART.
 */

#include "board.h"

#include <stdint.h>

#define SEMIHOSTING_WRITE0 0x04u
#define SEMIHOSTING_EXIT 0x18u
#define EXIT_SUCCESS_REASON 0x20026u
#define EXIT_FAILURE_REASON 0x20023u

#define FPU_ACCESS (*(volatile uint32_t *)0xE000ED88u) /* CPACR; bits 20 to 23 switch the FPU on */

/* From the linker script; only their addresses mean something. */
extern uint32_t linker_data_source[];
extern uint32_t linker_data_begin[];
extern uint32_t linker_data_end[];
extern uint32_t linker_bss_begin[];
extern uint32_t linker_bss_end[];
extern uint32_t linker_stack_top[];

int main(void);
void board_reset(void);

typedef union {
  const uint32_t *stack;
  void (*handler)(void);
} vector_t;

static void board_fault(void)
{
  board_print("fault\n");
  board_exit(1);
}

/* The first entries of Armv7-M's vector table: stack pointer, reset, NMI, hard fault, memory, bus and usage fault. */
__attribute__((section(".vectors"), used)) static const vector_t vectors[7] = {
  {.stack = linker_stack_top}, {.handler = board_reset}, {.handler = board_fault}, {.handler = board_fault},
  {.handler = board_fault},    {.handler = board_fault}, {.handler = board_fault},
};

static void semihosting(uint32_t operation, uintptr_t argument)
{
  register uint32_t r0 __asm__("r0") = operation;
  register uintptr_t r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

void board_print(const char *text)
{
  semihosting(SEMIHOSTING_WRITE0, (uintptr_t)text);
}

void board_exit(int code)
{
  semihosting(SEMIHOSTING_EXIT, (code == 0) ? EXIT_SUCCESS_REASON : EXIT_FAILURE_REASON);
  for (;;) {
  }
}

/* Entered after reset with nothing initialised but the stack pointer. */
void board_reset(void)
{
  const uint32_t *source = linker_data_source;
  uint32_t *word;

  FPU_ACCESS |= 0xFu << 20;
  __asm__ volatile("dsb\n isb" ::: "memory");
  for (word = linker_data_begin; word < linker_data_end; word++) {
    *word = *source;
    source++;
  }
  for (word = linker_bss_begin; word < linker_bss_end; word++) {
    *word = 0u;
  }
  board_exit(main());
}
