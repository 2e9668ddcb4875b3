/* Files through semihosting: the emulator carries out requests of the bare-metal program.
 * Requests are those of Arm's "Semihosting for AArch32 and AArch64"; RISC-V uses the same numbers. */
#include "io.h"
#include "semihosting.h"

#include <stdint.h>

enum { MODE_READ_BINARY = 1, MODE_WRITE_BINARY = 5 };

static long samples;
static long results;

static long open_file(const char *name, uintptr_t length, uintptr_t mode) {
  const uintptr_t request[3] = {(uintptr_t)name, mode, length};
  return bnn2c_semihosting(BNN2C_SYS_OPEN, (uintptr_t)request);
}

/* Reading and writing answer with the number of bytes that were not transferred. */
static int transfer(long operation, long file, uintptr_t buffer, size_t bytes) {
  const uintptr_t request[3] = {(uintptr_t)file, buffer, bytes};
  return bnn2c_semihosting(operation, (uintptr_t)request) == 0;
}

int bnn2c_io_open(void) {
  samples = open_file(BNN2C_SAMPLES_FILE, sizeof(BNN2C_SAMPLES_FILE) - 1, MODE_READ_BINARY);
  results = open_file(BNN2C_RESULTS_FILE, sizeof(BNN2C_RESULTS_FILE) - 1, MODE_WRITE_BINARY);
  return samples >= 0 && results >= 0;
}

int bnn2c_io_read(void *to, size_t bytes) {
  return transfer(BNN2C_SYS_READ, samples, (uintptr_t)to, bytes);
}

int bnn2c_io_write(const void *from, size_t bytes) {
  return transfer(BNN2C_SYS_WRITE, results, (uintptr_t)from, bytes);
}

void bnn2c_io_close(void) {
  const uintptr_t files[2] = {(uintptr_t)samples, (uintptr_t)results};
  (void)bnn2c_semihosting(BNN2C_SYS_CLOSE, (uintptr_t)&files[0]);
  (void)bnn2c_semihosting(BNN2C_SYS_CLOSE, (uintptr_t)&files[1]);
}
