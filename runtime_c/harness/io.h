/* What the harness needs from the machine: two files in the current directory, and an end. */
#ifndef BNN2C_HARNESS_IO_H
#define BNN2C_HARNESS_IO_H

#include <stddef.h>

#define BNN2C_SAMPLES_FILE "samples.bin"
#define BNN2C_RESULTS_FILE "results.bin"

/* Opens the samples for reading and the results for writing; 1 when both are open. */
int bnn2c_io_open(void);

/* Reads or writes exactly `bytes` bytes; 1 when all were transferred. */
int bnn2c_io_read(void *to, size_t bytes);
int bnn2c_io_write(const void *from, size_t bytes);

/* Completes the results file. */
void bnn2c_io_close(void);

#endif
