"""Windows of a pool that lie in the padding: dilated ones, whose taps are on both sides of the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import Net, compiled, ort_session

from bnn2c.errors import CompileError
from bnn2c.toolchain import build_shared


@pytest.mark.parametrize("signs", [False, True])
def test_a_maximum_of_nothing_is_refused(signs: bool) -> None:
    """onnxruntime says that it is the smallest number; packed codes have none, and ONNX does not say what it is."""
    n = Net()
    x = n.input([1, 3, 2, 3])
    x = n.add("Sign", n.add("Add", x, 0.5)) if signs else x
    model = n.model(n.add("MaxPool", x, kernel_shape=[2, 2], dilations=[3, 3], pads=[1, 1, 1, 1]))
    with pytest.raises(CompileError, match="BNN006.* holds no pixel"):
        compiled(model)


@pytest.mark.parametrize("count_include_pad", [0, 1])
def test_an_average_of_nothing_is_zero(count_include_pad: int, tmp_path: Path) -> None:
    n = Net(opset=19)
    window = {"kernel_shape": [2, 2], "dilations": [3, 2], "pads": [1, 1, 1, 1]}
    model = n.model(n.add("AveragePool", n.input([1, 3, 2, 4]), count_include_pad=count_include_pad, **window))
    x = np.arange(1, 25, dtype=np.float32).reshape(1, 3, 2, 4)
    found, (wanted,) = compiled(model), ort_session(model)([x])
    made = build_shared(found.files, found.manifest, tmp_path).run([x])[0]
    np.testing.assert_array_equal(made.ravel(), wanted.ravel())
