"""Compares counts with the stored baseline.

    python bench/diff.py             the quick subset against bench/baseline.json
    python bench/diff.py RESULTS     a file that bench/run.py wrote
    python bench/diff.py --store     the file bench/results.json becomes the baseline

Exit code 1 when a count grew by more than 2 %. A row whose compiler is not the one of the baseline is only shown.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import measure

FOLDER = Path(__file__).resolve().parent
BASELINE, RESULTS = FOLDER / "baseline.json", FOLDER / "results.json"
LIMIT = 0.02
COUNTED = ("instructions", "network_instructions", "flash_bytes")
STORED = (*COUNTED, "predicted", "compiler")


def baseline() -> dict[str, dict]:
    """The stored rows by key."""
    return json.loads(BASELINE.read_text("utf-8")) if BASELINE.exists() else {}


def store(rows: list[dict]) -> None:
    """Make rows the baseline, one line each."""
    lines = [f" {json.dumps(row['key'])}: {json.dumps({k: row.get(k) for k in STORED})}" for row in rows]
    BASELINE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def differences(rows: list[dict], stored: dict[str, dict]) -> tuple[list[str], list[str]]:
    """Lines about counts that grew, and about everything else that is worth a look."""
    grown, notes = [], []
    for row in rows:
        old = stored.get(row["key"])
        if old is None:
            notes.append(f"{row['key']}: not in the baseline")
            continue
        for count in COUNTED:
            change = row[count] / old[count] - 1
            line = f"{row['key']}: {count} {old[count]:,} -> {row[count]:,} ({change:+.1%})"
            if row["compiler"] != old["compiler"]:
                notes.append(f"{line}, {row['compiler']} instead of {old['compiler']}")
            elif abs(change) > LIMIT:
                (grown if change > 0 else notes).append(line)
    return grown, notes


def main() -> int:
    """Print the differences; the exit code."""
    arguments = sys.argv[1:]
    if arguments == ["--store"]:
        store(json.loads(RESULTS.read_text("utf-8")))
        return 0
    if arguments:
        rows = json.loads(Path(arguments[0]).read_text("utf-8"))
    else:
        rows = list(measure.run(measure.available(measure.quick_jobs())[0]))
    grown, notes = differences(rows, baseline())
    print("\n".join([*notes, *(f"GREW {line}" for line in grown), f"{len(rows)} rows, {len(grown)} counts grew"]))
    return bool(grown)


if __name__ == "__main__":
    sys.exit(main())
