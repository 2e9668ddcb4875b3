"""Every operation's CASES: its C, alone in a program, against its numpy reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bnn2c.emit import emit
from bnn2c.emit.manifest import facts_of, manifest_of
from bnn2c.ir import Graph, Op, Port, TensorType
from bnn2c.ir.builder import Builder
from bnn2c.ir.graph import outputs
from bnn2c.memory import plan_memory
from bnn2c.ops import all_ops
from bnn2c.options import Options
from bnn2c.targets import load_target
from bnn2c.toolchain import build_shared

DTYPES = {"f32": "float32", "i32": "int32", "i8": "int8", "u8": "uint8"}
CASES = [
    pytest.param(op, types, id=f"{kind}-{number}")
    for kind, found in all_ops().items()
    for number, (op, types) in enumerate(found.CASES)
]


def one_node(op: Op, types: tuple[TensorType, ...]) -> Graph:
    """A graph whose inputs are the operands and whose output is the result."""
    builder = Builder("case")
    for number, kind in enumerate(types):
        builder.add_input(Port(f"x{number}", f"x{number}", kind.shape, DTYPES[kind.storage]), kind)
    name = builder.emit(op, [f"x{number}" for number in range(len(types))], "y")
    made = builder.types[name]
    builder.outputs.append(Port("y", name, made.shape, DTYPES[made.storage]))
    return builder.build()


@pytest.mark.parametrize(("op", "types"), CASES)
def test_c_is_the_reference(op: Op, types: tuple[TensorType, ...], tmp_path: Path) -> None:
    graph = one_node(op, types)
    plan, target = plan_memory(graph), load_target("portable")
    files, layers, pool = emit(graph, plan, "case", facts_of("case", "0" * 64, target, Options()))
    library = build_shared(files, manifest_of(graph, plan, "case", "0" * 64, target, layers, pool, files), tmp_path)
    rng = np.random.default_rng(0)
    for _ in range(3):
        feeds = [rng.integers(-100, 100, kind.shape).astype(DTYPES[kind.storage]) for kind in types]
        (expected,) = outputs(graph, feeds)
        (found,) = library.run(feeds)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(expected).max()))


def test_operations_with_cases_are_found() -> None:
    assert len(CASES) >= 5
