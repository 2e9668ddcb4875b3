/* logmel.c - see logmel.h. The FFT is radix 2, in place, Q15 twiddles, one bit of scaling per stage. */
#include "logmel.h"

#include "logmel_tables.h"

static int32_t scaled(int32_t value, int16_t factor) {
  return (int32_t)(((int64_t)value * factor + 16384) >> 15);
}

static void butterflies(int32_t re[LOGMEL_SAMPLES], int32_t im[LOGMEL_SAMPLES], unsigned half) {
  const unsigned step = LOGMEL_SAMPLES / 2u / half;
  for (unsigned start = 0u; start < LOGMEL_SAMPLES; start += 2u * half) {
    for (unsigned k = 0u; k < half; k++) {
      const unsigned a = start + k;
      const unsigned b = a + half;
      const int16_t c = logmel_cosine[k * step];
      const int16_t s = logmel_sine[k * step];
      const int32_t turned_re = scaled(re[b], c) + scaled(im[b], s);
      const int32_t turned_im = scaled(im[b], c) - scaled(re[b], s);
      re[b] = (re[a] - turned_re) >> 1;
      im[b] = (im[a] - turned_im) >> 1;
      re[a] = (re[a] + turned_re) >> 1;
      im[a] = (im[a] + turned_im) >> 1;
    }
  }
}

/* log2 in eighths; the fraction is linear between powers of two. */
static int32_t log2_eighths(uint64_t value) {
  int32_t exponent = 0;
  while ((value >> exponent) > 1u) {
    exponent++;
  }
  return 8 * exponent + (int32_t)(((value << 3) >> exponent) & 7u);
}

static uint8_t level(uint64_t energy) {
  const int32_t found = log2_eighths(energy + 1u) - 112;
  return (uint8_t)((found < 0) ? 0 : (found > 255) ? 255 : found);
}

void logmel_frame(const int16_t samples[LOGMEL_SAMPLES], uint8_t bands[LOGMEL_BANDS]) {
  int32_t re[LOGMEL_SAMPLES];
  int32_t im[LOGMEL_SAMPLES];
  for (unsigned i = 0u; i < LOGMEL_SAMPLES; i++) {
    const unsigned at = logmel_reversed[i];
    re[i] = scaled((int32_t)samples[at] * 64, logmel_hann[at]);
    im[i] = 0;
  }
  for (unsigned half = 1u; half < LOGMEL_SAMPLES; half *= 2u) {
    butterflies(re, im, half);
  }
  for (unsigned band = 0u; band < LOGMEL_BANDS; band++) {
    uint64_t energy = 0u;
    for (unsigned k = logmel_edges[band]; k < logmel_edges[band + 2u]; k++) {
      const int64_t power = (int64_t)re[k] * re[k] + (int64_t)im[k] * im[k];
      energy += ((uint64_t)power * logmel_weights[band][k - logmel_edges[band]]) >> 8;
    }
    bands[band] = level(energy);
  }
}
