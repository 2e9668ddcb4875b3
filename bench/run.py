"""Measures everything: writes bench/results.json, bench/results.svg and docs/bench.md, and compares with the baseline.

    python bench/run.py [--processes N] [--only TEXT] [--missing]

`--only` measures the rows whose key contains the text, `--missing` those that results.json lacks; both leave the others
as they are.
"""

from __future__ import annotations

import argparse
import json
import sys

import diff
import measure
import page
import plot


def main() -> int:
    """Measure, write, compare; the exit code of the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--missing", action="store_true")
    options = parser.parse_args()
    rows = kept() if options.only or options.missing else {}
    wanted = [job for job in measure.all_jobs() if options.only in job.key]
    jobs, missing = measure.available([job for job in wanted if not (options.missing and job.key in rows)])
    for line in missing:
        print(line, file=sys.stderr)
    order = [job.key for job in measure.all_jobs()]
    for row in measure.run(jobs, options.processes):
        print(f"{row['key']}: {row['i32']} i32, {row['kernel']}", flush=True)
        rows[row["key"]] = row
        write([rows[key] for key in order if key in rows])
    grown, notes = diff.differences(list(rows.values()), diff.baseline())
    print("\n".join([*notes, *(f"GREW {line}" for line in grown)]))
    return bool(grown)


def kept() -> dict[str, dict]:
    """The rows of an earlier run."""
    if not diff.RESULTS.exists():
        return {}
    return {row["key"]: row for row in json.loads(diff.RESULTS.read_text("utf-8"))}


def write(rows: list[dict]) -> None:
    """The three files."""
    lines = ",\n".join(f" {json.dumps(row)}" for row in rows)
    diff.RESULTS.write_text(f"[\n{lines}\n]\n", "utf-8")
    page.PAGE.write_text(page.page(rows), "utf-8")
    (diff.FOLDER / "results.svg").write_text(plot.plot(rows), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
