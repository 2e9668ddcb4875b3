"""Index maps: found as nested loops where they are some, else as tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import Case, bits, check, plain

from bnn2c.ir import TensorType
from bnn2c.kernels.rearrangement import find_loops, longest_unit
from bnn2c.ops.rearrange import Rearrange

RNG = np.random.default_rng(8)


def shape3(x):
    return np.ascontiguousarray(x).reshape((1,) * (3 - x.ndim) + x.shape).astype(np.int32)


def maps(shape):
    """Index maps that models use, and some that they do not."""
    order = np.arange(np.prod(shape)).reshape(shape)
    reflected = np.pad(order, ((1, 1), (1, 0), (0, 0)), mode="reflect") if min(shape[:2]) > 1 else order
    found = [
        order,
        order.reshape(-1),
        order.transpose(2, 0, 1).reshape(-1),
        order.transpose(1, 0, 2),
        order[::-1, :, ::-1],
        order[::2, 1:, :],
        order[..., 1:],
        order.reshape(shape[0] * shape[1], 1, shape[2]),
        order.reshape(shape[0], -1),
        np.pad(order, ((1, 2), (0, 3), (0, 0)), constant_values=-1),
        np.pad(order, ((0, 0), (1, 0), (2, 1)), constant_values=-1),
        np.repeat(np.repeat(order, 2, 0), 3, 1),
        reflected,
        RNG.permutation(order.ravel()).reshape(shape),
        RNG.permutation(order.reshape(-1, shape[2])).reshape(shape),
        np.where(RNG.random(shape) < 0.3, -1, RNG.permutation(order.ravel()).reshape(shape)),
        np.full(shape, -1),
        order[:1, :1, :1],
    ]
    return [shape3(x) for x in found if x.size]


def shuffled(height, width, groups, each):
    order = np.arange(height * width * groups * each).reshape(height, width, groups, each)
    return shape3(order.swapaxes(2, 3).reshape(height, width, -1))


@pytest.mark.parametrize("storage", ["f32", "i32", "i16", "i8", "u8"])
def test_plain(storage: str, tmp_path: Path) -> None:
    kind = plain(4, 5, 6, storage=storage)
    cases = [Case(Rearrange(index, 3.0), [kind]) for index in maps(kind.shape)]
    check([*cases, Case(Rearrange(shuffled(4, 5, 2, 3)), [kind])], tmp_path)


@pytest.mark.parametrize("planes", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 6, 32, 40])
def test_bits(planes: int, channels: int, tmp_path: Path) -> None:
    kind = bits(4, 5, channels, planes=planes)
    cases = [Case(Rearrange(index, fill), [kind]) for index in maps(kind.shape) for fill in (0.0, 2.0**planes - 1)]
    shuffles = [Case(Rearrange(shuffled(4, 5, 2, channels // 2)), [kind])] if channels > 1 else []
    check(cases + shuffles, tmp_path)


def test_large_table(tmp_path: Path) -> None:
    order = RNG.permutation(70_000)[:50].reshape(1, 5, 10).astype(np.int32)
    order[0, 0, 0] = 69_999
    check([Case(Rearrange(order), [TensorType((7, 100, 100), s)]) for s in ("u8", "bits")], tmp_path)


def test_usual_maps_are_loops() -> None:
    order = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    flat = np.arange(order.size)
    assert find_loops(flat, flat) == [(120, 1, 1)]
    assert find_loops(flat, order.transpose(2, 0, 1).ravel()) == [(6, 20, 1), (20, 1, 6)]
    assert find_loops(flat, RNG.permutation(flat)) is None
    assert longest_unit(RNG.permutation(order.reshape(-1, 6)).ravel()) in (6, 12, 18)
    assert longest_unit(np.array([-1, -1, 0, 1])) == 2
