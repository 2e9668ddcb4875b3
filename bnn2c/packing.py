"""Bits to words: channel c of a pixel is bit c % 32 of word c / 32 (little-endian), missing channels are 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bnn2c.ir.types import WORD_BITS

Array = npt.NDArray[Any]


def pack_words(bits: Array) -> Array:
    """uint8 bits [..., C] -> uint32 words [..., ceil(C / 32)]."""
    channels = bits.shape[-1]
    words = -(-channels // WORD_BITS)
    padded = np.zeros((*bits.shape[:-1], words * WORD_BITS), np.uint8)
    padded[..., :channels] = bits
    packed = np.packbits(padded, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u4").astype(np.uint32)


def unpack_words(words: Array, channels: int) -> Array:
    """Inverse of `pack_words`."""
    raw = np.ascontiguousarray(words.astype("<u4")).view(np.uint8)
    return np.unpackbits(raw, axis=-1, bitorder="little")[..., :channels]
