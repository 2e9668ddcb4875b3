/* What the application needs from a board: text out, and the end. One .c file per board implements it. */

#ifndef BOARD_H
#define BOARD_H

/* Prints a string as it is. */
void board_print(const char *text);

/* Ends the program: 0 is success. On hardware this would be a reset or an endless loop. */
void board_exit(int code);

#endif
