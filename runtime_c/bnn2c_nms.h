/* bnn2c_nms.h - non-maximum suppression of the boxes of a detector, as ONNX NonMaxSuppression defines it.
 *
 * For every class: take the boxes whose score is above a threshold from the highest score on (equal scores: the lower
 * index first), and keep a box unless its intersection over union with a kept box of that class is above a threshold.
 *
 * Written by `bnn2c compile --nms`; nothing else calls it.  It needs no memory besides its operands and reads the
 * network's outputs in place: a step is the distance in elements, so that [box][4] and [4][box], [box][class] and
 * [class][box] all do.  Its time depends on the data: at most boxes * (boxes + limit) steps per class.
 *
 * _f32 computes the quotient in float32 in the order of ONNX Runtime.  _i16, _i8 and _u8 take the integers q of a
 * fixed-point network (docs/fixed-point.md); they compare areas in int64, which is exact, and need no float.
 */
#ifndef BNN2C_NMS_H
#define BNN2C_NMS_H

#include "bnn2c.h"

typedef struct {
  uint16_t boxes;
  uint16_t classes;
  uint16_t limit;           /* boxes kept of each class at most */
  uint16_t box_step;        /* from a box to the next */
  uint16_t coordinate_step; /* from a coordinate of a box to the next */
  uint16_t score_step;      /* from the score of a box to that of the next box */
  uint16_t class_step;      /* from the score for a class to that for the next class */
  uint8_t centers;          /* 0: y1, x1, y2, x2, any two opposite corners; 1: centre x, centre y, width, height */
} bnn2c_nms_t;

typedef struct {
  uint16_t class_index;
  uint16_t box;
} bnn2c_nms_box;

/* The box of the highest score above `least` after `previous` in the order of scores; p->boxes when there is none. */
#define BNN2C_NMS_NEXT(suffix, type, level)                                                                          \
  BNN2C_KERNEL uint32_t bnn2c_nms_next_##suffix(const bnn2c_nms_t *p, const type *scores, level least,               \
                                                uint32_t previous) {                                                 \
    uint32_t best = p->boxes;                                                                                        \
    for (uint32_t i = 0u; i < p->boxes; i++) {                                                                       \
      const type score = scores[(size_t)i * p->score_step];                                                          \
      int open = (score > least) ? 1 : 0;                                                                            \
      if ((open != 0) && (previous < p->boxes)) {                                                                    \
        const type last = scores[(size_t)previous * p->score_step];                                                  \
        open = ((score < last) || (!(score > last) && (i > previous))) ? 1 : 0;                                      \
      }                                                                                                              \
      if ((open != 0) && ((best == p->boxes) || (score > scores[(size_t)best * p->score_step]))) {                   \
        best = i;                                                                                                    \
      }                                                                                                              \
    }                                                                                                                \
    return best;                                                                                                     \
  }

/* Low and high end of a box along both axes: low, high, low, high; of integers twice these numbers. */
#define BNN2C_NMS_ENDS(suffix, type, wide, scaled)                                                                   \
  BNN2C_KERNEL void bnn2c_nms_ends_##suffix(const bnn2c_nms_t *p, const type *boxes, uint32_t box, wide *ends) {     \
    for (uint32_t axis = 0u; axis < 2u; axis++) {                                                                    \
      const type *const first = &boxes[(size_t)box * p->box_step + (size_t)axis * p->coordinate_step];               \
      const wide a = scaled((wide)first[0]);                                                                         \
      const wide b = scaled((wide)first[2u * (size_t)p->coordinate_step]);                                           \
      if (p->centers != 0u) {                                                                                        \
        ends[2u * axis] = a - b / 2;                                                                                 \
        ends[2u * axis + 1u] = a + b / 2;                                                                            \
      } else {                                                                                                       \
        ends[2u * axis] = (a < b) ? a : b;                                                                           \
        ends[2u * axis + 1u] = (a < b) ? b : a;                                                                      \
      }                                                                                                              \
    }                                                                                                                \
  }

