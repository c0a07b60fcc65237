"""Pairs of networks that differ in known ways, as PyTorch and Keras print them."""

from dataclasses import replace

import keras
import pytest
from keras import layers
from summaries import keras_summary
from torch import nn
from torch_pairs import Net, count, summarized

import audit
from audit.comparison.causes import norm_of
from audit.comparison.forms import forms_of

HALVED, DOUBLED = "all widths halved", "all widths doubled"


def causes_of(explanation):
    return {cause.cause: cause.parameters for cause in explanation.causes}


def gap(first, second):
    return count(Net(**second)) - count(Net(**first))


def explained(first, second):
    return audit.explain(summarized(Net(**first)), summarized(Net(**second)))


@pytest.mark.parametrize(
    ("first", "second", "cause"),
    [
        ({}, {"base": 4}, HALVED),
        ({"norm": nn.BatchNorm2d}, {"base": 16, "norm": nn.BatchNorm2d}, DOUBLED),
        ({}, {"base": 12}, "all widths times 3/2"),
        ({}, {"up_kernel": 3}, "kernels of 3 x 3 in place of 2 x 2 in transposed convolutions"),
        ({}, {"kernel": 5}, "kernels of 5 x 5 in place of 3 x 3 in convolutions"),
        ({}, {"classes": 5}, "number of classes"),
        ({}, {"norm": nn.BatchNorm2d}, "norms that only the second has"),
        ({}, {"bias": False}, "convolution biases"),
        (
            {"norm": nn.BatchNorm2d},
            {"norm": nn.InstanceNorm2d},
            "instance norm without scale and shift in place of batch norm",
        ),
        ({"more": 1}, {}, "a block that only the first has"),
        ({}, {"up": "convolved"}, "up-convolution against interpolation and a convolution"),
    ],
)
def test_one_change_is_one_cause_in_torchsummary_too(first, second, cause):
    assert causes_of(explained(first, second)) == {cause: gap(first, second)}
    (found,) = explained(second, first).causes
    assert found.parameters == -gap(first, second)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, lambda n: nn.GroupNorm(2, n)])
@pytest.mark.parametrize("base", [4, 16, 12])
def test_norms_beside_widths_throughout(base, norm):
    causes = causes_of(explained({}, {"base": base, "norm": norm}))
    widths = gap({}, {"base": base})
    norms = gap({"base": base}, {"base": base, "norm": norm})
    words = {4: HALVED, 16: DOUBLED, 12: "all widths times 3/2"}[base]
    assert causes == {words: widths, "norms that only the second has": norms}
    back = causes_of(explained({"base": base, "norm": norm}, {}))
    assert len(back) == 2
    assert sum(back.values()) == -widths - norms


def test_several_changes_are_each_found():
    first = {"norm": nn.BatchNorm2d}
    second = {"norm": nn.BatchNorm2d, "base": 4, "up_kernel": 3, "classes": 4}
    causes = causes_of(explained(first, second))
    assert causes.keys() == {
        HALVED,
        "kernels of 3 x 3 in place of 2 x 2 in transposed convolutions",
        "number of classes",
    }
    assert causes[HALVED] == gap(first, {**first, "base": 4})
    assert sum(causes.values()) == gap(first, second)


class Pooled(nn.Module):
    """A classifier's end."""

    def __init__(self, inputs, classes):
        super().__init__()
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x):
        return self.linear(x.flatten(1))


def test_a_head_without_a_partner_is_another_head():
    """The last convolution that both have is an inner one."""
    second = {"head": Pooled(8 * 32 * 32, 2)}
    causes = causes_of(explained({}, second))
    assert causes == {"another head (Linear in place of Conv2d)": gap({}, second)}
    wide = nn.Sequential(nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), Pooled(12 * 32 * 32, 2))
    assert not any("classes" in cause for cause in causes_of(explained({}, {"head": wide})))
    none = causes_of(explained({}, {"head": nn.Identity()}))
    assert none == {"a head that only the first has": gap({}, {"head": nn.Identity()})}


def test_kernels_of_transposed_convolutions_in_keras():
    def network(kernel, width=24):
        x = inputs = keras.Input((8, 8, 48))
        x = keras.layers.Conv2DTranspose(width, kernel, 2, padding="same", name="up")(x)
        return keras.Model(inputs, keras.layers.Conv2D(1, 1)(x))

    texts = [keras_summary(network(kernel), 110) for kernel in (2, 4)]
    assert causes_of(audit.explain(*texts)) == {
        "kernels of 4 x 4 in place of 2 x 2 in transposed convolutions": (16 - 4) * 48 * 24
    }


def in_keras(base=16, up="transposed", norm=False, kind=layers.Conv2D, ends=(2, 1)):
    """As it is often copied: two convolutions at the end, activations fused."""
    x = inputs = keras.Input((64, 64, 1))

    def block(x, width):
        for _ in range(2):
            x = kind(width, 3, padding="same", activation="relu")(x)
            x = layers.BatchNormalization()(x) if norm else x
        return x

    skips = []
    for number in range(3):
        x = block(x, base * 2**number)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.5)(block(x, base * 8))
    for number in (2, 1, 0):
        width = base * 2**number
        if up == "transposed":
            x = layers.Conv2DTranspose(width, 2, 2)(x)
        else:
            x = layers.Conv2D(width, up, padding="same")(layers.UpSampling2D()(x))
        x = block(layers.Concatenate()([skips[number], x]), width)
    for width, size in zip(ends, (3, 1), strict=False):
        x = layers.Conv2D(width, size, padding="same")(x)
    return keras.Model(inputs, x)


