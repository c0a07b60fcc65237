"""Pictures of a run: slices with reference and prediction, curves, and what went wrong in a case.

An image is ``(*spatial, C)`` with 2 or 3 axes of space, labels are ``(*spatial)``. A picture is
shown as it is stored; a slice of a volume on canonical axes has the patient's right at the right
(of a slice from the side, the front), and front or top at the top. Every function returns the
``Figure`` that it has written; there is no global state.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from unetzoo.evaluation.scores import ClassScores
from unetzoo.utils.text import counted, printable
from unetzoo.visualization.learning_curves import curves
from unetzoo.visualization.sheet import MOST_CLASSES, Row, class_name, colour_of, draw_sheet, save
from unetzoo.visualization.slices import (
    Cut,
    cuts_through,
    enlarged,
    informative_cuts,
    painted,
    shown,
)

__all__ = ["case_figure", "curves", "overlay"]

IGNORED = {"not annotated": "#9A9A9A"}
ERRORS = {"error: missed": "#F0E442", "error: too much": "#CC79A7", "error: wrong class": "#FFFFFF"}


def overlay(
    path: Path | str,
    image: np.ndarray,
    labels: np.ndarray | None = None,
    prediction: np.ndarray | None = None,
    *,
    title: str = "",
    class_names: Sequence[str] = (),
    spacing: Sequence[float] | None = None,
    ignore_label: int | None = None,
) -> Figure:
    """Three slices of a case, the image beside its reference and prediction, as PNG.

    They lie across the coarsest axis; a row is named by its slice, ``[:, :, 31]``.

    Args:
        image: ``(*spatial, C)``; three channels of a picture are its colours, otherwise the first
            channel is shown.
        labels, prediction: ``(*spatial)``, or None.
        class_names: of class 0, 1 ...
        spacing: millimetres along each axis; None: all the same.
        ignore_label: voxels of it are covered in grey.

    Raises: ValueError for arrays that do not fit each other, or a file that cannot be written.
    """
    given = {"reference": labels, "prediction": prediction}
    masks = {name: np.asarray(mask) for name, mask in given.items() if mask is not None}
    steps = _checked_spacing(image, masks, spacing)
    cuts = informative_cuts(image.shape[:-1], list(masks.values()), steps, ignore_label)
    views = _views(cuts, image, list(masks.values()), steps)
    key = _key([mask for view in views for mask in view.masks], class_names, ignore_label)
    rows = [
        Row([v.picture, *(key.paint(v.picture, mask) for mask in v.masks)], v.size, repr(v.cut))
        for v in views
    ]
    figure = draw_sheet(rows, ["image", *masks], printable(title), key.legend)
    save(figure, path)
    return figure


def case_figure(
    path: Path | str,
    image: np.ndarray,
    reference: np.ndarray,
    prediction: np.ndarray,
    *,
    scores: Sequence[ClassScores] = (),
    title: str = "",
    class_names: Sequence[str] = (),
    spacing: Sequence[float] | None = None,
    ignore_label: int | None = None,
    tolerance: float | None = None,
) -> Figure:
    """Where a case went wrong, as PNG: reference, prediction and errors in three planes.

    On each axis the slice with most wrong voxels is shown; of a picture the whole.

    Args:
        image, class_names, spacing: as in ``overlay``.
        reference, prediction: ``(*spatial)``.
        scores: of the case's classes, for the title.
        ignore_label: voxels of it in the reference are covered in grey, and not wrong.
        tolerance: of the surface Dice, for the title.

    Raises: ValueError for arrays that do not fit each other, or a file that cannot be written.
    """
    reference, prediction = np.asarray(reference), np.asarray(prediction)
    masks = {"reference": reference, "prediction": prediction}
    steps = _checked_spacing(image, masks, spacing)
    wrong = reference != prediction
    if ignore_label is not None:
        wrong &= reference != ignore_label
    cuts = cuts_through([wrong, reference > 0])
    views = _views(cuts, image, [reference, prediction, wrong], steps)
    key = _key([mask for view in views for mask in view.masks[:2]], class_names, ignore_label)
    rows = []
    for view in views:
        truth, found, apart = view.masks
        kinds = np.select([(found <= 0) | (found == ignore_label), truth <= 0], [1, 2], 3) * apart
        errors = painted(view.picture / 2, kinds, {}, dict(enumerate(ERRORS.values(), 1)))
        panels = [key.paint(view.picture, truth), key.paint(view.picture, found), errors]
        count = f"{np.count_nonzero(view.cut.of(wrong)):,} wrong"
        rows.append(Row(panels, view.size, f"{view.cut!r}\n{count}".strip()))
    lines = [printable(title), *_score_lines(scores, class_names, tolerance, len(steps))]
    heads = ["reference", "prediction", "errors"]
    figure = draw_sheet(rows, heads, "\n".join(lines), [*ERRORS.items(), *key.legend])
    save(figure, path)
    return figure


@dataclass(frozen=True)
class _Key:
    """What the colours of a figure stand for."""

    colours: Mapping[int, str]
    shades: Mapping[int, str]  # of ignored voxels
    legend: Sequence[tuple[str, str]]

    def paint(self, picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return painted(picture, labels, self.colours, self.shades)


def _key(masks: Sequence[np.ndarray], class_names: Sequence[str], ignore_label: int | None) -> _Key:
    """The classes that occur in slices."""
    present = sorted({int(label) for mask in masks for label in np.unique(mask)})
    colours = {label: colour_of(label) for label in present if label > 0 and label != ignore_label}
    legend = [(class_name(label, class_names), colour) for label, colour in colours.items()]
    if ignore_label is None or ignore_label not in present:
        return _Key(colours, {}, legend)
    ((name, grey),) = IGNORED.items()
    return _Key(colours, {ignore_label: grey}, [(name, grey), *legend])


@dataclass(frozen=True)
class _View:
    """A slice of a case, with its voxels repeated."""

    cut: Cut
    size: tuple[float, float]  # height and width, mm
    picture: np.ndarray  # (rows, columns, 3), from 0 to 1
    masks: list[np.ndarray]  # (rows, columns)


def _views(
    cuts: Sequence[Cut], image: np.ndarray, masks: Sequence[np.ndarray], steps: Sequence[float]
) -> list[_View]:
    channels = 1 if image.ndim == 4 else image.shape[-1]
    pictures = shown([cut.of(image)[..., :channels] for cut in cuts])
    views = []
    for cut, picture in zip(cuts, pictures, strict=True):
        size = cut.size(image.shape[:-1], steps)
        parts = [enlarged(cut.of(mask), size) for mask in masks]
        views.append(_View(cut, size, enlarged(picture, size), parts))
    return views


def _checked_spacing(
    image: np.ndarray, masks: Mapping[str, np.ndarray], spacing: Sequence[float] | None
) -> tuple[float, ...]:
    """The spacing; every axis has one, and every mask the image's shape."""
    if image.ndim not in (3, 4) or not image.size:
        raise ValueError(
            f"image of shape {image.shape}: expected 2 or 3 axes of space, and one of channels."
        )
    for name, mask in masks.items():
        if mask.shape != image.shape[:-1]:
            raise ValueError(
                f"{name} of shape {mask.shape}, image of shape {image.shape}: expected the same "
                "sizes, and the image's channels last."
            )
    steps = tuple(float(step) for step in spacing or (1.0,) * (image.ndim - 1))
    if len(steps) != image.ndim - 1 or not all(0 < step < math.inf for step in steps):
        raise ValueError(f"spacing {steps}: expected {counted(image.ndim - 1, 'number')} above 0.")
    return steps


def _score_lines(
    scores: Sequence[ClassScores], class_names: Sequence[str], tolerance: float | None, rank: int
) -> list[str]:
    """A line a class, the worst first; NaN, for a class that neither mask has, at the end."""
    unit = "mm" if rank == 3 else "px"
    within = "" if tolerance is None else f" ({tolerance:g} {unit})"
    lines = []
    for s in sorted(scores, key=lambda s: (math.isnan(s.dice), s.dice)):
        name = class_name(s.label, class_names)
        lines.append(
            f"{name}: in neither mask" if math.isnan(s.dice) else
            f"{name}: Dice {s.dice:.3f}, IoU {s.iou:.3f}, HD95 {s.hd95:.2f} {unit}, "
            f"NSD{within} {s.surface_dice:.3f}"
        )  # fmt: skip
    left = len(lines) - MOST_CLASSES
    return [*lines[:MOST_CLASSES], f"and {left} more classes"] if left > 0 else lines
