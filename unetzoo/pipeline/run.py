"""A training run: its folder, and its record in ``run.json``."""

import importlib.metadata
import json
import platform
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.labels import LabelScheme
from unetzoo.data.neighbors import Neighbors
from unetzoo.data.preprocessing.preparation import Preparation
from unetzoo.data.previous import WithPrevious
from unetzoo.pipeline.settings import Settings
from unetzoo.training.checkpoints import BEST, checkpoints
from unetzoo.utils.checks import whole
from unetzoo.utils.choices import MODELS
from unetzoo.utils.files import missing, replacing
from unetzoo.utils.json_values import content_of, parsed, read_json, short
from unetzoo.utils.kernels import keras_backend
from unetzoo.utils.text import printable, shortened

RUN = "run.json"
PLAN = "plan.json"  # that the settings are made from, if there is one
LONGEST = 300  # characters of what is wrong with a record
PREPARED = "prepared"  # default folder of prepared cases
CHOSEN = "best.json"  # of several runs, how they are used as one
PACKAGES = ("unetzoo", "keras", "numpy", "scipy", "nibabel", "tensorflow", "jax", "torch")


@dataclass(frozen=True)
class Run:
    """A training run: what it was asked for, and what its data turned out to be.

    ``train`` and ``held_out`` hold, for each case, a digest of its files and settings.
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
    layout: str = ""  # of its data, one of LAYOUTS; "" is not known
    continued: tuple[tuple[int, int], ...] = ()  # epochs that were done, and asked for until then
    unlearned: tuple[int, ...] = ()  # classes that only held-out cases have

    @property
    def patch(self) -> tuple[int, ...]:
        """Sizes, voxels."""
        return self.settings.patch

    @property
    def rank(self) -> int:
        """Axes of space."""
        return len(self.patch)

    @property
    def network_channels(self) -> int:
        """Channels of the network's input: those of the image, of the slices beside a slice, and
        of the mask of the stage before."""
        more = 0 if self.settings.previous is None else self.previous_table.shape[1]
        return self.channels * (2 * self.settings.neighbors + 1) + more

    @property
    def previous_table(self) -> np.ndarray:
        """In which channels a class of the mask of the stage before is 1, ``(classes, K)``, bool.

        There is one for each foreground class, or for each region where labels overlap.
        """
        if self.scheme.overlapping:
            return self.scheme.table
        return np.eye(self.scheme.num_classes, dtype=bool)[:, 1:]

    def tell_unlearned(self) -> None:
        """Warn of classes that the network cannot find, where its scores are read."""
        if self.unlearned:
            classes = short(list(self.unlearned))
            warnings.warn(
                f"{self.folder}: only held-out cases had the classes {classes}; the "
                "network has not learned them, and their Dice says nothing about it.",
                stacklevel=2,
            )

    def seen(self, image: np.ndarray, mask: np.ndarray | None = None) -> Any:
        """A prepared image ``(*spatial, C)`` with the channels that the network sees.

        Args:
            image: the prepared image.
            mask: of the stage before a cascade, classes ``(*spatial)`` on the same grid.
        """
        settings = self.settings
        if mask is not None:
            return WithPrevious(image, mask, self.previous_table)
        if not settings.neighbors or settings.across is None:
            return image
        return Neighbors(image, settings.across, settings.neighbors)

    def write(self) -> None:
        """Write ``run.json``, completely or not at all."""
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
            "layout": self.layout,
            **({"continued": self.continued} if self.continued else {}),
            **({"unlearned": self.unlearned} if self.unlearned else {}),
        }
        with replacing(self.folder / RUN) as beside:
            beside.write_text(json.dumps(record, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path | str) -> "Run":
        """The run in a folder. Raises: ValueError where there is none, or its record is damaged."""
        path = Path(folder) / RUN
        if reason := missing(path):
            if Path(folder).is_file():
                path, reason = Path(folder), "it is a file"
            if (Path(folder) / CHOSEN).is_file():
                raise ValueError(
                    f"{folder}: it holds several runs, or what was chosen of them; expected one "
                    "run: give that of a fold of unetzoo cross-validate, RUNS/fold_0."
                )
            raise ValueError(f"{path}: {reason}; expected the folder of a run of unetzoo train.")
        try:
            record = parsed(content_of(path))
            if isinstance(record, dict):
                record.setdefault("layout", "")  # not in older records
                record.setdefault("continued", [])
                record.setdefault("unlearned", [])
            parts = {name: _part(record, name, make) for name, make in _PARTS.items()}
        except ValueError as error:
            raise ValueError(f"{path}: not the record of a run: {_brief(error)}.") from error
        return cls(Path(folder), **parts)

    def check_same(self, settings: Settings) -> None:
        """Whether the run can be resumed with these settings: they must be those it began with.

        More epochs are allowed.

        Raises: ValueError for other settings, or another backend.
        """
        own = self.settings
        if settings.epochs > own.epochs:
            own = replace(own, epochs=settings.epochs)
        if different := settings.differences(own):
            raise ValueError(
                f"{self.folder}: the run there was begun with {', '.join(different)}; give the "
                "same settings to resume it, or another folder."
            )
        backend = keras_backend()
        if self.backend != backend:
            raise ValueError(
                f"{self.folder}: the run there was begun on {self.backend}, not {backend}; set "
                f"KERAS_BACKEND={self.backend} to resume it, or give another folder."
            )

    def longer(self, epochs: int, done: int) -> "Run":
        """The run with more epochs, in its record as well.

        Args:
            epochs: of the whole run from now on.
            done: so far.
        """
        settings = replace(self.settings, epochs=epochs)
        continued = (*self.continued, (done, self.settings.epochs))
        return replace(self, settings=settings, continued=continued)

    def model_file(self, which: str = "best") -> Path:
        """The file of its network.

        Args:
            which: "last" for the newest checkpoint; "best" for the best of the validations, or
                the newest, with a warning, if there was none.

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
                f"{self.folder}: no {BEST}, which a validation writes; the last checkpoint, "
                f"{newest.name}, is used instead.",
                stacklevel=2,
            )
        return newest