def gap_in_keras(first, second):
    return in_keras(**second).count_params() - in_keras(**first).count_params()


@pytest.mark.parametrize(
    ("first", "second", "causes"),
    [
        ({}, {"base": 8, "norm": True}, {HALVED: {"base": 8}, "norms that only the second has": 0}),
        ({"norm": True}, {"base": 32, "norm": True}, {DOUBLED: {"base": 32}}),
        ({}, {"up": 2}, {}),
        ({}, {"up": 3}, {"up-convolution against interpolation and a convolution": {"up": 3}}),
        ({}, {"kind": layers.SeparableConv2D}, {"SeparableConv2D in place of Conv2D": 0}),
        ({}, {"ends": (2,)}, {"a head that only the first has": 0}),
    ],
)  # fmt: skip
def test_large_causes_that_cancel_are_one_change_in_keras(first, second, causes):
    """Keras's own counts; 0 is the rest of the gap."""
    texts = [keras_summary(in_keras(**how), 120) for how in (first, second)]
    found = causes_of(audit.explain(*texts))
    whole = gap_in_keras(first, second)
    known = {c: gap_in_keras(first, {**first, **how}) for c, how in causes.items() if how}
    rest = {c: whole - sum(known.values()) for c, how in causes.items() if not how}
    assert found == {**known, **rest}


def test_halves_and_more_are_both_found():
    found = causes_of(explained({}, {"base": 4, "more": 2}))
    assert found == {
        HALVED: gap({}, {"base": 4}),
        "a block that only the second has": gap({"base": 4}, {"base": 4, "more": 2}),
    }


def test_a_transposed_convolution_alone_keeps_its_inputs():
    rows = audit.read(summarized(Net())).rows
    texts = [
        audit.Table("a", (replace(rows[0], layer_class="Conv2DTranspose", shape=(None, 8, 8, 512),
                                  parameters={"all": 512 * (1024 * side**2 + 1)}),), "torchsummary")
        for side in (2, 3)
    ]  # fmt: skip
    (cause,) = audit.explain(*texts).causes
    assert cause.cause == "kernels of 3 x 3 in place of 2 x 2 in transposed convolutions"


def test_what_no_form_gives_is_not_explained():
    """4,001 more parameters: no kernel, width or bias makes them."""
    text = summarized(Net())
    rows = audit.read(text)
    row = next(row for row in rows if row.name == "Conv2d-8")
    spoiled = text.replace(f"{row.total:,}", f"{row.total + 4001:,}", 1)
    explanation = audit.explain(text, spoiled)
    (cause,) = explanation.causes
    assert (cause.cause, cause.parameters, cause.rows) == ("not explained", 4001, ("Conv2d-8",))


def test_a_text_that_contradicts_itself_is_said_first():
    text = summarized(Net())
    total = count(Net())
    wrong = text.replace(f"Total params: {total:,}", f"Total params: {total + 5:,}")
    explanation = audit.explain(text, wrong)
    assert str(explanation).splitlines()[0] == (
        f"the second contradicts itself: the rows add up to {total:,}, the text states "
        f"{total + 5:,} (total)"
    )
    assert audit.explain(text, text).doubts == ()


def test_rows_in_another_order_cancel():
    """Two branches, printed the other way around: what is left is the one simple change."""

    def network(order, width=6):
        inputs = keras.Input((8, 8, 4))
        widths = {"a": 8, "b": width}
        maps = {
            name: keras.layers.Conv2D(16, 3, padding="same", name=f"{name}2")(
                keras.layers.Conv2D(widths[name], 5, padding="same", name=name)(inputs)
            )
            for name in "ab"
        }
        x = keras.layers.Concatenate()([maps[name] for name in order])
        return keras_summary(keras.Model(inputs, keras.layers.Conv2D(3, 1, name="out")(x)), 110)

    assert causes_of(audit.explain(network("ab"), network("ba"))) == {}
    wider = 2 * (25 * 4 + 1) + 9 * 2 * 16
    assert causes_of(audit.explain(network("ab"), network("ba", 8))) == {"widths": wider}


def test_forms_and_norms_of_what_pytorch_prints():
    net = Net(norm=nn.InstanceNorm2d)
    table = audit.read(summarized(net))
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    forms = [found[0] for found in forms_of(table).values()]
    true = {(m.kernel_size[0] ** 2, m.in_channels, m.out_channels) for m in convolutions}
    assert {(form.taps, form.inputs, form.outputs) for form in forms} == true
    assert [form.first for form in forms] == [True, *[False] * (len(forms) - 1)]
    norms = {norm_of(row) for row in table if row.layer_class == "GroupNormalization"}
    assert norms == {"instance norm"}
