"""PyTorch's tables built back: the programs' own prints, and PyTorch's own outputs."""

import contextlib
import io
import warnings

import numpy as np
import pytest
from places import GOLDEN
from summaries import DOCUMENTS, built, table_of

import audit

WILD = sorted((GOLDEN / "rebuilding").glob("*.txt"))


@pytest.mark.parametrize("file", sorted(DOCUMENTS.glob("*.*x*")) + sorted(DOCUMENTS.glob("*.md")))
def test_every_document_comes_back(file):
    rebuilt = audit.rebuild(file)
    assert rebuilt.diff.same, str(rebuilt)
    assert rebuilt.model.count_params() >= rebuilt.table.total
    assert len(rebuilt.outputs) == 1


@pytest.mark.parametrize("style", ["torchsummary", "torchinfo", "torchrepr"])
@pytest.mark.parametrize("name", ["unet2d_small", "unet2d_large", "unet3d_2_5m", "unet3d_90m"])
def test_the_zoos_networks_come_back_from_pytorchs_styles(name, style):
    table = built(name)
    rebuilt = audit.rebuild(table.to_text(style))
    assert rebuilt.diff.same, str(rebuilt)
    assert rebuilt.model.count_params() == table.total


@pytest.mark.parametrize("file", WILD, ids=lambda file: file.name)
def test_wild_tables_come_back_or_say_what_does_not(file):
    rebuilt = audit.rebuild(file)
    assert rebuilt.diff.same or "nnunet" in file.name, str(rebuilt)
    if "nnunet" in file.name:  # torchinfo counts the decoder's blocks twice
        wrong = [pair for pair in rebuilt.diff.pairs if pair.status not in ("same", "unshown")]
        assert {pair.first.layer_class for pair in wrong} == {"UNetDecoder", "ModuleList"}
        assert "no layer for 8,493,600 numbers of a block" in str(rebuilt)
    assert len(rebuilt.outputs) == 1
    joins = [step for step in rebuilt.steps if step.layer_class == "Concatenate"]
    assert len(joins) == (3 if "resunet" in file.name else 4)


@pytest.fixture(scope="module")
def wild():
    pytest.importorskip("torch")
    import wild_networks

    return wild_networks.NETWORKS


@pytest.mark.parametrize("name", ["blocks", "attention", "residual", "functional"])
def test_with_pytorchs_weights_it_gives_pytorchs_output(wild, name):
    import torch
    from torch_weights import copy_as_run, randomise

    torchsummary = pytest.importorskip("torchsummary")
    maker, shape = wild[name]
    torch.manual_seed(0)
    network = randomise(maker(), 0)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        torchsummary.summary(network, shape, device="cpu")
    model = audit.rebuild(printed.getvalue()).model
    images = torch.rand(1, *shape)
    layers = sorted(
        (layer for layer in model.layers if layer.weights),
        key=lambda layer: int(layer.name.rpartition("-")[2]),
    )
    expected = copy_as_run(network, images, layers)
    found = np.asarray(model([images.movedim(1, -1).numpy()]))
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_what_a_print_does_not_order_is_one_sentence():
    pytest.importorskip("torch")
    import wild_networks

    with pytest.raises(ValueError, match="print the network with torchinfo") as failure:
        audit.rebuild(str(wild_networks.AttentionUNet()))
    assert "\n" not in str(failure.value)


def test_skips_that_may_be_additions_are_said():
    torch = pytest.importorskip("torch")
    torchsummary = pytest.importorskip("torchsummary")
    nn = torch.nn
    chain = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1),
        nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(4, 1, 1),
    )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        torchsummary.summary(chain, (1, 16, 16), device="cpu")
    rebuilt = audit.rebuild(printed.getvalue())
    assert rebuilt.diff.same, str(rebuilt)
    assert "no skips (or additions of equal maps, as in LinkNet)" in str(rebuilt)


