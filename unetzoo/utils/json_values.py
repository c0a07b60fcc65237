"""The content of JSON files, which anybody may have written."""

import json
from pathlib import Path
from typing import Any

from unetzoo.utils.files import missing
from unetzoo.utils.text import short

MOST = 64 * 2**20  # bytes of a file


def parsed(text: str | bytes) -> Any:
    """The value of a JSON text, in which no key appears twice and nesting is not too deep.

    Raises: ValueError, which says what is wrong, without the file's name and a full stop.

    >>> parsed('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ...
    ValueError: key 'a' appears twice: expected each key once
    """
    try:
        text = text if isinstance(text, str) else text.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_unique_keys)
    except UnicodeDecodeError:
        raise ValueError("not a UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON, {error}; correct that line") from None
    except RecursionError:
        raise ValueError("lists nested too deeply") from None


def read_json(path: Path, expected: str) -> Any:
    """The value of a JSON file.

    Args:
        path: of the file.
        expected: what it should be, for the error.

    Raises: ValueError, one sentence, where there is no file, it is not JSON, or is larger than
        64 MiB.
    """
    if reason := missing(path):
        raise ValueError(f"{path}: {reason}; expected {expected}.")
    try:
        return parsed(content_of(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected {expected}.") from error


def content_of(path: Path) -> bytes:
    """The bytes of a file, for ``parsed``.

    Raises: ValueError, as ``parsed`` does, where it is larger than 64 MiB; OSError.
    """
    if (size := path.stat().st_size) > MOST:
        raise ValueError(f"{size:,} bytes, {MOST:,} at most are read")
    return path.read_bytes()


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"key {short(key)} appears twice: expected each key once")
        values[key] = value
    return values


def tuples(value: Any) -> Any:
    """A value with all its lists, at any depth, as tuples.

    Raises: ValueError for lists that are nested too deeply.

    >>> tuples([1, [2.5, 3]])
    (1, (2.5, 3))
    """
    try:
        return tuple(map(tuples, value)) if isinstance(value, list) else value
    except RecursionError:
        raise ValueError("lists nested too deeply") from None
