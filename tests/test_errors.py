"""Diagnostics: their text, their catalogue, and what an error with several of them looks like."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bnn2c.errors import CATALOGUE, CompileError, Diagnostic
from bnn2c.options import Options

ROOT = Path(__file__).resolve().parent.parent


def test_text_has_one_line_per_known_detail() -> None:
    diagnostic = Diagnostic("BNN005", "operator NonZero is not supported", node="/n", op="NonZero", hint="cut it off")
    assert diagnostic.text().splitlines() == [
        "error[BNN005]: operator NonZero is not supported",
        "  node:        /n",
        "  operator:    NonZero",
        "  what to do:  cut it off",
    ]


def test_text_of_names_from_a_model_cannot_break_lines_or_colour_a_terminal() -> None:
    text = Diagnostic("BNN005", "bad", node="a\nerror[BNN000]: faked\x1b[31m").text()
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text


def test_dict_has_every_key() -> None:
    assert Diagnostic("BNN007", "m").as_dict() == {
        "code": "BNN007",
        "severity": "error",
        "message": "m",
        "node": "",
        "op": "",
        "shapes": "",
        "why": "",
        "hint": "",
    }


def test_unknown_code_is_refused() -> None:
    with pytest.raises(ValueError, match="BNN999"):
        Diagnostic("BNN999", "m")


def test_error_shows_all_diagnostics() -> None:
    error = CompileError([Diagnostic("BNN005", "first"), Diagnostic("BNN007", "second")])
    assert str(error) == "error[BNN005]: first\n\nerror[BNN007]: second"
    assert CompileError.single("BNN001", "m", hint="h").diagnostics == (Diagnostic("BNN001", "m", hint="h"),)
    with pytest.raises(ValueError, match="at least one"):
        CompileError([])


@pytest.mark.parametrize("code", CATALOGUE)
def test_catalogue_entry_is_complete(code: str) -> None:
    info = CATALOGUE[code]
    assert re.fullmatch(r"BNN\d{3}", code)
    assert not info.title.endswith(".")
    assert info.explain.endswith(".") and len(info.explain.split()) >= 15
    assert info.action.endswith(".")


def test_every_code_in_the_source_is_in_the_catalogue() -> None:
    used = {
        code for path in (ROOT / "bnn2c").rglob("*.py") for code in re.findall(r'"(BNN\d{3})"', path.read_text("utf-8"))
    }
    assert used <= set(CATALOGUE)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"name": "1abc"}, "BNN019"),
        ({"name": "a-b"}, "BNN019"),
        ({"name": "ä"}, "BNN019"),
        ({"name": "kws\n"}, "BNN019"),
        ({"name": "Double"}, "BNN019"),
        ({"name": "bnn2c_x"}, "BNN019"),
        ({"input_scale": 0.0}, "BNN018"),
        ({"input_scale": float("nan")}, "BNN018"),
        ({"input_scale": 1.0, "input_offset": float("inf")}, "BNN018"),
        ({"input_offset": 1.0}, "BNN018"),
        ({"optimize": "fast"}, "BNN019"),
        ({"sign_zero": 0}, "BNN019"),
        ({"max_nodes": 0}, "BNN019"),
    ],
)
def test_bad_option_is_refused(options: dict[str, object], code: str) -> None:
    with pytest.raises(CompileError) as caught:
        Options(**options)  # type: ignore[arg-type]
    assert [one.code for one in caught.value.diagnostics] == [code]


def test_all_bad_options_are_reported_at_once() -> None:
    with pytest.raises(CompileError) as caught:
        Options(name="1", input_scale=0.0, sign_zero=2)
    assert len(caught.value.diagnostics) == 3


def test_good_options() -> None:
    options = Options(name="kws", optimize="size", input_scale=-0.5, input_offset=1.0, sign_zero=-1)
    assert options.target == "portable"
