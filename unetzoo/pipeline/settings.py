"""What a run is asked for."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from unetzoo import registry
from unetzoo.data.datasets.detection import LAYOUTS
from unetzoo.data.labels import LabelScheme, labels_of
from unetzoo.data.preprocessing import normalization as normalisation
from unetzoo.data.preprocessing.normalization import CT, ZScore, is_number
from unetzoo.data.preprocessing.preparation import Spacing, check_spacing
from unetzoo.planning.plans import Configuration, Plan
from unetzoo.training.checks import check_optimizer
from unetzoo.utils.checks import check, is_whole
from unetzoo.utils.choices import LAST_SEED, PLANNED, PRECISIONS
from unetzoo.utils.json_values import tuples
from unetzoo.utils.text import counted


@dataclass(frozen=True)
class Settings:
    """What a run is asked for; with the data, all that is needed to repeat it.

    Args:
        data: a folder, CSV file or other place that ``unetzoo.data.find`` knows, or "tfds:NAME".
        network: an id of the zoo.
        patch: sizes, voxels.
        fold: which fold is held out, counted from 0; None trains on all cases.
        folds: how many folds the cases are dealt into.
        layout: of the data; None to detect it.
        labels, classes, ignore: as in ``LabelScheme``; None for what the data say.
        spacing: millimetres to resample to, None on an axis that stays as it is; "median" for
            that of the training cases, None for no resampling.
        normalisation: one for each channel; None for what the training cases ask for.
        fill: replaces NaN and infinite voxels; None makes them an error.
        boundary_weights: whether voxels between objects count more, as in the paper of 2015.
        build: further arguments of the network's builder, such as ``{"norm": "instance"}``.
        epochs, steps: of the run, and patch batches in an epoch.
        batch_size: patches.
        optimizer, learning_rate, schedule, clip: as in ``unetzoo.training.make_optimizer``;
            schedule None is "constant" with Adam and "poly" with SGD.
        precision: a Keras dtype policy: "float32", "mixed_bfloat16" or "mixed_float16".
        augment: whether patches are varied.
        patience: epochs without a better held-out Dice after which the run ends; None: never.
        validate_every: epochs from one validation on whole held-out cases to the next.
        seed: of the weights, the patches and the dropout.

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
    layout: str | None = None
    labels: Mapping[int, int] | None = None
    classes: int | None = None
    ignore: int | None = None
    spacing: str | Spacing | None = "median"
    normalisation: tuple[ZScore | CT, ...] | None = None
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

    def __post_init__(self) -> None:
        self.check(**vars(self))
        _check_network(self)
        object.__setattr__(self, "patch", tuple(map(int, self.patch)))
        for name in (*_COUNTS, "patience", "seed"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else int(value))

    @classmethod
    def check(cls, **settings: Any) -> None:
        """Check some settings, while the others are not known: those that a plan will say.

        Raises: ValueError for a value that cannot work.

        >>> Settings.check(fold=5)
        Traceback (most recent call last):
        ValueError: fold 5: expected 0 to 4, or None to train on all cases.
        """
        for name, (holds, expected) in _CHECKS.items():
            if name in settings:
                check(holds(settings[name]), name, settings[name], expected)
        if "network" in settings:
            registry.card(settings["network"])
        defaults = {field.name: field.default for field in fields(cls)}
        values = {**defaults, **settings}
        fold, folds, spacing = values["fold"], values["folds"], values["spacing"]
        known = fold is None or (is_whole(fold, least=0) and fold < folds)
        check(known, "fold", fold, f"0 to {folds - 1}, or None to train on all cases")
        LabelScheme(values["classes"], values["labels"], values["ignore"])
        check_spacing(None if spacing == "median" else spacing)
        schedule = "constant" if values["schedule"] is None else values["schedule"]
        check_optimizer(values["optimizer"], values["learning_rate"], schedule, values["clip"])

    @classmethod
    def from_plan(cls, plan: Plan, configuration: str | None = None, **options: Any) -> "Settings":
        """What a plan says, and the other settings; ``unetzoo train --plan`` asks for the same.

        A 2D configuration of volumes becomes a 3D network whose patches are one voxel thick across
        the slices, and the distance between slices stays as it is: it computes what a 2D network
        does. With SGD the learning rate falls as a polynomial.

        Args:
            plan: of the data.
            configuration: "2d", "3d_fullres" or "3d_lowres". None for 3d_fullres; for 2d, if the
                data are pictures or single slices, or 3d_fullres cannot be trained.
            options: settings by name, ``data`` at least. They replace what the plan says; ``build``
                replaces only the arguments that it names.

        Raises: ValueError for a configuration that the plan does not have or that has a single
            stage, for a network that cannot be planned, and as ``Settings`` does.
        Source: nnU-Net 2.8.1, ``nnUNetTrainer``.

        >>> from unetzoo.planning import Fingerprint, plan
        >>> made = plan(Fingerprint([(1.0, 1.0, 5.0)] * 9, [(64, 64, 12)] * 9, 1, 2))
        >>> settings = Settings.from_plan(made, "2d", data="DIR", batch_size=4)
        >>> settings.patch, settings.spacing, settings.batch_size
        ((64, 64, 1), (1.0, 1.0, None), 4)
        >>> settings.build["strides"][1], settings.optimizer
        ([2, 2, 1], 'sgd')
        """
        network = options.get("network", plan.network)
        if not isinstance(network, str) or network.replace("-", "_") not in PLANNED:
            raise ValueError(
                f"network {network!r}: a plan has the stages of {' or '.join(PLANNED)}; give one "
                "of these, or a network and a patch without a plan."
            )
        chosen = _configuration(plan, configuration)
        pictures = len(chosen.patch) == 2 and chosen.perpendicular is None
        planned = {
            "network": plan.network,
            "patch": tuple(_across(chosen, chosen.patch, 1)),
            "spacing": None if pictures else tuple(_across(chosen, chosen.spacing, None)),
            "normalisation": plan.normalisation,
            "batch_size": chosen.batch_size,
            "optimizer": "sgd",
        }
        build = {  # as JSON gives it back
            "features": list(chosen.features),
            "kernels": [_across(chosen, kernel, 1) for kernel in chosen.kernels],
            "strides": [_across(chosen, stride, 1) for stride in chosen.strides],
            "deep_supervision": True,
            **(options.pop("build", None) or {}),
        }
        return cls(**{**planned, **options, "build": build})

    def differences(self, other: "Settings") -> list[str]:
        """What another run was asked for and this one was not."""
        pairs = ((f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return [
            f"{name} {theirs!r}, not {ours!r}" for name, ours, theirs in pairs if ours != theirs
        ]

    def to_json(self) -> dict[str, Any]:
        """A plain dict, for ``run.json``."""
        kinds = self.normalisation
        normalisations = None if kinds is None else [normalisation.to_json(kind) for kind in kinds]
        scheme = LabelScheme(self.classes, self.labels, self.ignore).to_json()
        return {**dataclasses.asdict(self), **scheme, "normalisation": normalisations}

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
            values["normalisation"] = tuple(normalisation.from_json(kind) for kind in kinds)
        if values.get("labels") is not None:
            values["labels"] = labels_of(values["labels"])
        return cls(**values)


# === What each setting may be ===


def _are_sizes(patch: Any) -> bool:
    return isinstance(patch, (list, tuple)) and bool(patch) and all(map(is_whole, patch))


def _are_kinds(kinds: Any) -> bool:
    listed = isinstance(kinds, (list, tuple)) and bool(kinds)
    return kinds is None or (listed and all(isinstance(kind, ZScore | CT) for kind in kinds))


_COUNTS = ("folds", "epochs", "steps", "batch_size", "validate_every")
_WHOLE = "a whole number of at least 1"
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "data": (
        lambda data: isinstance(data, str) and data != "",
        "a folder, a CSV file, patterns or tfds:NAME",
    ),
    "patch": (_are_sizes, "whole numbers of at least 1, such as (64, 64, 64)"),
    **dict.fromkeys(_COUNTS, (is_whole, _WHOLE)),
    "patience": (
        lambda epochs: epochs is None or is_whole(epochs),
        f"{_WHOLE}, or None to train to the end",
    ),
    "layout": (
        lambda layout: layout is None or layout in LAYOUTS,
        f"one of {', '.join(LAYOUTS)}, or None to detect it",
    ),
    "normalisation": (_are_kinds, "a ZScore or CT for each channel, or None"),
    "fill": (lambda fill: fill is None or is_number(fill), "a finite number, such as 0"),
    "build": (
        lambda build: build is None or isinstance(build, Mapping),
        "arguments of the network by name, such as {'norm': 'instance'}",
    ),
    "precision": (lambda policy: policy in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
    **dict.fromkeys(
        ("boundary_weights", "augment"),
        (lambda flag: isinstance(flag, bool), "True or False"),
    ),
    "seed": (
        lambda seed: is_whole(seed, least=0) and seed <= LAST_SEED,
        f"a whole number from 0 to {LAST_SEED}",
    ),
}


def _check_network(settings: Settings) -> None:
    """Whether the network takes the patch and its arguments, and the spacing fits the patch."""
    card, patch, rank = registry.card(settings.network), settings.patch, len(settings.patch)
    if rank not in card.ranks:
        networks = ", ".join(registry.list_models(f"{rank}d")) or "none"
        raise ValueError(
            f"network {settings.network!r} has {' or '.join(map(str, card.ranks))} axes of space, "
            f"patch {patch} has {rank}: expected the same; for {counted(rank, 'axis')} there are "
            f"{networks}."
        )
    if wrong := [size for size in patch if not card.sizes.allow(size)]:
        raise ValueError(f"patch {patch}: {card.name!r} {card.sizes.needed(wrong)}")
    if settings.spacing not in ("median", None) and len(settings.spacing) != rank:
        raise ValueError(f"spacing {settings.spacing}: expected {rank} numbers, one for each axis.")
    registry.check_arguments(settings.network, **(settings.build or {}))


# === From a plan ===


def _configuration(plan: Plan, name: str | None) -> Configuration:
    """The configuration of that name, or the best that can be trained."""
    configurations = plan.configurations
    likely = [each for each in ("3d_fullres", "2d") if each in configurations]
    trainable = [each for each in likely if not configurations[each].untrainable]
    name = name or [*trainable, *likely, "2d"][0]
    if name not in configurations:
        known = " or ".join(configurations)
        raise ValueError(f"configuration {name!r}: expected one of the plan, {known}.")
    chosen = configurations[name]
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
