# ruff: noqa: RUF001 (people write sizes with the sign of multiplication)
"""Tables that people write by hand: columns in any order, in their words."""

import pytest

import audit
from audit.tables import Rounded

NETWORK = (  # of Keras's convention: a batch norm counts its moving statistics
    ("Conv2D", (62, 62, 16), 448),
    ("BatchNormalization", (62, 62, 16), 64),
    ("MaxPooling2D", (31, 31, 16), 0),
    ("Flatten", (15376,), 0),
    ("Dense", (3,), 46131),
)
TABLES = {
    "a number and a name": """
| N° | Layer | Output Shape | Param # |
| --- | --- | --- | --- |
| 1 | conv2d | (None, 62, 62, 16) | 448 |
| 2 | batch_normalization | (None, 62, 62, 16) | 64 |
| 3 | max_pooling2d_1 | (None, 31, 31, 16) | 0 |
| 4 | flatten | (None, 15376) | 0 |
| 5 | dense_1 | (None, 3) | 46131 |
""",
    "a class and a number": """
| Layer | Type | Output Shape | Parameters | Activation |
|:-----:|------|--------------|-----------:|------------|
| 1 | Conv2D | (None, 62, 62, 16) | 448 | ReLU |
| 2 | BatchNormalization | (None, 62, 62, 16) | 64 | - |
| 3 | MaxPooling2D | (None, 31, 31, 16) | 0 | - |
| 4 | Flatten | (None, 15376) | 0 | - |
| 5 | Dense | (None, 3) | 46,131 | Softmax |
| **Total** | | | **46,643** | |
""",
    "words": """
| layer | output size | no. of parameters |
|---|---|---|
| conv, 16 kernels of 3×3 | 62 × 62 × 16 | 448 |
| Batch Normalisation | 62 × 62 × 16 | 64 |
| max pool 2×2 | 31 × 31 × 16 | — |
| flatten | 15,376 | 0 |
| fully connected + softmax | 3 | 15376×3 + 3 = 46,131 |

Total parameters = 46,643
Trainable parameters = 46,611
Non-trainable parameters = 32
""",
    "arguments": """
Layer | Params | Output
--- | --- | ---
`Conv2D(16, 3×3)` | 448 | `[62, 62, 16]`
`BatchNorm` | 64 | `[62, 62, 16]`
`MaxPooling2D(2×2)` | 0 | `[31, 31, 16]`
`Flatten` | 0 | `[15376]`
`Dense(3)` | 46 131 | `[3]`
""",
    "HTML": """
<table><tr><th>Layer</th><th>Output shape</th><th>Parameters</th></tr>
<tr><td>Conv2D</td><td>62x62x16</td><td>448</td></tr>
<tr><td>BN</td><td>62x62x16</td><td>64</td></tr>
<tr><td>MaxPooling</td><td>31x31x16</td><td></td></tr>
<tr><td>Flatten</td><td>15376</td><td></td></tr>
<tr><td>Dense</td><td>3</td><td>46.131</td></tr>
<tr><td>Total</td><td></td><td>46.643</td></tr></table>
""",
}


@pytest.mark.parametrize("name", TABLES)
def test_the_same_network_in_others_words(name):
    table = audit.read(TABLES[name])
    assert [(row.layer_class, row.shape[1:], row.total) for row in table] == list(NETWORK)
    assert (table.total, table.trainable, table.style) == (46_643, 46_611, "handmade")
    assert table.inconsistencies() == ()
    assert len({row.name for row in table}) == len(table)
    assert table.stated.get("total", 46_643) == 46_643


def test_channels_first_with_a_batch_and_blocks():
    (conv, up) = audit.read("""
| Block | Layer | Output shape | Params |
|---|---|---|---|
| down 1 | Conv3d | [1, 32, 48, 48, 48] | 0.896 K |
| | InstanceNorm3d | [1, 32, 48, 48, 48] | 64 |
""")
    assert (conv.name, conv.layer_class, conv.path) == ("down_1-Conv3d", "Conv3D", ("down_1",))
    assert conv.shape == up.shape == (None, 48, 48, 48, 32)
    assert (conv.total, up.total, up.path) == (896, 64, ("down_1",))


def test_a_pytorch_batch_norm_has_no_moving_statistics():
    table = audit.read(
        "|Layer|Output|Params|\n|-|-|-|\n|Conv2d|8x9x9|224|\n|BatchNorm2d|8x9x9|16|\n"
    )
    assert (table.total, table.trainable) == (240, 240)
    assert [row.shape for row in table] == [(None, 9, 9, 8)] * 2


def test_a_pytorch_batch_norm_without_a_shape_has_none_either():
    table = audit.read("|Layer|Type|Params|\n|-|-|-|\n|a|Conv2d|224|\n|b|BatchNorm2d|16|\n")
    assert (table.total, table.trainable) == (240, 240)


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ("(64, 32, 32)", (32, 32, 64)),
        ("[8, 64, 32, 32]", (32, 32, 64)),
        ("(1, 64, 9, 9)", (9, 9, 64)),
    ],
)
def test_a_number_that_all_shapes_begin_with_is_the_batch_where_axes_tell(sizes, shape):
    rows = "".join(f"|Conv2d|{sizes}|{count}|\n" for count in (36928, 36928))
    table = audit.read(f"|Layer|Output|Params|\n|-|-|-|\n{rows}")
    assert [row.shape for row in table] == [(None, *shape)] * 2


def test_a_unit_in_the_title_and_a_total_that_does_not_add_up():
    table = audit.read(
        "|Layer|Type|Output|Params (K)|\n|-|-|-|-|\n|a|Conv2D|9x9x8|1.2|\n|Total||| 2.5|\n"
    )
    assert isinstance(table.rows[0].total, int)
    assert (table.total, table.slack, table.stated["total"]) == (1_200, 50, Rounded(2_500, 50))
    (sentence,) = table.inconsistencies()
    assert sentence == "the rows add up to 1,200, the text states 2,500 (total)"


def test_what_is_unknown_is_said():
    table = audit.read("""
| Layer | Output | Params |
|---|---|---|
| Conv2D | 20x30x40 | 448 |
| Magic gate | 20x30x40 | a few |
| Dense | 3 | 10 |
""")
    assert [row.layer_class for row in table] == ["Conv2D", "Magic_gate", "Dense"]
    assert table.repairs == (
        "channels are taken to come last, which the text does not say",
        "1 count not read, taken as 0: Magic gate",
    )


@pytest.mark.parametrize(
    "text",
    [
        "| Model | Output Size | Parameters |\n|---|---|---|\n| YOLO | 640x640x3 | 2.6M |\n",
        "| Module | Params |\n|---|---|\n| encoder | 94.37M |\n| decoder | 20.24M |\n",
        "| Layer | Parameters |\n|---|---|\n| Conv1 | 3x3, 32 filters |\n| Conv2 | stride 2 |\n",
        "| Layer | Output | Params |\n|---|---|---|\n| LSTM | (units,) | 4 x units |\n",
        "| Layer | Type | Parameters |\n",
        "| Parameter | Value |\n|---|---|\n| Dense | 3 |\n",
    ],
)
def test_other_tables_are_not_read(text):
    with pytest.raises(ValueError, match="expected a network's summary"):
        audit.read(text)


def test_a_network_comes_back():
    rebuilt = audit.rebuild(TABLES["words"])
    assert rebuilt.model.count_params() == 46_643
    assert rebuilt.model.output_shape == (None, 3)
