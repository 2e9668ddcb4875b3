/* bnn2c_math_libm.h - elementwise float functions that need the C mathematical library. */
#ifndef BNN2C_MATH_LIBM_H
#define BNN2C_MATH_LIBM_H

#include <math.h>

#include "bnn2c.h"
#include "bnn2c_exp.h"
#include "bnn2c_math.h"

/* log(1 + e^x), as a sum in which nothing overflows and small results keep their digits. */
BNN2C_KERNEL float bnn2c_softplusf(float x) {
  return bnn2c_maxf(x, 0.0f) + log1pf(bnn2c_expf(-bnn2c_absf(x)));
}

#endif
