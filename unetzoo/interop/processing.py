"""``processing.json``: all that it takes to apply an exported network to a file, beside it.

Another program finds there what happens to an image before the network sees it and after, and a
test pair that says whether it does the same.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.labels import LabelScheme
from unetzoo.data.neighbors import Neighbors
from unetzoo.data.preprocessing.preparation import Preparation
from unetzoo.evaluation.calibration import checked_temperature
from unetzoo.utils.checks import is_whole, whole, wholes
from unetzoo.utils.files import missing, replacing
from unetzoo.utils.json_values import read_json, short

NAME = "processing.json"
VERSION = 1
LARGEST = 2**31  # numbers of a patch or its logits
INPUT, OUTPUT = "test_input.npy", "test_output.npy"
STEPS = (
    "Turn the image so that its axes run to the right, to the front and up (RAS), channels last.",
    "crop: cut out the smallest box that holds every voxel that is not 0 in some channel.",
    "normalisation: of each channel, before resampling; a z-score uses the box, or its voxels that "
    "are not 0.",
    "spacing: resample to it (mm) with cubic splines; along an axis over three times as coarse as "
    "the finest, slices are taken as they are.",
    "window: apply the network to overlapping patches, float32, (1, *patch, channels), and take "
    "the weighted mean of the logits.",
    "Resample the logits back linearly, take the largest (of one channel: above 0), put the box "
    "back, and write the label number of each class.",
)


OF_SLICES = (
    "slices: patches are one voxel thick along slices.axis, counted from 0; with slices.flat the "
    "network takes them without this axis. Its channels are those of the slice slices.neighbors "
    "before, of the next ..., of the last of as many after; beyond the ends, of the last slice."
)

LAST_OF_REGIONS = (
    "Resample the logits back linearly, put the box back, and write the number of each region in "
    "labels.regions.order where its sigmoid is above 0.5, later regions over earlier ones."
)

LAST_OF_OVERLAPPING = (
    "Resample the logits back linearly, put the box back, and write a channel for each label, 1 "
    "where its sigmoid is above 0.5."
)

PROBABILITIES = (
    "Where probabilities are wanted: divide the logits by temperature before softmax or sigmoid."
)


@dataclass(frozen=True)
class Processing:
    """What ``processing.json`` says."""

    folder: Path
    file: str  # of the network
    patch: tuple[int, ...]  # voxels
    context: tuple[int, ...]  # voxels by which an output is smaller than its input, on each axis
    strides: tuple[int, ...]  # voxels between those of the coarsest map
    channels: int
    scheme: LabelScheme
    class_names: tuple[str, ...]
    preparation: Preparation
    layout: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of each file
    temperature: float = 1.0  # of the probabilities; it leaves masks as they are
    across: int | None = None  # the axis across slices, of a network that goes slice by slice
    flat: bool = False  # whether that network is a 2D one, which takes no such axis
    neighbors: int = 0  # slices on either side that are channels, too

    @property
    def network_channels(self) -> int:
        """Those of the network's input: of the image, and of the slices beside a slice."""
        return self.channels * (2 * self.neighbors + 1)

    def seen(self, image: np.ndarray) -> Any:
        """A prepared image ``(*spatial, C)`` with the channels that the network sees."""
        if not self.neighbors or self.across is None:
            return image
        return Neighbors(image, self.across, self.neighbors)

    def of_network(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """A size for each axis of the network, which a flat one has not across the slices."""
        axis = self.across
        return sizes if axis is None or not self.flat else (*sizes[:axis], *sizes[axis + 1 :])

    @property
    def output_channels(self) -> int:
        """Those of the logits."""
        return len(self.class_names)

    @property
    def _last_step(self) -> str:
        if self.scheme.overlapping:
            return LAST_OF_OVERLAPPING
        return LAST_OF_REGIONS if self.scheme.regions else STEPS[-1]

    @property
    def _of_slices(self) -> tuple[str, ...]:
        return (OF_SLICES,) if self.flat or self.neighbors else ()

    def write(self, **more: Any) -> None:
        """Write the file, with more that it is to say."""
        slices = {"axis": self.across, "flat": self.flat, "neighbors": self.neighbors}
        record = {
            "format": "unetzoo processing",
            "version": VERSION,
            "file": self.file,
            "axes": "RAS, channels last" if len(self.patch) == 3 else "rows, columns, channels",
            "steps": (*STEPS[:4], *self._of_slices, STEPS[4], self._last_step, PROBABILITIES),
            "channels": self.channels,
            "classes": self.class_names,
            "labels": self.scheme.to_json(),
            "preparation": self.preparation.to_json(),
            "window": {
                "patch": self.patch,
                "context": self.context,
                "strides": self.strides,
                "overlap": 0 if any(self.context) else 0.5,
                "weights": "Gaussian around voxel size // 2, sigma = size / 8, the largest 10, in "
                "half precision; where that is 0, the smallest that is not",
            },
            "temperature": self.temperature,
            **({"slices": slices} if self._of_slices else {}),
            "layout": self.layout,
            "checksums": dict(self.checksums),
            "test": {"input": INPUT, "output": OUTPUT},
            **more,
        }
        with replacing(self.folder / NAME) as beside:
            beside.write_text(json.dumps(record, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path | str) -> "Processing":
        """What a folder's file says. Raises: ValueError where it is missing, or not ours."""
        path = Path(folder) / NAME
        record = read_json(path, "a folder of unetzoo export")
        try:
            if record["version"] != VERSION:
                raise ValueError(f"version {short(record['version'])}: expected {VERSION}")
            window = record["window"]
            patch = tuple(window["patch"])
            rank = len(patch)
            slices = _slices(record.get("slices"), rank)
            channels = record["channels"] * (2 * slices["neighbors"] + 1)
            if math.prod(patch) * max(channels, len(record["classes"])) > LARGEST:
                raise ValueError(f"patch {short(patch)}: expected {LARGEST:,} numbers at most")
            return cls(
                folder=Path(folder),
                file=_name(record["file"]),
                patch=wholes("patch", patch, rank, "axis"),
                context=_from_0(window["context"], rank),
                strides=wholes("strides", tuple(window["strides"]), rank, "axis"),
                channels=whole("channels", record["channels"]),
                scheme=LabelScheme.from_json(record["labels"]),
                class_names=tuple(map(str, record["classes"])),
                preparation=Preparation.from_json(record["preparation"]),
                layout=str(record["layout"]),
                checksums={str(name): str(key) for name, key in record["checksums"].items()},
                temperature=checked_temperature(record.get("temperature", 1.0)),
                **slices,
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = str(error).removesuffix(".") or type(error).__name__
            raise ValueError(
                f"{path}: not what unetzoo export writes ({short(reason)}); export the run again."
            ) from error

    def check_files(self) -> None:
        """Raises: ValueError for a file that is missing, or not the one that was written."""
        for name in (self.file, INPUT, OUTPUT):
            path = self.folder / name
            if reason := missing(path):
                raise ValueError(f"{path}: {reason}; export the run again.")
            if digest(path) != self.checksums.get(name):
                raise ValueError(
                    f"{path}: not the file that {NAME} was written for (another checksum); copy "
                    "the folder again."
                )


def is_exported(folder: Path | str) -> bool:
    """Whether ``unetzoo export`` has written a folder."""
    return (Path(folder) / NAME).is_file()


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _name(text: object) -> str:
    """The name of a file of the folder itself. Raises: ValueError for a path that leaves it."""
    if not isinstance(text, str) or text != Path(text).name or text in ("", ".", ".."):
        raise ValueError(f"file {short(text)}: expected a name in the folder")
    return text


def _slices(record: Any, rank: int) -> dict[str, Any]:
    """What is said of slices, if anything. Raises: ValueError for what cannot be."""
    if record is None:
        return {"across": None, "flat": False, "neighbors": 0}
    axis, flat, neighbors = record["axis"], record["flat"], record["neighbors"]
    known = rank == 3 and axis in range(3) and isinstance(flat, bool)
    if not known or not is_whole(neighbors, least=0):
        raise ValueError(f"slices along axis {short(axis)}: expected 0 to 2, flat, and neighbors")
    return {"across": axis, "flat": flat, "neighbors": neighbors}


def _from_0(numbers: Any, rank: int) -> tuple[int, ...]:
    values = tuple(numbers)
    if len(values) != rank or any(type(n) is not int or n < 0 or n % 2 for n in values):
        raise ValueError(f"context {short(values)}: expected {rank} even numbers of at least 0")
    return values
