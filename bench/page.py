"""docs/bench.md: the counts beside the goals."""

from __future__ import annotations

from pathlib import Path

from goals import CMSIS_NN_I32, MAX_BITS_PER_WEIGHT, goal
from networks import TITLES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "bench.md"
HEAD = """<!-- Written by `make bench`; do not edit. -->

# Counted instructions

Executed instructions, counted exactly by a plugin of QEMU, of the C that bnn2c generates for one-layer networks with
random weights; *i32* is instructions per 32 binary multiply-accumulates, everything in the layer included: loads,
loops, borders, thresholds, packing of the result. The count is the same for every input. bnn2c is run with
`--optimize speed` (compiled with -O3) or `--optimize size` (-Os), without any flag besides the target's. x86_64_avx512
is counted on a processor that has it, by single steps; nothing else here was run on silicon: cycles depend on the core,
its memory and its caches. **Bold** misses the goal.

`make bench` measures again; `make bench-diff` compares with bench/baseline.json and fails when a count grew by more
than 2 %. docs/kernels.md explains the kernels.

![instructions per 32 binary multiply-accumulates](../bench/results.svg)
"""
CONVERSIONS = """
*With conversions*: class sharing works on bit planes per channel; when a neighbour of the layer does not, its input and
output are converted. In a chain of such layers they are not.
"""
MISSED = "**"


def page(rows: list[dict]) -> str:
    """The whole page."""
    parts = [HEAD, layer_table(rows, "C"), CONVERSIONS, layer_table(rows, "F"), variants(rows), size(rows), cnv(rows)]
    return "\n".join([*parts, accuracy(rows)])


def layer_table(rows: list[dict], network: str) -> str:
    """One network at `speed`, a row per target."""
    head = ("target", "kernel", "instructions", "i32", "goal", "with conversions", "bits per weight", "with thresholds")
    body = [
        (r["target"], r["kernel"], f"{r['instructions']:,}", marked(r), goal_of(r), f"{r['i32_with_conversions']:.2f}",
         *bits(r))
        for r in chosen(rows, network, "speed")
    ]  # fmt: skip
    return f"## Layer {network}: {TITLES[network]}\n\n" + table(head, body)


def variants(rows: list[dict]) -> str:
    """Other shapes at `speed`: a row per target, a column per shape."""
    names = list(dict.fromkeys(r["network"] for r in rows if r["network"].startswith("C ")))
    targets = list(dict.fromkeys(r["target"] for r in rows))
    cells = {(r["target"], r["network"]): marked(r) for r in rows if r["optimize"] == "speed"}
    body = [(t, *(cells.get((t, name), "-") for name in ("C", *names))) for t in targets]
    text = "Goal: within 1.5 times the goal of C. The first column is C itself; the others change one thing of it.\n\n"
    return f"## Other shapes, i32\n\n{text}" + table(("target", "C", *(n.removeprefix("C ") for n in names)), body)


def size(rows: list[dict]) -> str:
    """C and F at `size`."""
    head = ("target", "layer", "kernel", "instructions", "i32", "goal", "bits per weight", "with thresholds", "code")
    body = [
        (r["target"], r["network"], r["kernel"], f"{r['instructions']:,}", marked(r), goal_of(r), *bits(r),
         f"{r['code_bytes']:,} B")
        for network in ("C", "F") for r in chosen(rows, network, "size")
    ]  # fmt: skip
    text = "Code is that of the whole network.\n\n"
    return f"## At --optimize size\n\n{text}" + table(head, body)


def cnv(rows: list[dict]) -> str:
    """The whole network."""
    head = ("target", "--optimize", "instructions", "i32", "against int8", "flash", "arena", "stack")
    body = [
        (r["target"], r["optimize"], f"{r['instructions']:,}", marked(r), f"{CMSIS_NN_I32 / r['i32']:.1f} x",
         *(f"{r[key]:,} B" for key in ("flash_bytes", "arena_bytes", "stack_bytes")))
        for optimize in ("speed", "size") for r in chosen(rows, "CNV_1W1A", optimize)
    ]  # fmt: skip
    text = (
        f"{TITLES['CNV_1W1A']}; random weights,\n"
        "uint8 pixels in, logits out, every layer counted. *Against int8*: how many times fewer instructions than\n"
        f"{CMSIS_NN_I32} per 32 multiply-accumulates, which CMSIS-NN's arm_convolve_s8 takes on a Cortex-M4\n"
        "(comparable only there). The goal on Cortex-M4 is 10.\n\n"
    )
    return f"## CNV_1W1A\n\n{text}" + table(head, body)


def accuracy(rows: list[dict]) -> str:
    """How good the predictions are."""
    errors = {r["key"]: r["predicted"] / r["instructions"] - 1 for r in rows if r.get("predicted")}
    if not errors:
        return ""
    worst = max(errors, key=lambda key: abs(errors[key]))
    within = sum(abs(error) <= 0.1 for error in errors.values())
    return (
        f"## Predictions\n\nThe cost model that chooses kernels is within 10 % of the count in {within} of "
        f"{len(errors)} rows; the worst is\n{worst} with {errors[worst]:+.0%}.\n"
    )


def chosen(rows: list[dict], network: str, optimize: str) -> list[dict]:
    """Rows of one network and setting."""
    return [r for r in rows if (r["network"], r["optimize"]) == (network, optimize)]


def marked(row: dict) -> str:
    """The i32, bold where it misses the goal."""
    wanted = goal(row["network"], row["target"], row["optimize"])
    mark = MISSED if wanted is not None and row["i32"] > wanted else ""
    return f"{mark}{row['i32']:.2f}{mark}"


def goal_of(row: dict) -> str:
    wanted = goal(row["network"], row["target"], row["optimize"])
    return "" if wanted is None else f"{wanted:g}"


def bits(row: dict) -> tuple[str, str]:
    """Flash per weight, and with thresholds and border classes."""
    mark = MISSED if row["bits_per_weight"] > MAX_BITS_PER_WEIGHT else ""
    return f"{mark}{row['bits_per_weight']:.2f}{mark}", f"{row['bits_with_thresholds']:.2f}"


def table(head: tuple[str, ...], body: list[tuple[str, ...]]) -> str:
    """Markdown, numbers to the right."""
    numeric = [i > 0 and all(_is_number(line[i]) for line in body) for i in range(len(head))]
    rule = "|" + "|".join(" ---: " if right else " --- " for right in numeric) + "|"
    return "\n".join([_line(head), rule, *map(_line, body)]) + "\n"


def _is_number(cell: str) -> bool:
    return not cell or cell.strip("*")[0] in "0123456789-"


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
