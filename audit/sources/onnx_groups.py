"""Group norms of an ONNX file: PyTorch writes each as five nodes, an instance norm among them.

Reshape to groups, InstanceNormalization with scales of one, Reshape back, Mul, Add.

Source: PyTorch 2.13, ``torch/onnx/symbolic_opset9.py``, ``group_norm``.
"""

from collections.abc import Sequence
from typing import Any

from audit.tables import Row


def grouped(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows, where those of a group norm are one."""
    known = {row.key: row for row in rows}
    readers: dict[str, list[Row]] = {}
    for row in rows:
        for key in row.sources:
            readers.setdefault(key, []).append(row)
    whole: dict[str, Row] = {}  # by the key of its last row
    parts: set[str] = set()
    taken = set(known)
    for row in rows:
        run = _run(row, known, readers)
        if run:
            norm = _norm(run, known[run[0].sources[0]])
            norm = norm.but(name=row.name) if norm.key in taken else norm
            whole[run[-1].key] = norm
            taken.add(norm.key)
            parts |= {each.key for each in run}
    names = {key: norm.key for key, norm in whole.items()}
    found = (whole.get(row.key, row) for row in rows if row.key in whole or row.key not in parts)
    return tuple(_reading(row, names) for row in found)


def _run(norm: Row, known: dict[str, Row], readers: dict[str, list[Row]]) -> list[Row]:
    """The rows of a group norm of which this is the instance norm; empty if it is none."""
    before = known.get(norm.sources[0]) if norm.sources else None
    if norm.layer_class != "GroupNormalization" or before is None or not before.sources:
        return []
    source, after = known.get(before.sources[0]), _only(norm, readers)
    if source is None or after is None or {before.layer_class, after.layer_class} != {"Reshape"}:
        return []
    if len(norm.shape) != 3 or len(source.shape) < 3 or len(readers[before.key]) > 1:
        return []
    run = [before, norm, after]
    for kind in ("Multiply", "Add"):
        follows = _only(run[-1], readers)
        if follows and follows.layer_class == kind and len(follows.sources) == 1:
            run.append(follows)
    return run


def _only(row: Row, readers: dict[str, list[Row]]) -> Row | None:
    """The one row that reads it."""
    found = readers.get(row.key, [])
    return found[0] if len(found) == 1 else None


def _norm(run: Sequence[Row], source: Row) -> Row:
    """The group norm: of its instance norm the number of groups, its numbers of what follows."""
    roles = {"Multiply": "scale", "Add": "shift"}
    wide = source.shape[-1]  # without weights of its own it is multiplied by a single 1
    parameters = {roles[row.layer_class]: row.total for row in run[3:] if row.total == wide}
    elsewhere = {
        roles[row.layer_class]: count
        for row in run[3:]
        for _, count in row.settings.get("counted elsewhere", ())
        if count == wide
    }
    settings: dict[str, Any] = {"groups": run[1].shape[-1]}
    settings |= {"counted elsewhere": tuple(elsewhere.items())} if elsewhere else {}
    path = run[1].path
    return Row(
        name="-".join(path) or run[1].name,
        layer_class="GroupNormalization",
        shape=source.shape,
        parameters=parameters,
        trainable=sum(parameters.values()),
        inputs=run[0].inputs,
        path=path[:-1],
        settings=settings,
    )


def _reading(row: Row, names: dict[str, str]) -> Row:
    """The row, reading the group norm in place of its last row."""
    if not names.keys() & set(row.sources):
        return row
    inputs = (
        f"{names.get(key, key)}[{each.rpartition('[')[2]}"
        for key, each in zip(row.sources, row.inputs, strict=True)
    )
    return row.but(inputs=tuple(inputs))
