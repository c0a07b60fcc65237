"""The curves of a run: their lines, texts and file."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from drawn import check_page
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from unetzoo.visualization.figures import curves
from unetzoo.visualization.sheet import colour_of


def history(epochs, classes=3, every=5):
    rows = []
    for epoch in range(1, epochs + 1):
        row = {"epoch": epoch, "loss": 1 / epoch, "learning_rate": 0.01 / epoch, "dice": 0.5}
        row |= {f"dice_{label}": label / 10 for label in range(1, classes + 1)}
        if epoch % every == 0:
            row |= {f"val_{name}": row[name] + epoch / 1000 for name in list(row)[3:]}
        rows.append(row)
    return rows


def lines(axes, marker):
    chosen = [line for line in axes.lines if line.get_marker() == marker and len(line.get_xdata())]
    return {line.get_color(): (list(line.get_xdata()), list(line.get_ydata())) for line in chosen}


def test_curves_are_the_history(tmp_path):
    rows = history(22)
    rows[3]["loss"], rows[4]["loss"] = math.nan, math.inf
    path = tmp_path / "curves.png"
    figure = curves(path, rows, class_names=("background", "_a", "$b$", "c" * 60))
    losses, rates, dice = figure.axes
    kept = [epoch for epoch in range(1, 23) if epoch not in (4, 5)]
    assert lines(losses, "")["black"] == (kept, [1 / epoch for epoch in kept])
    assert lines(rates, "")["black"][1] == [row["learning_rate"] for row in rows]
    assert set(lines(dice, "")) == {"black", *map(colour_of, (1, 2, 3))}
    assert lines(dice, "")[colour_of(2)][1] == [0.2] * 22
    epochs, values = lines(dice, "o")["black"]
    assert epochs == [5, 10, 15, 20]
    assert values == pytest.approx([0.505, 0.51, 0.515, 0.52])
    assert lines(dice, "o")[colour_of(3)][0] == epochs
    assert dice.get_title() == "Dice: best in validation 0.520, epoch 20"
    names = [text.get_text() for text in dice.get_legend().get_texts()]
    assert names == ["_a", "$b$", "c" * 40 + " ...", "mean", "training", "validation"]
    with Image.open(path) as picture:
        assert picture.size == (1400, 380)
        drawn = np.asarray(picture.convert("RGB")) / 255
    assert (abs(drawn - to_rgb(colour_of(1))).max(-1) < 0.1).sum() > 100
    check_page(figure)


def test_curves_of_little(tmp_path):
    """No epoch, one, one class, many classes, only some measures: rows as read from history.csv."""
    path = tmp_path / "curves.png"
    assert [axes.get_title() for axes in curves(path, []).axes] == ["loss", "Dice"]
    (one,) = history(1)
    figure = curves(path, [one])
    assert lines(figure.axes[0], ".")["black"] == ([1], [1.0])
    ticks = list(figure.axes[0].get_xticks())
    assert ticks == [int(tick) for tick in ticks]
    assert set(lines(curves(path, history(9, classes=1)).axes[2], "")) == {"black"}
    assert set(lines(curves(path, history(9, classes=20)).axes[2], "")) == {"black"}
    only = [{"epoch": 3, "val_dice": 0.25, "val_dice_1": 0.2, "val_dice_2": 0.3}]
    dice = curves(path, only).axes[-1]
    assert lines(dice, "o")[colour_of(2)] == ([3], [0.3])
    names = [text.get_text() for text in dice.get_legend().get_texts()]
    assert names == ["class 1", "class 2", "mean", "training", "validation"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"a\.png: cannot be written \(No such file .*look at"):
        curves(tmp_path / "no" / "a.png", [])


def test_curves_take_the_place_of_the_last_ones_or_leave_them(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    curves(path, history(2))
    before = path.read_bytes()

    def full(self, place, **options):
        place.write_bytes(b"\x89PNG half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", full)
        with pytest.raises(ValueError, match="No space left on device"):
            curves(path, history(3))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["curves.png"]
    curves(path, history(3))
    assert path.read_bytes() != before


def test_a_thousand_epochs_are_as_many_lines_as_ten(tmp_path):
    """A line for each measure, not one an epoch: it is drawn after each."""
    few, many = (curves(tmp_path / "curves.png", history(epochs)) for epochs in (10, 1000))
    assert [len(axes.get_children()) for axes in many.axes] == [
        len(axes.get_children()) for axes in few.axes
    ]


def test_figures_leave_pyplot_alone(tmp_path):
    code = (
        "import sys; from unetzoo.visualization.figures import curves;"
        f"curves({str(tmp_path / 'a.png')!r}, [{{'epoch': 1, 'loss': 1.0}}]);"
        "print([name for name in ('matplotlib.pyplot', 'keras') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


def test_the_public_name_is_the_function_whatever_was_imported(tmp_path):
    code = (
        "import unetzoo.visualization.learning_curves, unetzoo.visualization.figures;"
        "import unetzoo; from unetzoo.visualization.figures import curves;"
        "print(unetzoo.visualization.curves is curves)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "True", result.stderr
