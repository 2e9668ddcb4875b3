"""The `onnx.backend` interface, and ONNX's own node tests through it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import bnn2c.backend as backend
from bnn2c.errors import CompileError

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

# One or two of every family; scripts/node_tests.py runs all.
_NAMES = """
    test_abs test_add_bcast test_and_bcast3v1d test_argmax_keepdims_example test_averagepool_2d_ceil
    test_basic_conv_with_padding test_batchnorm_example test_cast_FLOAT_to_DOUBLE
    test_castlike_FLOAT_to_FLOAT16 test_clip_default_int8_inbounds test_concat_2d_axis_1
    test_convtranspose_output_shape test_depthtospace_crd_mode_example test_div_uint8 test_einsum_sum
    test_flatten_negative_axis2 test_gathernd_example_int32_batch_dim1 test_gemm_all_attributes
    test_globalmaxpool test_instancenorm_epsilon test_l2normalization_axis_0
    test_layer_normalization_3d_axis1_epsilon test_leakyrelu_example test_matmul_1d_1d
    test_maxpool_2d_uint8 test_maxpool_2d_same_lower test_mean_example test_onehot_negative_indices
    test_prelu_broadcast test_quantizelinear_axis test_reduce_l2_keep_dims_example test_reshape_negative_dim
    test_resize_upsample_sizes_nearest_axes_2_3 test_slice_negative_axes test_softmax_axis_1
    test_spacetodepth_crd_mode_example test_split_variable_parts_1d_opset18
    test_transpose_all_permutations_3 test_where_example test_xor4d
"""
REPRESENTATIVE = _NAMES.split()


def test_only_the_cpu() -> None:
    assert backend.supports_device("CPU")
    assert backend.supports_device("CPU:0")
    assert not backend.supports_device("CUDA")
    with pytest.raises(ValueError, match="CUDA"):
        backend.prepare(onnx.ModelProto(), "CUDA")


def _model(nodes: list[onnx.NodeProto], inputs: dict[str, list[int]], rank: int) -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * rank)
    return helper.make_model(
        helper.make_graph(nodes, "g", infos, [output]), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )


def test_run_model_by_position_and_by_name() -> None:
    model = _model([helper.make_node("Sub", ["a", "b"], ["y"])], {"a": [2, 3], "b": [3]}, 2)
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)
    assert backend.is_compatible(model)
    np.testing.assert_array_equal(backend.run_model(model, [a, b])[0], a - b)
    np.testing.assert_array_equal(backend.prepare(model).run({"b": b, "a": a}).y, a - b)


def test_operands_that_c_needs_at_compile_time_are_compiled_in() -> None:
    model = _model([helper.make_node("MatMul", ["a", "w"], ["t"]), helper.make_node("Conv", ["t", "k"], ["y"])],
                   {"a": [1, 1, 4, 4], "w": [4, 4], "k": [2, 1, 3, 3]}, 4)  # fmt: skip
    rng = np.random.default_rng(0)
    prepared = backend.prepare(model, cc_optimize="-O0")
    for _ in range(2):
        a, w, k = (rng.standard_normal(s).astype(np.float32) for s in ((1, 1, 4, 4), (4, 4), (2, 1, 3, 3)))
        t = a[0, 0] @ w
        wanted = [[[(t[i : i + 3, j : j + 3] * k[o, 0]).sum() for j in range(2)] for i in range(2)] for o in range(2)]
        np.testing.assert_allclose(prepared.run([a, w, k])[0][0], wanted, rtol=1e-4, atol=1e-5)


def test_run_node() -> None:
    x = np.array([[-1.5, 0, 2]], np.float32)
    (y,) = backend.run_node(helper.make_node("Relu", ["x"], ["y"]), [x])
    np.testing.assert_array_equal(y, np.maximum(x, 0))


def test_problems_are_diagnostics() -> None:
    model = _model([helper.make_node("Det", ["a"], ["y"])], {"a": [2, 2]}, 0)
    assert not backend.is_compatible(model)
    with pytest.raises(CompileError, match="BNN005"):
        backend.run_model(model, [np.eye(2, dtype=np.float32)])
    with pytest.raises(CompileError, match="BNN022"):
        backend.run_model(_model([helper.make_node("Neg", ["a"], ["y"])], {"a": [2]}, 1), [1, 2])


def test_representative_node_tests() -> None:
    import node_tests

    missing = [name for name in REPRESENTATIVE if name not in node_tests.cases()]
    results = [node_tests.run(name) for name in REPRESENTATIVE if name not in missing]
    assert {r.name: r.reason for r in results if r.kind != "pass"} == {}
    assert len(missing) < 5, missing


@pytest.mark.slow
def test_all_claimed_node_tests_pass_and_the_others_are_refused() -> None:
    """The page and README.md say what the run says."""
    import node_tests

    names = [name for name, case in node_tests.cases().items() if node_tests.imported(case)]
    results = [node_tests.run(name) for name in names]
    claimed = [r for r in results if node_tests.claimed(node_tests.cases()[r.name])]
    assert [(r.name, r.kind, r.reason) for r in claimed if r.kind != "pass"] == []
    assert [(r.name, r.reason) for r in results if r.kind == "FAIL"] == []
    stated = f"**{len(claimed)} of {len(claimed)} pass**"
    assert stated in node_tests.PAGE.read_text("utf-8")
