"""Runs op templates and runtime kernels on the host: one sanitised C program for many cases, compared with numpy."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from strict import CHECKED_GCC

from bnn2c.emit.arrays import CArray
from bnn2c.emit.files import render_macro
from bnn2c.ir import Op, TensorType
from bnn2c.ir.graph import NUMPY_TYPES
from bnn2c.packing import pack_words, unpack_words

Array = npt.NDArray[Any]
RUNTIME = Path(__file__).resolve().parents[2] / "runtime_c"
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Case:
    """An op and its input types; `feeds` replaces the random inputs."""

    op: Op
    types: Sequence[TensorType]
    feeds: Sequence[Array] | None = None

    def inputs(self, rng: np.random.Generator) -> list[Array]:
        """Arrays of the physical shapes (codes for packed tensors)."""
        return list(self.feeds) if self.feeds is not None else [random_tensor(kind, rng) for kind in self.types]


def bits(*shape: int, planes: int = 1) -> TensorType:
    return TensorType((shape[0], shape[1], shape[2]), "bits", planes)


def plain(*shape: int, storage: str = "f32") -> TensorType:
    return TensorType((shape[0], shape[1], shape[2]), storage)


def random_tensor(kind: TensorType, rng: np.random.Generator) -> Array:
    if kind.storage == "f32":
        return rng.standard_normal(kind.shape).astype(np.float32)
    if kind.storage == "bits":
        return rng.integers(0, 1 << kind.planes, kind.shape).astype(np.uint8)
    limits = np.iinfo(NUMPY_TYPES[kind.storage])
    return rng.integers(limits.min, limits.max, kind.shape, endpoint=True).astype(NUMPY_TYPES[kind.storage])


def to_bytes(x: Array, kind: TensorType) -> bytes:
    """As the tensor lies in memory."""
    if kind.storage != "bits":
        return x.astype(NUMPY_TYPES[kind.storage]).tobytes()
    planes = x[:, :, None, :] >> np.arange(kind.planes)[:, None] & 1
    return pack_words(planes.astype(np.uint8)).tobytes()


def from_bytes(raw: bytes, kind: TensorType) -> Array:
    """Inverse of `to_bytes`; unused bits must be 0."""
    if kind.storage != "bits":
        return np.frombuffer(raw, NUMPY_TYPES[kind.storage]).reshape(kind.shape)
    words = np.frombuffer(raw, "<u4").reshape(*kind.shape[:2], kind.planes, kind.words_per_pixel)
    planes = unpack_words(words, kind.shape[2])
    assert np.array_equal(pack_words(planes), words), "unused bits are set"
    return (planes << np.arange(kind.planes)[:, None]).sum(axis=2).astype(np.uint8)


def source(cases: Sequence[Case]) -> str:
    """C program: reads the inputs of every case from stdin, writes the outputs to stdout."""
    headers = sorted({h for case in cases for h in case.op.headers(case.types)})
    parts = ["#include <stdio.h>\n#include <stdlib.h>\n", *(f'#include "{h}"\n' for h in headers)]
    parts += ["int main(void);\n", *(_case_source(case, number) for number, case in enumerate(cases))]
    calls = "".join(f"  run_{number}();\n" for number in range(len(cases)))
    return "".join(parts) + f"int main(void) {{\n{calls}  return 0;\n}}\n"


def _case_source(case: Case, number: int) -> str:
    """Buffers come from malloc in their exact size, so that every access outside is found."""
    out = case.op.infer(case.types)
    arrays = [CArray(f"l{number}_{key}", data) for key, data in case.op.constants(case.types).items()]
    layer = SimpleNamespace(
        id=f"l{number}",
        op=case.op,
        inputs=[SimpleNamespace(ptr=f"in{i}", type=kind) for i, kind in enumerate(case.types)],
        output=SimpleNamespace(ptr="out", type=out),
        const={key: f"l{number}_{key}" for key in case.op.constants(case.types)},
        params=case.op.params(case.types),
        scratch="scratch",
    )
    reads = "".join(
        f"  {kind.c_type} *buffer{i} = malloc({kind.nbytes}u);\n  const {kind.c_type} *in{i} = buffer{i};\n"
        f"  if (fread(buffer{i}, 1u, {kind.nbytes}u, stdin) != {kind.nbytes}u) {{ exit(1); }}\n"
        f"  (void)in{i};\n"
        for i, kind in enumerate(case.types)
    )
    frees = "".join(f"  free(buffer{i});\n" for i in range(len(case.types))) + "  free(scratch);\n"
    return (
        "".join(f"static const {a.c_type} {a.name}[{a.count}] = {{\n{a.body()}\n}};\n" for a in arrays)
        + render_macro(layer, "declare")  # type: ignore[arg-type]
        + f"static void run_{number}(void) {{\n  {out.c_type} *out = malloc({out.nbytes}u);\n"
        + f"  uint32_t *scratch = malloc({case.op.scratch_bytes(case.types)}u);\n{reads}"
        + render_macro(layer, "call")  # type: ignore[arg-type]
        + f"  if (fwrite(out, 1u, {out.nbytes}u, stdout) != {out.nbytes}u) {{ exit(1); }}\n{frees}  free(out);\n}}\n"
    )


def run(cases: Sequence[Case], folder: Path, feeds: Sequence[Sequence[Array]]) -> list[Array]:
    """Compile and run; the outputs of all cases."""
    (folder / "cases.c").write_text(source(cases), encoding="utf-8")
    program = folder / "cases"
    command = [*CHECKED_GCC, f"-I{RUNTIME}", str(folder / "cases.c"), "-o", str(program), "-lm"]
    subprocess.run(command, check=True, timeout=120)
    kinds = [kind for case in cases for kind in case.types]
    stdin = b"".join(to_bytes(x, kind) for x, kind in zip([x for xs in feeds for x in xs], kinds, strict=True))
    raw = subprocess.run([str(program)], input=stdin, stdout=subprocess.PIPE, check=True, timeout=120).stdout
    results, position = [], 0
    for case in cases:
        out = case.op.infer(case.types)
        results.append(from_bytes(raw[position : position + out.nbytes], out))
        position += out.nbytes
    assert position == len(raw)
    return results


def check(cases: Sequence[Case], folder: Path) -> None:
    """Every case equals op.reference(): exactly, and within 1e-5 of the range for floats."""
    rng = np.random.default_rng(1)
    feeds = [case.inputs(rng) for case in cases]
    for number, (case, xs, got) in enumerate(zip(cases, feeds, run(cases, folder, feeds), strict=True)):
        with np.errstate(all="ignore"):
            expected = case.op.reference(*xs)
        where = f"case {number}: {case.op.kind} {case.op.describe()} on {', '.join(map(str, case.types))}"
        assert got.shape == expected.shape, where
        if got.dtype == np.float32:
            finite = expected[np.isfinite(expected)]
            scale = float(np.abs(finite).max()) if finite.size else 1.0
            np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE * max(scale, 1e-30), err_msg=where)
        else:
            np.testing.assert_array_equal(got, expected, err_msg=where)
