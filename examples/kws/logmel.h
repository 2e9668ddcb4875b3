/* logmel.h - log-mel features of 8 kHz speech in integer arithmetic, for microcontrollers.
 *
 * Every 20 ms one frame of 20 bytes: 256 samples, Hann window, 256-point FFT, 20 triangular bands, logarithm to base 2 in
 * eighths, less 112, limited to 0 ... 255. No float, no heap; the tables are constants.
 */
#ifndef LOGMEL_H
#define LOGMEL_H

#include <stdint.h>

#define LOGMEL_SAMPLES 256
#define LOGMEL_HOP 160
#define LOGMEL_BANDS 20

void logmel_frame(const int16_t samples[LOGMEL_SAMPLES], uint8_t bands[LOGMEL_BANDS]);

#endif
