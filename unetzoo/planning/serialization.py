"""A plan as a JSON file that a person can read and edit."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from unetzoo.data.preprocessing import normalization
from unetzoo.planning.plans import Configuration, DatasetStatistics, Plan
from unetzoo.utils.json_values import content_of, parsed, short, tuples
from unetzoo.utils.text import printable, write_text

Part = TypeVar("Part", Configuration, DatasetStatistics)


def write_plan(plan: Plan, path: Path | str) -> None:
    """Write a plan as JSON, each part on its own lines.

    Args:
        plan: the plan.
        path: of the file.

    Raises: ValueError if it cannot be written.

    >>> import tempfile
    >>> from unetzoo.planning import Fingerprint, plan as planned
    >>> path = Path(tempfile.mkdtemp()) / "plan.json"
    >>> pictures = planned(Fingerprint([(1.0, 1.0)], [(90, 80)], 1, 2))
    >>> write_plan(pictures, path)
    >>> read_plan(path) == pictures
    True
    """
    fields: dict[str, Any] = {field.name: getattr(plan, field.name) for field in _fields(Plan)}
    fields["normalisation"] = [normalization.to_json(kind) for kind in plan.normalisation]
    fields["configurations"] = {
        name: dataclasses.asdict(configuration)
        for name, configuration in plan.configurations.items()
    }
    fields["measured"] = plan.measured and dataclasses.asdict(plan.measured)
    write_text(path, _text(fields) + "\n")


def read_plan(path: Path | str) -> Plan:
    """Read a plan from a file that anybody may have edited.

    Args:
        path: of the file.

    Raises: ValueError, one sentence that names the file, the place in it and the fault.
    """
    try:
        content = parsed(content_of(Path(path)))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}; expected a plan.") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected a plan.") from error
    try:
        return _plan(content)
    except RecursionError as error:
        raise ValueError(f"{path}: lists nested too deeply; expected a plan.") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _plan(content: object) -> Plan:
    fields = _fields_of(content, Plan, "")
    kinds, configurations = fields["normalisation"], fields["configurations"]
    if not isinstance(kinds, tuple):
        raise ValueError("normalisation: expected a list, one for each channel.")
    if not isinstance(configurations, Mapping):
        raise ValueError("configurations: expected some of 2d, 3d_fullres and 3d_lowres.")
    fields["normalisation"] = tuple(
        _at(f"normalisation[{n}]", normalization.from_json, kind) for n, kind in enumerate(kinds)
    )
    fields["configurations"] = {
        name: _part(values, Configuration, f"configurations.{printable(name)}")
        for name, values in configurations.items()
    }
    if fields.get("measured") is not None:
        fields["measured"] = _part(fields["measured"], DatasetStatistics, "measured")
    return Plan(**fields)


def _part(values: object, kind: type[Part], place: str) -> Part:
    fields = _fields_of(values, kind, f"{place}: ")
    return _at(place, lambda: kind(**fields))


def _at(place: str, make: Any, *arguments: object) -> Any:
    """What a function returns; an error gets the place in front."""
    try:
        return make(*arguments)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _fields_of(values: object, kind: type, place: str) -> dict[str, Any]:
    """The fields of a dataclass: all of those without a default, and no others."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{place}{short(values)}: expected keys and values in braces.")
    fields = {field.name: field.default is dataclasses.MISSING for field in _fields(kind)}
    if unknown := [name for name in values if name not in fields]:
        raise ValueError(f"{place}key {short(unknown[0])}: expected only {', '.join(fields)}.")
    if missing := [name for name, needed in fields.items() if needed and name not in values]:
        raise ValueError(f"{place}key {missing[0]!r} is missing: expected {', '.join(fields)}.")
    return {name: tuples(value) for name, value in values.items()}


def _fields(kind: type) -> tuple[dataclasses.Field, ...]:
    return dataclasses.fields(kind)


def _text(value: object, indent: str = "") -> str:
    """JSON with dictionaries over several lines, and everything else on one."""
    if not isinstance(value, dict) or "name" in value:
        return json.dumps(value)
    deeper = indent + " "
    rows = [f"{deeper}{json.dumps(key)}: {_text(item, deeper)}" for key, item in value.items()]
    return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
