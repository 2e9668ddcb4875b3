/* Writes text with the binary GRU: main PROMPT CHARACTERS SEED. One call of charlm_step per character. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "charlm.h"

#define TEMPERATURE 0.6f
#define SYMBOLS CHARLM_OUTPUT_LOGITS_COUNT

static const char symbols[] = "\n abcdefghijklmnopqrstuvwxyz0123456789.,:;'\"()[]{}-_=*+/<>`#";
static uint64_t state[(CHARLM_STATE_BYTES + 7u) / 8u];

/* xorshift32 (G. Marsaglia, 2003): a number from 0 to just below 1. */
static float random_number(uint32_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return (float)(*state >> 8) / 16777216.0f;
}

static uint32_t drawn(const float *logits, uint32_t *random) {
  float chances[SYMBOLS];
  float most = logits[0];
  float sum = 0.0f;
  for (uint32_t i = 1u; i < SYMBOLS; i++) {
    most = (logits[i] > most) ? logits[i] : most;
  }
  for (uint32_t i = 0u; i < SYMBOLS; i++) {
    chances[i] = expf((logits[i] - most) / TEMPERATURE);
    sum += chances[i];
  }
  float left = random_number(random) * sum;
  uint32_t symbol = 0u;
  while ((symbol + 1u < SYMBOLS) && (left >= chances[symbol])) {
    left -= chances[symbol];
    symbol++;
  }
  return symbol;
}

static int step(uint32_t symbol, charlm_result_t *out) {
  const charlm_frame_t in = {{(int32_t)symbol}};
  return charlm_step(&in, state, out) != BNN2C_OK;
}

int main(int count, char **words) {
  static charlm_result_t out;
  const char *prompt = (count > 1) ? words[1] : "the ";
  const long length = (count > 2) ? strtol(words[2], NULL, 10) : 400;
  uint32_t random = (count > 3) ? (uint32_t)strtoul(words[3], NULL, 10) | 1u : 1u;
  uint32_t symbol = 0u;
  int failed = (charlm_reset(state) != BNN2C_OK) || step(symbol, &out);
  for (const char *c = prompt; (*c != '\0') && !failed; c++) {
    const char *found = strchr(symbols, *c);
    symbol = (found != NULL) ? (uint32_t)(found - symbols) : 1u;
    failed = step(symbol, &out);
    (void)putchar(symbols[symbol]);
  }
  for (long i = 0; (i < length) && !failed; i++) {
    symbol = drawn(out.logits, &random);
    (void)putchar(symbols[symbol]);
    (void)fflush(stdout);
    failed = step(symbol, &out);
  }
  (void)putchar('\n');
  return failed;
}
