"""``unetzoo evaluate --masks``: the masks of any program against labels, or against other masks."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.datasets import Case, Dataset, find_dataset
from unetzoo.data.datasets.case import listed, stem_of
from unetzoo.data.datasets.detection import layout_of
from unetzoo.data.datasets.reading import read_label_file
from unetzoo.data.labels import LabelScheme
from unetzoo.evaluation.results import Evaluation, evaluate_files
from unetzoo.utils.progress import EVERY, bar_or_lines
from unetzoo.utils.text import counted, few


def evaluate_masks(
    masks: Path | str,
    data: str,
    *,
    labels: Mapping[int, int] | None = None,
    classes: int | None = None,
    ignore: int | None = None,
    threshold: float | None = None,
    geometry: str = "header",
    tolerance: float = 1.0,
) -> Evaluation:
    """Score a folder of masks against the labels of a data set; a mask is named after its case.

    Of a data set those cases are scored that were trained on, or the test cases that have labels,
    or both: whichever have a mask.

    Args:
        masks: the folder; the masks hold the numbers that the label files hold.
        data: as in ``unetzoo.data.find_dataset``; or a folder of masks alone.
        labels, classes, ignore, threshold, geometry: as in ``find_dataset``.
        tolerance: of the surface Dice, in mm or pixels.

    Warns of cases without a mask and of masks without a case.
    Raises: ValueError where no mask belongs to a case, for labels that leave a gap if nothing says
        how many classes there are, and as in ``evaluate_files``.
    """
    dataset = _dataset(
        data, labels=labels, classes=classes, ignore=ignore, threshold=threshold, geometry=geometry
    )
    files = {stem_of(path): path for path in listed(Path(masks))}
    tested = [case for case in dataset.test if case.label is not None]
    parts = [part for part in (dataset.cases, tested) if any(case.name in files for case in part)]
    cases = [case for part in parts for case in part]
    pairs = [(case.name, case.labels, files[case.name]) for case in cases if case.name in files]
    if not pairs:
        raise ValueError(
            f"{masks}: no mask of a case of {data}; expected names such as "
            f"{few([case.name for case in dataset.cases], 2)}, with the images' endings."
        )
    scored = {name for name, *_ in pairs}
    for what, names, where in (
        ("case", {case.name for case in cases}, f"without a mask in {masks}"),
        ("mask", set(files), f"without a case in {data}"),
    ):
        if others := sorted(names - scored):
            text = f"{counted(len(others), what)} {where}, not scored: {few(others)}."
            warnings.warn(text, stacklevel=2)
    scheme = _scheme(dataset, [labels[0] for _, labels, _ in pairs], data)
    return evaluate_files(
        pairs,
        scheme,
        dataset.class_names,
        tolerance=tolerance,
        progress=bar_or_lines("scoring", every=EVERY),
    )


def _dataset(data: str, **numbers: Any) -> Dataset:
    """A data set, or a folder of masks alone, each of which is a case."""
    try:
        layout_of(data)
    except ValueError:
        if not (files := listed(Path(data))):
            raise
        cases = tuple(Case(stem_of(path), (), path) for path in files)
        return Dataset("masks", cases, (), LabelScheme(**numbers), (), ())
    return find_dataset(data, **numbers)


def _scheme(dataset: Dataset, labels: list[Path], data: str) -> LabelScheme:
    """With the number of classes, which some data sets do not state: their labels are read.

    Raises: ValueError for labels that leave a gap, such as 0 and 255.
    """
    scheme = dataset.scheme
    if scheme.mapping is not None or dataset.class_names:
        return scheme
    numbers: set[int] = set()
    for path in bar_or_lines("reading labels", every=EVERY)(labels):
        numbers.update(np.unique(read_label_file(path, scheme).data).tolist())
    return scheme.with_classes(max(2, len(scheme.without_gap(numbers | {0}, data))))
