"""What a run is asked for."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from unetzoo.data.labels import LabelScheme, labels_of
from unetzoo.data.preprocessing import normalization as normalisation
from unetzoo.data.preprocessing.normalization import Normalization
from unetzoo.data.preprocessing.preparation import Spacing
from unetzoo.pipeline.checks import (
    COUNTS,
    check_neighbors,
    check_network,
    check_previous,
    check_stage,
    check_values,
    network_patch,
)
from unetzoo.planning.plans import Configuration, Plan
from unetzoo.utils.choices import CASCADE, PLANNED
from unetzoo.utils.files import absolute
from unetzoo.utils.json_values import tuples


@dataclass(frozen=True)
class Settings:
    """What a run is asked for; with the data, all that is needed to repeat it.

    Args:
        data: a folder, CSV file or other place that ``unetzoo.data.find_dataset`` knows, or
            "tfds:NAME".
        network: an id of the zoo.
        patch: sizes, voxels; for a 2D network that goes through volumes slice by slice, with a 1
            for the axis across them.
        neighbors: how many slices on either side are channels, too, of a patch of one slice.
        fold: which fold is held out, counted from 0; None trains on all cases.
        folds: how many folds the cases are dealt into.
        splits: a file that lists the folds, such as nnU-Net's splits_final.json; or None.
        groups: a regular expression; cases whose names share what it matches, such as a patient's,
            stay in one fold. None if each case is its own.
        layout: of the data; None to detect it.
        labels, classes, ignore: as in ``LabelScheme``; None to follow the data.
        threshold, geometry: as in ``LabelScheme``.
        file_spacing: of the axes Z, Y, X, millimeters, for volumes that state none, such as TIFF.
        spacing: millimeters to resample to, with None for an axis that stays as it is; "median" for
            the median of the training cases; None for no resampling.
        normalisation: one for each channel, or its name, such as "CT", whose numbers the training
            cases give; None to go by the names of the channels.
        fill: replaces NaN and infinite voxels; None makes them an error.
        boundary_weights: whether voxels between objects count more, as in the paper of 2015.
        build: further arguments of the network's builder, such as ``{"norm": "instance"}``.
        epochs: of the run.
        steps: batches per epoch.
        batch_size: patches per batch.
        optimizer, learning_rate, schedule, clip: as in ``unetzoo.training.make_optimizer``;
            schedule None is "constant" with Adam and "poly" with SGD.
        loss: as in ``unetzoo.losses.make_loss``; the held-out Dice and the report stay as they are.
        batch_dice: whether the loss's Dice is that of a whole batch, as if it were one patch.
        accumulate: as in ``unetzoo.training.make_optimizer``.
        remat: as in ``unetzoo.training.rematerialize``: "full" or "activations"; None leaves it to
            ``compile_model``.
        precision: a Keras dtype policy: "float32", "mixed_bfloat16" or "mixed_float16".
        augment: whether to augment the patches.
        patience: epochs without a better held-out Dice after which the run ends, or None.
        validate_every: epochs from one validation on whole held-out cases to the next.
        seed: of the weights, the patches and the dropout.
        init: the folder of a run, a ``.keras`` file or a folder or zip of nnU-Net, whose
            weights the run starts from, as in ``unetzoo.training.init_weights``; None for new ones.
        freeze: blocks whose weights stay as ``init`` gives them, as in ``unetzoo.training.freeze``.
        previous: of a cascade, the folder of ``cross_validate`` of the stage before, whose masks of
            held-out cases are further channels, one for each class; or None.

    Raises: ValueError for a value that cannot work, or a network that does not take the patch;
        TypeError for an argument that the network's builder does not have.

    >>> Settings("DIR", "unet3d_19m", patch=(64, 64, 64), epochs=0)
    Traceback (most recent call last):
    ValueError: epochs 0: expected a whole number of at least 1.
    """

    data: str
    network: str
    patch: tuple[int, ...]
    fold: int | None = 0
    folds: int = 5
    splits: str | None = None
    groups: str | None = None
    layout: str | None = None
    labels: Mapping[int, int] | None = None
    classes: int | None = None
    ignore: int | None = None
    threshold: float | None = None
    geometry: str = "header"
    file_spacing: tuple[float, float, float] | None = None
    spacing: str | Spacing | None = "median"
    normalisation: tuple[Normalization, ...] | tuple[str, ...] | None = None
    fill: float | None = None
    boundary_weights: bool = False
    build: Mapping[str, Any] | None = None
    epochs: int = 100
    steps: int = 100
    batch_size: int = 2
    optimizer: str = "adam"
    learning_rate: float | None = None
    schedule: str | None = None
    clip: float | None = 12.0
    precision: str = "float32"
    augment: bool = True
    patience: int | None = None
    validate_every: int = 5
    seed: int = 0
    init: str | None = None
    freeze: tuple[str, ...] = ()
    neighbors: int = 0
    batch_dice: bool = False
    previous: str | None = None
    loss: str = "dice_ce"
    remat: str | None = None
    accumulate: int = 1

    def __post_init__(self) -> None:
        self.check(**vars(self))
        check_network(self.network, self.patch, self.spacing, self.build)
        check_neighbors(self.neighbors, self.patch)
        check_previous(self.previous, self.patch)
        for name, value in _plain(self).items():
            object.__setattr__(self, name, value)

    @classmethod
    def check(cls, **settings: Any) -> None:
        """Check some settings while others are not known yet, such as those that a plan will set.

        Raises: ValueError for a value that cannot work.

        >>> Settings.check(fold=5)
        Traceback (most recent call last):
        ValueError: fold 5: expected 0 to 4, or None to train on all cases.
        """
        defaults = {field.name: field.default for field in fields(cls)}
        check_values(settings, defaults)

    @classmethod
    def from_plan(cls, plan: Plan, configuration: str | None = None, **options: Any) -> "Settings":
        """Settings from a plan; ``unetzoo train --plan`` uses this, too.

        A 2D configuration of volumes becomes a 3D network that computes what a 2D network does: its
        patches are one voxel thick across the slices, whose distance stays as it is. The optimizer
        is SGD, with a learning rate that falls as a polynomial.

        Args:
            plan: of the data.
            configuration: "2d", "3d_fullres" or "3d_lowres"; or "3d_cascade_fullres", which is
                3d_fullres with ``previous``. None for 3d_fullres; for 2d, if the data are pictures
                or single slices, or 3d_fullres cannot be trained.
            options: other settings by name, ``data`` at least. They override the plan; ``build``
                overrides only the arguments that it names.

        Raises: ValueError for a configuration that the plan does not have or that has only one
            stage, for a network that cannot be planned, and as in ``Settings``.
        Source: nnU-Net 2.8.1, ``nnUNetTrainer``.

        >>> from unetzoo.planning import Fingerprint, plan
        >>> made = plan(Fingerprint([(1.0, 1.0, 5.0)] * 9, [(64, 64, 12)] * 9, 1, 2))
        >>> settings = Settings.from_plan(made, "2d", data="DIR", batch_size=4)
        >>> settings.patch, settings.spacing, settings.batch_size
        ((64, 64, 1), (1.0, 1.0, None), 4)
        >>> settings.build["strides"][1], settings.optimizer
        ([2, 2, 1], 'sgd')
        """
        cls.check(**options)
        network = options.get("network", plan.network)
        if network.replace("-", "_") not in PLANNED:
            raise ValueError(
                f"network {network!r}: a plan has the stages of {' or '.join(PLANNED)}; give one "
                "of these, or a network and a patch without a plan."
            )
        check_stage(configuration, options.get("previous"))
        chosen = _configuration(plan, configuration)
        pictures = len(chosen.patch) == 2 and chosen.perpendicular is None
        planned = {
            "network": plan.network,
            "patch": tuple(_across(chosen, chosen.patch, 1)),
            "spacing": None if pictures else tuple(_across(chosen, chosen.spacing, None)),
            "normalisation": plan.normalisation,
            "batch_size": chosen.batch_size,
            "optimizer": "sgd",
            "batch_dice": chosen.batch_dice,
        }
        build = {
            "features": chosen.features,
            "kernels": [_across(chosen, kernel, 1) for kernel in chosen.kernels],
            "strides": [_across(chosen, stride, 1) for stride in chosen.strides],
            "deep_supervision": True,
            **(options.pop("build", None) or {}),
        }
        return cls(**{**planned, **options, "build": build})

    @property
    def named(self) -> tuple[str, ...] | None:
        """The names of normalizations whose numbers the training cases give."""
        names = tuple(kind for kind in self.normalisation or () if isinstance(kind, str))
        return names or None

    @property
    def kinds(self) -> tuple[Normalization, ...] | None:
        """The normalizations with their numbers; None where cases or names of channels say them."""
        kinds = tuple(kind for kind in self.normalisation or () if not isinstance(kind, str))
        return kinds or None

    @property
    def across(self) -> int | None:
        """The axis across the slices, of a patch of one slice of a volume."""
        thin = [axis for axis, size in enumerate(self.patch) if size == 1]
        return thin[0] if len(self.patch) == 3 and len(thin) == 1 else None

    @property
    def network_patch(self) -> tuple[int, ...]:
        """The patch as the network takes it: a 2D network sees a slice without its thickness."""
        return network_patch(self.network, self.patch)

    @property
    def slicing(self) -> int | None:
        """The axis across the slices of a volume that a 2D network goes through; else None."""
        return None if self.network_patch == self.patch else self.across

    def differences(self, other: "Settings") -> list[str]:
        """The settings of another run that differ from these, each in a few words.

        Files may have moved: their content is compared where they are read.
        """
        mine, theirs = self.located(), other.located()
        if os.path.isabs(mine.data) and os.path.isabs(theirs.data):
            mine = dataclasses.replace(mine, data=theirs.data)
        if mine.previous is not None and theirs.previous is not None:
            mine = dataclasses.replace(mine, previous=theirs.previous)
        pairs = ((f.name, getattr(mine, f.name), getattr(theirs, f.name)) for f in fields(self))
        return [
            f"{name} {theirs!r}, not {ours!r}" for name, ours, theirs in pairs if ours != theirs
        ]

    def located(self) -> "Settings":
        """The same, with absolute paths, so that they hold in another working directory."""
        data = ";".join(absolute(part.strip()) for part in self.data.split(";"))
        splits, previous = (
            None if path is None else absolute(path) for path in (self.splits, self.previous)
        )
        return dataclasses.replace(self, data=data, splits=splits, previous=previous)

    def to_json(self) -> dict[str, Any]:
        """A plain dict, for ``run.json``."""
        kinds = self.kinds and [normalisation.to_json(kind) for kind in self.kinds]
        scheme = LabelScheme(self.classes, self.labels, self.ignore).to_json()
        return {**dataclasses.asdict(self), **scheme, "normalisation": self.named or kinds}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Settings":
        """The settings of a ``run.json``. Raises: ValueError for anything else."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(record) - known):
            raise ValueError(f"settings {unknown}: expected only {sorted(known)}.")
        if lacking := sorted({"data", "network", "patch"} - set(record)):
            raise ValueError(f"settings without {', '.join(lacking)}: expected these at least.")
        values = {name: tuples(value) for name, value in record.items()}
        if values.get("normalisation") is not None:
            kinds = values["normalisation"]
            values["normalisation"] = tuple(
                kind if isinstance(kind, str) else normalisation.from_json(kind) for kind in kinds
            )
        if values.get("labels") is not None:
            values["labels"] = labels_of(values["labels"])
        return cls(**values)


