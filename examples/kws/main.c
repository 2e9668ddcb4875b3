/* Hears words: 8 kHz 16-bit clips of one second on stdin, one line per clip on stdout.
 *
 * What a device does every 20 ms: one frame of features (logmel.c), one step of the network. The features of the last
 * 49 frames are nowhere kept; the network's state is KWS_STATE_BYTES.
 */
#include <stdio.h>

#include "kws.h"
#include "logmel.h"

#define CLIP 8000

static const char *const words[] = {"yes", "no", "stop", "go", "left", "right", "up", "down", "(other)", "(noise)"};
static uint64_t state[(KWS_STATE_BYTES + 7u) / 8u];
static int16_t clip[CLIP];

static unsigned best(const float *scores) {
  unsigned found = 0u;
  for (unsigned i = 1u; i < sizeof words / sizeof words[0]; i++) {
    found = (scores[i] > scores[found]) ? i : found;
  }
  return found;
}

int main(void) {
  kws_frame_t frame;
  kws_result_t result;
  while (fread(clip, sizeof clip[0], CLIP, stdin) == CLIP) {
    unsigned results = 0u;
    bnn2c_status status = kws_reset(state);
    for (unsigned first = 0u; first + LOGMEL_SAMPLES <= CLIP; first += LOGMEL_HOP) {
      logmel_frame(&clip[first], frame.features);
      status = kws_step(&frame, state, &result);
      results += (status == BNN2C_OK) ? 1u : 0u;
    }
    if (results == 0u) {
      return 1;
    }
    (void)puts(words[best(result.scores)]);
  }
  return 0;
}
