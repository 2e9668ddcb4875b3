/*
 * A firmware that recognises digits with a network that bnn2c compiled. Everything about the network is in three lines:
 * the arena (its working memory), the call, and the scores that it leaves.
 */

#include "board.h"
#include "digits.h"
#include "pictures.h"

#include <stddef.h>
#include <stdint.h>

#define CLASS_COUNT 10u

/* Working memory, free for other uses between two calls. The union gives it the alignment that the network asks for. */
static union {
  uint8_t bytes[DIGITS_ARENA_BYTES];
  uint64_t alignment;
} arena;

static size_t best_class(const digits_output_t *output)
{
  size_t best = 0u;
  size_t i;

  for (i = 1u; i < CLASS_COUNT; i++) {
    if (output->logits[i] > output->logits[best]) {
      best = i;
    }
  }
  return best;
}

static void print_result(size_t predicted, size_t expected)
{
  char text[] = "this is a ?, the network says ?\n";

  text[10] = (char)('0' + (int)expected);
  text[30] = (char)('0' + (int)predicted);
  board_print(text);
}

int main(void)
{
  size_t wrong = 0u;
  size_t i;

  for (i = 0u; i < PICTURE_COUNT; i++) {
    digits_output_t output;
    size_t predicted;

    if (digits_run(&pictures[i], &output, &arena) != BNN2C_OK) {
      board_print("digits_run failed\n");
      return 1;
    }
    predicted = best_class(&output);
    print_result(predicted, picture_classes[i]);
    wrong += (predicted == picture_classes[i]) ? 0u : 1u;
  }
  board_print((wrong == 0u) ? "all right\n" : "some are wrong\n");
  return (wrong == 0u) ? 0 : 1;
}
