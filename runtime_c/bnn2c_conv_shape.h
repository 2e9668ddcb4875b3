/* bnn2c_conv_shape.h - the geometry of a binary convolution (a dense layer is a 1x1 convolution of one pixel).
 *
 * The integer of every kernel is the number of mismatches
 *     m[y][x][o] = sum over taps and input channels of (activation bit XOR weight bit),
 * where taps outside the input read the bit 0.  An output bit is  m > t[class][o]  with
 *     class = row_class[y] * col_classes + col_class[x],
 * so that zero padding (which is neither bit) is exact: its constant lies in the threshold of the border's class.
 *
 * nhwc_bits: pixel (y, x) owns ceil(channels / 32) words; channel c is bit c % 32 of word c / 32; spare bits are 0.
 */
#ifndef BNN2C_CONV_SHAPE_H
#define BNN2C_CONV_SHAPE_H

#include <stdint.h>

typedef struct {
  uint16_t in_h;
  uint16_t in_w;
  uint16_t in_c;
  uint16_t out_h;
  uint16_t out_w;
  uint16_t out_c;
  uint8_t kernel_h;
  uint8_t kernel_w;
  uint8_t stride_h;
  uint8_t stride_w;
  uint8_t pad_top;
  uint8_t pad_left;
  uint8_t dilation_h;
  uint8_t dilation_w;
  uint8_t col_classes;      /* number of column classes */
  const uint8_t *row_class; /* [out_h] */
  const uint8_t *col_class; /* [out_w] */
} bnn2c_conv_shape;

#endif /* BNN2C_CONV_SHAPE_H */
