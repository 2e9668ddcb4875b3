"""The report: its numbers, its verdict, and that a model's names cannot inject anything into the page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from sample_compiled import LAYERS, manifest, report_data

from bnn2c.errors import plural
from bnn2c.report import Limits, Measured, Report, build_report
from bnn2c.report.charts import memory_map, shortened, weight_bars
from bnn2c.report.units import bytes_text, count_text

MEASURED = Measured(code_bytes=2_000, constant_bytes=124_000, compiler="arm-none-eabi-gcc 12.2")


@pytest.fixture
def report() -> Report:
    return build_report(manifest(), report_data())


def test_sizes_add_up(report: Report) -> None:
    sizes = report.data["sizes"]
    assert sizes["flash_bytes"] == sizes["constant_bytes"] + sizes["code_bytes"]
    assert sizes["constant_bytes"] == sum(layer[5] for layer in LAYERS)
    assert sizes["ram_bytes"] == 6_760 + 312 + 784 + 40
    assert sizes["code_measured"] is False


def test_measured_sizes_replace_estimates() -> None:
    sizes = build_report(manifest(), report_data(), MEASURED).data["sizes"]
    assert (sizes["flash_bytes"], sizes["code_measured"]) == (126_000, True)


@pytest.mark.parametrize(
    ("limits", "fits", "words"),
    [
        (Limits(), None, "Needs"),
        (Limits(flash_bytes=200_000, ram_bytes=10_000), True, "Fits"),
        (Limits(flash_bytes=126_000), True, "Fits"),
        (Limits(flash_bytes=125_999), False, "flash is 1 B too small"),
        (Limits(ram_bytes=1_024), False, "RAM is"),
        (Limits(flash_bytes=0), False, "flash is"),
    ],
)
def test_verdict(limits: Limits, fits: bool | None, words: str) -> None:
    report = build_report(manifest(), report_data(), MEASURED, limits)
    assert report.fits is fits
    assert words in report.data["verdict"]["text"]
    assert report.text().startswith(report.data["verdict"]["text"])


def test_text_states_what_exactness_rests_on(report: Report) -> None:
    text = report.text()
    assert "36,864 (channel, value) pairs evaluated" in text
    assert "conv2 channel 17 value -4 float32 +1, float64 -1" in text
    assert "2 dead channels" in text
    assert "warning[BNN015] (fc1/Sign): 2 of 256 channels are dead" in text


def test_json_is_versioned_and_complete(report: Report) -> None:
    data = json.loads(report.json())
    assert data == report.data
    assert data["schema"] == 1
    assert [layer["name"] for layer in data["layers"]] == [layer[0] for layer in LAYERS]
    assert data["exactness"]["rounding"] == [
        {"layer": "conv2", "channel": 17, "value": -4, "note": "float32 +1, float64 -1"}
    ]
    assert data["warnings"][0]["code"] == "BNN015"


def test_facts_may_come_by_layer_index() -> None:
    facts = {3: {"evaluated_pairs": 7}}
    report = build_report(manifest(), {"layers": facts})
    assert [layer["evaluated_pairs"] for layer in report.data["layers"]] == [0, 0, 0, 7, 0, 0, 0, 0]


def test_report_of_a_model_without_layers() -> None:
    empty = {**manifest(), "layers": [], "inputs": [], "outputs": [], "arena_bytes": 0, "weights_bytes": 0}
    report = build_report(empty, {})
    assert "0 B" in report.text()
    assert "<html" in report.html()


def test_rendering_is_repeatable() -> None:
    first, second = (build_report(manifest(), report_data()) for _ in range(2))
    assert (first.text(), first.json(), first.html()) == (second.text(), second.json(), second.html())


class _Page(HTMLParser):
    """Collects tags, and checks that they are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


def _parsed(html: str) -> _Page:
    page = _Page()
    page.feed(html)
    assert page.stack == []
    return page


def test_html_is_well_formed_self_contained_and_accessible(report: Report) -> None:
    html = report.html()
    page = _parsed(html)
    assert not any("src" in attrs or "href" in attrs for _, attrs in page.tags)
    assert "script" not in {tag for tag, _ in page.tags}
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    charts = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert len(charts) == 3
    for attrs in charts:
        assert attrs["role"] == "img"
        assert set(str(attrs["aria-labelledby"]).split()) <= set(ids)


def test_html_escapes_names_of_the_model() -> None:
    evil = "</title><script>alert(1)</script>"
    data, facts = manifest(evil), report_data()
    data["layers"][1]["name"] = evil
    facts["layers"][1]["why"] = [evil]
    facts["memory"][0]["name"] = evil
    html = build_report(data, facts).html()
    _parsed(html)
    assert "<script" not in html


def _buffer(**changes: Any) -> dict[str, Any]:
    return {"name": "a", "offset": 0, "bytes": 50, "first": 0, "last": 1, **changes}


def test_memory_map_keeps_boxes_inside_of_the_plot() -> None:
    layers = [{"name": f"layer{i}", "index": i} for i in range(4)]
    buffers = [_buffer(), _buffer(offset=50, last=3)]
    chart = memory_map(buffers, layers, 100)
    low, high = chart["boxes"]
    assert low["y"] + low["height"] <= chart["bottom"]
    assert high["y"] == pytest.approx(chart["top"], abs=0.1)
    assert high["x"] + high["width"] <= chart["right"]
    assert [step["text"] for step in chart["steps"]] == ["layer0", "layer1", "layer2", "layer3"]


def test_memory_map_of_many_layers_labels_only_some() -> None:
    layers = [{"name": f"layer{i}", "index": i} for i in range(300)]
    assert len(memory_map([_buffer()], layers, 100)["steps"]) <= 30


def test_weight_bars_leave_out_layers_without_weights(report: Report) -> None:
    bars = weight_bars(report.data["layers"])["bars"]
    assert [bar["full"] for bar in bars] == [layer[0] for layer in LAYERS if layer[5]]
    assert [bar["segments"][0]["kind"] for bar in bars][-1] == "real"


def test_constants_of_layers_that_multiply_nothing_are_no_weights() -> None:
    layer = {"name": "bias", "weight_bytes": 64, "binary_macs": 0, "real_macs": 0}
    (bar,) = weight_bars([layer])["bars"]
    assert [segment["kind"] for segment in bar["segments"]] == ["other"]


def test_shortened_keeps_the_end() -> None:
    assert shortened("/features/features.7/conv3", 70) == "…s.7/conv3"
    assert shortened("conv", 66) == "conv"
    assert shortened("a long name", 10) == ""


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (7_376, "7.2 KiB"), (1_572_864, "1.50 MiB")]
)
def test_bytes_text(count: int, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (59_008, "59.0 k"),
        (999_999, "1.00 M"),
        (1_552_512, "1.55 M"),
        (2 * 10**13, "20.0 T"),
    ],
)
def test_count_text(count: int, text: str) -> None:
    assert count_text(count) == text


def test_plural() -> None:
    assert (plural(1, "layer"), plural(2_000, "layer")) == ("1 layer", "2,000 layers")
