"""The formats that are only read: what the programs printed, and small inputs of each kind.

The programs printed one network, of which PyTorch itself counts the parameters here; the files in
``tests/golden/programs`` are theirs, ``README.md`` there says how they were made.
"""

import pytest
import torch
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


def test_totals_of_flax_below_a_table_without_its_last_row():
    text = (GOLDEN / "programs" / "flax-0.12.8-linen.txt").read_text(encoding="utf-8")
    whole = audit.read(text)
    less = "\n".join(line for line in text.splitlines() if "│               Total" not in line)
    assert audit.read(less).stated == {"total": whole.total}
    assert audit.read(less).rows == whole.rows
    (said,) = audit.read(less.replace("432 (1.7 KB)", "433 (1.7 KB)")).inconsistencies()
    assert said == "the rows add up to 5,398, the text states 5,397 (total)"


def test_modules_of_flax_whose_cut_paths_are_the_same_count_each_by_itself():
    path = GOLDEN / "programs" / "flax-0.12.8-linen-narrow.txt"
    text = path.read_text(encoding="utf-8").replace("│ B_0/Conv_0   │", "│ B_0/BatchNo… │")
    table = audit.read(text)
    assert table.total == audit.read(path).total
    assert table.inconsistencies() == ()


def test_modules_of_flax_that_count_more_than_their_root_make_nothing_negative():
    text = (GOLDEN / "programs" / "flax-0.12.8-nnx.txt").read_text(encoding="utf-8")
    table = audit.read(text.replace("224 (896 B)", "999 (896 B)"))
    assert min(row.total for row in table) >= 0
    assert len(table.inconsistencies()) >= 1


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
    assert wrong.rows[0].total == 300
    if program == "DeepSpeed":  # a block's count holds parameters of its own
        assert (wrong.rows[-1].name, wrong.total) == ("Small", 9990)
    else:
        assert len(wrong.inconsistencies()) == 1


class WithParameters(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.listed = nn.ParameterList([torch.zeros(3, 4), torch.zeros(7)])
        self.named = nn.ParameterDict({"a": torch.zeros(5, 2), "b": torch.zeros(2)})
        self.scale = nn.Parameter(torch.ones(30))

    def forward(self, x):
        return self.conv(x) * self.scale


def test_lists_of_parameters_count_and_a_blocks_own_where_its_count_is_printed():
    module = WithParameters()
    table = audit.read(repr(module))
    assert (
        table.total == sum(p.numel() for p in module.parameters()) - 30
    )  # of which PyTorch's print says nothing
    fvcore = pytest.importorskip("fvcore.nn")
    text = fvcore.flop_count_str(fvcore.FlopCountAnalysis(module, torch.zeros(1, 1, 3, 32)))
    table = audit.read(text)
    assert abs(table.total - sum(p.numel() for p in module.parameters())) <= table.slack
    assert table.rows[-1].name == "WithParameters"
    assert table.inconsistencies() == ()


def by_hand(style):
    return GOLDEN / "by_hand" / f"{style}.txt"


BY_HAND = {  # total, trainable, the classes, sizes of a row
    "fastai": (11_836, 11_782, "Conv2D BatchNormalization ReLU Dense", (14, 14, 6)),
    "paddle": (48_204, 48_192, "Conv2D BatchNormalization ReLU Dense", (28, 28, 6)),
    "gluon": (
        29_410, 29_370, "InputLayer Conv2D BatchNormalization Activation Dense", (12, 12, 20)
    ),
    "keras1": (2_360_320, 2_360_320, "MaxPooling2D Conv2D Merge", (1024, 128, 128)),
    "r-torch": (364, 364, "Conv2D BatchNormalization Conv2DTranspose Parameter", ()),
    "darknet": (
        448 + 1152 + 32, 448 + 1152 + 32,
        "Conv2D MaxPooling2D Conv2D Add Concatenate yolo", (208, 304, 16),
    ),
    "matlab": (96, 96, "InputLayer Conv2D BatchNormalization", (28, 28, 8)),
    "handmade": (
        448 + 32 + 520 + 18, 1018,
        "Conv2D BatchNormalization MaxPooling2D Conv2DTranspose Conv2D", (32, 32, 16),
    ),
}  # fmt: skip


@pytest.mark.parametrize("style", BY_HAND)
def test_a_print_of_each_other_program(style):
    total, trainable, kinds, sizes = BY_HAND[style]
    table = audit.read(by_hand(style))
    assert table.style == style
    assert (table.total, table.trainable) == (total, trainable)
    assert [row.layer_class for row in table] == kinds.split()
    assert table.inconsistencies() == ()
    assert [row for row in table if row.shape == (None, *sizes)]


def test_what_darknet_does_not_tell_is_said():
    (note,) = audit.read(by_hand("darknet")).repairs
    assert note == "batch norms are not printed: convolutions are counted with a bias each"


def test_a_style_that_is_only_read_cannot_be_printed():
    with pytest.raises(ValueError, match="style 'lightning': expected one of"):
        audit.read(LIGHTNING.format(count="512")).to_text("lightning")


def test_each_program_has_a_file_or_a_text():
    read = {audit.read(path).style for path in PROGRAMS} | set(BY_HAND)
    assert read == set(READ_ONLY)