/* Whether the intersection of two boxes is more than the part `most` of their union. */
#define BNN2C_NMS_OVERLAP(suffix, type, wide, part, above)                                                           \
  BNN2C_KERNEL int bnn2c_nms_overlap_##suffix(const bnn2c_nms_t *p, const type *boxes, uint32_t one, uint32_t other, \
                                              part most) {                                                           \
    wide a[4];                                                                                                       \
    wide b[4];                                                                                                       \
    wide side[2];                                                                                                    \
    bnn2c_nms_ends_##suffix(p, boxes, one, a);                                                                       \
    bnn2c_nms_ends_##suffix(p, boxes, other, b);                                                                     \
    for (uint32_t axis = 0u; axis < 2u; axis++) {                                                                    \
      const wide low = (a[2u * axis] > b[2u * axis]) ? a[2u * axis] : b[2u * axis];                                  \
      const wide high = (a[2u * axis + 1u] < b[2u * axis + 1u]) ? a[2u * axis + 1u] : b[2u * axis + 1u];             \
      if (!(high > low)) {                                                                                           \
        return 0;                                                                                                    \
      }                                                                                                              \
      side[axis] = high - low;                                                                                       \
    }                                                                                                                \
    {                                                                                                                \
      const wide common = side[0] * side[1];                                                                         \
      const wide first = (a[1] - a[0]) * (a[3] - a[2]);                                                              \
      const wide second = (b[1] - b[0]) * (b[3] - b[2]);                                                             \
      const wide whole = first + second - common;                                                                    \
      const int solid = (common > 0) && (first > 0) && (second > 0) && (whole > 0);                                  \
      return ((solid != 0) && above(common, whole, most)) ? 1 : 0;                                                   \
    }                                                                                                                \
  }

/* Writes the kept boxes, class after class, each from the highest score on; returns their number.
 * selected: room for limit * classes boxes. */
#define BNN2C_NMS_RUN(suffix, type, level, part)                                                                     \
  BNN2C_KERNEL uint32_t bnn2c_nms_##suffix(const bnn2c_nms_t *p, const type *boxes, const type *scores, part most,   \
                                           level least, bnn2c_nms_box *selected) {                                   \
    uint32_t count = 0u;                                                                                             \
    for (uint32_t c = 0u; c < p->classes; c++) {                                                                     \
      const type *const of_class = &scores[(size_t)c * p->class_step];                                               \
      const uint32_t first = count;                                                                                  \
      uint32_t box = bnn2c_nms_next_##suffix(p, of_class, least, p->boxes);                                          \
      while ((box != p->boxes) && (count - first < p->limit)) {                                                      \
        uint32_t k = first;                                                                                          \
        while ((k < count) && (bnn2c_nms_overlap_##suffix(p, boxes, selected[k].box, box, most) == 0)) {             \
          k++;                                                                                                       \
        }                                                                                                            \
        if (k == count) {                                                                                            \
          selected[count].class_index = (uint16_t)c;                                                                 \
          selected[count].box = (uint16_t)box;                                                                       \
          count++;                                                                                                   \
        }                                                                                                            \
        box = bnn2c_nms_next_##suffix(p, of_class, least, box);                                                      \
      }                                                                                                              \
    }                                                                                                                \
    return count;                                                                                                    \
  }

#define BNN2C_NMS(suffix, type, wide, level, part, scaled, above)                                                    \
  BNN2C_NMS_NEXT(suffix, type, level)                                                                                \
  BNN2C_NMS_ENDS(suffix, type, wide, scaled)                                                                         \
  BNN2C_NMS_OVERLAP(suffix, type, wide, part, above)                                                                 \
  BNN2C_NMS_RUN(suffix, type, level, part)

/* float32: least and most are real numbers. Integers: least is a q of the scores, most is in units of 2^-15. */
#define BNN2C_NMS_REAL(x) (x)
#define BNN2C_NMS_REAL_ABOVE(common, whole, most) (((common) / (whole)) > (most))
#define BNN2C_NMS_TWICE(x) (2 * (x))
#define BNN2C_NMS_ABOVE(common, whole, most) ((common) * 32768 > (int64_t)(most) * (whole))

BNN2C_NMS(f32, float, float, float, float, BNN2C_NMS_REAL, BNN2C_NMS_REAL_ABOVE)
BNN2C_NMS(i16, int16_t, int64_t, int32_t, uint16_t, BNN2C_NMS_TWICE, BNN2C_NMS_ABOVE)
BNN2C_NMS(i8, int8_t, int64_t, int32_t, uint16_t, BNN2C_NMS_TWICE, BNN2C_NMS_ABOVE)
BNN2C_NMS(u8, uint8_t, int64_t, int32_t, uint16_t, BNN2C_NMS_TWICE, BNN2C_NMS_ABOVE)

#endif
