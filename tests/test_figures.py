"""The pictures of a run, by their pixels and texts; which slices are drawn, against plain loops."""

import math
import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage
from seconds import seconds_of

from unetzoo.cases import ClassScores
from unetzoo.figures import case_figure, curves, overlay
from unetzoo.sheet import colour_of
from unetzoo.slices import FILL, Cut, cuts_through, enlarged, informative_cuts, painted, rgb, shown

NAMES = ("background", "liver", "tumour")
GREY, MISSED, EXTRA, OTHER = "#9A9A9A", "#F0E442", "#CC79A7", "#FFFFFF"


def ball(shape, centre, radius, spacing=(1, 1, 1)):
    at = np.indices(shape).T - np.array(centre)
    return (((at * spacing[: len(shape)]) ** 2).sum(-1) < radius**2).T


def volume(shape=(40, 48, 24), spacing=(1, 1, 1)):
    """An image in units of its deviation, as training takes it, and labels."""
    liver, tumour = ball(shape, (20, 24, 12), 9, spacing), ball(shape, (20, 28, 14), 3, spacing)
    labels = np.select([tumour, liver], [2, 1], 0).astype("uint8")
    image = labels + 0.2 * np.random.default_rng(0).standard_normal(shape)
    return ((image - image.mean()) / image.std())[..., None].astype("float32"), labels


def pixels(path, colour, near=24):
    """Where a file has a colour, (row, column) from the top left; outlines are a little blended."""
    with Image.open(path) as picture:
        values = np.asarray(picture.convert("RGB"), int)
    return np.abs(values - np.round(255 * rgb(colour))).max(-1) <= near


def columns(figure, path, colour, near=24):
    """How many pixels of a colour each picture of a figure has."""
    found = pixels(path, colour, near)
    height, width = found.shape
    counts = []
    for axes in figure.axes:
        box = axes.get_position()
        rows = slice(round((1 - box.y1) * height), round((1 - box.y0) * height))
        counts.append(int(found[rows, round(box.x0 * width) : round(box.x1 * width)].sum()))
    return counts


def beside(figure):
    """The names of columns, then of rows."""
    return [text.get_text() for text in figure.texts if text is not figure._suptitle]


def texts(figure):
    legends = [text for legend in figure.legends for text in legend.get_texts()]
    return [text.get_text() for text in legends]


def check_layout(figure: Figure):
    """Every text is on the page, over no picture, and over no other text."""
    figure.canvas.draw()
    drawn = [text for text in figure.texts if text.get_text()]
    drawn += [text for legend in figure.legends for text in legend.get_texts()]
    boxes = [text.get_window_extent() for text in drawn]
    pictures = [axes.get_window_extent() for axes in figure.axes]
    for number, box in enumerate(boxes):
        assert box.x0 >= 0 <= box.y0, drawn[number]
        assert box.x1 <= figure.bbox.x1, drawn[number]
        assert box.y1 <= figure.bbox.y1, drawn[number]
        for other in [*boxes[number + 1 :], *pictures]:
            assert not _overlap(box, other), drawn[number]
    for number, box in enumerate(pictures):
        assert not any(_overlap(box, other) for other in pictures[number + 1 :])


def _overlap(a, b, slack=1.0):
    wide = min(a.x1, b.x1) - max(a.x0, b.x0)
    tall = min(a.y1, b.y1) - max(a.y0, b.y0)
    return wide > slack and tall > slack


# === Slices ===


def test_a_slice_is_shown_as_a_radiology_viewer_shows_canonical_axes():
    """Right at the right, front and top at the top; a picture as it is stored."""
    values = np.arange(24).reshape(2, 3, 4)
    for axis, at in ((2, lambda c, r: (c, r, 1)), (1, lambda c, r: (c, 1, r)), (0, None)):
        cut = Cut(axis, 1).of(values)
        for row, column in np.ndindex(cut.shape):
            up = cut.shape[0] - 1 - row
            place = at(column, up) if at else (1, column, up)
            assert cut[row, column] == values[place]
    assert Cut(1, 1).size((2, 3, 4), (1.0, 2.0, 5.0)) == (20.0, 2.0)
    assert Cut(0, 1).size((2, 3, 4), (1.0, 2.0, 5.0)) == (20.0, 6.0)
    np.testing.assert_array_equal(Cut().of(values[0]), values[0])
    assert Cut().size((3, 4), (2.0, 1.0)) == (6.0, 4.0)


