"""What stands in JSON files, which anybody may have written."""

import json
from typing import Any

from unetzoo.utils.text import short


def parsed(text: str | bytes) -> Any:
    """What a JSON text says; a key that is there twice is a fault, and so are endless lists.

    Raises: ValueError, the fault without the file's name or a full stop.

    >>> parsed('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ...
    ValueError: key 'a' is there twice: expected each key once
    """
    try:
        text = text if isinstance(text, str) else text.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_unique_keys)
    except UnicodeDecodeError:
        raise ValueError("not a text of UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON, {error}; mend that line") from None
    except RecursionError:
        raise ValueError("lists in lists without end") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {short(key)} is there twice: expected each key once")
        found[key] = value
    return found


def tuples(value: Any) -> Any:
    """Lists within lists as tuples.

    Raises: ValueError for lists without end.

    >>> tuples([1, [2.5, 3]])
    (1, (2.5, 3))
    """
    try:
        return tuple(map(tuples, value)) if isinstance(value, list) else value
    except RecursionError:
        raise ValueError("lists in lists without end") from None
