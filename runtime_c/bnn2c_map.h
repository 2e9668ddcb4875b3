/* bnn2c_map.h - what generated elementwise loops use: special numbers and reading one level code. */
#ifndef BNN2C_MAP_H
#define BNN2C_MAP_H

#include <math.h>

#include "bnn2c.h"
#include "bnn2c_codes.h"

#define BNN2C_INFINITY HUGE_VALF
#define BNN2C_NAN NAN

#endif
