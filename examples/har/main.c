/* Sees what somebody does: recordings of 100 frames of 6 bytes on stdin, one line per recording on stdout.
 *
 * What a watch does ten times a second: one frame from the sensor, one step of the network. From the 64th frame on every
 * second step gives the scores of the last 6.4 seconds; the samples themselves are kept nowhere.
 */
#include <stdio.h>

#include "har.h"

#define FRAMES 100u
#define ACTIVITIES HAR_OUTPUT_SCORES_COUNT

static const char *const names[ACTIVITIES] = {"standing", "walking", "running", "badminton"};
static uint64_t state[(HAR_STATE_BYTES + 7u) / 8u];

static unsigned largest(const float *values) {
  unsigned found = 0u;
  for (unsigned i = 1u; i < ACTIVITIES; i++) {
    found = (values[i] > values[found]) ? i : found;
  }
  return found;
}

int main(void) {
  har_frame_t frame;
  har_result_t result;
  for (;;) {
    float sums[ACTIVITIES] = {0.0f};
    unsigned results = 0u;
    (void)har_reset(state);
    for (unsigned t = 0u; t < FRAMES; t++) {
      if (fread(frame.motion, sizeof frame.motion, 1u, stdin) != 1u) {
        return (t == 0u) ? 0 : 1;
      }
      if (har_step(&frame, state, &result) == BNN2C_OK) {
        results++;
        for (unsigned i = 0u; i < ACTIVITIES; i++) {
          sums[i] += result.scores[i];
        }
      }
    }
    (void)printf("%s %u\n", names[largest(sums)], results);
  }
}
