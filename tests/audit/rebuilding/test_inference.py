"""PyTorch's tables built back: the programs' own prints, and PyTorch's own outputs."""

import contextlib
import io

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
    from torch_weights import randomise

    torchsummary = pytest.importorskip("torchsummary")
    maker, shape = wild[name]
    torch.manual_seed(0)
    network = randomise(maker(), 0)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        torchsummary.summary(network, shape, device="cpu")
    model = audit.rebuild(printed.getvalue()).model
    modules = []
    for module in network.modules():
        if list(module.parameters(recurse=False)):
            module.register_forward_hook(lambda module, *rest: modules.append(module))
    images = torch.rand(1, *shape)
    with torch.no_grad():
        expected = network(images).numpy()
    layers = sorted(
        (layer for layer in model.layers if layer.weights),
        key=lambda layer: int(layer.name.rpartition("-")[2]),
    )
    for layer, module in zip(layers, modules, strict=True):
        kernel = module.weight.detach().numpy()
        kernel = kernel.transpose(2, 3, 1, 0) if kernel.ndim > 1 else kernel
        state = [kernel, *([] if module.bias is None else [module.bias.detach().numpy()])]
        if isinstance(module, torch.nn.BatchNorm2d):
            state += [module.running_mean.numpy(), module.running_var.numpy()]
        layer.set_weights(state)
    found = np.moveaxis(np.asarray(model([np.moveaxis(images.numpy(), 1, -1)])), -1, 1)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_what_a_print_does_not_order_is_one_sentence():
    pytest.importorskip("torch")
    import wild_networks

    with pytest.raises(ValueError, match="print the network with torchinfo") as failure:
        audit.rebuild(str(wild_networks.AttentionUNet()))
    assert "\n" not in str(failure.value)


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
