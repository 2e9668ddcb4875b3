"""The abstract interpreter proves small kernels, and finds what is wrong with broken ones (`make prove` for all)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "proofs"))

import prove

pytestmark = pytest.mark.prove


@pytest.mark.parametrize("kind", ["concat", "quantize", "embedding", "rearrange", "loop", "causal", "fixed_point"])
def test_small_kernels_are_proved(kind: str) -> None:
    found = [prove.prove(*job) for job in prove.jobs([kind])]
    assert [(proof.name, proof.alarms, proof.failure) for proof in found if not proof.proved] == []


@pytest.mark.parametrize(
    ("header", "pattern", "broken"),
    [
        ("bnn2c_concat.h", r"i < p->run;", "i <= p->run;"),  # one element too many
        ("bnn2c_concat.h", r"out\[i\] = in\[i\];", "out[i] = in[i + 1u];"),
    ],
)
def test_broken_kernels_are_not_proved(header: str, pattern: str, broken: str) -> None:
    name, files, prefix = next(prove.jobs(["concat"]))
    text, count = re.subn(pattern, broken, files[header], count=1)
    assert count == 1
    assert prove.prove(name, {**files, header: text}, prefix).alarms


def test_an_arena_one_word_too_small_is_not_proved() -> None:
    name, files, prefix = next(prove.jobs(["quantize"]))
    header = re.sub(r"(ARENA_BYTES) (\d+)u", lambda m: f"{m[1]} {int(m[2]) - 8}u", files["cases.h"], count=1)
    assert header != files["cases.h"]
    assert prove.prove(name, {**files, "cases.h": header}, prefix).alarms