def test_a_small_class_is_not_passed_over():
    labels = np.zeros((20, 20, 30), "uint8")
    labels[4:16, 4:16, 3:28] = 1
    labels[10, 10, 22] = 2
    cuts = informative_cuts(labels.shape, [labels], (1, 1, 1))
    assert 22 in [cut.index for cut in cuts]
    assert len(cuts) == 3
    ignored = np.where(labels == 2, 255, labels)
    assert 22 not in [cut.index for cut in informative_cuts(labels.shape, [ignored], (1,) * 3, 255)]


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    spacing=st.tuples(*[st.sampled_from([0.7, 1.0, 5.0])] * 3),
    seed=st.integers(0, 99),
    share=st.sampled_from([0.0, 0.02, 0.5]),
)
def test_slices_hold_labels_and_lie_across_the_coarsest_axis(shape, spacing, seed, share):
    random = np.random.default_rng(seed)
    labels = (random.random(shape) < share) * random.integers(1, 4, shape)
    cuts = informative_cuts(shape, [labels], spacing)
    axis = cuts[0].axis
    assert all(cut.axis == axis for cut in cuts)
    assert shape[axis] == 1 or (1 not in shape and spacing[axis] == max(spacing))
    found = [cut.index for cut in cuts]
    assert found == sorted(set(found))
    assert 1 <= len(found) <= 3
    assert 0 <= found[0] <= found[-1] < shape[axis]
    if labels.any():
        assert all(cut.of(labels).any() for cut in cuts)

    wrong = random.random(shape) < share
    for cut in cuts_through([wrong, labels > 0]):
        counts = [Cut(cut.axis, index).of(wrong).sum() for index in range(shape[cut.axis])]
        assert not wrong.any() or counts[cut.index] == max(counts)
    assert len(cuts_through([wrong])) == (
        3 if sum(size == 1 for size in shape) in (0, 3) else 1
    ) or (sum(size == 1 for size in shape) == 2)


def test_without_errors_the_planes_go_through_the_reference():
    nothing, reference = np.zeros((9, 8, 7), bool), np.zeros((9, 8, 7), bool)
    reference[2, 6, 1] = True
    assert [cut.index for cut in cuts_through([nothing, reference])] == [1, 6, 2]
    assert [cut.index for cut in cuts_through([nothing, nothing])] == [3, 4, 4]


# === Colours ===


@settings(max_examples=25, deadline=None)
@given(shape=st.tuples(st.integers(1, 30), st.integers(1, 30)), seed=st.integers(0, 99))
def test_outlines_are_in_the_colour_and_the_rest_is_lightly_filled(shape, seed):
    random = np.random.default_rng(seed)
    labels = np.where(ndimage.gaussian_filter(random.standard_normal(shape), 2) > 0, 3, 0)
    picture = random.random((*shape, 3)).astype("float32")
    found = painted(picture, labels, {3: "#E69F00"})
    colour = np.array([230, 159, 0]) / 255
    inside = np.pad(labels == 3, 1)
    neighbours = [np.roll(inside, step, axis) for step in (-1, 1) for axis in (0, 1)]
    core = (inside & np.logical_and.reduce(neighbours))[1:-1, 1:-1]
    np.testing.assert_array_equal(found[labels == 0], picture[labels == 0])
    edge = (labels == 3) & ~core
    np.testing.assert_allclose(found[edge], np.tile(colour, (edge.sum(), 1)), atol=1e-6)
    np.testing.assert_allclose(found[core], (1 - FILL) * picture[core] + FILL * colour, atol=1e-6)


def test_the_window_leaves_out_extremes_and_survives_anything():
    values = np.linspace(-3, 3, 10_000, dtype="float32").reshape(100, 100, 1)
    values[0, :5, 0] = 1e6, -1e6, np.nan, np.inf, -np.inf
    (picture,) = shown([values])
    assert picture.shape == (100, 100, 3)
    assert picture[0, :5, 0].tolist() == [1, 0, 0, 1, 0]
    assert picture[50, 50] == pytest.approx(0.5, abs=0.02)
    for dull in (np.zeros((4, 4, 1)), np.full((4, 4, 1), np.nan), np.full((4, 4, 2), 7.0)):
        assert np.isfinite(shown([dull])[0]).all()
    spot = np.zeros((100, 100, 1))
    spot[3, 3] = 9
    assert shown([spot])[0][3, 3].tolist() == [1, 1, 1]
    colours = np.random.default_rng(0).integers(0, 256, (50, 50, 3))
    np.testing.assert_allclose(shown([colours])[0] * 255, colours, atol=3)


