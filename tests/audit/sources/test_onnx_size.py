"""ONNX files of a few kilobytes that would unfold without end."""

import numpy as np
import onnx
import pytest
from onnx import helper

import audit

OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]


def functions(levels):
    """Each calls the one before it twice."""

    def function(n, nodes):
        return helper.make_function("own", f"f{n}", ["a"], ["b"], nodes, OPSETS)

    def call(n, given, made):
        return helper.make_node(f"f{n}", [given], [made], domain="own")

    first = function(0, [helper.make_node("Relu", ["a"], ["b"])])
    more = [function(n + 1, [call(n, "a", "c"), call(n, "c", "b")]) for n in range(levels)]
    return [call(levels, "x", "named")], [first, *more]


def joined(levels):
    """Sizes that are joined with themselves."""
    nodes = [helper.make_node("Shape", ["x"], ["s0"])]
    for n in range(levels):
        nodes.append(helper.make_node("Concat", [f"s{n}", f"s{n}"], [f"s{n + 1}"], axis=0))
    return [*nodes, helper.make_node("Reshape", ["x", f"s{levels}"], ["named"])], []


def zeros(kind, *lengths):
    """A list of zeros, its length a product of constants, and what takes a list for sizes."""
    nodes = []
    for n, length in enumerate(lengths):
        nodes.append(helper.make_node("Constant", [], [f"l{n}"], value_ints=[length]))
        if n:
            before = "l0" if n == 1 else f"m{n - 1}"
            nodes.append(helper.make_node("Mul", [before, f"l{n}"], [f"m{n}"]))
    last = f"m{len(lengths) - 1}" if len(lengths) > 1 else "l0"
    nodes.append(helper.make_node("ConstantOfShape", [last], ["zeros"]))
    read = {"Cast": (["zeros"], {"to": 7}), "Concat": (["zeros", "zeros"], {"axis": 0}),
            "Add": (["zeros", "zeros"], {}), "Slice": (["zeros", "l0", "l0"], {})}  # fmt: skip
    inputs, settings = read[kind]
    nodes.append(helper.make_node(kind, inputs, ["sizes"], **settings))
    return [*nodes, helper.make_node("Reshape", ["x", "sizes"], ["named"])], []


def saved(path, made):
    nodes, functions = made
    weight = helper.make_tensor("w", 1, (2, 1, 3, 3), np.zeros(18, "float32"))
    graph = helper.make_graph(
        [*nodes, helper.make_node("Conv", ["x", "w"], ["y"], name="conv")], "net",
        [helper.make_tensor_value_info("x", 1, (1, 1, 8, 8))],
        [helper.make_tensor_value_info("y", 1, None)], [weight],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, functions=functions, opset_imports=OPSETS), path)
    return path


@pytest.mark.parametrize(
    ("made", "followed"),
    [
        (functions(60), []),
        (functions(2000), []),
        (functions(3), [False]),
        (joined(60), [False]),
        (joined(3), [False, True]),
        (zeros("Cast", 10**15), [False]),
        (zeros("Concat", 10**15), [False]),
        (zeros("Slice", 10**15), [False]),
        (zeros("Add", 10**5, 10**5, 10**5), [False]),
        (zeros("Cast", 4), [False, True]),
    ],
    ids=[
        "functions",
        "deep functions",
        "few functions",
        "joined",
        "joined a little",
        "cast",
        "joined zeros",
        "part of zeros",
        "product of lengths",
        "few zeros",
    ],
)
def test_shapes_are_worked_out_unless_they_unfold_without_end(
    made, followed, tmp_path, monkeypatch
):
    """Without the values of sizes, or not at all, where they or the nodes would be too many."""
    asked, infer = [], onnx.shape_inference.infer_shapes

    def spied(model, data_prop=False):
        asked.append(data_prop)
        return infer(model, data_prop=data_prop) if followed else model

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", spied)
    table = audit.table(saved(tmp_path / "net.onnx", made))
    assert asked == followed
    assert table.total == 18
