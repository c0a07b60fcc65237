"""The formats that are only read: what the programs printed, and small inputs of each kind.

The programs printed one network, of which PyTorch itself counts the parameters here; the files in
``tests/golden/programs`` are theirs, ``README.md`` there says how they were made.
"""

import pytest
from places import GOLDEN
from torch import nn

import audit
from audit.styles import READ_ONLY
from audit.tables import Rounded

PROGRAMS = sorted((GOLDEN / "programs").glob("*.txt"))
EXACT = (
    "calflops-0.3.2", "fvcore-0.1.5", "fvcore-0.1.5-print", "mmengine-0.10.7",
    "mmengine-0.10.7-print", "ptflops-0.7.5", "torchsummaryX-1.3.0",
)  # fmt: skip


def block(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, bias=False), nn.BatchNorm2d(outputs)]


def parameters():
    """The count of the network that was printed."""
    up, head = nn.ConvTranspose2d(128, 64, 2, 2), nn.Conv2d(64, 2, 1)
    network = nn.Sequential(*block(3, 64), *block(64, 128), up, head, nn.Linear(2, 10))
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_what_the_programs_printed_is_read(path):
    table = audit.read(path)
    assert table.style in READ_ONLY
    assert table.inconsistencies() == ()
    assert table.repairs == ()
    if "flax" in path.stem:
        assert table.total == table.stated["total"] == (274 if "nnx" in path.stem else 5397)
        return
    assert abs(table.total - parameters()) <= table.slack
    stated = table.stated["total"]
    assert abs(stated - parameters()) <= (stated.slack if isinstance(stated, Rounded) else 0)
    if path.stem in EXACT:
        assert (table.total, table.slack) == (parameters(), 0)
    again = audit.read(table.to_text("json"))
    assert (again, again.slack) == (table, table.slack)


def test_frozen_modules_are_counted_by_lightnings_totals():
    table = audit.read(GOLDEN / "programs" / "lightning-2.6.6-rich.txt")
    assert (table.trainable, table.stated["not trainable"]) == (33_000, 75_800)


def test_sizes_and_statistics_of_flax():
    table = audit.read(GOLDEN / "programs" / "flax-0.12.8-linen.txt")
    rows = {row.name: row for row in table}
    assert rows["B_0-Conv_0"].shape == (None, 32, 32, 16)
    assert rows["B_1-BatchNorm_0"].parameters == {"all": 64, "moving": 64}
    assert table.trainable == 5301


LIGHTNING = """
  | Name  | Type   | Params | Mode
-----------------------------------
0 | model | Unet3D | {count} | train
1 | loss  | Loss   | 0      | train
-----------------------------------
{count}    Trainable params
0         Non-trainable params
{count}    Total params
"""


@pytest.mark.parametrize(("count", "slack"), [("1.8 M", 50_000), ("90.3 M", 50_000), ("512", 0)])
def test_rounded_counts_are_held_and_compared_as_such(count, slack):
    table = audit.read(LIGHTNING.format(count=count))
    assert (len(table), table.slack) == (2, slack)
    exact = audit.Table("", (audit.Row("model", "Unet3D", (None,), {"all": table.total + slack}),))
    rest = audit.Row("loss", "Loss", (None,))
    network = audit.Table("", (*exact.rows, rest), "torchsummary")
    assert audit.diff(table, network).same
    causes = [cause.cause for cause in audit.explain(table, network).causes]
    assert causes == (["rounded counts"] if slack else [])
    off = audit.Row("model", "Unet3D", (None,), {"all": table.total + slack + 1})
    assert not audit.diff(table, audit.Table("", (off, rest), "torchsummary")).same


def test_rows_that_do_not_give_the_rounded_total_are_said():
    text = LIGHTNING.format(count="1.8 M")
    (said, *_) = audit.read(text.replace("1.8 M    Total", "2.8 M    Total")).inconsistencies()
    assert said == "the rows add up to 1,800,000, the text states 2,800,000 (total)"


# === Programs that do not install here: their prints by hand, with their sums ===

