/* The board that is a PC. */

#include "board.h"

#include <stdio.h>
#include <stdlib.h>

void board_print(const char *text)
{
  (void)fputs(text, stdout);
}

void board_exit(int code)
{
  exit(code);
}