def test_colour_blind_people_tell_the_first_seven_classes_apart():
    """Okabe and Ito's colours through Machado's matrices for deuteranopia and protanopia."""
    linear = np.array([rgb(colour_of(label)) for label in range(1, 8)]) ** 2.2
    deutan = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    protan = [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    for matrix in (np.eye(3), np.array(deutan), np.array(protan)):
        seen = np.clip(linear @ np.transpose(matrix), 0, 1) ** (1 / 2.2)
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 9 * np.eye(7)
        assert apart.min() > 0.1


@given(
    shape=st.tuples(st.integers(1, 700), st.integers(1, 700)),
    size=st.tuples(st.floats(0.1, 1000), st.floats(0.1, 1000)),
)
def test_voxels_are_repeated_until_the_longer_side_is_long_enough(shape, size):
    found = np.array(enlarged(np.broadcast_to(np.uint8(0), shape), size).shape)
    assert (found % shape == 0).all()
    assert found[np.argmax(size)] >= 480
    wanted = 480 * np.array(size) / max(size)
    assert (found <= wanted + shape).all()


# === Overlays ===


def test_an_overlay_shows_each_mask_in_its_own_column(tmp_path):
    image, labels = volume()
    prediction = np.where(labels == 1, 0, labels)
    path = tmp_path / "overlay.png"
    figure = overlay(path, image, labels, prediction, title="case", class_names=NAMES)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        np.testing.assert_allclose(picture.size, 100 * figure.get_size_inches(), atol=1)
    liver = np.reshape(columns(figure, path, colour_of(1)), (3, 3))
    assert (liver[:, [0, 2]] == 0).all()
    assert (liver[:, 1] > 100).all()
    tumour = np.reshape(columns(figure, path, colour_of(2)), (3, 3)).sum(0)
    assert tumour[0] == 0
    assert tumour[1] == tumour[2] > 50
    assert texts(figure) == ["liver", "tumour"]
    heads = beside(figure)
    assert heads[:3] == ["image", "reference", "prediction"]
    assert all(head.startswith("[:, :, ") for head in heads[3:])
    assert figure._suptitle.get_text() == "case"
    check_layout(figure)


def test_the_object_is_where_it_is(tmp_path):
    """One corner of one voxel of a picture, and of a volume, at its place on the page."""
    for shape, corner, place in (((20, 30), (2, 25), (0.1, 0.85)), ((30, 20, 1), (25, 2, 0), None)):
        image, labels = np.zeros((*shape, 1)), np.zeros(shape, int)
        labels[corner] = 1
        path = tmp_path / "place.png"
        figure = overlay(path, image, labels)
        found = np.argwhere(pixels(path, colour_of(1)))
        box = figure.axes[1].get_position()
        height, width = np.array(Image.open(path).size)[::-1]
        inside = found[found[:, 0] < height * (1 - box.y0)].mean(0) / (height, width)
        down = (inside[0] - (1 - box.y1)) / box.height
        across = (inside[1] - box.x0) / box.width
        expected = place or (17 / 20, 25 / 30)  # the volume's second axis runs up
        assert (down, across) == pytest.approx(np.add(expected, (0.025, 1 / 60)), abs=0.02)


def test_slices_have_the_shape_of_the_body(tmp_path):
    """Spacing 1, 3: a plane of 40 by 48 voxels is 40 to 144 mm."""
    image, labels = volume()
    figure = overlay(tmp_path / "a.png", image, labels, spacing=(1.0, 3.0, 4.0))
    box = figure.axes[0].get_window_extent()
    assert box.height / box.width == pytest.approx(144 / 40, rel=0.01)
    figure = case_figure(tmp_path / "b.png", image, labels, labels, spacing=(1.0, 3.0, 4.0))
    boxes = [axes.get_window_extent() for axes in figure.axes[::3]]
    sizes = np.array([(box.height, box.width) for box in boxes])
    scale = sizes / [(144, 40), (96, 40), (96, 144)]
    np.testing.assert_allclose(scale, scale[0, 0], rtol=0.01)  # one scale on the whole page


def test_ignored_voxels_are_grey_and_in_the_legend(tmp_path):
    image, labels = volume()
    labels[:18] = 255
    path = tmp_path / "ignored.png"
    figure = overlay(path, 0 * image, labels, class_names=NAMES, ignore_label=255)
    assert texts(figure) == ["not annotated", "liver", "tumour"]
    shade = "#747474"  # three quarters of the grey, on black
    assert min(columns(figure, path, shade, near=3)[1::2]) > 10_000
    assert max(columns(figure, path, shade, near=3)[0::2]) == 0
    assert not pixels(path, colour_of(255)).any()
    figure = overlay(path, 0 * image, np.where(labels == 255, 0, labels), ignore_label=255)
    assert texts(figure) == ["class 1", "class 2"]


def test_a_colour_picture_keeps_its_colours(tmp_path):
    image = np.zeros((40, 60, 3), "float32")
    image[:, :30, 0], image[:, 30:, 2] = 200, 255
    labels = np.zeros((40, 60), bool)
    labels[10:20, 10:20] = True
    path = tmp_path / "picture.png"
    figure = overlay(path, image, prediction=labels, title="a picture")
    assert len(figure.axes) == 2
    assert columns(figure, path, "#0000FF", 3)[0] > 30_000
    assert columns(figure, path, "#C80000", 3)[0] > 30_000
    assert columns(figure, path, colour_of(1))[0] == 0
    assert columns(figure, path, colour_of(1))[1] > 100
    check_layout(figure)


def test_what_is_in_a_name_is_shown_and_not_obeyed(tmp_path):
    image, labels = volume()
    names = ("b", "$\\frac{", "x\ny\x1b[31m" + "z" * 60)
    title = "$x^2$_{\n" + "word " * 100
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = overlay(tmp_path / "a.png", image, labels, title=title, class_names=names)
        overlay(tmp_path / "b.png", image, labels, title="日本語", class_names=names)
    shown_title = figure._suptitle.get_text()
    assert shown_title.startswith(r"\$x^2\$_{\n")
    assert shown_title.endswith("...")
    assert shown_title.count("\n") == 3
    first, second = texts(figure)
    assert first == r"\$\frac{"
    assert re.fullmatch(r"x\\ny\\x1b\[31mz{10,40} \.\.\.", second)
    check_layout(figure)


def test_the_pages_hold_together_whatever_is_on_them(tmp_path):
    """Strips, single rows, many classes, no labels: texts stay beside the pictures."""
    flat = np.random.default_rng(0).random((60, 50, 3))
    many = np.arange(60 * 50 * 3).reshape(60, 50, 3) // 90 % 41
    scores = [ClassScores(label, 0.5, 0.4, math.inf, 0.1) for label in range(1, 41)]
    for spacing in ((1, 1, 30), (0.1, 0.9, 0.1)):
        figure = case_figure(
            tmp_path / "a.png", flat[..., None], many, many[::-1], title="many " * 30,
            scores=scores, spacing=spacing, class_names=["a", "structure " * 3] * 20 + ["z"],
        )  # fmt: skip
        assert texts(figure)[-1].startswith("and ")
        assert texts(figure)[:3] == ["error: missed", "error: too much", "error: wrong class"]
        assert figure._suptitle.get_text().endswith("and 32 more classes")
        check_layout(figure)
    for shape in ((1, 1), (300, 2), (1, 1, 1), (5, 1, 80)):
        image = np.zeros((*shape, 1))
        for labels in (None, np.ones(shape, int)):
            check_layout(overlay(tmp_path / "b.png", image, labels, title="tiny"))
        check_layout(case_figure(tmp_path / "c.png", image, labels, 0 * labels, title="tiny"))


# === Where a case went wrong ===


def test_errors_have_the_colour_of_their_kind(tmp_path):
    image = np.zeros((40, 40, 40, 1))
    reference, prediction = np.zeros((2, 40, 40, 40), "uint8")
    reference[:, :, 30], prediction[:, :, 30] = 1, 1
    reference[0:10, 5:15, 30], prediction[0:10, 5:15, 30] = 1, 0  # missed: 100
    reference[20:40, 5:15, 30], prediction[20:40, 5:15, 30] = 0, 2  # too much: 200
    reference[0:40, 30:40, 30], prediction[0:40, 30:40, 30] = 2, 1  # another class: 400
    path = tmp_path / "case.png"
    scores = [ClassScores(1, 0.7512, 0.6, 3.25, 0.9), ClassScores(2, math.nan, math.nan, 1, 1)]
    figure = case_figure(
        path, image, reference, prediction, title="case $7$", class_names=NAMES, tolerance=2,
        scores=[*scores, ClassScores(3, 0.0, 0.0, math.inf, 0.0)],
    )  # fmt: skip
    assert figure._suptitle.get_text().split("\n") == [
        r"case \$7\$",
        "class 3: Dice 0.000, IoU 0.000, HD95 inf mm, NSD (2 mm) 0.000",
        "liver: Dice 0.751, IoU 0.600, HD95 3.25 mm, NSD (2 mm) 0.900",
        "tumour: in neither mask",
    ]
    assert beside(figure)[3] == "[:, :, 30]\n700 wrong"
    expected = {MISSED: 100, EXTRA: 200, OTHER: 400}
    size = figure.axes[2].get_window_extent()
    voxel = size.width * size.height / 1600
    for colour, count in expected.items():
        shade = "#" + "".join(f"{round(255 * 0.75 * part):02X}" for part in rgb(colour))
        found = columns(figure, path, shade, near=2)
        assert found[2] / voxel == pytest.approx(count, rel=0.06)
        assert found[0] == found[1] == 0
    check_layout(figure)


def test_what_is_ignored_is_not_wrong(tmp_path):
    image, labels = volume()
    prediction = np.ones_like(labels)
    ignored = np.where(labels > 0, labels, 255)
    figure = case_figure(tmp_path / "a.png", image, ignored, prediction, ignore_label=255)
    total = np.count_nonzero(labels == 2, axis=(0, 1)).max()
    assert f"{total:,} wrong" in beside(figure)[3]
    figure = case_figure(tmp_path / "b.png", image, labels, labels)
    assert all(name.endswith("\n0 wrong") for name in beside(figure)[3:])


def test_the_first_channel_stands_for_a_volume_and_pixels_for_millimetres(tmp_path):
    image, labels = volume()
    three = np.concatenate([image, image * 0, -image], axis=-1)
    paths = tmp_path / "one.png", tmp_path / "three.png"
    for path, shown_image in zip(paths, (image, three), strict=True):
        case_figure(path, shown_image, labels, labels * 0)
    assert np.array_equal(*(np.asarray(Image.open(path)) for path in paths))
    figure = case_figure(
        paths[0], image[:, :, 12], labels[:, :, 12], labels[:, :, 13],
        scores=[ClassScores(1, 0.5, 0.4, 2, 0.3)],
    )  # fmt: skip
    assert "HD95 2.00 px, NSD 0.300" in figure._suptitle.get_text()
    assert len(figure.axes) == 3


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda p, i, m: overlay(p, i, m[1:]),
            r"reference of shape \(39, 48, 24\), image of shape",
        ),
        (lambda p, i, m: overlay(p, i, m, m[..., 0]), r"prediction of shape \(40, 48\)"),
        (
            lambda p, i, m: overlay(p, i[..., 0, 0], None),
            r"image of shape \(40, 48\): expected 2 or",
        ),
        (lambda p, i, m: overlay(p, i, m, spacing=(1, 2)), r"spacing \(1.0, 2.0\): expected 3"),
        (lambda p, i, m: overlay(p, i, m, spacing=(1, 0, 1)), r"spacing \(1.0, 0.0, 1.0\)"),
        (lambda p, i, m: case_figure(p, i, m, m[1:]), r"prediction of shape \(39, 48, 24\)"),
        (lambda p, i, m: overlay(p.parent / "no" / "a.png", i, m), r"a\.png: cannot be written"),
        (lambda p, i, m: curves(p.parent / "no" / "a.png", []), r"a\.png: cannot be written"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, draw, message):
    with pytest.raises(ValueError, match=message):
        draw(tmp_path / "a.png", *volume())
    assert os.listdir(tmp_path) == []


# === Curves ===


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
    figure = curves(path, rows, class_names=("background", "a", "$b", "c" * 40))
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
    assert names == ["a", r"\$b", names[2], "mean", "training", "validation"]
    assert re.fullmatch(r"c{12,24} \.\.\.", names[2])
    with Image.open(path) as picture:
        assert picture.size == (1400, 380)
    assert pixels(path, colour_of(1)).sum() > 100
    edge = dice.get_legend().get_window_extent()
    assert edge.x1 <= figure.bbox.x1


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


def test_curves_of_a_thousand_epochs_take_less_than_half_a_second(tmp_path):
    rows = history(1000)
    assert seconds_of(lambda: curves(tmp_path / "curves.png", rows)) < 0.5


def test_figures_leave_pyplot_alone(tmp_path):
    code = (
        "import sys; from unetzoo.figures import curves;"
        f"curves({str(tmp_path / 'a.png')!r}, [{{'epoch': 1, 'loss': 1.0}}]);"
        "print([name for name in ('matplotlib.pyplot', 'keras') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr
