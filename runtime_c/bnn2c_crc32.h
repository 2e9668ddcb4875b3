/* bnn2c_crc32.h - CRC-32 (ISO 3309, reflected polynomial EDB88320) of constant arrays, for `<name>_check`.
 *
 * Elements count with their least significant byte first on every processor, so that the expected value does not depend
 * on the byte order. The reads are volatile: a compiler that sees the arrays may not replace them by what they should be.
 */
#ifndef BNN2C_CRC32_H
#define BNN2C_CRC32_H

#include "bnn2c.h"

/* Continues `crc` (first call: 0) over `count` elements of `width` bytes. */
static inline uint32_t bnn2c_crc32(uint32_t crc, const void *data, uint32_t count, uint32_t width) {
  static const uint32_t table[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
    0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu
  };
  const volatile unsigned char *const bytes = (const volatile unsigned char *)data;
  const uint16_t probe = 1u;
  const uint32_t flip = (*(const unsigned char *)&probe == 1u) ? 0u : (width - 1u);
  uint32_t rest = ~crc;
  for (uint32_t i = 0u; i < count; i++) {
    for (uint32_t k = 0u; k < width; k++) {
      rest ^= bytes[(i * width) + ((flip >= k) ? (flip - k) : (k - flip))];
      rest = (rest >> 4) ^ table[rest & 15u];
      rest = (rest >> 4) ^ table[rest & 15u];
    }
  }
  return ~rest;
}

#endif
