"""Runs cppcheck's MISRA C:2012 addon on generated code and all of the runtime; compares the rules with docs/misra.md.

python scripts/misra.py            # prints findings per rule; exit status 1 when a rule is not listed
python scripts/misra.py 10.3 10.6  # prints the places of some rules
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "fuzz")]
PAGE = ROOT / "docs" / "misra.md"
FINDING = re.compile(r"^(.*):(\d+): misra-c2012-(\d+\.\d+)$", re.M)
PROCESSORS = {
    "portable": [],
    "rv32imc": ["__GNUC__=12", "__riscv=1", "BNN2C_DIAGONALS=1"],
    "aarch64": ["__GNUC__=12", "__ARM_NEON=1", "__aarch64__=1", "BNN2C_LANE_WORDS=4"],
    "cortex-m55": ["__GNUC__=12", "__ARM_FEATURE_MVE=1", "__ARM_FEATURE_DSP=1", "BNN2C_LANE_WORDS=4"],
    "x86_64": ["__clang__=14", "__AVX2__=1", "__AVX512VPOPCNTDQ__=1", "__AVX512VL__=1", "BNN2C_LANE_WORDS=8"],
}


def generate(folder: Path) -> list[Path]:
    """C of a few models that use most of the runtime; the sources."""
    import seeds

    from bnn2c.options import Options
    from bnn2c.pipeline import compile_model

    examples = ROOT / "examples"
    digits = examples / "digits"
    vectors = digits / "digits_test.npz"
    charlm = examples / "charlm" / "charlm.onnx"
    made = [
        (digits / "digits_cnn.onnx", Options(name="cnn", input_scale=1 / 255, integrity=True, selftest=vectors)),
        (digits / "digits_mlp.onnx", Options(name="mlp", input_scale=1 / 255, optimize="speed")),
        (seeds.cnn(), Options(name="real", optimize="size")),
        (seeds.functions(), Options(name="functions")),
        (examples / "kws" / "kws.onnx", Options(name="kws", stream=2, stream_frames=4, input_scale=0.05)),
        (charlm, Options(name="charlm", target="cortex-m4", states=(("state", "next_state"),))),
    ]
    for source, options in made:
        for name, text in compile_model(source, options).files.items():
            (folder / name).write_text(text, "utf-8")
    return sorted(folder.glob("*.c"))


def runtime(folder: Path) -> Path:
    """A source that includes every header of the runtime, where it is."""
    source = folder / "runtime.c"
    headers = sorted((ROOT / "runtime_c").glob("*.h"))
    source.write_text("".join(f'#include "{header}"\n' for header in headers), "utf-8")
    return source


def findings(sources: Sequence[Path], processor: str = "portable") -> list[tuple[str, int, str]]:
    """(file, line, rule) of every finding in what that processor's macros select."""
    command = [
        "cppcheck",
        "--addon=misra",
        "--std=c99",
        "--enable=style",
        "--max-configs=1",
        *(f"-D{macro}" for macro in PROCESSORS[processor]),
        "--suppress=*:*/usr/*",
        "-q",
        "--template={file}:{line}: {id}",
    ]
    run = subprocess.run([*command, *map(str, sources)], capture_output=True, text=True, timeout=1500, check=True)
    return sorted({(Path(file).name, int(line), rule) for file, line, rule in FINDING.findall(run.stderr)})


def listed() -> set[str]:
    """Rules that docs/misra.md lists with a reason."""
    return set(re.findall(r"^\| (\d+\.\d+) \|", PAGE.read_text("utf-8"), re.M))


def main() -> int:
    """Run; returns the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        found = set(findings(generate(Path(folder))))
        headers = runtime(Path(folder))
        for processor in PROCESSORS:
            found |= set(findings([headers], processor))
    for file, line, rule in sorted(found):
        if rule in sys.argv[1:] or (rule not in listed() and not sys.argv[1:]):
            print(f"{file}:{line}: rule {rule}")
    counts = Counter(rule for _, _, rule in found)
    print(
        ", ".join(
            f"{rule}: {n}" for rule, n in sorted(counts.items(), key=lambda item: [int(x) for x in item[0].split(".")])
        )
    )
    return int(bool(set(counts) - listed()))


if __name__ == "__main__":
    sys.exit(main())
