"""What a training run is made of, kept as ``run.json`` in its folder."""

import importlib.metadata
import json
import platform
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from unetzoo.data.labels import LabelScheme, labels_of
from unetzoo.data.preprocessing import normalization as normalisation
from unetzoo.data.preprocessing.normalization import CT, ZScore, is_number
from unetzoo.data.preprocessing.preparation import Preparation, Spacing, check_spacing
from unetzoo.training.checkpoints import BEST, checkpoints
from unetzoo.utils.checks import check, is_whole, whole, wholes
from unetzoo.utils.choices import LAST_SEED, MODELS, PRECISIONS
from unetzoo.utils.files import missing, replacing
from unetzoo.utils.json_values import parsed, tuples
from unetzoo.utils.kernels import keras_backend

RUN = "run.json"
PLAN = "plan.json"  # that the settings are made of, where there is one
PREPARED = "prepared"  # folder of prepared cases, where no other is given
PACKAGES = ("unetzoo", "keras", "numpy", "scipy", "nibabel", "tensorflow", "jax", "torch")


@dataclass(frozen=True)
class Settings:
    """What a run was asked for; with the data, all that is needed to repeat it.

    Args:
        data: a folder, CSV file or other place that ``unetzoo.data.find_dataset`` knows.
        network: an id of the zoo.
        patch: sizes, voxels.
        fold: which of the folds is held out, from 0; None trains on all cases.
        folds: into how many the cases are dealt.
        layout: of the data; None to find out.
        labels, classes, ignore: as in ``LabelScheme``; None for what the data say.
        spacing: millimetres to resample to, None on an axis that stays as it is; "median" for
            that of the training cases, None for no resampling.
        normalisation: one a channel; None for what the training cases ask for.
        fill: takes the place of NaN and infinite voxels; None makes them an error.
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

    Raises: ValueError for a number that cannot work.
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
        check(bool(self.data), "data", self.data, "a folder, a CSV file, patterns or tfds:NAME")
        rank = len(self.patch) if isinstance(self.patch, (list, tuple)) else 3
        object.__setattr__(self, "patch", wholes("patch", self.patch, rank, "axis"))
        right = self.fill is None or is_number(self.fill)
        check(right, "fill", self.fill, "a finite number, such as 0")
        for name in ("folds", "epochs", "steps", "batch_size", "validate_every"):
            object.__setattr__(self, name, whole(name, getattr(self, name)))
        check_spacing(None if self.spacing == "median" else self.spacing)
        if self.patience is not None:
            object.__setattr__(self, "patience", whole("patience", self.patience))
        if self.fold is not None and not 0 <= self.fold < self.folds:
            raise ValueError(f"fold {self.fold}: expected 0 to {self.folds - 1}, or none of them.")
        right = is_whole(self.seed, least=0) and self.seed <= LAST_SEED
        check(right, "seed", self.seed, f"a whole number from 0 to {LAST_SEED}")
        object.__setattr__(self, "seed", int(self.seed))
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision {self.precision!r}: expected one of {', '.join(PRECISIONS)}."
            )

    def differences(self, other: "Settings") -> list[str]:
        """What another run was asked for and this one was not."""
        pairs = ((f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return [
            f"{name} {theirs!r}, not {ours!r}" for name, ours, theirs in pairs if ours != theirs
        ]

    def to_json(self) -> dict[str, Any]:
        """A plain dict, for ``run.json``."""
        kinds = self.normalisation
        each = None if kinds is None else [normalisation.to_json(kind) for kind in kinds]
        scheme = LabelScheme(self.classes, self.labels, self.ignore).to_json()
        return {**asdict(self), **scheme, "normalisation": each}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Settings":
        """Raises: ValueError for what are no settings."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(found) - known):
            raise ValueError(f"settings {unknown}: expected only {sorted(known)}.")
        if lacking := sorted({"data", "network", "patch"} - set(found)):
            raise ValueError(f"settings without {', '.join(lacking)}: expected these at least.")
        values = {name: tuples(value) for name, value in found.items()}
        if values.get("normalisation") is not None:
            kinds = values["normalisation"]
            values["normalisation"] = tuple(normalisation.from_json(kind) for kind in kinds)
        if values.get("labels") is not None:
            values["labels"] = labels_of(values["labels"])
        return cls(**values)


