"""What stands in JSON files, which anybody may have written."""

from typing import Any


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An ``object_pairs_hook`` of ``json.loads``, which else takes the last of several.

    Raises: ValueError for a key that is there twice.

    >>> import json
    >>> json.loads('{"a": 1, "a": 2}', object_pairs_hook=unique_keys)
    Traceback (most recent call last):
    ...
    ValueError: key 'a' is there twice: expected each key once.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {short(key)} is there twice: expected each key once.")
        found[key] = value
    return found


def tuples(value: Any) -> Any:
    """Lists within lists as tuples.

    >>> tuples([1, [2.5, 3]])
    (1, (2.5, 3))
    """
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def short(value: object) -> str:
    """A value for a line of text.

    >>> short("a" * 100)[-6:]
    'aaa...'
    """
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
