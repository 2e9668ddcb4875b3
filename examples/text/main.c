/* Tells the language of each line of stdin; a byte at a time, as it would come from a serial line.
 *
 * The network wants a window of TEXT_WINDOW_FRAMES bytes: a shorter line is repeated until it has been filled.
 */
#include <stdio.h>
#include <string.h>

#include "text.h"

#define LANGUAGES TEXT_OUTPUT_SCORES_COUNT

static const char *const names[LANGUAGES] = {"Danish",  "German", "English", "Spanish",    "Finnish", "French",
                                             "Italian", "Dutch",  "Polish",  "Portuguese", "Swedish", "Turkish"};
static uint64_t state[(TEXT_STATE_BYTES + 7u) / 8u];

static unsigned largest(const float *values) {
  unsigned found = 0u;
  for (unsigned i = 1u; i < LANGUAGES; i++) {
    found = (values[i] > values[found]) ? i : found;
  }
  return found;
}

/* Number of the language; `line` ends with a space. The scores of all windows of the line are added. */
static unsigned language(const char *line, size_t length) {
  text_frame_t frame;
  text_result_t result;
  float sums[LANGUAGES] = {0.0f};
  size_t results = 0u;
  (void)text_reset(state);
  for (size_t t = 0u; (t < length) || (results == 0u); t++) {
    frame.text[0] = (uint8_t)line[t % length];
    if (text_step(&frame, state, &result) == BNN2C_OK) {
      results++;
      for (unsigned i = 0u; i < LANGUAGES; i++) {
        sums[i] += result.scores[i];
      }
    }
  }
  return largest(sums);
}

int main(void) {
  static char line[4096];
  while (fgets(line, sizeof line, stdin) != NULL) {
    const size_t length = strcspn(line, "\n");
    line[length] = ' ';
    (void)printf("%s\n", names[language(line, length + 1u)]);
  }
  return 0;
}
