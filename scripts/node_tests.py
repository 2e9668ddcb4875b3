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
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]
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


def imported(case: Any) -> bool:
    """True when the compiler has an importer for every operator of the test."""
    from bnn2c.importer.handlers import supported_operators

    return set(operators_of(case)) <= set(supported_operators())


def claimed(case: Any) -> bool:
    """True when the test is imported and within the limits of scripts/node_claims.py: it has to pass."""
    from node_claims import limit_of

    return imported(case) and limit_of(case) is None


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


def page(results: Sequence[Result]) -> str:
    """docs/onnx-operators.md."""
    import onnx
    from node_claims import LIMITS, limit_of

    beyond: dict[str, list[Any]] = defaultdict(list)
    for name, case in cases().items():
        if imported(case) and (limit := limit_of(case)) is not None:
            beyond[limit.text].append(name)
    table: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        table[" + ".join(result.operators)].append(result)
    passed = sum(result.kind == "pass" for result in results)
    rows = [f"| `{o}` | {sum(r.kind == 'pass' for r in f)} | {len(f)} |" for o, f in sorted(table.items())]
    limits = [
        f"| {', '.join(f'`{o}`' for o in limit.operators) or 'all'} | {limit.text} | {len(beyond[limit.text])} |"
        for limit in LIMITS
    ]
    failing = [f"* `{r.name}`: {r.reason}" for r in sorted(results, key=lambda r: r.name) if r.kind != "pass"]
    return (
        "<!-- Written by scripts/node_tests.py; edit the code instead. -->\n\n# ONNX operators\n\n"
        f"ONNX {onnx.__version__} has {len(cases())} node tests. {len(results)} are about operators that bnn2c\n"
        f"imports, in forms that it claims: **{passed} of {len(results)} pass** as C on the host (`bnn2c.backend`).\n"
        f"Another {sum(map(len, beyond.values()))} tests of these operators are beyond the limits below.\n"
        "They get a diagnostic. Operands that C needs at compile time (shapes, weights) are compiled in with the\n"
        "value that the test gives them. 64-bit integers are 32 bits wide in C and doubles are float32.\n\n"
        + "\n".join(failing)
        + ("\n\n" if failing else "")
        + "## Limits\n\n| operator | not claimed | tests |\n| --- | --- | ---: |\n"
        + "\n".join(limits)
        + "\n\n## Operators\n\n| operators of the test | pass | claimed |\n| --- | ---: | ---: |\n"
        + "\n".join(rows)
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
        PAGE.write_text(page(results), "utf-8")
    return int(counts["pass"] < len(results))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
