"""Which image a mask was made from: the hidden file ``.made_from.json`` beside the masks."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from unetzoo.data.datasets import Case
from unetzoo.data.datasets.inputs import target
from unetzoo.utils.claims import claimed
from unetzoo.utils.files import replacing
from unetzoo.utils.json_values import read_json
from unetzoo.utils.text import printable, shortened

MADE_FROM = ".made_from.json"


def images_of(case: Case, folder: Path) -> list[str]:
    """A case's images as paths from a folder of masks: they hold when both move together.

    >>> images_of(Case("a", (Path("scans/a.h5:/raw"),)), Path("masks"))
    ['../scans/a.h5:/raw']
    """
    start, found = os.path.realpath(folder), []
    for path in case.images:
        place, name = os.path.split(os.path.abspath(path))
        found.append(os.path.relpath(os.path.join(os.path.realpath(place), name), start))
    return found


@contextmanager
def noted_images(case: Case, folder: Path) -> Iterator[None]:
    """Note the images of a case's mask, which is written meanwhile, in a folder of masks.

    A mask that is to be replaced is nobody's from now on, until the new one is there.

    Raises: WriteError.
    """
    path = target(case, folder)
    if path.exists():
        _note(folder, path.name, [])
    yield
    _note(folder, path.name, images_of(case, folder))


def check_images(case: Case, folder: Path) -> None:
    """Check that the mask that is there was not made from other images than a case's.

    Where nothing was noted, as of masks of other programs, it is taken for the case's.

    Raises: ValueError if it was.
    """
    path = target(case, folder)
    noted = _known(folder).get(path.name)
    if not isinstance(noted, list) or noted == images_of(case, folder):
        return
    told = f"was made from {_told(noted)}, not" if noted else "was being replaced and may not be"
    raise ValueError(
        f"{path} is there, but {told} from {case.images[0]}; choose another folder, or --overwrite "
        "to replace it."
    )


def _note(folder: Path, name: str, images: list[str]) -> None:
    if _known(folder).get(name) == images:
        return
    with claimed(folder, MADE_FROM, wait=True):
        known = {**_known(folder), name: images}
        with replacing(folder / MADE_FROM) as beside:
            beside.write_text(json.dumps(known, indent=1) + "\n")


def _told(images: list) -> str:
    return printable(shortened(", ".join(map(str, images)), 200))


def _known(folder: Path) -> Mapping[str, object]:
    """The images of each mask; nothing where the record is missing or damaged."""
    with suppress(ValueError, OSError):
        record = read_json(folder / MADE_FROM, "the images of masks")
        return record if isinstance(record, dict) else {}
    return {}