def test_no_convolution_and_hidden_blocks_are_one_sentence():
    text = table_of("unet2d_small").to_text("torchsummary")
    hidden = text.replace("Conv2d-17", "Hidden-17")
    lines = text.splitlines()
    half = "\n".join([*lines[:18], *lines[-10:]])
    sizeless = text.replace("Output Shape", "Input Shape")
    rounded = "".join(f"{n} | conv{n} | Conv2d | 31.0 M\n" for n in range(3))
    lightning = "  | Name | Type | Params\n" + "-" * 30 + "\n" + rounded + "-" * 30
    cases = [(half, "it ends at its smallest map, 16 of 128"), (sizeless, "shows no output sizes")]
    cases += [(lightning, "its counts are rounded")]
    cases += [(hidden, "row 'Hidden-17'"), (text.replace("Conv", "Own"), "no conv")]
    for broken, words in cases:
        with pytest.raises(ValueError, match=words) as failure:
            audit.rebuild(broken)
        assert "\n" not in str(failure.value)


@pytest.mark.parametrize("name", ["attention", "residual", "functional", "grouped", "squeezed"])
def test_an_onnx_file_comes_back_with_onnxruntimes_output(wild, name, tmp_path):
    import torch
    from torch_weights import randomise

    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    maker, shape = wild[name]
    network, path = randomise(maker(), 1), str(tmp_path / "net.onnx")
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(network, torch.zeros(1, *shape), path, dynamo=False)
    rebuilt = audit.rebuild(path)
    assert rebuilt.diff.same, str(rebuilt)
    model = rebuilt.model
    graph = onnx.load(path).graph
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    states = [
        [arrays[name] for name in node.input[1:]]
        for node in graph.node
        if node.op_type in ("Conv", "ConvTranspose", "BatchNormalization")
    ]
    names = [step.name for step in rebuilt.steps if model.get_layer(step.name).weights]
    for layer_name, (kernel, *rest) in zip(names, states, strict=True):
        kernel = kernel.transpose(2, 3, 1, 0) if kernel.ndim > 1 else kernel
        model.get_layer(layer_name).set_weights([kernel, *rest])
    image = np.random.default_rng(0).random((1, *shape), dtype="float32")
    session = runtime.InferenceSession(path)
    (expected,) = session.run(None, {session.get_inputs()[0].name: image})
    found = np.moveaxis(np.asarray(model([np.moveaxis(image, 1, -1)])), -1, 1)
    np.testing.assert_allclose(found, expected, atol=5e-5 * np.abs(expected).max())
    assert "softmax" not in str(rebuilt)
    assert "sigmoid (or" not in str(rebuilt)


def test_the_rows_of_a_unet_plus_plus_come_back():
    """A join reads several maps of its level; the first of a diagonal reads an earlier row."""
    torchinfo = pytest.importorskip("torchinfo")
    nets = pytest.importorskip("monai.networks.nets")
    network = nets.BasicUNetPlusPlus(2, 1, 2, (8, 8, 16, 32, 64, 8))
    info = torchinfo.summary(network, (1, 1, 64, 64), depth=9, verbose=0, device="cpu")
    rebuilt = audit.rebuild(str(info))
    assert rebuilt.diff.same, str(rebuilt)
    joins = [len(s.inputs) for s in rebuilt.steps if s.layer_class == "Concatenate"]
    assert max(joins) > 2


