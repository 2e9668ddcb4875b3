"""Mutation fuzzing of the whole compiler: damaged ONNX files lead to C or to diagnostics, within 10 s and 2 GiB.

    python tests/fuzz/mutate.py 10000 --first 0        # mutations 0 … 9999 in two processes

Workers are processes of their own, killed when they take too long; what is not a diagnostic is printed, stored below
tests/fuzz/regressions, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

REGRESSIONS = HERE / "regressions"
SECONDS = 10.0  # of CPU time; wall-clock time depends on what else the machine does
PATIENCE = 60.0
MEMORY = 2 << 30
OPTIONS: tuple[dict[str, object], ...] = ({}, {"sign_zero": 1}, {"input_scale": 1 / 255}, {"target": "cortex-m4"})


@dataclass(frozen=True)
class Outcome:
    """What one mutation led to: ok, refused, or a finding (traceback, hang, died)."""

    number: int
    kind: str
    detail: str = ""
    seconds: float = 0.0

    @property
    def finding(self) -> bool:
        """True for anything but C code or diagnostics."""
        return self.kind not in ("ok", "refused")


def compile_bytes(data: bytes, number: int) -> tuple[str, str]:
    """Compile a file; kind and detail of the outcome."""
    import traceback

    from bnn2c.errors import CompileError
    from bnn2c.options import Options
    from bnn2c.pipeline import compile_model

    try:
        compile_model(data, Options(name="fuzz", **OPTIONS[number % len(OPTIONS)]))  # type: ignore[arg-type]
    except CompileError as error:
        str(error)
        return "refused", error.diagnostics[0].line()
    except BaseException as error:
        where = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
        return "traceback", f"{type(error).__name__}: {str(error)[:200]} at {' '.join(where[-4:])}"
    return "ok", ""


def work() -> None:
    """The worker: reads numbers, answers one line of JSON each."""
    import faulthandler
    import resource

    from mutations import mutate
    from seeds import seed_files

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    files = [data for _, data in seed_files()]
    for line in sys.stdin:
        name = line.strip()
        if name.isdigit():
            number = int(name)
            data = mutate(files[number % len(files)], number)
        else:
            data = Path(name).read_bytes()
            number = int(Path(name).stem.split("-")[-1])
        faulthandler.dump_traceback_later(PATIENCE - 2)
        start = time.process_time()
        kind, detail = compile_bytes(data, number)
        seconds = time.process_time() - start
        answers.write(json.dumps([kind if seconds < SECONDS else "hang", detail, seconds]) + "\n")
        faulthandler.cancel_dump_traceback_later()
        answers.flush()


class Worker:
    """One worker process, started again after it had to be killed."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the object lives

    def run(self, job: int | Path) -> Outcome:
        """Compile one mutation, or a stored file."""
        number = job if isinstance(job, int) else int(job.stem.split("-")[-1])
        process = self.process = self.process or self._start()
        assert process.stdin and process.stdout
        start = time.perf_counter()
        process.stdin.write(f"{job}\n".encode())
        process.stdin.flush()
        answer = _line(process.stdout, PATIENCE)
        seconds = time.perf_counter() - start
        if answer:
            return Outcome(number, *json.loads(answer))
        self.process = None
        if answer is None:
            process.kill()
        status = process.wait()
        return Outcome(
            number, "hang" if answer is None else "died", f"exit status {status}; {self._last_words()}", seconds
        )

    def _last_words(self) -> str:
        """Where it was, innermost first, when it was killed."""
        self.log.seek(0)
        lines = [line.decode(errors="replace") for line in self.log.readlines()]
        return " ".join(line.split("/")[-1].strip() for line in lines if "File" in line)[:400]

    def _start(self) -> subprocess.Popen[bytes]:
        limits = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, str(HERE / "mutate.py"), "--worker"]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.log, env={**os.environ, **limits})

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


def _line(stream: IO[bytes], seconds: float) -> bytes | None:
    """A line, empty at the end of the stream, None when nothing came in time."""
    ready, _, _ = select.select([stream], [], [], seconds)
    return stream.readline() if ready else None


def campaign(jobs: Sequence[int | Path], processes: int = 2) -> Iterator[Outcome]:
    """Run mutations in several processes."""
    workers = [Worker() for _ in range(processes)]

    def share(place: int) -> list[Outcome]:
        return [workers[place].run(job) for job in jobs[place::processes]]

    try:
        with ThreadPoolExecutor(processes) as pool:
            for outcomes in pool.map(share, range(processes)):
                yield from outcomes
    finally:
        for worker in workers:
            worker.close()


def stored() -> list[Path]:
    """Files that were findings once."""
    return sorted(REGRESSIONS.glob("*.onnx"))


def store(outcome: Outcome) -> Path:
    """Keep the file of a finding as a regression test."""
    from mutations import mutate
    from seeds import seed_files

    files = [data for _, data in seed_files()]
    REGRESSIONS.mkdir(exist_ok=True)
    path = REGRESSIONS / f"{outcome.kind}-{outcome.number}.onnx"
    path.write_bytes(mutate(files[outcome.number % len(files)], outcome.number))
    return path


def main() -> int:
    """Run a campaign; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="store the files of findings as regression tests")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work()
        return 0
    outcomes = list(campaign(range(given.first, given.first + given.count), given.jobs))
    findings = [outcome for outcome in outcomes if outcome.finding]
    for outcome in findings:
        print(
            outcome.number,
            outcome.kind,
            outcome.detail,
            f"{outcome.seconds:.1f} s",
            store(outcome) if given.keep else "",
        )
    slowest = max(outcomes, key=lambda o: o.seconds)
    print(
        f"{len(outcomes)} mutations: {dict(Counter(o.kind for o in outcomes))}, slowest {slowest.seconds:.1f} s "
        f"({slowest.number})"
    )
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
