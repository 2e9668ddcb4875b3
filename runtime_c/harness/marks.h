/* Marks in a program for the instruction counter (plugin/count.c).
 *
 * A mark is a nop, which the counter leaves out, and an entry {address of the nop, number} in the section .bnn2c_marks,
 * which is not loaded. Without an instruction of its own a mark could share its address with the head of a loop, and be
 * passed in every round. When a model is built to be measured, this header is included before each of its files
 * (-include), so that BNN2C_LAYER_BEGIN/END in the generated C become marks.
 *
 * Numbers: 0 the model's function begins, 1 it has returned, 2 + 2i layer i begins, 3 + 2i it ends.
 */
#ifndef BNN2C_HARNESS_MARKS_H
#define BNN2C_HARNESS_MARKS_H

#define BNN2C_MARK_RETURNED 1

#if defined(__ELF__)
#if defined(__LP64__)
#define BNN2C_MARK_WORD ".8byte"
#else
#define BNN2C_MARK_WORD ".4byte"
#endif
#define BNN2C_MARK(number) \
  __asm__ volatile("1:\n\tnop\n\t.pushsection .bnn2c_marks,\"\",%%progbits\n\t" \
                   BNN2C_MARK_WORD " 1b, %c0\n\t.popsection" : : "i"(number) : "memory")
#else
#define BNN2C_MARK(number) ((void)0)
#endif

#define BNN2C_LAYER_BEGIN(i) BNN2C_MARK(2 + 2 * (i))
#define BNN2C_LAYER_END(i) BNN2C_MARK(3 + 2 * (i))

#endif
