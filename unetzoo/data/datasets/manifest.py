"""A ``dataset.json``, which others have written: nothing in it is taken on trust."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from unetzoo.utils.files import missing
from unetzoo.utils.json_values import content_of, parsed, short


def read_manifest(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises: ValueError for a file that is not JSON, is too large, or has a key twice.
    """
    try:
        if reason := missing(path):
            raise ValueError(reason)
        content = parsed(content_of(path))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise ValueError(
            f"{path}: not the JSON of a data set ({error}); download it again."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object, {{...}}, with the keys of a data set.")
    return content


def object_of(manifest: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    """The object under a key. Raises: ValueError if there is none."""
    return _of(manifest, key, path, dict, "an object, {...}")


def list_of(manifest: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    """The list under a key. Raises: ValueError if there is none."""
    return _of(manifest, key, path, list, "a list, [...]")


def file_in(folder: Path, name: object, path: Path) -> Path:
    """A file that the JSON names, inside its folder.

    Raises: ValueError for anything but a relative path that stays in the folder.
    """
    text = name if isinstance(name, str) else ""
    parts = PurePosixPath(text)
    outside = parts.is_absolute() or PureWindowsPath(text).drive or ".." in parts.parts
    if not parts.name or outside or "\\" in text or not text.isprintable():
        raise ValueError(
            f"{path}: names the file {short(name)}; expected a relative path inside its folder, "
            "such as 'imagesTr/case_01.nii.gz'."
        )
    return folder / parts


def ordered_names(names: Mapping[str, object], key: str, path: Path) -> tuple[str, ...]:
    """The names of ``{"0": name, "1": name ...}`` in order. Raises: ValueError for other keys."""
    if sorted(names) != sorted(str(number) for number in range(len(names))):
        raise ValueError(
            f"{path}: {key} has the keys {short(sorted(names))}; expected '0', '1' ..."
        )
    return tuple(name_in(names[str(number)], key, path) for number in range(len(names)))


def name_in(name: object, key: str, path: Path) -> str:
    """A name of a class or channel. Raises: ValueError if it is not printable text."""
    if isinstance(name, str) and name and name.isprintable():
        return name
    raise ValueError(f"{path}: {key} names {short(name)}; expected printable text.")


def label_number(number: object, path: Path) -> int:
    """The number of a label. Raises: ValueError for anything but a whole number from 0."""
    text = str(number) if isinstance(number, int | str) else ""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise ValueError(
        f"{path}: labels has the number {short(number)}; expected a whole number from 0."
    )


def _of(manifest: Mapping[str, Any], key: str, path: Path, kind: type, what: str) -> Any:
    value = manifest.get(key)
    if isinstance(value, kind) and value:
        return value
    fault = f"is {short(value)}" if key in manifest else "is missing"
    raise ValueError(f"{path}: {key!r} {fault}; expected {what}.")