PTFLOPS = """
Small(
  {total}, 100.000% Params, 1.0 MMac, 100.000% MACs,
  (a): Conv2d({conv}, 50% Params, 0.9 MMac, 90% MACs, 3, 8, kernel_size=(3, 3), stride=(1, 1))
  (b): Odd({odd}, 50% Params, 0.1 MMac, 10% MACs, 7, 9)
)
"""
STATISTICS = {
    "ptflops": PTFLOPS,
    "mmcv": PTFLOPS.replace("MMac", "GFLOPs").replace("MACs", "FLOPs"),
    "DeepSpeed": PTFLOPS.replace(", 100.000% Params", " = 100% Params")
    .replace(", 50% Params", " = 50% Params")
    .replace("1.0 MMac, 100.000% MACs,", "1 MMACs = 100% MACs, 3.1 ms = 100% latency, 6 GFLOPS"),
}


@pytest.mark.parametrize("program", STATISTICS)
def test_a_print_with_statistics_is_never_taken_for_a_plain_one(program):
    """Its first numbers are no channels; the printed counts count."""
    text = STATISTICS[program].format(total="1.22 k", conv="224", odd="1.0 k")
    table = audit.read(text)
    assert table.style == "torchrepr-statistics"
    assert [row.total for row in table] == [224, 1000]
    assert (table.slack, table.inconsistencies()) == (50, ())
    assert table.rows[0].shape == (None, 8)
    wrong = audit.read(STATISTICS[program].format(total="9.99 k", conv="300", odd="1.0 k"))
    assert (wrong.rows[0].total, len(wrong.inconsistencies())) == (300, 1)


