"""From a data set to a plan: every case is read, one after the other."""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np

from unetzoo.data.datasets import Dataset, find_dataset
from unetzoo.data.preprocessing.statistics import CaseStatistics, normalizations
from unetzoo.data.preprocessing.survey import Survey
from unetzoo.planning.checks import check_choice, check_spacing
from unetzoo.planning.plans import DatasetStatistics, Fingerprint, Plan, tidy
from unetzoo.planning.rules import in_order, plan
from unetzoo.utils.checks import check, is_number
from unetzoo.utils.choices import TFDS
from unetzoo.utils.progress import bar


def plan_dataset(
    data: Dataset | Path | str | Sequence[str],
    memory_gb: float = 8,
    network: str = "plain_unet",
    *,
    layout: str | None = None,
    labels: Mapping[int, int] | None = None,
    classes: int | None = None,
    ignore: int | None = None,
    fill: float | None = None,
    workers: int = 1,
    survey: Survey | None = None,
) -> Plan:
    """What to train on a data set, and with which memory; also ``unetzoo.plan``.

    Its labelled cases are looked through for faults and measured: a CT channel is normalised by
    the foreground of all of them, those that a fold will hold out included, as nnU-Net does it.

    Args:
        data: of ``unetzoo.data.find_dataset``, or a place that it knows.
        memory_gb: of the accelerator.
        network: "plain_unet" or "residual_unet".
        layout, labels, classes, ignore: of a place, as in ``find_dataset``.
        fill: takes the place of NaN and infinite voxels; without it they are an error.
        workers: processes that read.
        survey: looks at the cases, so that who goes on with it need not look again.

    Raises: ValueError with all that is wrong with the data, or for memory that no patch fits in.
    Source: nnU-Net 2.8.1.

    >>> import tempfile
    >>> from unetzoo.data.synthetic import write_dataset
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = write_dataset(folder, 3, (40, 30), classes=2, layout="pictures")
    >>> found = plan_dataset(folder)
    >>> found.configurations["2d"].patch, found.measured.cases
    ((40, 32), 3)
    """
    check_choice(network, memory_gb)  # before the data are read
    check(fill is None or is_number(fill), "fill", fill, "a finite number, such as 0")
    _check_place(data)
    if isinstance(data, Dataset):
        if (layout, labels, classes, ignore) != (None,) * 4:
            raise ValueError(f"{data}: expected no layout, labels, classes or ignore besides it.")
        dataset = data
    else:
        dataset = find_dataset(data, layout, labels=labels, classes=classes, ignore=ignore)
    found = (survey or Survey()).look_through(
        dataset.cases,
        dataset.scheme,
        dataset.channel_names,
        fill=fill,
        workers=workers,
        progress=bar("reading every file"),
    )
    if max(found.counts, default=0) < 1:
        raise ValueError(
            f"{dataset}: only background in the labels; expected at least one class besides it: "
            "look at the label files, or give classes."
        )
    num_classes = dataset.scheme.with_classes(max(found.counts) + 1).num_classes
    statistics = [look.statistics for look in found.looks.values()]
    for name, case in zip(found.looks, statistics, strict=True):
        check_spacing(f"case {name!r}: spacing", case.spacing)
    return dataclasses.replace(
        _planned(statistics, num_classes, memory_gb, network),
        normalisation=normalizations(statistics, dataset.channel_names),
        measured=_measured(statistics, num_classes),
    )


def _check_place(data: object) -> None:
    if isinstance(data, Fingerprint):
        raise ValueError("a fingerprint: expected a data set; unetzoo.planning.plan takes it.")
    place = isinstance(data, (Dataset, Path, str, Sequence)) and data != ""
    check(place, "data", data, "a data set: a folder, a CSV file or patterns")
    if isinstance(data, str) and data.startswith(TFDS):
        raise ValueError(f"{data}: expected files to plan by; of TFDS give --plan or --network.")


def _planned(
    cases: Sequence[CaseStatistics], num_classes: int, memory_gb: float, network: str
) -> Plan:
    """Volumes are planned slices first, as nnU-Net reads them: of equal axes the first counts."""
    step = -1 if len(cases[0].shape) == 3 else 1
    spacings = [case.spacing[::step] for case in cases]
    shapes = [case.shape[::step] for case in cases]
    found = plan(Fingerprint(spacings, shapes, cases[0].channels, num_classes), memory_gb, network)
    if step == 1:
        return found
    turned = {
        name: in_order(one, range(len(one.patch))[::-1])
        for name, one in found.configurations.items()
    }
    across = turned["2d"].perpendicular
    turned["2d"] = dataclasses.replace(turned["2d"], perpendicular=2 - (across or 0))
    return dataclasses.replace(found, configurations=turned)


def _measured(cases: Sequence[CaseStatistics], num_classes: int) -> DatasetStatistics:
    none = (0,) * num_classes
    each = zip_longest(none, *(case.class_voxels for case in cases), fillvalue=0)
    spacing = np.median([case.spacing for case in cases], axis=0).round(6)
    shape = np.median([case.shape for case in cases], axis=0)
    return DatasetStatistics(
        len(cases), tuple(spacing.tolist()), tidy(shape.tolist()), tuple(map(sum, each))
    )
