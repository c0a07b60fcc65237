"""The pictures of cases, by their pixels and texts."""

import math
import os
import warnings

import numpy as np
import pytest
from drawn import boxes, check_page, counts, heads, names, pixels, texts, volume
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

from unetzoo.evaluation.scores import ClassScores
from unetzoo.visualization.figures import case_figure, overlay
from unetzoo.visualization.sheet import color_of

NAMES = ("background", "liver", "tumour")


def test_an_overlay_shows_each_mask_in_its_own_column(tmp_path):
    image, labels = volume()
    prediction = np.where(labels == 1, 0, labels)
    path = tmp_path / "overlay.png"
    figure = overlay(path, image, labels, prediction, title="case", class_names=NAMES)
    assert Image.open(path).format == "PNG"
    liver = np.reshape(counts(figure, path, color_of(1)), (3, 3))
    assert (liver[:, [0, 2]] == 0).all()
    assert (liver[:, 1] > 100).all()
    tumour = np.reshape(counts(figure, path, color_of(2)), (3, 3)).sum(0)
    assert tumour[0] == 0
    assert tumour[1:].min() > 50
    assert texts(figure) == ["liver", "tumour"]
    assert heads(figure) == ["image", "reference", "prediction"]
    assert [name[:7] for name in names(figure)] == ["[:, :, "] * 3
    assert figure._suptitle.get_text() == "case"
    check_page(figure)


@pytest.mark.parametrize(
    ("shape", "corner", "place"),
    [
        ((20, 30), (2, 25), (2.5 / 20, 25.5 / 30)),
        ((30, 20, 1), (25, 2, 0), (17.5 / 20, 25.5 / 30)),  # a volume's second axis runs up
    ],
)
def test_the_object_is_where_it_is(tmp_path, shape, corner, place):
    image, labels = np.zeros((*shape, 1)), np.zeros(shape, int)
    labels[corner] = 1
    figure = overlay(tmp_path / "a.png", image, labels)
    found = pixels(figure, tmp_path / "a.png", color_of(1))[1]
    assert np.argwhere(found).mean(0) / found.shape == pytest.approx(place, abs=0.01)


def test_slices_have_the_shape_of_the_body(tmp_path):
    """40, 48 and 24 voxels of 1, 3 and 4 mm, and of 1, 1 and 30: one scale on the whole page."""
    image, labels = volume()
    figure = overlay(tmp_path / "a.png", image, labels, spacing=(1.0, 3.0, 4.0))
    assert [box.height / box.width for box in boxes(figure)] == pytest.approx([144 / 40] * 6)
    planes = {
        (1.0, 3.0, 4.0): [(40, 144), (40, 96), (144, 96)],
        (1.0, 1.0, 30.0): [(40, 48), (40, 720), (48, 720)],
    }
    for spacing, sizes in planes.items():
        figure = case_figure(tmp_path / "b.png", image, labels, labels, spacing=spacing)
        scale = [box.size for box in boxes(figure)] / np.repeat(sizes, 3, axis=0)
        np.testing.assert_allclose(scale, scale[0, 0])
        check_page(figure)


def test_ignored_voxels_are_grey_and_in_the_legend(tmp_path):
    image, labels = volume()
    labels[:18] = 255
    path = tmp_path / "ignored.png"
    figure = overlay(path, 0 * image, labels, class_names=NAMES, ignore_label=255)
    assert texts(figure) == ["not annotated", "liver", "tumour"]
    shade = "#747474"  # three quarters of the grey, on black
    assert min(counts(figure, path, shade, near=3)[1::2]) > 10_000
    assert max(counts(figure, path, shade, near=3)[0::2]) == 0
    assert max(counts(figure, path, color_of(255))) == 0
    figure = overlay(path, 0 * image, np.where(labels == 255, 0, labels), ignore_label=255)
    assert texts(figure) == ["class 1", "class 2"]


def test_a_colour_picture_keeps_its_colours(tmp_path):
    image = np.zeros((40, 60, 3), "float32")
    image[:, :30, 0], image[:, 30:, 2] = 200, 255
    labels = np.pad(np.ones((10, 10), int), ((10, 20), (10, 40)))
    path = tmp_path / "picture.png"
    figure = overlay(path, image, prediction=labels, title="a picture")
    assert heads(figure) == ["image", "prediction"]
    assert counts(figure, path, "#0000FF", 3)[0] > 30_000
    assert counts(figure, path, "#C80000", 3)[0] > 30_000
    without, with_labels = counts(figure, path, color_of(1))
    assert without == 0 < 100 < with_labels
    check_page(figure)


