"""What an ONNX file says of pads and pools, in files of a few nodes."""

import numpy as np
import pytest

import audit

onnx = pytest.importorskip("onnx")


def saved(path, nodes, arrays, outputs=(1, 2, 9, 9)):
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", float32, (1, 3, 16, 16))],
        [helper.make_tensor_value_info("y", float32, outputs)], tensors,
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), path)
    return path


def padded(path, length):
    """A convolution of a map whose pads are so many zeros and two ones."""
    node = onnx.helper.make_node
    nodes = [
        node("ConstantOfShape", ["length"], ["zeros"]),
        node("Concat", ["zeros", "ones"], ["pads"], axis=0),
        node("Pad", ["x", "pads"], ["padded"], name="pad"),
        node("Conv", ["padded", "kernel"], ["y"], name="conv", strides=[2, 2]),
    ]
    nodes[0].attribute.append(
        onnx.helper.make_attribute("value", onnx.numpy_helper.from_array(np.array([0])))
    )
    kernel = np.ones((2, 3, 3, 3), "float32")
    arrays = {"length": np.array([length]), "ones": np.array([1, 1]), "kernel": kernel}
    return saved(path, nodes, arrays, (1, 2, 8, 8))


def settings_of_pad(path):
    return next(row.settings for row in audit.table(path) if row.name == "pad")


def test_pads_computed_from_constants_are_known(tmp_path):
    path = padded(tmp_path / "net.onnx", 6)
    assert settings_of_pad(path)["pads"] == ((0, 1), (0, 1))
    rebuilt = audit.rebuild(path)
    steps = {step.name: step.arguments for step in rebuilt.steps}
    assert steps["pad"] == {"padding": ((0, 1), (0, 1))}
    assert rebuilt.model.output_shape == (None, 8, 8, 2)
    assert rebuilt.assumptions == ()


def test_pads_without_end_are_not_computed(tmp_path):
    assert "pads" not in settings_of_pad(padded(tmp_path / "net.onnx", 100))


@pytest.mark.parametrize(("size", "strides", "pads", "ceil", "given"), [
    (3, 2, 0, 1, {"pool_size": 3, "strides": 2, "padding": "same"}),
    (3, 1, 1, 0, {"pool_size": 3, "strides": 1, "padding": "same"}),
    (3, 2, 1, 0, {"pool_size": 3, "strides": 2}),
    (2, 2, 0, 0, {"pool_size": 2, "strides": 2}),
])  # fmt: skip
def test_a_pool_has_its_window_and_strides(size, strides, pads, ceil, given, tmp_path):
    node = onnx.helper.make_node
    pool = node(
        "MaxPool", ["z"], ["y"], name="pool", kernel_shape=[size] * 2, strides=[strides] * 2,
        pads=[pads] * 4, ceil_mode=ceil,
    )  # fmt: skip
    kernel = np.ones((2, 3, 1, 1), "float32")
    edge = 16 // strides
    nodes = [node("Conv", ["x", "kernel"], ["z"], name="conv"), pool]
    path = saved(tmp_path / "net.onnx", nodes, {"kernel": kernel}, (1, 2, edge, edge))
    rebuilt = audit.rebuild(path)
    assert rebuilt.steps[-1].arguments == given
    assert [step.layer_class for step in rebuilt.steps].count("ZeroPadding2D") == (
        pads == 1 and strides == 2
    )
