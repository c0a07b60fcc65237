"""What a training run is made of, kept as ``run.json`` in its folder."""

import importlib.metadata
import json
import platform
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.preparation import Preparation
from unetzoo.pipeline.settings import Settings
from unetzoo.training.checkpoints import BEST, checkpoints
from unetzoo.utils.checks import whole
from unetzoo.utils.choices import MODELS
from unetzoo.utils.files import missing, replacing
from unetzoo.utils.json_values import parsed
from unetzoo.utils.kernels import keras_backend

RUN = "run.json"
PLAN = "plan.json"  # that the settings are made of, where there is one
PREPARED = "prepared"  # folder of prepared cases, where no other is given
PACKAGES = ("unetzoo", "keras", "numpy", "scipy", "nibabel", "tensorflow", "jax", "torch")


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
