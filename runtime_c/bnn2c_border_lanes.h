/* bnn2c_border_lanes.h - which border class each lane belongs to, and per-class constants as bit planes.
 *
 * A per-class constant is stored per row class as `digits` bytes; bit c of byte b is digit b of the constant for column
 * class c.  The plane of digit b is then one look-up: the union of the lanes of those column classes.
 */
#ifndef BNN2C_BORDER_LANES_H
#define BNN2C_BORDER_LANES_H

#include "bnn2c_compiler.h"
#include "bnn2c_conv_shape.h"
#include "bnn2c_lanes.h"

#define BNN2C_MAX_ROW_CLASSES 16

typedef struct {
  bnn2c_lanes *unions;                      /* [row_classes][1 << col_classes] */
  uint8_t present[BNN2C_MAX_ROW_CLASSES];   /* row classes among the lanes */
  uint32_t rows;                            /* how many */
  uint32_t valid[BNN2C_LANE_WORDS];         /* lanes that hold a pixel */
} bnn2c_border_lanes;

BNN2C_INLINE void bnn2c_note_row_class(bnn2c_border_lanes *border, uint8_t row_class) {
  for (uint32_t i = 0u; i < border->rows; i++) {
    if (border->present[i] == row_class) {
      return;
    }
  }
  border->present[border->rows] = row_class;
  border->rows++;
}

/* unions[r][1 << c] = lanes of row class r and column class c, from pixel `first` on. */
BNN2C_NOINLINE void bnn2c_mark_borders(const bnn2c_conv_shape *s, uint32_t first, uint32_t row_classes,
                                       bnn2c_border_lanes *border) {
  uint32_t y = first / s->out_w;
  uint32_t x = first - y * s->out_w;
  uint32_t *const words = (uint32_t *)border->unions;
  for (uint32_t i = 0u; i < ((uint32_t)BNN2C_LANE_WORDS * row_classes) << s->col_classes; i++) {
    words[i] = 0u;
    BNN2C_KEEP(i);
  }
  border->rows = 0u;
  for (uint32_t word = 0u; word < (uint32_t)BNN2C_LANE_WORDS; word++) {
    border->valid[word] = 0u;
    for (uint32_t lane = 0u; (lane < 32u) && (y < s->out_h); lane++) {
      const uint32_t set = ((uint32_t)s->row_class[y] << s->col_classes) + (1u << s->col_class[x]);
      words[set * (uint32_t)BNN2C_LANE_WORDS + word] |= 1u << lane;
      border->valid[word] |= 1u << lane;
      if ((x == 0u) || (lane == 0u)) {
        bnn2c_note_row_class(border, s->row_class[y]);
      }
      x++;
      if (x == s->out_w) {
        x = 0u;
        y++;
      }
    }
  }
}

/* All unions of column classes from the single ones. */
BNN2C_NOINLINE void bnn2c_unite_borders(const bnn2c_conv_shape *s, const bnn2c_border_lanes *border) {
  const uint32_t size = 1u << s->col_classes;
  for (uint32_t i = 0u; i < border->rows; i++) {
    bnn2c_lanes *unions = border->unions + border->present[i] * size;
    for (uint32_t single = 1u; single < size; single <<= 1) {
      for (uint32_t rest = 1u; rest < single; rest++) {
        unions[single + rest] = unions[single] | unions[rest];
      }
    }
  }
}

/* merged[b] = plane of digit b over two row classes. */
BNN2C_INLINE void bnn2c_merge_two(bnn2c_lanes *merged, const bnn2c_lanes *first, const uint8_t *digit0,
                                  const bnn2c_lanes *second, const uint8_t *digit1, uint32_t digits) {
  BNN2C_UNROLL(12)
  for (uint32_t b = 0u; b < digits; b++) {
    merged[b] = first[digit0[b]] | second[digit1[b]];
  }
}

/* The planes of a constant when several row classes are present; constant: [row_classes][digits]. */
BNN2C_NOINLINE BNN2C_STEADY void bnn2c_merge_rows(const bnn2c_conv_shape *s, const bnn2c_border_lanes *border,
                                     const uint8_t *constant, uint32_t digits, bnn2c_lanes *merged) {
  const uint32_t size = 1u << s->col_classes;
  const bnn2c_lanes *const tab0 = border->unions + border->present[0] * size;
  const bnn2c_lanes *const tab1 = border->unions + border->present[1] * size;
  const uint8_t *const digit0 = constant + border->present[0] * digits;
  const uint8_t *const digit1 = constant + border->present[1] * digits;
  if (digits == 11u) {
    bnn2c_merge_two(merged, tab0, digit0, tab1, digit1, 11u);
  } else {
    bnn2c_merge_two(merged, tab0, digit0, tab1, digit1, digits);
  }
  for (uint32_t i = 2u; i < border->rows; i++) {
    const uint32_t row = border->present[i];
    for (uint32_t b = 0u; b < digits; b++) {
      merged[b] |= border->unions[row * size + constant[row * digits + b]];
    }
  }
}

#endif /* BNN2C_BORDER_LANES_H */
