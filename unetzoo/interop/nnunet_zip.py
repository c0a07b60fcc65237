"""Trained folders of nnU-Net inside a zip file, or inside the folder of their data set.

``nnUNetv2_export_model_to_zip`` writes ``DATASET/TRAINER__PLANS__CONFIGURATION/...``. Of a zip only
descriptions, plans and checkpoints are unpacked, into a temporary folder, by names of their own:
nothing in it can leave that folder, and links are not followed.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

from unetzoo.interop.nnunet_folder import is_trained_folder
from unetzoo.model_files import Fault, checked_members, unpacked_member
from unetzoo.utils.text import few

MEMBER = re.compile(
    r"(?:[\w .+-]+/)*?(?P<data>[\w .+-]+/)?(?P<folder>[\w.+-]+__[\w.+-]+__[\w.+-]+)/"
    r"(?P<file>dataset\.json|plans\.json|fold_\w+/checkpoint_\w+\.pth)"
)


@contextmanager
def trained_place(path: Path | str, weights: bool = True) -> Iterator[Path]:
    """The folder that nnU-Net has trained, for a path to it, to its data set's folder or a zip.

    Args:
        path: ``MODEL.zip``; ``MODEL.zip/DATASET/TRAINER__PLANS__CONFIGURATION``, if it holds
            several; a folder of either kind; any other path is given back as it is.
        weights: whether to unpack the checkpoints, too; or else empty files in their place.

    Raises: ValueError for a zip file that is damaged or holds no trained folder, and where there
        are several and the path does not say which.
    """
    path = Path(path)
    archive = next(
        (place for place in (path, *path.parents) if place.suffix.lower() == ".zip"
         and place.is_file()), None
    )  # fmt: skip
    if archive is None:
        yield path if is_trained_folder(path) else _only(path, path)
        return
    with TemporaryDirectory(prefix="unetzoo-") as folder:
        try:
            place = Path(folder)
            _unpack(archive, place, weights)
            yield _only(place / path.relative_to(archive), path)
        except ValueError as error:
            raise ValueError(str(error).replace(folder, str(archive))) from error


def _only(place: Path, path: Path) -> Path:
    """The only trained folder at or below a place; the place itself where there is none."""
    if is_trained_folder(place) or not place.is_dir():
        return place
    below = [folder for pattern in ("*__*__*", "*/*__*__*") for folder in place.glob(pattern)]
    trained = sorted(folder for folder in below if is_trained_folder(folder))
    if len(trained) > 1:
        names = [str(folder.relative_to(place)) for folder in trained]
        raise ValueError(f"{path}: it holds {few(names)}; say which, as {path / names[0]}.")
    return trained[0] if trained else place


def _unpack(archive: Path, place: Path, weights: bool) -> None:
    try:
        with ZipFile(archive) as opened:
            found = False
            for name, member in checked_members(opened, archive.stat().st_size).items():
                if not (match := MEMBER.fullmatch(name)):
                    continue
                target = place / (match["data"] or "") / match["folder"] / match["file"]
                if not target.resolve().is_relative_to(place.resolve()):
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                empty = not weights and name.endswith(".pth")
                content = b"" if empty else unpacked_member(opened, member).getvalue()
                target.write_bytes(content)
                found = True
    except (Fault, BadZipFile, OSError, EOFError, NotImplementedError) as error:
        reason = str(error).removesuffix(".") or "it is damaged"
        raise ValueError(f"{archive}: cannot be read as a zip of nnU-Net: {reason}.") from error
    if not found:
        raise ValueError(
            f"{archive}: no folder that nnU-Net has trained; expected dataset.json, plans.json and "
            "fold_N/checkpoint_final.pth in TRAINER__PLANS__CONFIGURATION."
        )
