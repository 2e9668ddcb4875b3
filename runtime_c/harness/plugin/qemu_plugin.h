/* The part of QEMU's interface for TCG plugins that count.c uses, declared here because distributions ship QEMU
 * without its header. These declarations are the same in all versions of the interface so far. */
#ifndef BNN2C_QEMU_PLUGIN_H
#define BNN2C_QEMU_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/* Version of the interface: 1 up to QEMU 8, 2 or newer from QEMU 9 on. */
#ifndef BNN2C_QEMU_PLUGIN_VERSION
#define BNN2C_QEMU_PLUGIN_VERSION 1
#endif

#define QEMU_PLUGIN_EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef void (*bnn2c_exit_callback)(qemu_plugin_id_t id, void *user);
typedef void (*bnn2c_execution_callback)(unsigned int cpu, void *user);
typedef void (*bnn2c_translation_callback)(qemu_plugin_id_t id, struct qemu_plugin_tb *block);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, bnn2c_translation_callback callback);
void qemu_plugin_register_vcpu_insn_exec_cb(
  struct qemu_plugin_insn *instruction, bnn2c_execution_callback callback, enum qemu_plugin_cb_flags flags, void *user);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, bnn2c_exit_callback callback, void *user);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *instruction);

#endif
