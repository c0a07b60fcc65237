"""PyTorch's group norms, which an ONNX file holds as five nodes."""

import warnings

import numpy as np
import pytest

import audit

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
nn = torch.nn


class Grouped(nn.Module):
    """A small 3D U-Net with the norm before each convolution, as PyTorch 3D U-Nets have it."""

    def __init__(self, affine=True):
        super().__init__()

        def block(inputs, width, groups):
            norm = nn.GroupNorm(groups, inputs, affine=affine)
            return nn.Sequential(
                norm, nn.Conv3d(inputs, width, 3, padding=1, bias=False), nn.ReLU()
            )

        self.first, self.low = block(2, 8, 1), block(8, 16, 4)
        self.pool, self.last = nn.MaxPool3d(2), block(24, 4, 8)

    def forward(self, x):
        skip = self.first(x)
        low = self.low(self.pool(skip))
        up = nn.functional.interpolate(low, size=skip.shape[2:], mode="nearest")
        return self.last(torch.cat((skip, up), 1))


def saved(network, path, **more):
    for number in network.parameters():
        nn.init.normal_(number)
    images = torch.rand(1, 2, 8, 8, 8)
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(network, images, path, dynamo=False, **more)
    with torch.no_grad():
        return images.numpy(), network(images).numpy()


def test_each_is_one_row_with_its_groups_and_numbers(tmp_path):
    saved(Grouped(), tmp_path / "net.onnx")
    table = audit.table(tmp_path / "net.onnx")
    norms = [row for row in table if row.layer_class == "GroupNormalization"]
    assert [row.settings["groups"] for row in norms] == [1, 4, 8]
    assert [dict(row.parameters) for row in norms] == [{"scale": n, "shift": n} for n in (2, 8, 24)]
    assert [row.shape[1:] for row in norms] == [(8, 8, 8, 2), (4, 4, 4, 8), (8, 8, 8, 24)]
    assert [row.name for row in norms] == ["first-first-0", "low-low-0", "last-last-0"]
    assert not {row.layer_class for row in table} & {"Reshape", "Multiply", "Add"}
    assert table.total == sum(p.numel() for p in Grouped().parameters())


@pytest.mark.parametrize("affine", [True, False])
def test_it_comes_back_with_pytorchs_output(tmp_path, affine):
    network = Grouped(affine)
    images, expected = saved(network, tmp_path / "net.onnx")
    rebuilt = audit.rebuild(tmp_path / "net.onnx")
    assert rebuilt.diff.same, str(rebuilt)
    arrays = [parameter.detach().numpy() for parameter in network.parameters()]
    states = [a.transpose(2, 3, 4, 1, 0) if a.ndim > 1 else a for a in arrays]
    model = rebuilt.model
    assert [w.shape for w in model.weights] == [state.shape for state in states]
    model.set_weights(states)
    found = np.moveaxis(np.asarray(model(np.moveaxis(images, 1, -1))), -1, 1)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_an_operator_of_its_own_keeps_its_groups(tmp_path):
    helper, kinds = onnx.helper, onnx.TensorProto
    shape = [1, 8, 4, 4]
    weights = [
        helper.make_tensor(name, kinds.FLOAT, sizes, np.ones(sizes).ravel())
        for name, sizes in (("kernel", (8, 8, 3, 3)), ("scale", (8,)), ("shift", (8,)))
    ]
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["y"], pads=[1] * 4),
        helper.make_node("GroupNormalization", ["y", "scale", "shift"], ["z"], num_groups=2),
    ]
    ends = [helper.make_tensor_value_info(name, kinds.FLOAT, shape) for name in "xz"]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph), tmp_path / "net.onnx")
    rebuilt = audit.rebuild(tmp_path / "net.onnx")
    assert rebuilt.diff.same, str(rebuilt)
    assert rebuilt.steps[-1].arguments["groups"] == 2