def settings_at(path: Path | str) -> Settings:
    """The settings in the folder of a run, or in a file: a ``run.json``, or its settings alone.

    Raises: ValueError for a file that is missing, or holds something else.
    """
    path = Path(path)
    file = path / RUN if path.is_dir() else path
    record = read_json(file, "the settings of a run")
    try:
        return Settings.from_json(record.get("settings", record))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"{file}: not the settings of a run: {_brief(error)}.") from error


_PARTS: dict[str, Callable[[Any], Any]] = {  # of a record, and what reads each from JSON
    "settings": Settings.from_json,
    "scheme": LabelScheme.from_json,
    "class_names": lambda names: tuple(map(str, names)),
    "channels": lambda count: whole("channels", count),
    "preparation": Preparation.from_json,
    "train": lambda keys: {str(name): str(key) for name, key in keys.items()},
    "held_out": lambda keys: {str(name): str(key) for name, key in keys.items()},
    "versions": dict,
    "backend": str,
    "layout": str,
    "continued": lambda pairs: tuple((int(done), int(epochs)) for done, epochs in pairs),
    "unlearned": lambda classes: tuple(map(int, classes)),
}


def _part(record: object, name: str, make: Callable[[Any], Any]) -> Any:
    if not isinstance(record, Mapping):
        raise ValueError("not a JSON object")
    if name not in record:
        raise ValueError(f"key {name!r} is missing")
    try:
        return make(record[name])
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{name}: a part is missing or has the wrong type") from error


def _brief(error: Exception) -> str:
    """What is wrong with a record and was expected, on one line, whatever its values hold."""
    reason = printable(shortened(str(error).removesuffix("."), LONGEST))
    return reason if "expected" in reason else f"{reason}; expected what unetzoo train wrote"


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that a run's numbers depend on."""
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed
