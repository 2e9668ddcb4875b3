/* Counts the instructions that a model executes on this machine (x86-64 Linux): part of the program itself.
 *
 * bnn2c_step_on sets the processor's trap flag, so that a signal follows every instruction; its handler looks whether the
 * next instruction is a mark (../marks.h), and clears the flag at mark 1.  The handler has a stack of its own.
 * marks.txt: lines "address number", sorted by address.  counts.txt: a line "total layer0 layer1 ..." per run of the
 * model, as plugin/count.c writes it.  An instruction that repeats itself counts once.
 */
#define _GNU_SOURCE
#include "count.h"

#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define TRAP_FLAG 0x100
#define MOST_MARKS 4096
#define MOST_LAYERS 1024
#define HANDLER_STACK 65536

typedef struct {
  uint64_t address;
  unsigned number;
} mark;

static mark marks[MOST_MARKS];
static size_t mark_count;
static uint64_t layer_start[MOST_LAYERS];
static uint64_t layer_total[MOST_LAYERS];
static unsigned layer_count;
static uint64_t executed;
static uint64_t before; /* address of the instruction that was executed last */
static uint64_t nops;   /* whether that is the nop of a mark */
static FILE *out;
static unsigned char stack[HANDLER_STACK];

/* The first mark at an address; NULL when there is none. */
static const mark *marks_at(uint64_t address) {
  size_t low = 0, high = mark_count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (marks[middle].address < address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < mark_count && marks[low].address == address ? &marks[low] : NULL;
}

static void write_run(void) {
  fprintf(out, "%" PRIu64, executed);
  for (unsigned i = 0; i < layer_count; i++) {
    fprintf(out, " %" PRIu64, layer_total[i]);
  }
  fputc('\n', out);
  (void)fflush(out);
}

static void pass(unsigned number) {
  const unsigned layer = number / 2 - 1;
  if (number == 0) {
    executed = 0;
    memset(layer_total, 0, sizeof(layer_total));
  } else if (number == 1) {
    write_run();
  } else if (number % 2 == 0) {
    layer_start[layer] = executed;
  } else {
    layer_total[layer] += executed - layer_start[layer];
  }
}

static void stepped(int number, siginfo_t *info, void *context) {
  greg_t *const registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const uint64_t at = (uint64_t)registers[REG_RIP];
  (void)number;
  (void)info;
  executed += at == before ? 0 : 1 - nops;
  before = at;
  nops = 0;
  for (const mark *m = marks_at(at); m != NULL && m < marks + mark_count && m->address == at; m++) {
    nops = m->number != 0;
    pass(m->number);
    if (m->number == 1) {
      registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    }
  }
}

/* The marks, the file of counts and the handler: before main, because the model's stack is watched. */
static __attribute__((constructor)) void prepare(void) {
  struct sigaction action;
  const stack_t own = {.ss_sp = stack, .ss_size = sizeof(stack)};
  FILE *file = fopen("marks.txt", "r");
  if (file == NULL || (out = fopen("counts.txt", "w")) == NULL) {
    abort();
  }
  while (mark_count < MOST_MARKS &&
         fscanf(file, "%" SCNx64 " %u", &marks[mark_count].address, &marks[mark_count].number) == 2) {
    const unsigned layers = marks[mark_count].number / 2;
    if (layers > MOST_LAYERS) {
      abort();
    }
    layer_count = layers > layer_count ? layers : layer_count;
    mark_count++;
  }
  (void)fclose(file);
  memset(&action, 0, sizeof(action));
  action.sa_sigaction = stepped;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  if (sigaltstack(&own, NULL) != 0 || sigaction(SIGTRAP, &action, NULL) != 0) {
    abort();
  }
}

void bnn2c_step_on(void) {
  __asm__ volatile("pushfq\n\torq %0, (%%rsp)\n\tpopfq" : : "i"(TRAP_FLAG) : "memory", "cc");
}
