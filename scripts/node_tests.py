"""Runs ONNX's own node tests through `bnn2c.backend` and writes docs/onnx-operators.md.

python scripts/node_tests.py                 # all tests of the operators that are claimed; a few minutes
python scripts/node_tests.py test_conv relu  # only those whose name contains a word; writes nothing
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
PAGE = ROOT / "docs" / "onnx-operators.md"


@dataclass(frozen=True)
class Result:
    """What became of one test: pass, refused (with the reason), or FAIL."""

    name: str
    operators: tuple[str, ...]
    kind: str
    reason: str = ""


@cache
def cases() -> dict[str, Any]:
    """ONNX's node tests by name."""
    warnings.filterwarnings("ignore")
    from onnx.backend.test.loader import load_model_tests

    return {case.name: case for case in load_model_tests(kind="node")}


def operators_of(case: Any) -> tuple[str, ...]:
    """Operators of a test's graph, with their domain when it is not ONNX's."""
    found = dict.fromkeys((f"{n.domain}::" if n.domain else "") + n.op_type for n in case.model.graph.node)
    return tuple(found)


def claimed(case: Any) -> bool:
    """True when the compiler has an importer for every operator of the test."""
    from bnn2c.importer.handlers import supported_operators

    return set(operators_of(case)) <= set(supported_operators())


def run(name: str) -> Result:
    """Run one test; never raises."""
    import numpy as np

    from bnn2c.backend import prepare
    from bnn2c.errors import CompileError

    case = cases()[name]
    done = Result(name, operators_of(case), "pass")
    try:
        with np.errstate(all="ignore"):
            for inputs, expected in case.data_sets:
                got = prepare(case.model, cc_optimize="-O0").run([array(value) for value in inputs])
                problem = difference(expected, got, case.rtol, case.atol)
                if problem:
                    return Result(name, done.operators, "FAIL", problem)
    except CompileError as error:
        first = error.diagnostics[0]
        return Result(name, done.operators, "refused", f"{first.code}: {first.message}")
    except Exception as error:  # noqa: BLE001 - any other exception is a failure of the compiler
        return Result(name, done.operators, "FAIL", f"{type(error).__name__}: {error}".splitlines()[0][:200])
    return done


def array(value: Any) -> Any:
    """An input or output as an array; types that numpy lacks come as TensorProto."""
    import numpy as np
    import onnx

    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def difference(expected: Sequence[Any], got: Sequence[Any], rtol: float, atol: float) -> str:
    """What is wrong with the outputs, empty when nothing is."""
    import numpy as np

    if len(expected) != len(got):
        return f"{len(got)} outputs instead of {len(expected)}"
    for want, have in zip(map(array, expected), got, strict=True):
        if not isinstance(want, np.ndarray):
            return "an output is a sequence"
        if want.dtype != have.dtype or want.shape != have.shape:
            return f"{have.dtype}{list(have.shape)} instead of {want.dtype}{list(want.shape)}"
        real = want.dtype.kind not in "iub"
        if not (
            np.allclose(want.astype(float), have.astype(float), rtol, atol, equal_nan=True)
            if real
            else (want == have).all()
        ):
            return f"values differ by up to {np.nanmax(np.abs(want.astype(float) - have.astype(float))):.3g}"
    return ""


def page(results: Sequence[Result], others: int) -> str:
    """The table as Markdown."""
    import onnx

    by_operator: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_operator[" + ".join(result.operators)].append(result)
    passed = sum(r.kind == "pass" for r in results)
    rows = [
        f"| `{name}` | {sum(r.kind == 'pass' for r in found)} | {len(found)} |"
        for name, found in sorted(by_operator.items())
    ]
    listed = [
        f"| `{r.name}` | {r.reason.replace('|', '/')} |"
        for r in sorted(results, key=lambda r: r.name)
        if r.kind != "pass"
    ]
    return (
        "<!-- Written by scripts/node_tests.py; edit the code instead. -->\n\n# ONNX operators\n\n"
        f"ONNX {onnx.__version__} has {len(results) + others} node tests; {len(results)} use only operators that\n"
        f"bnn2c can compile. **{passed} of these pass** as C on the host (`bnn2c.backend`);\n"
        f"{len(results) - passed} are refused\n"
        "with a diagnostic and listed below with the reason. Operands that C needs at compile time (shapes, axes,\n"
        "weights) are compiled in with the value that the test gives them. 64-bit integers are 32 bits wide in C and\n"
        "doubles are float32.\n\n"
        "| operator | pass | tests |\n| --- | ---: | ---: |\n"
        + "\n".join(rows)
        + "\n\n## Tests that do not pass\n\n| test | reason |\n| --- | --- |\n"
        + "\n".join(listed)
        + "\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tests; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args(arguments)
    names = [name for name, case in cases().items() if claimed(case)]
    chosen = [name for name in names if not given.words or any(word in name for word in given.words)]
    with ProcessPoolExecutor(given.jobs) as pool:
        results = list(pool.map(run, chosen, chunksize=8))
    for result in results:
        if result.kind != "pass":
            print(f"{result.kind:<8} {result.name}: {result.reason}")
    counts = {kind: sum(r.kind == kind for r in results) for kind in ("pass", "refused", "FAIL")}
    print(f"{len(results)} node tests: {counts}")
    if not given.words:
        PAGE.write_text(page(results, len(cases()) - len(results)), "utf-8")
    return int(counts["FAIL"] > 0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
