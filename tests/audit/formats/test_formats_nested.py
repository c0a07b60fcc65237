"""Nested and frozen models as Keras prints them, and torchinfo's tables of every shape."""

import keras
import pytest
import torchinfo
from summaries import keras_summary
from torch import nn

import audit


def outer(library):
    """Two levels of models in a model; a layer of the inner one is frozen."""
    layers, model = library.layers, library.Model
    a = layers.Input((8, 8, 3))
    deep = model(a, layers.Conv2D(4, 1, name="deepest")(a), name="deep")
    b = layers.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, name="conv")(deep(b))
    x = layers.BatchNormalization(name="norm")(x)
    inner = model(b, x, name="inner")
    inner.get_layer("conv").trainable = False
    c = layers.Input((8, 8, 3))
    return model(c, layers.Dense(2, name="head")(inner(c)), name="outer")


def shown(library, width=110, **options):
    lines = []
    outer(library).summary(print_fn=lines.append, line_length=width, **options)
    return "\n".join(lines)


def test_columns_so_narrow_that_their_titles_wrap():
    import tf_keras

    options = {"expand_nested": True, "show_trainable": True}
    texts = shown(tf_keras, 50, **options), keras_summary(outer(keras), 45, **options)
    for text in texts:
        assert "Param #" not in text
        table = audit.read(text)
        assert (table.total, table.trainable) == (16 + 296 + 32 + 18, 16 + 16 + 18)
        assert table.inconsistencies() == ()
        assert len(table) == 7


def as_r(text):
    """R's print, which has a frame of ASCII and another mark before nested layers."""
    for bars, sign in (("┏┳┓└┴┘├┼┤┡╇┩", "+"), ("━─", "-"), ("┃│", "|")):
        for bar in bars:
            text = text.replace("└ ", "> ").replace(bar, sign)
    return text


@pytest.mark.parametrize("expand", [True, False])
@pytest.mark.parametrize("column", [True, False])
def test_each_leaf_of_nested_models_counts_once(expand, column):
    import tf_keras

    options = {"expand_nested": expand, "show_trainable": column}
    texts = [shown(tf_keras, **options)]
    texts.append(keras_summary(outer(keras), 110, **options))
    texts.append(as_r(texts[-1]))
    for text in texts:
        table = audit.read(text)
        assert table.total == 16 + 296 + 32 + 18
        assert table.trainable == 16 + 16 + 18
        assert table.inconsistencies() == ()
        names = [row.name for row in table]
        assert ("deepest" in names, "inner" in names) == (expand, not expand)
        if expand:
            paths = {row.name: row.path for row in table}
            assert paths["deepest"] == ("inner", "deep")
            assert paths["norm"] == ("inner",)
        if expand and column:
            assert {row.name for row in table if row.total and not row.trainable} == {"conv"}


class WithOwn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3, groups=2)
        self.own = nn.Parameter(nn.init.zeros_(nn.Linear(7, 11).weight))

    def forward(self, x):
        return self.conv(x) + self.own.sum()


COLUMNS = (
    ("output_size", "num_params"),
    ("num_params", "output_size", "kernel_size"),
    ("kernel_size", "groups", "input_size", "output_size", "num_params", "mult_adds", "trainable"),
    ("trainable", "input_size", "num_params"),
)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("module", [WithOwn(), nn.Conv2d(4, 5, 3)])
def test_torchinfos_columns_in_any_order_and_the_roots_own_parameters(columns, module):
    columns = [
        name for name in columns if name in {each.value for each in torchinfo.ColumnSettings}
    ]
    text = str(torchinfo.summary(module, (1, 4, 9, 9), col_names=columns, verbose=0))
    table = audit.read(text)
    assert table.style == "torchinfo"
    assert table.total == sum(parameter.numel() for parameter in module.parameters())
    assert table.inconsistencies() == ()
    convolution = table.rows[-1]
    assert convolution.layer_class == "Conv2D"
    assert (convolution.shape == (None,)) == ("output_size" not in columns)


def test_tokens_keep_their_features_last():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.LayerNorm(7))

        def forward(self, x):
            return self.layers(x)

    text = str(torchinfo.summary(Tokens(), (1, 12, 5), verbose=0))
    table = audit.read(text)
    assert {row.shape for row in table} == {(None, 12, 7)}
    for style in ("torchinfo", "torchsummary", "pytorch-model-summary"):
        assert "12, 7]" in table.to_text(style)


def test_a_printed_group_norm_has_its_second_number_of_channels():
    """Its first is the number of groups."""
    print_of_both = str(nn.Sequential(nn.Conv3d(1, 8, 3), nn.GroupNorm(4, 8)))
    convolution, norm = audit.read(print_of_both).rows
    assert (norm.shape, norm.total) == ((None, 8), 16)
    assert convolution.shape == (None, 8)
