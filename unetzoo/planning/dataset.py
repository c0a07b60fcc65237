"""From a data set to a plan: every case is read."""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np

from unetzoo.data.datasets import Dataset, find_dataset
from unetzoo.data.io.units import Spacing
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.statistics import CaseStatistics, normalizations
from unetzoo.data.preprocessing.survey import Survey
from unetzoo.planning.checks import check_choice, check_spacing
from unetzoo.planning.plans import DatasetStatistics, Fingerprint, Plan, tidy
from unetzoo.planning.rules import in_order, plan
from unetzoo.utils.checks import check, is_number
from unetzoo.utils.choices import TFDS
from unetzoo.utils.progress import EVERY, bar_or_lines


def plan_dataset(
    data: Dataset | Path | str | Sequence[str],
    memory_gb: float = 8,
    network: str = "plain_unet",
    *,
    layout: str | None = None,
    labels: Mapping[int, int] | None = None,
    classes: int | None = None,
    ignore: int | None = None,
    threshold: float | None = None,
    geometry: str = "header",
    file_spacing: Spacing | None = None,
    fill: float | None = None,
    normalisation: Sequence[str] | None = None,
    workers: int = 1,
    survey: Survey | None = None,
) -> Plan:
    """Plan what to train on a data set by nnU-Net's rules; also ``unetzoo.plan``.

    The labeled cases are checked for faults and measured. A CT channel is normalized by the
    foreground of all of them, including those that a fold will hold out, as nnU-Net does it.

    Args:
        data: a data set from ``unetzoo.data.find_dataset``, or a place that it can find.
        memory_gb: the accelerator's memory that a training step may take.
        network: "plain_unet" or "residual_unet".
        layout: as in ``find_dataset``, if data is a place.
        labels: as in ``find_dataset``, if data is a place.
        classes: as in ``find_dataset``, if data is a place.
        ignore: as in ``find_dataset``, if data is a place.
        threshold: as in ``find_dataset``, if data is a place.
        geometry: as in ``find_dataset``, if data is a place.
        file_spacing: as in ``find_dataset``, if data is a place.
        fill: replaces NaN and infinite voxels; without it they are an error.
        normalisation: as in ``find_dataset``, if data is a place.
        workers: processes that read.
        survey: does the reading, so that whoever uses it next need not read again.

    Returns: the plan.
    Raises: ValueError with all that is wrong with the data, or if no patch fits the memory.
    Source: nnU-Net 2.8.1.

    >>> import tempfile
    >>> from unetzoo.data.synthetic import write_dataset
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = write_dataset(folder, 3, (40, 30), classes=2, layout="pictures")
    >>> result = plan_dataset(folder)
    >>> result.configurations["2d"].patch, result.measured.cases
    ((40, 32), 3)
    """
    check_choice(network, memory_gb)  # before the data are read
    check(fill is None or is_number(fill), "fill", fill, "a finite number, such as 0")
    _check_place(data)
    if isinstance(data, Dataset):
        given = (layout, labels, classes, ignore, threshold, file_spacing, normalisation, geometry)
        if given != (*(None,) * 7, "header"):
            raise ValueError(
                f"{data}: expected no layout, labels, classes, ignore, threshold, geometry, "
                "file_spacing or normalisation."
            )
        dataset = data
    else:
        dataset = find_dataset(
            data, layout, labels=labels, classes=classes, ignore=ignore, threshold=threshold,
            geometry=geometry, file_spacing=file_spacing, normalisation=normalisation,
        )  # fmt: skip
    findings = (survey or Survey()).look_through(
        dataset.cases,
        dataset.scheme,
        dataset.channel_names,
        fill=fill,
        workers=workers,
        progress=bar_or_lines("reading every file", every=EVERY),
    )
    if max(findings.counts, default=0) < 1:
        raise ValueError(
            f"{dataset}: only background in the labels; expected at least one other class: "
            "check the label files, or give classes."
        )
    scheme = dataset.scheme.with_classes(max(findings.counts) + 1)
    num_classes = scheme.channels + bool(scheme.regions)  # of which the background is none
    statistics = [look.statistics for look in findings.looks.values()]
    for name, case in zip(findings.looks, statistics, strict=True):
        check_spacing(f"case {name!r}: spacing", case.spacing)
    return dataclasses.replace(
        _planned(statistics, num_classes, memory_gb, network),
        normalisation=normalizations(statistics, dataset.channel_names),
        measured=_measured(statistics, scheme),
    )


def _check_place(data: object) -> None:
    if isinstance(data, Fingerprint):
        raise ValueError("a fingerprint: expected a data set; unetzoo.planning.plan takes it.")
    place = isinstance(data, (Dataset, Path, str, Sequence)) and data != ""
    check(place, "data", data, "a data set: a folder, a CSV file or patterns")
    if isinstance(data, str) and data.startswith(TFDS):
        raise ValueError(f"{data}: expected files to plan by; for TFDS give --plan or --network.")


def _planned(
    cases: Sequence[CaseStatistics], num_classes: int, memory_gb: float, network: str
) -> Plan:
    """Plan volumes with slices first, as nnU-Net reads them: of equal axes the first one counts."""
    step = -1 if len(cases[0].shape) == 3 else 1
    spacings = [case.spacing[::step] for case in cases]
    shapes = [case.shape[::step] for case in cases]
    result = plan(Fingerprint(spacings, shapes, cases[0].channels, num_classes), memory_gb, network)
    if step == 1:
        return result
    turned = {
        name: in_order(configuration, range(len(configuration.patch))[::-1])
        for name, configuration in result.configurations.items()
    }
    across = turned["2d"].perpendicular
    turned["2d"] = dataclasses.replace(turned["2d"], perpendicular=2 - (across or 0))
    return dataclasses.replace(result, configurations=turned)


def _measured(cases: Sequence[CaseStatistics], scheme: LabelScheme) -> DatasetStatistics:
    absent = (0,) * scheme.num_classes
    counts = zip_longest(absent, *(case.class_voxels for case in cases), fillvalue=0)
    voxels = tuple(map(sum, counts))
    if scheme.regions:
        of_regions = np.array(voxels[: scheme.num_classes]) @ scheme.table
        voxels = (voxels[0], *of_regions.tolist())
    spacing = np.median([case.spacing for case in cases], axis=0).round(6)
    shape = np.median([case.shape for case in cases], axis=0)
    return DatasetStatistics(len(cases), tuple(spacing.tolist()), tidy(shape.tolist()), voxels)
