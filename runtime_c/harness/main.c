/* Runs a generated model on every sample of a file and writes what came out and what it took.
 *
 * samples.bin: the members of the input struct, one sample after the other.
 * results.bin: per sample three 32-bit words (status, stack in bytes, 1 when the guards are intact), then the members
 * of the output struct.
 *
 * harness_model.h is written for each model: it includes the model's header and defines
 *   harness_input_t, harness_output_t   the model's structs
 *   HARNESS_RUN                         its function
 *   HARNESS_ARENA_BYTES                 size of its arena
 *   HARNESS_ARENA_ALIGN                 alignment of its arena in bytes
 *   HARNESS_PAINT_BYTES                 how much stack is watched
 *   HARNESS_INPUTS(M), HARNESS_OUTPUTS(M)   M(member) for every member of the structs
 * and for the steps of a stream, whose samples are frames that share an arena,
 *   HARNESS_RESET                       the function that begins a stream
 *   HARNESS_STEPS                       steps of each stream
 */
#include "marks.h" /* before the model's header, which defines what it finds undefined */

#include "harness_model.h"
#include "io.h"

#include <stdint.h>
#include <string.h>

#ifndef HARNESS_STEPS
#define HARNESS_STEPS 1u
#endif

#define GUARD_BYTES 1024
#define GUARD_VALUE 0xC5
#define PAINT 0x5AA55AA5u

#if defined(__x86_64__)
#define READ_STACK_POINTER(sp) __asm__ volatile("movq %%rsp, %0" : "=r"(sp))
#elif defined(__riscv)
#define READ_STACK_POINTER(sp) __asm__ volatile("mv %0, sp" : "=r"(sp))
#elif defined(__arm__) || defined(__aarch64__)
#define READ_STACK_POINTER(sp) __asm__ volatile("mov %0, sp" : "=r"(sp))
#else
#define READ_STACK_POINTER(sp) ((sp) = (uintptr_t)__builtin_frame_address(0))
#endif

/* The section lets a linker script place the buffers in a board's largest memory. */
#define BUFFER(align) static __attribute__((section(".bss.bnn2c_buffers"), aligned(align)))

BUFFER(GUARD_BYTES) unsigned char arena[GUARD_BYTES + HARNESS_ARENA_BYTES + GUARD_BYTES];
BUFFER(16) harness_input_t input;
BUFFER(16) struct {
  unsigned char before[GUARD_BYTES];
  harness_output_t value;
  unsigned char after[GUARD_BYTES];
} output;

#if HARNESS_ARENA_ALIGN > GUARD_BYTES
#error the arena is aligned like its guard, which is too little for this model
#endif

static int guard_intact(const unsigned char *guard) {
  int intact = 1;
  for (size_t i = 0; i < GUARD_BYTES; i++) {
    intact &= guard[i] == GUARD_VALUE;
  }
  return intact;
}

/* Garbage differs from run to run, so that a model that reads what it did not write is found. */
static void prepare(unsigned char garbage) {
  memset(arena, GUARD_VALUE, sizeof(arena));
  memset(arena + GUARD_BYTES, garbage, HARNESS_ARENA_BYTES);
  memset(&output, GUARD_VALUE, sizeof(output));
  memset(&output.value, garbage, sizeof(output.value));
#ifdef HARNESS_RESET
  (void)HARNESS_RESET(arena + GUARD_BYTES);
#endif
}

/* One run on painted stack; `stack` receives the bytes used below this function's frame.
 * Nothing is called between painting and looking but the model, and all writes are below the stack pointer. */
static __attribute__((noinline)) int32_t run(uint32_t *stack) {
  uintptr_t sp;
  READ_STACK_POINTER(sp);
  sp &= ~(uintptr_t)3;
  volatile uint32_t *const bottom = (volatile uint32_t *)(sp - HARNESS_PAINT_BYTES);
  for (uint32_t i = 0; i < HARNESS_PAINT_BYTES / 4u; i++) {
    bottom[i] = PAINT;
  }
  int32_t status = (int32_t)HARNESS_RUN(&input, &output.value, arena + GUARD_BYTES);
  BNN2C_MARK(BNN2C_MARK_RETURNED);
  uint32_t untouched = 0;
  while (untouched < HARNESS_PAINT_BYTES / 4u && bottom[untouched] == PAINT) {
    untouched++;
  }
  *stack = HARNESS_PAINT_BYTES - 4u * untouched;
  return status;
}

static int read_input(void) {
#define READ_MEMBER(member) && bnn2c_io_read(&input.member, sizeof(input.member))
  return 1 HARNESS_INPUTS(READ_MEMBER);
}

static int write_result(const uint32_t words[3]) {
#define WRITE_MEMBER(member) && bnn2c_io_write(&output.value.member, sizeof(output.value.member))
  return bnn2c_io_write(words, 12) HARNESS_OUTPUTS(WRITE_MEMBER);
}

int main(void) {
  int ok = bnn2c_io_open();
  for (uint32_t sample = 0; ok && read_input(); sample++) {
    uint32_t words[3];
    if ((sample % HARNESS_STEPS) == 0u) {
      prepare((unsigned char)(0x5Au + 0x35u * (sample / HARNESS_STEPS)));
    }
    words[0] = (uint32_t)run(&words[1]);
    words[2] = (uint32_t)(guard_intact(arena) && guard_intact(arena + GUARD_BYTES + HARNESS_ARENA_BYTES) &&
                          guard_intact(output.before) && guard_intact(output.after));
    ok = write_result(words);
  }
  bnn2c_io_close();
  return ok ? 0 : 1;
}
