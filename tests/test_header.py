"""What the generated header says is what the network has: sizes, hash, layers, whose the files are."""

from __future__ import annotations

import re
from math import prod

import numpy as np
import pytest
from models import Net, compiled

from bnn2c.pipeline import Compiled
from bnn2c.targets import list_targets


def network(weight: float = 1.0, target: str = "portable") -> Compiled:
    n = Net()
    x = n.add("Sign", n.add("Sub", n.input([1, 3, 5, 5]), 0.5))
    x = n.add("Conv", x, np.where(np.arange(270).reshape(10, 3, 3, 3) % 7 > 2, weight, -1.0).astype(np.float32))
    x = n.add("Sign", n.add("Add", x, 0.5))
    return compiled(n.model(x, n.add("Flatten", x)), name="kws", target=target)


def macros(found: Compiled) -> dict[str, str]:
    """Name without the prefix -> value without the suffix u."""
    return {name: value.rstrip("u") for name, value in re.findall(r"#define KWS_(\w+) (\S+)", found.files["kws.h"])}


def test_the_sizes_of_inputs_outputs_and_layers() -> None:
    found = network()
    told, manifest = macros(found), found.manifest
    for kind in ("input", "output"):
        for port in manifest[f"{kind}s"]:
            assert int(told[f"{kind.upper()}_{port['c_name'].upper()}_COUNT"]) == prod(port["shape"])
            assert f" {port['c_name']}[{prod(port['shape'])}];" in found.files["kws.h"]
    numbers = [str(number) for number in range(len(manifest["layers"]))]
    assert told["LAYER_COUNT"] == str(len(numbers))
    for hook in ("BEGIN", "END"):
        assert re.findall(rf"BNN2C_LAYER_{hook}\((\d+)\);", found.files["kws.c"]) == numbers


@pytest.mark.parametrize("target", list_targets())
def test_memory_is_that_of_the_manifest_on_every_target(target: str) -> None:
    found = network(target=target)
    told = macros(found)
    for name in ("arena_bytes", "arena_align", "stack_bytes"):
        assert int(told[name.upper()]) == found.manifest[name]


def test_the_hash_is_that_of_the_model() -> None:
    first, same, other = (network(), network(), network(weight=0.5))
    hashes = [macros(found)["MODEL_SHA256"].strip('"') for found in (first, same, other)]
    assert hashes[0] == hashes[1] != hashes[2] and re.fullmatch("[0-9a-f]{64}", hashes[0])
    assert hashes[0] == first.manifest["model_sha256"]


def test_whose_the_files_are() -> None:
    files = network().files
    assert "others that carry the model's name belong to you" in " ".join(files["kws.h"].replace("*", " ").split())
    assert "MIT licence" in files["kws.h"]
    assert "SPDX-License-Identifier: MIT" in files["bnn2c.h"]


def test_how_it_was_compiled_is_recorded() -> None:
    n = Net()
    x = n.input([1, 8])
    found = compiled(n.model(x, n.add("Sign", x)), name="kws", target="cortex-m0", optimize="speed", input_scale=0.5)
    assert "for target cortex-m0, --optimize speed;" in found.files["kws.h"]
    assert found.manifest["options"] == {"optimize": "speed", "input_scale": 0.5}
    assert network().manifest["options"] == {"optimize": "balanced"}


def test_bytes_of_layers_add_up_to_those_of_the_constants() -> None:
    """Equal arrays are stored once, and counted where they are met first."""
    n = Net()
    x = n.input([1, 8])
    table = np.linspace(-1, 1, 8).astype(np.float32)
    pair = [n.add("Tanh", n.add("Mul", x, table)), n.add("Sigmoid", n.add("Add", x, table))]
    found = compiled(n.model(x, n.add("Concat", *pair, axis=1))).manifest
    assert found["weights_bytes"] == sum(layer["weight_bytes"] for layer in found["layers"]) > 0
    assert network().manifest["weights_bytes"] == sum(row["weight_bytes"] for row in network().manifest["layers"])


def test_constants_say_what_they_are() -> None:
    found = network().files["kws_weights.c"]
    assert (
        len(re.findall(r"^/\* [^\n]+: \w+, [\dx]+ \*/\nBNN2C_WEIGHTS_SECTION", found, re.M)) == found.count("] = {") > 1
    )
