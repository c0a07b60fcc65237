"""The network of 2015 as other people write it: the zoo's network, whatever they leave unsaid."""

import json

import keras
import pytest
import torch
import torchinfo
from keras import layers
from summaries import keras_summary
from torch import nn
from torch_pairs import summarized

import audit
from audit.html_report import report_diff

SIZES = (64, 128, 256, 512, 1024)


def in_keras(fused=True, rate=0.5, end=None, up=None, classes=2, last=1024):
    """Valid convolutions, cropped skips; Keras's own names."""
    x = inputs = keras.Input((572, 572, 1))

    def twice(x, width):
        for _ in range(2):
            x = layers.Conv2D(width, 3, activation="relu" if fused else None)(x)
            x = x if fused else layers.Activation("relu")(x)
        return x

    skips = []
    for width in (*SIZES[:-1], last):
        x = twice(layers.MaxPooling2D()(x) if skips else x, width)
        if rate and width > 256:
            x = layers.Dropout(rate)(x)
        skips.append(x)
    for width, skip in zip(SIZES[3::-1], skips[3::-1], strict=True):
        x = layers.Conv2DTranspose(width, 2, 2, activation=up)(x)
        less = skip.shape[1] - x.shape[1]
        crop = layers.Cropping2D(((less // 2, less - less // 2),) * 2)(skip)
        x = twice(layers.Concatenate()([crop, x]), width)
    x = layers.Conv2D(classes, 1, activation=end)(x)
    return keras.Model(inputs, x if end or fused else layers.Softmax()(x))


class InTorch(nn.Module):
    """Functions for the activations and the pooling, or modules; ups in a list of their own.

    Nothing is computed: its weights and maps have shapes alone.
    """

    def __init__(self, functions):
        super().__init__()
        self.functions = functions

        def two(inputs, outputs):
            return nn.ModuleList([nn.Conv2d(inputs, outputs, 3), nn.Conv2d(outputs, outputs, 3)])

        self.contracting = nn.ModuleList(
            two(*pair) for pair in zip((1, *SIZES), SIZES, strict=False)
        )
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * n, n, 2, 2) for n in SIZES[3::-1])
        self.expanding = nn.ModuleList(two(2 * n, n) for n in SIZES[3::-1])
        self.final = nn.Conv2d(64, 2, 1)
        self.relu = torch.relu if functions else nn.ReLU(inplace=True)
        self.pool = (lambda x: nn.functional.max_pool2d(x, 2)) if functions else nn.MaxPool2d(2)

    def forward(self, x):
        x, skips = x.to("meta"), []
        for block in self.contracting:
            x = self.pool(x) if skips else x
            for conv in block:
                x = self.relu(conv(x))
            skips.append(x)
        for up, block, skip in zip(self.ups, self.expanding, skips[3::-1], strict=True):
            x = up(x)
            start, size = (skip.shape[2] - x.shape[2]) // 2, x.shape[2]
            x = torch.cat([skip[:, :, start : start + size, start : start + size], x], 1)
            for conv in block:
                x = self.relu(conv(x))
        return self.final(x)


def texts():
    yield keras_summary(in_keras(), 120)
    yield keras_summary(in_keras(rate=0, end="softmax", up="relu"), 120)
    yield keras_summary(in_keras(fused=False), 120)
    for functions in (True, False):
        with torch.device("meta"):
            net = InTorch(functions)
        yield summarized(net, (1, 572, 572))
        yield str(torchinfo.summary(net, (1, 1, 572, 572), device="meta", verbose=0))
        yield str(net)


def test_other_names_fused_activations_and_crops_are_the_same_network():
    zoo = audit.table("unet2d_original")
    for text in texts():
        for pair in ((text, zoo), (zoo, text)):
            diff = audit.diff(*pair)
            assert diff.same, str(diff)
            assert len(str(diff).splitlines()) <= 2
            assert audit.explain(*pair).causes == ()


def test_what_only_one_shows_is_said():
    text = keras_summary(in_keras(), 120)
    diff = audit.diff(text, "unet2d_original")
    assert str(diff) == (
        "the same network; only one table shows 18 ReLU, 2 Dropout, 4 Cropping2D, 4 CropToMatch\n"
        "rows: 32 same, 28 unshown; parameters: +0"
    )
    assert json.loads(diff.to_json())["unshown"] == diff.unshown
    assert f"The same network; {diff.unshown}." in report_diff(text, "unet2d_original")
    with pytest.raises(AssertionError, match="28 of 60 rows differ"):  # a README shows them all
        audit.assert_matches("unet2d_original", text)


@pytest.mark.parametrize("change", [{"classes": 3}, {"last": 512}])
def test_another_network_stays_another(change):
    diff = audit.diff(keras_summary(in_keras(**change), 120), "unet2d_original")
    assert not diff.same
    differing = [pair for pair in diff.pairs if pair.status not in ("same", "unshown")]
    assert {row.layer_class for p in differing for row in (p.first, p.second) if row} <= {
        "Conv2D", "Conv2DTranspose", "Dropout",
    }  # fmt: skip
    assert "the same network" not in str(diff)


def linear(activations, end=None, fused=None):
    x = inputs = keras.Input((8, 8, 1))
    for number in range(4):
        x = layers.Conv2D(4, 3, padding="same", activation=fused)(x)
        if number in activations:
            x = layers.ReLU()(x)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation=end)(x))


def test_an_activation_that_is_not_there_is_a_difference():
    """Between networks it is known; a text that shows every other one would show it."""
    every, three = linear(range(4)), linear(range(3))
    assert not audit.diff(every, three).same
    assert not audit.diff(keras_summary(every, 100), keras_summary(three, 100)).same
    assert not audit.diff(every, linear(())).same
    assert audit.diff(every, linear((), fused="relu")).same
    assert audit.diff(keras_summary(every, 100), keras_summary(linear(()), 100)).same
