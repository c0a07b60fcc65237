"""A plan as a JSON file that a person can read and change."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from unetzoo.data.preprocessing import normalization as normalisation
from unetzoo.planning.plans import Configuration, Measured, Plan
from unetzoo.utils.json_values import parsed, short, tuples
from unetzoo.utils.text import printable, write_text

Part = TypeVar("Part", Configuration, Measured)


def write_plan(plan: Plan, path: Path | str) -> None:
    """Write it, each part on lines of its own.

    Raises: ValueError where it cannot be written.

    >>> import tempfile
    >>> from unetzoo.planning import Fingerprint, plan as planned
    >>> path = Path(tempfile.mkdtemp()) / "plan.json"
    >>> one = planned(Fingerprint([(1.0, 1.0)], [(90, 80)], 1, 2))
    >>> write_plan(one, path)
    >>> read_plan(path) == one
    True
    """
    fields: dict[str, Any] = {field.name: getattr(plan, field.name) for field in _fields(Plan)}
    fields["normalisation"] = [normalisation.to_json(kind) for kind in plan.normalisation]
    fields["configurations"] = {
        name: dataclasses.asdict(one) for name, one in plan.configurations.items()
    }
    fields["measured"] = plan.measured and dataclasses.asdict(plan.measured)
    write_text(path, _text(fields) + "\n")


def read_plan(path: Path | str) -> Plan:
    """The plan of a file, which anybody may have changed.

    Raises: ValueError, one sentence that names the file, the place in it and the fault.
    """
    try:
        found = parsed(Path(path).read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}; expected a plan.") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected a plan.") from error
    try:
        return _plan(found)
    except RecursionError as error:
        raise ValueError(f"{path}: lists nested too deeply; expected a plan.") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _plan(found: object) -> Plan:
    fields = _checked(found, Plan, "")
    kinds, configurations = fields["normalisation"], fields["configurations"]
    if not isinstance(kinds, tuple):
        raise ValueError("normalisation: expected a list, one for each channel.")
    if not isinstance(configurations, Mapping):
        raise ValueError("configurations: expected some of 2d, 3d_fullres and 3d_lowres.")
    fields["normalisation"] = tuple(
        _at(f"normalisation[{n}]", normalisation.from_json, kind) for n, kind in enumerate(kinds)
    )
    fields["configurations"] = {
        name: _part(one, Configuration, f"configurations.{printable(name)}")
        for name, one in configurations.items()
    }
    if fields.get("measured") is not None:
        fields["measured"] = _part(fields["measured"], Measured, "measured")
    return Plan(**fields)


def _part(found: object, kind: type[Part], place: str) -> Part:
    fields = _checked(found, kind, f"{place}: ")
    return _at(place, lambda: kind(**fields))


def _at(place: str, make: Any, *arguments: object) -> Any:
    """What a function makes; its fault names the place."""
    try:
        return make(*arguments)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _checked(found: object, kind: type, place: str) -> dict[str, Any]:
    """The fields of a dataclass: all of those without a default, and no others."""
    if not isinstance(found, Mapping):
        raise ValueError(f"{place}{short(found)}: expected keys and values in braces.")
    fields = {field.name: field.default is dataclasses.MISSING for field in _fields(kind)}
    if unknown := [name for name in found if name not in fields]:
        raise ValueError(f"{place}key {short(unknown[0])}: expected only {', '.join(fields)}.")
    if missing := [name for name, needed in fields.items() if needed and name not in found]:
        raise ValueError(f"{place}key {missing[0]!r} is missing: expected {', '.join(fields)}.")
    return {name: tuples(value) for name, value in found.items()}


def _fields(kind: type) -> tuple[dataclasses.Field, ...]:
    return dataclasses.fields(kind)


def _text(value: object, indent: str = "") -> str:
    """Dictionaries over several lines, all else on one."""
    if not isinstance(value, dict) or "name" in value:
        return json.dumps(value)
    more = indent + " "
    rows = [f"{more}{json.dumps(key)}: {_text(of, more)}" for key, of in value.items()]
    return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