FASTAI = """
Net (Input shape: 8 x 1 x 28 x 28)
============================================================================
Layer (type)         Output Shape         Param #    Trainable
============================================================================
                     8 x 6 x 14 x 14
Conv2d                                    54         False
BatchNorm2d                               12         True
ReLU
____________________________________________________________________________
                     8 x 10
Linear                                    11770      True
____________________________________________________________________________

Total params: 11,836
Total trainable params: 11,782
Total non-trainable params: 54

Optimizer used: <function Adam>
Callbacks:
  - Recorder
"""
PADDLE = """
---------------------------------------------------------------------------
 Layer (type)       Input Shape          Output Shape         Param #
===========================================================================
   Conv2D-1       [[1, 1, 28, 28]]      [1, 6, 28, 28]          60
 BatchNorm2D-1    [[1, 6, 28, 28]]      [1, 6, 28, 28]          24
    ReLU-1        [[1, 6, 28, 28]]      [1, 6, 28, 28]           0
   Linear-1          [[1, 400]]            [1, 120]           48,120
===========================================================================
Total params: 48,204
Trainable params: 48,192
Non-trainable params: 12
---------------------------------------------------------------------------
Input size (MB): 0.00
"""
GLUON = """
--------------------------------------------------------------------------------
        Layer (type)                                Output Shape         Param #
================================================================================
               Input                              (4, 1, 16, 16)               0
            Conv2D-1                              (4, 20, 12, 12)            520
         BatchNorm-2                              (4, 20, 12, 12)             80
        Activation-3          <Symbol hybrid0_relu0_fwd>                       0
             Dense-4                                     (4, 10)          28,810
================================================================================
Parameters in forward computation graph, duplicate included
   Total params: 29410
   Trainable params: 29370
   Non-trainable params: 40
"""
KERAS_1 = """
____________________________________________________________________________________________________
Layer (type)                     Output Shape          Param #     Connected to
====================================================================================================
maxpooling2d_1 (MaxPooling2D)    (None, 8L, 16L, 16L)  0           input_1[0][0]
____________________________________________________________________________________________________
convolution2d_2 (Convolution2D)  (None, 1024, 128, 128)2360320     maxpooling2d_1[0][0]
____________________________________________________________________________________________________
merge_3 (Merge)                  (None, 24, 64L, 64L)  0           convolution2d_2[0][0]
                                                                   maxpooling2d_1[0][0]
====================================================================================================
Total params: 2360320
"""
R_TORCH = """
An `nn_module` containing 364 parameters.

── Modules ───────────────────────────────────
• conv1: <nn_conv2d> #224 parameters
• bn: <nn_batch_norm2d> #16 parameters
• up: <nn_conv_transpose2d> #90 parameters

── Parameters ────────────────────────────────
• w: Float [1:2, 1:17]
"""
DARKNET = """
   layer   filters  size/strd(dil)      input                output
   0 conv     16       3 x 3/ 1    608 x 416 x   3 ->  608 x 416 x  16 0.319 BF
   1 max                2x 2/ 2    608 x 416 x  16 ->  304 x 208 x  16 0.006 BF
   2 conv     32/  4    3 x 3/ 1   304 x 208 x  16 ->  304 x 208 x  32 0.319 BF
   2 - receptive field: 277 x 277
   3 Shortcut Layer: 1,  wt = 0, wn = 0, outputs:  304 x 208 x  32 0.000 BF
   4 route  3 1                                  ->   304 x  208 x1024
   5 yolo
"""
MATLAB = """
<h2>96 total learnables</h2>
<table><tr><th></th><th>Name</th><th>Type</th><th>Activations</th><th>Learnable Properties</th></tr>
<tr><td>1</td><td>in<br>images</td><td>Image Input</td><td>28(S) x 28(S) x 1(C) x 1(B)</td>
<td>-</td></tr><tr><td>2</td><td>conv_1</td><td>2-D Convolution</td><td>28x28x8</td>
<td>Weights 3 x 3 x 1 x 8<br>Bias 1 x 1 x 8</td></tr>
<tr><td>3</td><td>bn</td><td>Batch Normalization</td><td>28(S) x 28(S) x 8(C) x 1(B)</td>
<td>Offset 1 x 1 x 8 Scale 1 x 1 x 8</td></tr></table>
"""
BY_HAND = {  # text, rows, total, trainable, the classes, the last size but one
    "fastai": (FASTAI, 11_836, 11_782, "Conv2D BatchNormalization ReLU Dense", (14, 14, 6)),
    "paddle": (PADDLE, 48_204, 48_192, "Conv2D BatchNormalization ReLU Dense", (28, 28, 6)),
    "gluon": (
        GLUON, 29_410, 29_370, "InputLayer Conv2D BatchNormalization Activation Dense", (12, 12, 20)
    ),
    "keras1": (KERAS_1, 2_360_320, 2_360_320, "MaxPooling2D Conv2D Merge", (1024, 128, 128)),
    "r-torch": (R_TORCH, 364, 364, "Conv2D BatchNormalization Conv2DTranspose Parameter", ()),
    "darknet": (
        DARKNET, 448 + 1152 + 32, 448 + 1152 + 32,
        "Conv2D MaxPooling2D Conv2D Add Concatenate yolo", (208, 304, 16),
    ),
    "matlab": (MATLAB, 96, 96, "InputLayer Conv2D BatchNormalization", (28, 28, 8)),
}  # fmt: skip


@pytest.mark.parametrize("style", BY_HAND)
def test_a_print_of_each_other_program(style):
    text, total, trainable, kinds, sizes = BY_HAND[style]
    table = audit.read(text)
    assert table.style == style
    assert (table.total, table.trainable) == (total, trainable)
    assert [row.layer_class for row in table] == kinds.split()
    assert table.inconsistencies() == ()
    assert [row for row in table if row.shape == (None, *sizes)]


def test_what_darknet_does_not_tell_is_said():
    (note,) = audit.read(DARKNET).repairs
    assert note == "batch norms are not printed: convolutions are counted with a bias each"


def test_a_style_that_is_only_read_cannot_be_printed():
    with pytest.raises(ValueError, match="style 'lightning': expected one of"):
        audit.read(LIGHTNING.format(count="512")).to_text("lightning")


def test_each_program_has_a_file_or_a_text():
    read = {audit.read(path).style for path in PROGRAMS} | set(BY_HAND)
    assert read == set(READ_ONLY)
