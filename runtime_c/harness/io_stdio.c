/* Files through the C library: native programs and QEMU's user mode. */
#include "io.h"

#include <stdio.h>

static FILE *samples;
static FILE *results;

int bnn2c_io_open(void) {
  samples = fopen(BNN2C_SAMPLES_FILE, "rb");
  results = fopen(BNN2C_RESULTS_FILE, "wb");
  return samples != NULL && results != NULL;
}

int bnn2c_io_read(void *to, size_t bytes) {
  return fread(to, 1, bytes, samples) == bytes;
}

int bnn2c_io_write(const void *from, size_t bytes) {
  return fwrite(from, 1, bytes, results) == bytes;
}

void bnn2c_io_close(void) {
  (void)fclose(samples);
  (void)fclose(results);
}
