"""A Markdown table: every row, nothing cut."""

from audit.table import Row, Table


def render(table: Table) -> str:
    """One line a row, then the totals in both conventions."""
    header = ("layer", "type", "output", "parameters", "inputs")
    cells = [header, *(_cells(row) for row in table.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [_line(row, widths) for row in cells]
    lines.insert(1, "|" + "|".join(_rule(n, width) for n, width in enumerate(widths)) + "|")
    lines += [
        "",
        f"{table.name}: {table.total:,} parameters, {table.trainable:,} trainable; "
        f"{table.without_moving:,} without moving statistics",
    ]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    shape = " x ".join("?" if size is None else str(size) for size in row.shape[1:])
    inputs = ", ".join(source.removesuffix("[0][0]") for source in row.inputs)
    cells = (row.name, row.kind, shape, f"{row.total:,}", inputs)
    return tuple(cell.replace("|", "\\|") for cell in cells)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = [
        cell.rjust(width) if column == 3 else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def _rule(column: int, width: int) -> str:
    return "-" * (width + 1) + ":" if column == 3 else "-" * (width + 2)