@dataclass(frozen=True)
class Run:
    """A run's folder: what it was asked for and what it was made of.

    ``train`` and ``held_out`` hold a digest of each case, of its files and settings.
    """

    folder: Path
    settings: Settings
    scheme: LabelScheme
    class_names: tuple[str, ...]
    channels: int
    preparation: Preparation
    train: Mapping[str, str]
    held_out: Mapping[str, str]
    versions: Mapping[str, str]
    backend: str

    @property
    def rank(self) -> int:
        """Axes of space."""
        return len(self.settings.patch)

    def write(self) -> None:
        """Write ``run.json``, whole or not at all."""
        record = {
            "settings": self.settings.to_json(),
            "scheme": self.scheme.to_json(),
            "class_names": self.class_names,
            "channels": self.channels,
            "preparation": self.preparation.to_json(),
            "train": dict(self.train),
            "held_out": dict(self.held_out),
            "versions": dict(self.versions),
            "backend": self.backend,
        }
        with replacing(self.folder / RUN) as beside:
            beside.write_text(json.dumps(record, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path | str) -> "Run":
        """Raises: ValueError for a folder without a run, or a file that is not a run's."""
        path = Path(folder) / RUN
        if reason := missing(path):
            raise ValueError(f"{path}: {reason}; expected the folder of a run of unetzoo train.")
        try:
            record = parsed(path.read_bytes())
            parts = {name: _part(record, name, make) for name, make in _PARTS.items()}
        except ValueError as error:
            reason = str(error).removesuffix(".")
            raise ValueError(
                f"{path}: not the record of a run: {reason}; expected what unetzoo train wrote."
            ) from error
        return cls(Path(folder), **parts)

    def check_same(self, settings: Settings) -> None:
        """A run goes on with what it was begun with.

        Raises: ValueError for other settings, or another backend.
        """
        if different := settings.differences(self.settings):
            raise ValueError(
                f"{self.folder}: the run there was begun with {', '.join(different)}; give the "
                "same settings to go on with it, or another folder."
            )
        backend = keras_backend()
        if self.backend != backend:
            raise ValueError(
                f"{self.folder}: the run there was begun on {self.backend}, not {backend}; set "
                f"KERAS_BACKEND={self.backend} to go on with it, or give another folder."
            )

    def model_file(self, which: str = "best") -> Path:
        """Where its network is: "best", where there was validation, else and of "last" the newest.

        Raises: ValueError for another ``which``, or a run without a model.
        """
        if which not in MODELS:
            raise ValueError(f"which {which!r}: expected one of {', '.join(MODELS)}.")
        path = self.folder / BEST
        if which == "best" and path.exists():
            return path
        last = checkpoints(self.folder)
        if not last:
            raise ValueError(
                f"{self.folder}: no model yet; expected a run with at least one epoch."
            )
        newest = last[max(last)]
        if which == "best":
            warnings.warn(
                f"{self.folder}: no {BEST} there, which a validation writes; the last checkpoint, "
                f"{newest.name}, is taken.",
                stacklevel=2,
            )
        return newest


_PARTS: dict[str, Callable[[Any], Any]] = {  # of a record, and what makes each of its JSON
    "settings": Settings.from_json,
    "scheme": LabelScheme.from_json,
    "class_names": lambda names: tuple(map(str, names)),
    "channels": lambda count: whole("channels", count),
    "preparation": Preparation.from_json,
    "train": lambda keys: {str(name): str(key) for name, key in keys.items()},
    "held_out": lambda keys: {str(name): str(key) for name, key in keys.items()},
    "versions": dict,
    "backend": str,
}


def _part(record: object, name: str, make: Callable[[Any], Any]) -> Any:
    if not isinstance(record, Mapping):
        raise ValueError("no keys and values in braces")
    if name not in record:
        raise ValueError(f"key {name!r} is missing")
    try:
        return make(record[name])
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{name}: something is missing there, or of another kind") from error


def versions() -> dict[str, str]:
    """Python's and those of the packages that a run's numbers depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
