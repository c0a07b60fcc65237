"""What the labels of nnU-Net's dataset.json mean: classes, regions, or labels that overlap."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unetzoo.data.datasets.manifest import label_number, list_of, name_in, object_of
from unetzoo.data.regions import Overlapping, Regions
from unetzoo.utils.json_values import short


def meaning_of(manifest: Mapping[str, Any], path: Path, regions: bool) -> dict[str, Any]:
    """What a ``Listing`` says of labels: labels, ignore, regions and region_names.

    ``"overlapping_labels": true`` beside labels, which nnU-Net does not have, says that a voxel may
    have several: a label file has a channel for each, in the order of their numbers, or each label
    has a file ``CASE_LABEL``.

    Args:
        manifest: the content of dataset.json.
        path: of the file.
        regions: whether regions are read; if not, labels that are regions are skipped.

    Raises: ValueError for names and numbers that do not fit together.

    >>> labels = {"background": 0, "all": [1, 2], "core": 2}
    >>> found = meaning_of({"labels": labels, "regions_class_order": [1, 2]}, Path("x"), True)
    >>> found["region_names"], found["regions"].members
    (('all', 'core'), ((1, 2), (2,)))
    """
    labels, ignore = _labels(object_of(manifest, "labels", path), path)
    if regions and manifest.get("overlapping_labels") is True:
        return _overlapping(labels, ignore, path)
    if regions and any(len(numbers) > 1 for numbers in labels.values()):
        return {"ignore": ignore, **_regions(labels, manifest, path)}
    single = {name: numbers[0] for name, numbers in labels.items() if len(numbers) == 1}
    return {"ignore": ignore, "labels": single}


def _overlapping(
    labels: dict[str, tuple[int, ...]], ignore: int | None, path: Path
) -> dict[str, Any]:
    numbers = {numbers: name for name, numbers in labels.items() if numbers != (0,)}
    if sorted(numbers) != [(number,) for number in range(1, len(numbers) + 1)]:
        raise ValueError(
            f"{path}: labels that overlap have the numbers {short(sorted(map(list, numbers)))}; "
            "expected 1, 2, 3 ..., one for each."
        )
    try:
        made = Overlapping(len(numbers))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    names = tuple(numbers[number] for number in sorted(numbers))
    marked = None if ignore is None else 2 ** len(numbers)
    return {"ignore": marked, "regions": made, "region_names": names}


def _labels(names: dict[str, object], path: Path) -> tuple[dict[str, tuple[int, ...]], int | None]:
    """The numbers of each name, one or those of a region; and the ignored number."""
    numbers = {}
    for name, value in names.items():
        listed = value if isinstance(value, list) and value else [value]
        several = tuple(label_number(number, path) for number in listed)
        numbers[name_in(name, "labels", path)] = tuple(dict.fromkeys(several))
    ignore = numbers.pop("ignore", None)
    if ignore is not None and len(ignore) > 1:
        raise ValueError(f"{path}: 'ignore' is {short(list(ignore))}; expected one number.")
    return numbers, None if ignore is None else ignore[0]


def _regions(
    labels: dict[str, tuple[int, ...]], manifest: Mapping[str, Any], path: Path
) -> dict[str, Any]:
    """The regions and their names, in the order of the file; the background alone is none."""
    if "regions_class_order" not in manifest:
        raise ValueError(
            f"{path}: labels has regions, but 'regions_class_order' is missing; expected the "
            "number that each region writes into a mask, in the order of labels, later ones over "
            "earlier ones; or give labels= or classes= to train on plain classes."
        )
    regions = {name: numbers for name, numbers in labels.items() if set(numbers) != {0}}
    order = [label_number(n, path) for n in list_of(manifest, "regions_class_order", path)]
    try:
        made = Regions(tuple(regions.values()), tuple(order))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return {"regions": made, "region_names": tuple(regions)}
