"""Random networks through the whole oracle chain, as many as wanted:

    onnxruntime = imported graph = final graph = C on this machine = C on a Cortex-M and on a big-endian processor

    python tests/fuzz/graphs.py 1000 --first 0        # networks 0 … 999 of tests/random_graphs.py

`fixed_differences` judges the networks of real numbers of tests/random_reals.py in fixed point (`make fuzz`).

A network that differs is printed, stored below tests/fuzz/regressions as graph-NUMBER.onnx or int16-NUMBER.onnx, and
makes the exit status 1; `test_stored_networks` runs the stored ones ever after.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))
sys.path.insert(0, str(HERE.parent))

import fixed_point_oracle  # noqa: E402
import numpy as np  # noqa: E402
import onnx  # noqa: E402
from models import Array, compiled, ort_session  # noqa: E402
from random_graphs import network  # noqa: E402
from random_reals import Vectors, real_network  # noqa: E402
from strict import WARNINGS  # noqa: E402

from bnn2c.errors import CompileError  # noqa: E402
from bnn2c.ir.graph import outputs  # noqa: E402
from bnn2c.pipeline import Compiled  # noqa: E402
from bnn2c.targets import load_target  # noqa: E402
from bnn2c.toolchain import build_shared, run_on_target  # noqa: E402

REGRESSIONS = HERE / "regressions"
TARGETS = ("cortex-m4", "powerpc")
OPTIMIZE = ("size", "balanced", "speed")


def samples(model: onnx.ModelProto, count: int = 4) -> list[Array]:
    """Inputs that are multiples of 1/8, zeros included."""
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    return [np.random.default_rng(k).integers(-16, 17, shape).astype(np.float32) / 8 for k in range(count)]


def differences(model: onnx.ModelProto, optimize: str) -> Iterator[str]:
    """Where the stages disagree on this machine; nothing when all agree bit for bit."""
    try:
        found = compiled(model, optimize=optimize)
    except CompileError as error:
        yield f"refused: {error}"
        return
    reference = ort_session(model)
    with tempfile.TemporaryDirectory() as folder:
        library = build_shared(found.files, found.manifest, Path(folder), opt="-O0")
        for x in samples(model):
            wanted = reference([x])
            stages = {"imported": outputs(found.imported, [x]), "final": found.reference([x]), "C": library.run([x])}
            yield from (f"{stage} differs" for stage, values in stages.items() if not same(values, wanted))


def fixed_stages(model: onnx.ModelProto, vectors: Vectors, real: str, folder: Path) -> fixed_point_oracle.Stages | None:
    """Compile in fixed point, calibrated with the vectors."""
    path = folder / "calibration.npz"
    _save_vectors(path, vectors)
    return fixed_point_oracle.stages(model, real=real, calibrate=path)


def _save_vectors(path: Path, vectors: Vectors) -> None:
    """In the form of `--calibrate`."""
    np.savez(path, **{f"input{i or ''}": np.stack(x) for i, x in enumerate(zip(*vectors, strict=True))})


def fixed_differences(model: onnx.ModelProto, vectors: Vectors, real: str, build: bool = True) -> Iterator[str]:
    """Where fixed point is further from real arithmetic than it may be, and where the C is not the integer graph.

    Args:
        model: of real numbers.
        vectors: samples, one array per input; the first ones are run, all of them calibrate.
        real: int16 or int8.
        build: run the C, too, also on numbers beyond those of the calibration.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            by = fixed_stages(model, vectors, real, Path(folder))
        except CompileError as error:
            yield f"refused: {error}"
            return
        if by is None:
            return
        reference = ort_session(model)
        for feeds in vectors[:4]:
            yield from fixed_point_oracle.differences(by, model, feeds, reference(feeds))
        far = [[4 * x if x.dtype.kind == "f" else x for x in row] for row in vectors[:2]]
        yield from _integers_differ(by, [*vectors[:3], *far], Path(folder)) if build else ()


