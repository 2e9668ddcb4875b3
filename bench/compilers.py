"""Counts what other compilers and levels make of the code of `--optimize speed`: the table of docs/kernels.md.

    python bench/compilers.py [--only TEXT]

`--only` measures the rows whose key contains the text and leaves the others. Writes bench/compilers.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import diff
import measure
import page

from bnn2c.bench import bench_model
from bnn2c.options import Options
from bnn2c.pipeline import compile_model

RESULTS = diff.FOLDER / "compilers.json"
PAGE = diff.FOLDER.parent / "docs" / "kernels.md"
BEGIN, END = "<!-- Written by bench/compilers.py -->\n", "<!-- End -->\n"
BUILDS = (("", "-O2"), ("", "-Os"), ("clang", "-O2"), ("clang", "-Os"))
NETWORKS = ("C", "F", "CNV_1W1A")
TARGETS = (
    "cortex-m0", "cortex-m4", "cortex-m55", "rv32imc", "rv32imc_zbb", "aarch64", "cortex-a7", "x86_64_avx2",
    "x86_64_avx512",
)  # fmt: skip
MARGIN = 1.15  # bold: this many times the count of gcc -O3


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    only = parser.parse_args().only
    known = {row["key"]: row for row in stored()}
    keys = [f"{network}, {target}" for network in NETWORKS for target in TARGETS]
    for key in (key for key in keys if only in key):
        known[key] = measured(key)
        print(known[key], flush=True)
        rows = [known[key] for key in keys if key in known]
        RESULTS.write_text("[\n" + ",\n".join(f" {json.dumps(row)}" for row in rows) + "\n]\n", "utf-8")
    PAGE.write_text(with_table(PAGE.read_text("utf-8"), stored()), "utf-8")


def stored() -> list[dict]:
    """The rows of an earlier run."""
    return json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else []


def measured(key: str) -> dict:
    """The i32 of every build of a network for a target."""
    network, target = key.split(", ")
    scale = measure.PIXEL_SCALE if network == "CNV_1W1A" else None
    options = Options(target=target, optimize="speed", name="net", input_scale=scale)
    compiled = compile_model(measure.model_of(network), options)
    names = {compiler: measure.compiler(target) if not compiler else version(compiler) for compiler, _ in BUILDS}
    counts = {}
    for compiler, level in BUILDS:
        found = bench_model(compiled, compiler=compiler or None, opt=level)
        layer = max(found["layers"], key=lambda one: one["binary_macs"])
        counts[f"{compiler or 'gcc'} {level}"] = found["i32"] if network == "CNV_1W1A" else layer["i32"]
        if network != "CNV_1W1A":
            assert layer["constant_time"], (key, compiler, level)
    return {"key": key, "compilers": sorted(names.values()), "i32": counts}


def version(compiler: str) -> str:
    """Name and version of a compiler."""
    said = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True, check=True)
    return f"{Path(compiler).name} {said.stdout.strip()}"


def with_table(text: str, rows: list[dict]) -> str:
    """The text of docs/kernels.md with the table of these rows."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table(rows)}\n{END}{rest.split(END)[1]}"


def table(rows: list[dict]) -> str:
    """A row per network and target, a column per build; bold where a build takes much more than gcc -O3."""
    usual = {row["key"].removesuffix(", speed"): row["i32"] for row in json.loads(diff.RESULTS.read_text("utf-8"))}
    builds = [f"{compiler or 'gcc'} {level}" for compiler, level in BUILDS]
    body = [(*row["key"].split(", "), *cells(usual[row["key"]], [row["i32"][b] for b in builds])) for row in rows]
    return page.table(("network", "target", "gcc -O3", *builds), body)


def cells(usual: float, counts: list[float]) -> Iterator[str]:
    """The numbers as text."""
    yield f"{usual:.2f}"
    for count in counts:
        mark = page.MISSED if count > MARGIN * usual else ""
        yield f"{mark}{count:.2f}{mark}"


if __name__ == "__main__":
    main()
