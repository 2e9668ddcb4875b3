/* Counting by single steps; see count.c. */
#ifndef BNN2C_HARNESS_STEP_COUNT_H
#define BNN2C_HARNESS_STEP_COUNT_H

/* From here on every instruction is followed by a signal, until mark 1. */
void bnn2c_step_on(void);

#endif
