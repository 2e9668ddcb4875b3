/* Counts the instructions that a model executes, in total and per layer, exactly.
 *
 * Arguments: marks=FILE   lines "address number", sorted by address; numbers as in ../marks.h
 *            layers=N     number of layers
 *            out=FILE     receives one line "total layer0 layer1 ..." per run of the model
 *            step=1       count each instruction by itself: slow, to check the method
 *
 * Instructions are counted by segments: the part of a translation block from its start or a mark to the next mark or
 * its end. A segment is only left at its end, because QEMU ends blocks at every jump, so its length can be added when
 * it is entered. Exceptions would break that; a model causes none.
 */
#include "qemu_plugin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  uint64_t address;
  unsigned number;
} mark;

typedef struct {
  uint64_t length;   /* instructions */
  const mark *marks; /* that lie at its first instruction */
  size_t mark_count;
} segment;

static mark *marks;
static size_t mark_count;
static uint64_t executed; /* instructions since the start */
static uint64_t run_start;
static uint64_t *layer_start;
static uint64_t *layer_total;
static unsigned long layer_count;
static int step;
static FILE *out;

QEMU_PLUGIN_EXPORT int qemu_plugin_version = BNN2C_QEMU_PLUGIN_VERSION;
QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv);

static void write_run(void) {
  fprintf(out, "%" PRIu64, executed - run_start);
  for (unsigned long i = 0; i < layer_count; i++) {
    fprintf(out, " %" PRIu64, layer_total[i]);
  }
  fputc('\n', out);
}

static void pass(const mark *at) {
  const unsigned long layer = (at->number - 2) / 2;
  if (at->number == 0) {
    run_start = executed;
    memset(layer_total, 0, layer_count * sizeof(*layer_total));
  } else if (at->number == 1) {
    write_run();
  } else if (layer < layer_count && at->number % 2 == 0) {
    layer_start[layer] = executed;
  } else if (layer < layer_count) {
    layer_total[layer] += executed - layer_start[layer];
  }
}

static void enter(unsigned int cpu, void *user) {
  const segment *entered = user;
  (void)cpu;
  for (size_t i = 0; i < entered->mark_count; i++) {
    pass(&entered->marks[i]);
  }
  executed += entered->length;
}

/* The marks at an address; NULL when there is none. */
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

/* Whether a marked instruction is the nop of marks.h; mark 0, at the start of the model's function, has none. */
static int is_nop(const mark *first) {
  const mark *last = first;
  while (last != NULL && last + 1 < marks + mark_count && last[1].address == first->address) {
    last++;
  }
  return last != NULL && last->number != 0;
}

static segment *begin_segment(struct qemu_plugin_insn *instruction, const mark *first) {
  segment *begun = calloc(1, sizeof(*begun));
  if (begun == NULL) {
    abort();
  }
  begun->marks = first;
  for (const mark *m = first; m != NULL && m < marks + mark_count && m->address == first->address; m++) {
    begun->mark_count++;
  }
  qemu_plugin_register_vcpu_insn_exec_cb(instruction, enter, QEMU_PLUGIN_CB_NO_REGS, begun);
  return begun;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  segment *current = NULL;
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
    struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
    const mark *first = marks_at(qemu_plugin_insn_vaddr(instruction));
    if (current == NULL || first != NULL || step) {
      current = begin_segment(instruction, first);
    }
    current->length += is_nop(first) ? 0u : 1u;
  }
}

static void at_exit(qemu_plugin_id_t id, void *user) {
  (void)id;
  (void)user;
  (void)fclose(out);
}

static int read_marks(const char *path) {
  FILE *file = fopen(path, "r");
  mark next;
  if (file == NULL) {
    return 0;
  }
  while (fscanf(file, "%" SCNx64 " %u", &next.address, &next.number) == 2) {
    mark *larger = realloc(marks, (mark_count + 1) * sizeof(*marks));
    if (larger == NULL) {
      abort();
    }
    marks = larger;
    marks[mark_count++] = next;
  }
  (void)fclose(file);
  return 1;
}

static int take_argument(const char *argument) {
  if (strncmp(argument, "marks=", 6) == 0) {
    return read_marks(argument + 6);
  }
  if (strncmp(argument, "layers=", 7) == 0) {
    layer_count = strtoul(argument + 7, NULL, 10);
    return 1;
  }
  if (strncmp(argument, "out=", 4) == 0) {
    out = fopen(argument + 4, "w");
    return out != NULL;
  }
  step = strcmp(argument, "step=1") == 0;
  return step;
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    if (!take_argument(argv[i])) {
      return 1;
    }
  }
  layer_start = calloc(layer_count + 1, sizeof(*layer_start));
  layer_total = calloc(layer_count + 1, sizeof(*layer_total));
  if (out == NULL || layer_start == NULL || layer_total == NULL) {
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, at_exit, NULL);
  return 0;
}
