"""MISRA C:2012: no rule is violated that docs/misra.md does not list; the static analysers of gcc and clang agree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import misra

ANALYSERS = {
    "gcc": ["gcc", "-std=c99", "-O2", "-fanalyzer", "-c", "-o", "/dev/null"],
    "clang": ["clang", "-std=c99", "--analyze", "--analyzer-output", "text"],
}
WARNING = re.compile(r"^(\S+?):\d+:\d+: warning: (.*)$", re.M)
# The analysers do not see that `planes` digits are preset before `planes` digits are read, and that one of three result
# pointers is set. MemorySanitizer and AddressSanitizer run the same code below.
FALSE_ALARMS = {
    ("bnn2c_lanes.h", "garbage value"),
    ("bnn2c_sliced_counts.h", "uninitialized value"),
    ("bnn2c_lane_counts.h", "uninitialized value"),
    ("bnn2c_lane_counts.h", "dereference of NULL"),
}
MAIN = """
#include "charlm.h"
#include "cnn.h"
#include "functions.h"
#include "kws.h"
#include "mlp.h"
#include "real.h"
#include <stdlib.h>
#include <string.h>
#define RUN(name, NAME) do { \\
  static name##_input_t in; name##_output_t *out = malloc(sizeof(*out)); \\
  void *arena = malloc(NAME##_ARENA_BYTES + 1u); \\
  if (name##_run(&in, out, arena) != BNN2C_OK) { return 1; } \\
  for (size_t i = 0; i < sizeof(*out); i++) { if (((unsigned char *)out)[i] == 0xA7u) { sum++; } } \\
  free(out); free(arena); } while (0)
int main(void) {
  volatile int sum = 0;
  RUN(charlm, CHARLM);
  RUN(cnn, CNN);
  RUN(functions, FUNCTIONS);
  RUN(kws, KWS);
  RUN(mlp, MLP);
  RUN(real, REAL);
  return 0;
}
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return misra.generate(tmp_path_factory.mktemp("misra"))


def only_listed(sources: list[Path], processor: str = "portable") -> set[str]:
    """The files of the findings, all of which violate a rule that the page lists."""
    if shutil.which("cppcheck") is None:
        pytest.skip("cppcheck is not installed")
    found = misra.findings(sources, processor)
    assert [finding for finding in found if finding[2] not in misra.listed()] == []
    return {file for file, _, _ in found}


@pytest.mark.slow
def test_generated_code_violates_only_listed_rules(sources: list[Path]) -> None:
    assert only_listed(sources) >= {"cnn.c", "kws.c", "real.c"}


@pytest.mark.slow
@pytest.mark.parametrize("processor", misra.PROCESSORS)
def test_all_of_the_runtime_violates_only_listed_rules(processor: str, tmp_path: Path) -> None:
    """With the intrinsics of each processor, whose own headers are not looked at."""
    assert len(only_listed([misra.runtime(tmp_path)], processor)) > 50


def test_the_page_on_trust_counts_the_rules() -> None:
    page = (misra.ROOT / "docs" / "trust.md").read_text("utf-8")
    assert f"{len(misra.listed())} rules listed" in page


def test_a_violation_is_found(tmp_path: Path) -> None:
    if shutil.which("cppcheck") is None:
        pytest.skip("cppcheck is not installed")
    bad = tmp_path / "bad.c"
    bad.write_text("int f(int x);\nint f(int x) {\n  if (x > 0) goto out;\n  x = 010;\nout:\n  return x;\n}\n")
    rules = {rule for _, _, rule in misra.findings([bad])}
    assert {"15.1", "7.1"} <= rules
    assert not {"15.1", "7.1"} & misra.listed()


@pytest.mark.slow
@pytest.mark.parametrize("analyser", ANALYSERS)
def test_static_analysers_find_nothing(sources: list[Path], analyser: str) -> None:
    command = ANALYSERS[analyser]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    for source in sources:
        run = subprocess.run(
            [*command, str(source)], cwd=source.parent, capture_output=True, text=True, timeout=300, check=True
        )
        found = {(Path(file).name, text) for file, text in WARNING.findall(run.stderr)}
        assert [f for f in found if not any(f[0] == name and part in f[1] for name, part in FALSE_ALARMS)] == []


@pytest.mark.parametrize("sanitizer", ["memory", "address,undefined"])
def test_sanitizers_clear_the_false_alarms(sources: list[Path], tmp_path: Path, sanitizer: str) -> None:
    """Every byte of the outputs is defined, and decided on, so that MemorySanitizer would speak."""
    if shutil.which("clang") is None:
        pytest.skip("clang is not installed")
    main = tmp_path / "main.c"
    main.write_text(MAIN, "utf-8")
    flags = ["-std=gnu99", "-O1", "-g1", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
    parts = [f"-I{sources[0].parent}", str(main), *map(str, sources), "-lm"]
    command = ["clang", *flags, *parts, "-o", str(tmp_path / "run")]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    run = subprocess.run([str(tmp_path / "run")], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
