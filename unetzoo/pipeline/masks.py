"""``unetzoo evaluate --masks``: the masks of any program against the labels of a data set."""

import warnings
from collections.abc import Mapping
from pathlib import Path

from unetzoo.data.datasets import Dataset, find_dataset
from unetzoo.data.datasets.case import listed, stem_of
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

    Args:
        masks: the folder; the masks hold the numbers that the data set's label files hold.
        data: as in ``unetzoo.data.find_dataset``.
        labels, classes, ignore, threshold, geometry: as in ``find_dataset``.
        tolerance: of the surface Dice, in mm or pixels.

    Warns of cases without a mask and of masks without a case.
    Raises: ValueError where no mask belongs to a case, and as in ``evaluate_files``.
    """
    dataset = find_dataset(
        data, labels=labels, classes=classes, ignore=ignore, threshold=threshold, geometry=geometry
    )
    files = {stem_of(path): path for path in listed(Path(masks))}
    pairs = [
        (case.name, case.labels, files[case.name])
        for case in dataset.cases
        if case.name in files and case.label is not None
    ]
    if not pairs:
        raise ValueError(
            f"{masks}: no mask of a case of {data}; expected names such as "
            f"{few([case.name for case in dataset.cases], 2)}, with the images' endings."
        )
    scored = {name for name, *_ in pairs}
    for what, names, where in (
        ("case", {case.name for case in dataset.cases}, f"without a mask in {masks}"),
        ("mask", set(files), f"without a case in {data}"),
    ):
        if others := sorted(names - scored):
            text = f"{counted(len(others), what)} {where}, not scored: {few(others)}."
            warnings.warn(text, stacklevel=2)
    scheme = _scheme(dataset, [labels[0] for _, labels, _ in pairs])
    return evaluate_files(
        pairs,
        scheme,
        dataset.class_names,
        tolerance=tolerance,
        progress=bar_or_lines("scoring", every=EVERY),
    )


def _scheme(dataset: Dataset, labels: list[Path]) -> LabelScheme:
    """With the number of classes, which some data sets do not state: their labels are read."""
    scheme = dataset.scheme
    if scheme.mapping is not None or dataset.class_names:
        return scheme
    largest = 1
    for path in bar_or_lines("reading labels", every=EVERY)(labels):
        classes = read_label_file(path, scheme).data
        largest = max(largest, int(classes[classes != (scheme.ignore or -1)].max(initial=0)))
    return scheme.with_classes(largest + 1)