def test_what_is_in_a_name_is_shown_and_not_obeyed(tmp_path):
    image, labels = volume()
    title = "$x^2$_{\n" + "word " * 100
    hostile = ("b", "_$\\frac{$", "x\ny\x1b[31m" + "z" * 60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = overlay(tmp_path / "a.png", image, labels, title=title, class_names=hostile)
        overlay(tmp_path / "b.png", image, labels, title="日本語", class_names=hostile)
    shown = figure._suptitle.get_text()
    assert shown.startswith(r"$x^2$_{\nword")
    assert shown.endswith("...")
    assert shown.count("\n") == 3
    assert texts(figure) == [r"_$\frac{$", r"x\ny\x1b[31m" + "z" * 28 + " ..."]
    check_page(figure)


def test_many_classes_and_a_long_name(tmp_path):
    image = np.random.default_rng(0).random((60, 50, 3, 1))
    many = np.arange(60 * 50 * 3).reshape(60, 50, 3) // 90 % 41
    figure = case_figure(
        tmp_path / "a.png", image, many, many[::-1], title="a long name " * 12,
        scores=[ClassScores(label, 0.5, 0.4, math.inf, 0.1) for label in range(1, 41)],
        class_names=["a", "LEFT STRUCTURE 123"] * 20 + ["z"],
    )  # fmt: skip
    assert texts(figure)[:3] == ["error: missed", "error: too much", "error: wrong class"]
    assert texts(figure)[-1] == "and 19 more"
    assert figure._suptitle.get_text().endswith("and 32 more classes")
    check_page(figure)


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
        "case $7$",
        "class 3: Dice 0.000, IoU 0.000, HD95 inf mm, NSD (2 mm) 0.000",
        "liver: Dice 0.751, IoU 0.600, HD95 3.25 mm, NSD (2 mm) 0.900",
        "tumour: in neither mask",
    ]
    assert names(figure)[0] == "[:, :, 30]\n700 wrong"
    voxel = np.prod(boxes(figure)[2].size) / 1600
    for colour, count in {"#F0E442": 100, "#CC79A7": 200, "#FFFFFF": 400}.items():
        found = counts(figure, path, to_hex(np.multiply(0.75, to_rgb(colour))), near=2)
        assert found[2] / voxel == pytest.approx(count, rel=0.06)
        assert found[0] == found[1] == 0
    check_page(figure)


def test_what_is_ignored_is_not_wrong(tmp_path):
    image, labels = volume()
    prediction = np.ones_like(labels)
    ignored = np.where(labels > 0, labels, 255)
    figure = case_figure(tmp_path / "a.png", image, ignored, prediction, ignore_label=255)
    total = np.count_nonzero(labels == 2, axis=(0, 1)).max()
    assert f"{total:,} wrong" in names(figure)[0]
    figure = case_figure(tmp_path / "b.png", image, labels, labels)
    assert all(name.endswith("\n0 wrong") for name in names(figure))


def test_the_first_channel_stands_for_a_volume_and_pixels_for_millimetres(tmp_path):
    image, labels = volume()
    three = np.concatenate([image, image * 0, -image], axis=-1)
    case_figure(tmp_path / "one.png", image, labels, labels * 0)
    case_figure(tmp_path / "three.png", three, labels, labels * 0)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "three.png").read_bytes()
    image, scores = image[:, :, 12], [ClassScores(1, 0.5, 0.4, 2, 0.3)]
    figure = case_figure(tmp_path / "2d.png", image, *labels.T[12:14].swapaxes(1, 2), scores=scores)
    assert "HD95 2.00 px, NSD 0.300" in figure._suptitle.get_text()
    assert len(figure.axes) == 3


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda p, i, m: overlay(p, i, m[1:]), r"reference of shape \(39, 48, 24\), image of"),
        (lambda p, i, m: overlay(p, i, m, m[..., 0]), r"prediction of shape \(40, 48\)"),
        (lambda p, i, m: overlay(p, i[..., 0, 0]), r"image of shape \(40, 48\): expected 2 or"),
        (lambda p, i, m: overlay(p, i, m, spacing=(1, 2)), r"spacing \(1.0, 2.0\): expected 3"),
        (lambda p, i, m: overlay(p, i, m, spacing=(1, 0, 1)), r"spacing \(1.0, 0.0, 1.0\)"),
        (lambda p, i, m: case_figure(p, i, m, m[1:]), r"prediction of shape \(39, 48, 24\)"),
        (lambda p, i, m: overlay(p.parent / "no" / "a.png", i, m), r"a\.png: cannot be written"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, draw, message):
    with pytest.raises(ValueError, match=message):
        draw(tmp_path / "a.png", *volume())
    assert os.listdir(tmp_path) == []
