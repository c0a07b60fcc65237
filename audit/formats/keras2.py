"""Keras 2's ``model.summary()`` up to TensorFlow 2.6 (eras A and A' of the format)."""

from collections import Counter

from audit.table import Row, Table

BRANCHED = (98, (32, 53, 65, 98))
LINEAR = (65, (29, 55, 65))
OP_PREFIX = "tf_op_layer_"


def render(table: Table) -> str:
    """The table as that Keras prints it: fields cut to their column, a rule after each layer.

    The program's closing rule is left out, as published tables leave it out.
    """
    branched = _branches(table)
    width, ends = BRANCHED if branched else LINEAR
    header = ["Layer (type)", "Output Shape", "Param #"] + ["Connected to"] * branched
    lines = [f'Model: "{table.name}"', "_" * width, _line(header, ends), "=" * width]
    for number, row in enumerate(table.first_calls, 1):
        fields = [f"{row.name} ({_kind(row)})", _shape(row), str(row.total)]
        inputs = _inputs(table, row) if branched else []
        lines.append(_line([*fields, *inputs[:1]] if branched else fields, ends))
        lines += [_line(["", "", "", more], ends) for more in inputs[1:]]
        lines.append(("=" if number == len(table.first_calls) else "_") * width)
    return "\n".join(
        [
            *lines,
            f"Total params: {table.total:,}",
            f"Trainable params: {table.trainable:,}",
            f"Non-trainable params: {table.total - table.trainable:,}",
        ]
    )


def _line(fields: list[str], ends: tuple[int, ...]) -> str:
    """Each field after the line's last character is blanked; cut, then padded, to its end."""
    line = ""
    for number, end in enumerate(ends):
        if number:
            line = line[:-1] + " "
        line += fields[number] if number < len(fields) else ""
        line = line[:end].ljust(end)
    return line


def _kind(row: Row) -> str:
    """Keras 2 made a layer of every bare operation and named it with this prefix."""
    is_op = row.name.startswith(OP_PREFIX) or row.kind.startswith("ops.")
    return "TensorFlowOpLayer" if is_op else row.kind


def _shape(row: Row) -> str:
    """Inputs and operations hold a list of shapes, even of one."""
    if _kind(row) in ("InputLayer", "TensorFlowOpLayer"):
        return str([row.shape])
    return str(row.shape)


def _inputs(table: Table, row: Row) -> list[str]:
    """What a layer is connected to, over all its calls."""
    return [source for each in table.rows if each.name == row.name for source in each.inputs]


def _branches(table: Table) -> bool:
    """Whether a layer has several inputs, several readers or several calls."""
    sources = [source for row in table.rows for source in row.inputs]
    several_inputs = any(len(row.inputs) > 1 for row in table.rows)
    several_readers = any(count > 1 for count in Counter(sources).values())
    return several_inputs or several_readers or len(table.first_calls) < len(table.rows)
