"""Medical Segmentation Decathlon: ``dataset.json`` names each image and its labels.

Source: Antonelli et al., "The Medical Segmentation Decathlon", 2022; medicaldecathlon.com.
"""

from pathlib import Path, PurePosixPath

from unetzoo.data.datasets.case import Case, Listing, stem_of
from unetzoo.data.datasets.manifest import (
    file_in,
    label_number,
    list_of,
    name_in,
    object_of,
    ordered_names,
    read_manifest,
)
from unetzoo.utils.json_values import short


def find_decathlon(place: Path) -> Listing:
    """The pairs under "training", the images under "test"; the volumes of a 4D image are channels.

    Raises: ValueError for JSON that lacks keys or names files outside the folder.
    """
    path = place / "dataset.json"
    manifest = read_manifest(path)
    entries = [_pair(entry, path) for entry in list_of(manifest, "training", path)]
    pairs = [(image, label) for image, label in entries if not _of_macos(image)]
    tests = manifest.get("test") or []
    if not isinstance(tests, list):
        raise ValueError(f"{path}: 'test' is not a list; expected a list of images.")
    images = [entry for entry in tests if not _of_macos(entry)]
    numbers = object_of(manifest, "labels", path)
    return Listing(
        cases=tuple(
            _case(file_in(place, image, path), file_in(place, label, path))
            for image, label in pairs
        ),
        test=tuple(_case(file_in(place, image, path)) for image in images),
        labels=_labels({label_number(n, path): name for n, name in numbers.items()}, path),
        channel_names=ordered_names(object_of(manifest, "modality", path), "modality", path),
    )


def _pair(entry: object, path: Path) -> tuple[object, object]:
    if isinstance(entry, dict) and {"image", "label"} <= set(entry):
        return entry["image"], entry["label"]
    raise ValueError(f"{path}: 'training' holds {short(entry)}; expected an image and a label.")


def _case(image: Path, label: Path | None = None) -> Case:
    return Case(stem_of(image), (image,), label)


def _of_macos(name: object) -> bool:
    """Whether macOS keeps in this file what the disk cannot store of another one."""
    return isinstance(name, str) and PurePosixPath(name).name.startswith("._")


def _labels(names: dict[int, object], path: Path) -> dict[str, int]:
    labels = {name_in(name, "labels", path): number for number, name in sorted(names.items())}
    if len(labels) < len(names):
        raise ValueError(f"{path}: two labels have the same name; expected different names.")
    return labels