def _integers_differ(by: fixed_point_oracle.Stages, rows: Vectors, folder: Path) -> Iterator[str]:
    """Where the C, or the graph that it executes, is not the integer graph of the conversion."""
    library = build_shared(by.compiled.files, by.compiled.manifest, folder, opt="-O1", cflags=WARNINGS)
    for feeds in rows:
        stages = {"final": by.compiled.reference(feeds), "C": library.run(feeds)}
        yield from (
            f"{stage} differs" for stage, values in stages.items() if not same(values, outputs(by.fixed, feeds))
        )


def same(values: Sequence[Array], wanted: Sequence[Array]) -> bool:
    """Equality bit for bit, but for the sign of zero."""
    return all(np.array_equal(np.ravel(one), np.ravel(two)) for one, two in zip(values, wanted, strict=True))


def on_target(models: Sequence[onnx.ModelProto], target: str) -> Iterator[str]:
    """Where a target disagrees; the networks are one program, side by side."""
    parts = [onnx.compose.add_prefix(model, f"g{number}_") for number, model in enumerate(models)]
    whole = parts[0]
    for part in parts[1:]:
        whole = onnx.compose.merge_models(whole, part, io_map=[])
    found: Compiled = compiled(whole, target=target)
    rows = [[samples(model)[k] for model in models] for k in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        device = load_target(target)
        run = run_on_target(found.files, found.manifest, device, rows, Path(folder), count=False, opt="-O1")
    if not run.guards_intact or run.stack_bytes > found.manifest["stack_bytes"]:
        yield f"{target}: memory or stack beyond what is stated"
    for number, row in enumerate(rows):
        wanted = [value for model, x in zip(models, row, strict=True) for value in ort_session(model)([x])]
        ports = zip(found.manifest["outputs"], run.outputs[number], wanted, strict=True)
        yield from (f"{target}: {port['name']} differs" for port, one, two in ports if not same([one], [two]))


def store(number: int) -> Path:
    """Keep a network as a regression test."""
    path = REGRESSIONS / f"graph-{number}.onnx"
    path.write_bytes(network(number).SerializeToString(deterministic=True))
    return path


def stored() -> list[Path]:
    """Networks that were findings once."""
    return sorted(REGRESSIONS.glob("graph-*.onnx"))


def store_real(number: int, real: str) -> Path:
    """Keep a network of real numbers, and its vectors beside it, as a regression test."""
    path = REGRESSIONS / f"{real}-{number}.onnx"
    model, vectors = real_network(number)
    path.write_bytes(model.SerializeToString(deterministic=True))
    _save_vectors(path.with_suffix(".npz"), vectors)
    return path


def stored_reals() -> Iterator[tuple[str, onnx.ModelProto, Vectors, str]]:
    """Name, network, vectors and number format of those that were findings once."""
    for path in sorted(REGRESSIONS.glob("int*-*.npz")):
        with np.load(path) as file:
            vectors = [list(row) for row in zip(*(file[name] for name in file.files), strict=True)]
        yield path.stem, onnx.load(path.with_suffix(".onnx")), vectors, path.stem.partition("-")[0]


def campaign(numbers: Sequence[int], batch: int = 10) -> Iterator[tuple[int, str]]:
    """Number and problem of every network that differs; every tenth batch also runs on other processors."""
    for start in range(0, len(numbers), batch):
        chosen = numbers[start : start + batch]
        for number in chosen:
            yield from ((number, problem) for problem in differences(network(number), OPTIMIZE[number % 3]))
        if start // batch % 10 == 0:
            found = [p for target in TARGETS for p in on_target([network(number) for number in chosen], target)]
            yield from ((chosen[0], problem) for problem in found)


def main() -> int:
    """Run a campaign; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=300)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    failed = set()
    for number, problem in campaign(range(given.first, given.first + given.count)):
        failed.add(number)
        print(number, problem, store(number), flush=True)
    print(f"{given.count} networks: {len(failed)} differ")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
