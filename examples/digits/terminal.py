"""What the demo draws in a terminal: digits side by side, the table of layers, the sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["layer_table", "make_console", "pictures", "say", "size_table", "step"]

Picture = npt.NDArray[np.uint8]

_GAP = 3
_PIPE_WIDTH = 120
_INK = 80
_BAR = 12
# By (upper half has ink) + 2 * (lower half has ink).
_HALF_BLOCKS = " ▀▄█"


def make_console() -> Console:
    """A console on stdout; wide enough for the tables where the output is not a terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


def step(console: Console, text: str) -> None:
    """Announce what the demo does next."""
    console.print(Text(f"\n==> {text}", style="bold"), soft_wrap=True)


def say(console: Console, text: str) -> None:
    """One result of a step, as plain text."""
    console.print(Text(f"    {text}"), soft_wrap=True)


def pictures(console: Console, digits: Sequence[Picture], captions: Sequence[tuple[str, bool]]) -> None:
    """Draw digits uint8 [28, 28] side by side, in half size where the terminal is narrow.

    Args:
        console: where to.
        digits: 0 is paper, 255 is ink.
        captions: per digit what to write below it, and whether it is good news.
    """
    full = (digits[0].shape[1] + _GAP) * len(digits) <= console.width
    drawings = [_half_blocks(digit if full else _halved(digit)) for digit in _cropped(digits)]
    table = Table.grid(padding=(0, _GAP, 0, 0))
    table.add_row(*(Text("\n".join(lines)) for lines in drawings))
    table.add_row(*(Text(text, style="green" if good else "bold red") for text, good in captions))
    console.print(table)


def _cropped(digits: Sequence[Picture]) -> list[Picture]:
    """The digits without the rows above and below, in steps of four, that have no ink in any of them."""
    inked = np.flatnonzero(np.any([(digit > _INK).any(axis=1) for digit in digits], axis=0)) // 4
    return [digit[4 * inked[0] : 4 * inked[-1] + 4] for digit in digits]


def _halved(digit: Picture) -> Picture:
    """Mean of each 2x2 square, brightened so that thin strokes survive."""
    rows, columns = digit.shape
    mean = digit.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
    halved: Picture = np.minimum(mean * 1.4, 255).astype(np.uint8)
    return halved


def _half_blocks(digit: Picture) -> list[str]:
    """One line of text per two rows of pixels."""
    ink = (digit > _INK).astype(int)
    return ["".join(_HALF_BLOCKS[cell] for cell in row) for row in ink[0::2] + 2 * ink[1::2]]


def layer_table(console: Console, layers: Sequence[Mapping[str, Any]], instructions: Sequence[int]) -> None:
    """One row per layer of the manifest and their sum; `instructions` per layer is empty where nothing was counted."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_footer=True, footer_style="bold")
    for header, footer in (("layer", "total"), ("kernel", ""), ("output", "")):
        table.add_column(header, footer, overflow="fold")
    macs, weights = (sum(layer[key] for layer in layers) for key in ("binary_macs", "weight_bytes"))
    table.add_column("binary MACs", f"{macs:,}", justify="right")
    table.add_column("weights", f"{weights:,} B", justify="right")
    if instructions:
        table.add_column("instructions", f"{sum(instructions):,}", justify="right")
        table.add_column("share")
    for index, layer in enumerate(layers):
        table.add_row(*_cells(layer), *_counted(index, instructions))
    console.print(table)


def _counted(index: int, instructions: Sequence[int]) -> list[Text]:
    """Instructions of a layer and its share as a bar; nothing where nothing was counted."""
    if not instructions:
        return []
    share = instructions[index] / sum(instructions)
    return [Text(f"{instructions[index]:,}"), Text("█" * round(_BAR * share) or "▏", style="cyan") + f" {share:.0%}"]


def _cells(layer: Mapping[str, Any]) -> list[Text]:
    shape = "x".join(map(str, layer["output_shape"]))
    macs = f"{layer['binary_macs']:,}" if layer["binary_macs"] else "-"
    weights = f"{layer['weight_bytes']:,} B" if layer["weight_bytes"] else "-"
    return [Text(cell) for cell in (layer["name"], layer["kernel"], shape, macs, weights)]


def size_table(console: Console, rows: Sequence[tuple[str, int, str]]) -> None:
    """Rows of name, bytes and where the number comes from."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(min_width=9)
    table.add_column(justify="right")
    for name, size, source in rows:
        table.add_row(Text(f"    {name}"), f"{size:,} bytes", Text(source, style="dim"))
    console.print(table)