def test_interpolation_without_a_skip_depthwise_convolutions_and_pads_come_back():
    torch = pytest.importorskip("torch")
    torchinfo = pytest.importorskip("torchinfo")
    nn = torch.nn

    class Merge(nn.Module):
        def forward(self, x):
            return 2 * x

    class Light(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Sequential(
                nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 12, 3, stride=2), nn.ReLU6(),
                nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False), nn.ReLU6(), Merge(),
            )  # fmt: skip
            self.last = nn.Conv2d(12, 4, 3, padding=1)

        def forward(self, x):
            return self.last(torch.nn.functional.interpolate(self.first(x), scale_factor=2))

    info = torchinfo.summary(Light(), (1, 3, 64, 64), depth=9, verbose=0, device="cpu")
    rebuilt = audit.rebuild(str(info))
    wrong = [pair.first for pair in rebuilt.diff.pairs if pair.status == "missing"]
    assert [row.layer_class for row in wrong] == ["Merge"], str(rebuilt)
    assert rebuilt.model.output_shape == (None, 64, 64, 4)
    assert {step.arguments.get("groups", 1) for step in rebuilt.steps} == {1, 12}
    assert "Merge passes its input on (or computes something without numbers)" in str(rebuilt)
    assert {step.layer_class for step in rebuilt.steps} >= {"ZeroPadding2D", "UpSampling2D"}


def test_convolutions_in_groups_come_back():
    """As in ResNeXt."""
    torch = pytest.importorskip("torch")
    torchinfo = pytest.importorskip("torchinfo")
    nn = torch.nn
    network = nn.Sequential(
        nn.Conv2d(3, 64, 1, bias=False), nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1, groups=8, bias=False), nn.ReLU(),
        nn.Conv2d(64, 2, 1),
    )  # fmt: skip
    info = torchinfo.summary(network, (1, 3, 32, 32), depth=9, verbose=0, device="cpu")
    rebuilt = audit.rebuild(str(info))
    assert rebuilt.diff.same, str(rebuilt)
    assert [s.arguments["groups"] for s in rebuilt.steps if "groups" in s.arguments] == [8]
    assert "8 groups of channels (or another kernel)" in str(rebuilt)


@pytest.mark.parametrize("name", ["BasicUNet", "DynUNet"])
def test_an_onnx_file_with_computed_pads_and_shared_norms_comes_back(name, tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    nets = pytest.importorskip("monai.networks.nets")
    network = (
        nets.BasicUNet(2, 1, 2, (4, 4, 8, 16, 32, 4))
        if name == "BasicUNet"
        else nets.DynUNet(2, 1, 2, (3, 3, 3), (1, 2, 2), (2, 2), filters=(4, 8, 16))
    )
    path = str(tmp_path / "net.onnx")
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(network.eval(), torch.zeros(1, 1, 32, 32), path, dynamo=False)
    rebuilt = audit.rebuild(path)
    assert rebuilt.diff.same, str(rebuilt)
    assert rebuilt.model.count_params() == sum(p.numel() for p in network.parameters())
    assert audit.table(path).total <= rebuilt.table.total
    assert "weights of its own (the file holds them" in str(rebuilt)
    assert "pad" not in str(rebuilt)  # of nothing: the file computes that from constants


@pytest.mark.parametrize("up", ["deconv", "nontrainable"])
def test_a_print_joins_a_map_that_was_made_larger(up):
    """An earlier join has as many channels as this one."""
    nets = pytest.importorskip("monai.networks.nets")
    network = nets.BasicUNet(2, 1, 2, (8, 8, 16, 32, 64, 8), upsample=up)
    rebuilt = audit.rebuild(repr(network))
    assert rebuilt.diff.same, str(rebuilt)
    assert sum(step.layer_class == "Concatenate" for step in rebuilt.steps) == 4
    assert len(rebuilt.outputs) == 1


def test_a_print_whose_lists_run_by_turns_is_one_sentence():
    """nnU-Net's: all blocks of the decoder, then all transposed convolutions, then all heads."""
    nn = pytest.importorskip("torch").nn
    unet = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    network = unet.PlainConvUNet(
        1, 3, (4, 8, 16), nn.Conv2d, 3, (1, 2, 2), 2, 3, 2, conv_bias=True,
        norm_op=nn.InstanceNorm2d, norm_op_kwargs={"affine": True}, nonlin=nn.LeakyReLU,
    )  # fmt: skip
    assert audit.read(repr(network)).total == sum(p.numel() for p in network.parameters())
    with pytest.raises(ValueError, match="in the order of their definition") as failure:
        audit.rebuild(repr(network))
    assert "\n" not in str(failure.value)


def test_a_print_that_shrinks_to_nothing_is_one_sentence():
    nn = pytest.importorskip("torch").nn
    layers = [nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.MaxPool2d(2), nn.ReLU()]
    with pytest.raises(ValueError, match="in the order of their definition"):
        audit.rebuild(repr(nn.Sequential(*layers, nn.Conv2d(4, 2, 1))))


def test_dropout_of_more_axes_than_the_network_has_comes_back():
    """MONAI's VNet has Dropout3d in 2D too."""
    nn = pytest.importorskip("torch").nn
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout3d(0.2))
    rebuilt = audit.rebuild(repr(network))
    assert [step.layer_class for step in rebuilt.steps[2:]] == ["ReLU", "SpatialDropout2D"]


