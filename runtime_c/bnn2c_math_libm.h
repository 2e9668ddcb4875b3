/* bnn2c_math_libm.h - elementwise float functions that need the C mathematical library. */
#ifndef BNN2C_MATH_LIBM_H
#define BNN2C_MATH_LIBM_H

#include <math.h>

#include "bnn2c.h"
#include "bnn2c_math.h"

/* 1 / (1 + e^-x); e^-x overflows to infinity for small x, which gives 0. */
BNN2C_KERNEL float bnn2c_sigmoidf(float x) {
  return 1.0f / (1.0f + expf(-x));
}

/* log(1 + e^x), as a sum in which nothing overflows and small results keep their digits. */
BNN2C_KERNEL float bnn2c_softplusf(float x) {
  return bnn2c_maxf(x, 0.0f) + log1pf(expf(-bnn2c_absf(x)));
}

#endif