def _plain(settings: Settings) -> dict[str, Any]:
    """Numbers, lists and tuples as JSON gives them back, so that equal settings are equal."""
    names = (*COUNTS, "patience", "seed", "neighbors")
    whole = {name: getattr(settings, name) for name in names}
    build = settings.build
    return {
        **{name: None if value is None else int(value) for name, value in whole.items()},
        "patch": tuple(map(int, settings.patch)),
        "freeze": tuple(settings.freeze),
        "spacing": tuples(settings.spacing),
        "normalisation": tuples(settings.normalisation),
        "build": None if build is None else {name: _listed(build[name]) for name in build},
    }


def _listed(value: Any) -> Any:
    return list(map(_listed, value)) if isinstance(value, (list, tuple)) else value


# === From a plan ===


def _configuration(plan: Plan, name: str | None) -> Configuration:
    """The configuration of that name, or the best that can be trained."""
    configurations = plan.configurations
    likely = [each for each in ("3d_fullres", "2d") if each in configurations]
    trainable = [each for each in likely if not configurations[each].untrainable]
    name = name or [*trainable, *likely, "2d"][0]
    known = [*configurations, *([CASCADE] if plan.has_cascade else [])]
    if name not in known:
        raise ValueError(f"configuration {name!r}: expected one of the plan, {' or '.join(known)}.")
    chosen = configurations["3d_fullres" if name == CASCADE else name]
    if chosen.untrainable:
        raise ValueError(
            f"patch {chosen.patch} of {name}: {chosen.untrainable}, expected at least 8 voxels on "
            "an axis; give a network and a patch without a plan."
        )
    return chosen


def _across(configuration: Configuration, numbers: Sequence, across: Any) -> list:
    """Numbers in a plane, and one across it where the plane lies in a volume."""
    inserted = list(numbers)
    if configuration.perpendicular is not None:
        inserted.insert(configuration.perpendicular, across)
    return inserted