@pytest.mark.parametrize(
    "kind", ["DoubleConv", "ConvBlock", "Conv", "Conv…l", "Conv2D…l", "MaxPool…l"]
)
def test_a_block_whose_layers_are_not_shown_is_one_sentence(kind):
    text = table_of("unet2d_small").to_text("torchsummary").replace("Conv2d-17", f"{kind}-17")
    with pytest.raises(ValueError, match="a block of 18,464 numbers whose layers") as failure:
        audit.rebuild(text)
    assert "depth=9" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_block_before_the_first_layer_that_is_shown_is_named():
    """As torchinfo prints it with the depth that it has by itself."""
    nn = pytest.importorskip("torch").nn
    torchinfo = pytest.importorskip("torchinfo")
    block = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 7, 3), nn.MaxPool2d(2))
    network = nn.Sequential(block, nn.ConvTranspose2d(7, 5, 2, 2), nn.Conv2d(5, 1, 1))
    info = torchinfo.summary(network, (1, 1, 19, 21), depth=1, verbose=0, device="cpu")
    with pytest.raises(ValueError, match="a block of 591 numbers whose layers the table does not"):
        audit.rebuild(str(info))


def test_a_3d_unet_with_group_norms_and_an_upsampling_of_its_own_class_comes_back():
    """As in pytorch-3dunet: the norm is first, and a module without numbers interpolates."""
    torch = pytest.importorskip("torch")
    torchinfo = pytest.importorskip("torchinfo")
    nn = torch.nn

    def block(inputs, width, groups):
        norm = nn.GroupNorm(groups, inputs)
        return nn.Sequential(norm, nn.Conv3d(inputs, width, 3, padding=1, bias=False), nn.ReLU())

    class Interpolate(nn.Module):
        def forward(self, skip, x):
            return nn.functional.interpolate(x, size=skip.shape[2:])

    class UNet3D(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = block(1, 8, 1)
            self.low = nn.Sequential(nn.MaxPool3d(2), *block(8, 16, 4))
            self.up, self.last = Interpolate(), block(24, 8, 8)
            self.head = nn.Conv3d(8, 2, 1)

        def forward(self, x):
            skip = self.first(x)
            x = self.up(skip, self.low(skip))
            return self.head(self.last(torch.cat((skip, x), 1)))

    network = UNet3D()
    info = torchinfo.summary(network, (1, 1, 16, 16, 16), depth=9, verbose=0, device="cpu")
    rebuilt = audit.rebuild(str(info))
    assert rebuilt.diff.same, str(rebuilt)
    assert rebuilt.model.output_shape == (None, 16, 16, 16, 2)
    assert {step.layer_class for step in rebuilt.steps} >= {"UpSampling3D", "Concatenate"}
    printed = audit.rebuild(str(network))
    groups = [s.arguments["groups"] for s in printed.steps if "Group" in s.layer_class]
    assert groups == [1, 4, 8]
