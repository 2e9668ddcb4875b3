"""Proves that generated C has no undefined behaviour, with the abstract interpreter Eva of Frama-C.

    python tests/proofs/prove.py                      # every operation on its CASES; an hour
    python tests/proofs/prove.py concat quantize      # some of them
    python tests/proofs/prove.py loop stream          # networks of tests/proofs/networks.py
    python tests/proofs/prove.py model.onnx           # the C of a network

The program that is analysed calls the generated function with an unknown input (every bit pattern), an uninitialised
output and an uninitialised arena of exactly the stated size. All shapes are constants, so every loop is unrolled
completely and nothing is approximated but data. No alarm means, for every input: no access outside of an object, no
read of memory that was not written, no signed overflow, no shift by too much, no division by zero. What Eva assumes is
listed in docs/trust.md.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "proofs"), str(TESTS), str(TESTS.parent)]

SECONDS = 3600.0
# GNU extensions are left out, so that the portable form of every kernel is analysed.
EVA = (
    *("frama-c", "-cpp-extra-args=-U__GNUC__", "-machdep", "x86_64", "-warn-special-float", "none"),
    *("-eva", "-eva-min-loop-unroll", "1000000", "-eva-no-show-progress"),
    *("-eva-msg-key=-initial-state,-final-states",),
)


@dataclass(frozen=True)
class Proof:
    """What became of one program: the alarms, or why there is no answer; and how many functions were analysed."""

    name: str
    alarms: tuple[str, ...]
    functions: int
    seconds: float
    failure: str = ""

    @property
    def proved(self) -> bool:
        """True when the analysis ended without an alarm and did reach a kernel, behind main and the schedule."""
        return not self.alarms and not self.failure and self.functions > 2


def program(files: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The files with a main function for an unknown input.

    A stream moves words of its past that nobody has written yet, and reads them later than that; its memory holds
    unknown bits from the start.
    """
    upper = prefix.upper()
    filled = "Frama_C_make_unknown((char *)arena, sizeof arena);" if f"{prefix}_step(" in files[f"{prefix}.h"] else ""
    main = f"""#include "{prefix}.h"
#include "__fc_builtin.h"
int main(void) {{
  {prefix}_input_t in;
  {prefix}_output_t out;
  uint32_t arena[{upper}_ARENA_BYTES / 4u + ({upper}_ARENA_BYTES == 0u)];
  Frama_C_make_unknown((char *)&in, sizeof in);
  {filled}
  return (int){prefix}_run(&in, &out, arena);
}}
"""
    return {**files, "main.c": main}


def prove(name: str, files: Mapping[str, str], prefix: str, seconds: float = SECONDS) -> Proof:
    """Analyse one model's generated files; a network with the precision that keeps the frames of a stream apart."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for file, text in program(files, prefix).items():
            (Path(folder) / file).write_text(text, "utf-8")
        sources = sorted(path.name for path in Path(folder).glob("*.c"))
        environment = {**os.environ, "PWD": folder, "LC_ALL": "C.UTF-8"}
        try:
            command = [*EVA, "-eva-precision", "6" if prefix == "net" else "0", *sources]
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return Proof(name, (), 0, time.perf_counter() - start, f"no answer within {seconds:.0f} s")
    said = done.stdout + done.stderr
    counted = re.search(r"(\d+) functions analyzed", said)
    clean = re.search(r"\b0 alarms generated", said) and not re.search(r"[1-9]\d* errors?", said)
    sound = done.returncode == 0 and clean
    alarms = tuple(" ".join(text.split()) for text in re.findall(r"\[eva:alarm\] (.*?)(?=\n\[)", said, re.S))
    failure = "" if sound or alarms else said[-500:]
    return Proof(name, alarms, int(counted[1]) if counted else 0, time.perf_counter() - start, failure)


def jobs(names: Sequence[str]) -> Iterator[tuple[str, dict[str, str], str]]:
    """Name, files and prefix of every program."""
    import networks
    from test_ops import OPS, generate, graph_of

    from bnn2c.options import Options
    from bnn2c.pipeline import compile_model

    for name in names or (*OPS, *networks.NETWORKS):
        if name.endswith(".onnx"):
            yield name, compile_model(name, Options(name="net")).files, "net"
            continue
        if name in networks.NETWORKS:
            yield name, networks.generate(name).files, "net"
            continue
        for number, case in enumerate(OPS[name]):
            yield f"{name} {number}", generate(graph_of([case]))[0], "cases"


def main() -> int:
    """Prove; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    failed = 0
    with ThreadPoolExecutor(given.jobs) as pool:
        for proof in pool.map(lambda job: prove(*job), jobs(given.names)):
            failed += not proof.proved
            verdict = "proved" if proof.proved else "\n  ".join(["NOT PROVED", *proof.alarms, proof.failure])
            print(f"{proof.name}: {verdict} ({proof.seconds:.0f} s)", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
