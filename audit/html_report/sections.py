"""What is below the picture: the layers, the ledger, the receptive field, the memory."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from audit.analysis.cost import PARTS
from audit.analysis.memory import Memory
from audit.analysis.receptive_field import receptive_field
from audit.html_report.facts import Counted
from audit.html_report.text import escape, of_sample, share
from audit.tables import Row, Table

ROLES = {
    "kernel": "kernels",
    "bias": "biases",
    "scale": "norm scales",
    "shift": "norm shifts",
    "moving": "moving statistics (not trained)",
    "all": "kernels and biases together",
}
STEPS = 20  # of a bar, which page.css knows as m1 to m20


@dataclass(frozen=True)
class Bytes:
    """Bytes of a layer, shown in MiB with a bar; the largest of a column fills its cell."""

    size: int
    most: int
    peak: bool = False

    def __str__(self) -> str:
        part = -(-STEPS * self.size // self.most) if self.most else 0
        mark = "peak " if self.peak else ""
        return (
            f'<td class="n m m{part}{" peak" if self.peak else ""}" data-value="{self.size}">'
            f"{mark}{self.size / 2**20:,.2f}</td>"
        )


Cell = str | int | Bytes | None


def grid(
    heads: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    css: str,
    label: str,
    of_rows: Sequence[str] = (),
) -> str:
    """A table; numbers are aligned to the right, None is a dash."""
    numeric = set()
    body = []
    for number, cells in enumerate(rows):
        drawn = []
        for column, cell in enumerate(cells):
            if isinstance(cell, Bytes):
                numeric.add(column)
                drawn.append(str(cell))
            elif isinstance(cell, int):
                numeric.add(column)
                drawn.append(f'<td class="n" data-value="{cell}">{cell:,}</td>')
            else:
                css_class = _text_class(cell) if column else ""
                drawn.append(f"<td{css_class}>{'-' if cell is None else escape(cell)}</td>")
        row_css = f' class="{escape(of_rows[number])}"' if of_rows else ""
        body.append(f"<tr{row_css}>{''.join(drawn)}</tr>")
    classes = [' class="n"' if n in numeric else "" for n in range(len(heads))]
    head = "".join(
        f'<th scope="col"{css_class}>{escape(text)}</th>'
        for css_class, text in zip(classes, heads, strict=True)
    )
    caption = f"<caption>{escape(label)}</caption>"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
        f'<table class="{css}">{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _text_class(cell: str | None) -> str:
    """Shares and dashes are aligned as numbers are; a sentence gets room."""
    if cell is None or cell.endswith("%"):
        return ' class="n"'
    return ' class="text"' if cell.count(" ") > 8 else ""


def layers(count: Counted) -> str:
    """Every row: the text equivalent of the picture."""
    rows = [_layer(n, row, count) for n, row in enumerate(count.table, start=1)]
    heads = ["#", "Layer", "Class", "Part", "Output shape", "Parameters", "MACs"]
    label = "Every layer, in the order in which they run"
    taken, text = count.memory, ""
    if isinstance(taken, Memory):
        heads += ["Alive, MiB", "Saved, MiB"]
        for row, cells in zip(rows, _taken(taken), strict=True):
            row[-1:-1] = cells
        text = f"<p>{escape(_taken_in_words(taken))}</p>"
    return grid([*heads, "Reads"], rows, "layers sortable", label) + text


def _taken(memory: Memory) -> Iterator[tuple[Bytes, Bytes]]:
    """Of each layer: the maps alive while it runs in a prediction, and what training keeps."""
    most = max((layer.saved for layer in memory.layers), default=0)
    for layer in memory.layers:
        peak = layer is memory.peak_layer
        yield Bytes(layer.alive, memory.maps, peak), Bytes(layer.saved, most)


def _taken_in_words(memory: Memory) -> str:
    return (
        "Alive: the maps in memory while the layer runs in a prediction, one sample, float32; the "
        f"peak is {_mib(memory.maps)} MiB, in {memory.peak}. Saved: what a training step keeps for "
        f"its gradient, and no layer before it does; {_mib(memory.saved)} MiB in all."
    )


def _layer(number: int, row: Row, count: Counted) -> list[Cell]:
    key = row.name, row.call
    call = f" (call {row.call + 1})" if row.call else ""
    reads = ", ".join(source.rsplit("[", 2)[0] for source in row.inputs)
    return [
        number,
        row.name + call,
        row.layer_class,
        count.parts.get(key, ""),
        of_sample(row.shape),
        0 if row.call else row.total,
        count.work.get(key),
        reads,
    ]


def ledger(count: Counted) -> str:
    """Parameters by role and by part, MACs by part, and what is not counted."""
    roles: Counter[str] = Counter()
    for row in count.table.first_calls:
        roles.update(row.parameters)
    total = sum(roles.values())
    by_role: list[list[Cell]] = [
        [ROLES.get(role, role), number, share(number, total)] for role, number in roles.items()
    ]
    all_of_them = "all, Keras's count" if roles["moving"] else "all"
    by_role.append([all_of_them, total, share(total, total)])
    if roles["moving"]:
        without = count.table.without_moving
        by_role.append(["without moving statistics, PyTorch's count", without, ""])
    parts = [grid(["Parameters", "Number", "Share"], by_role, "", "Parameters by role")]
    if count.cost is None:
        return "".join([*parts, f"<p>{escape(count.why_not)}</p>"])
    by_part = count.cost.by_part()
    macs, params = count.cost.macs, count.table.without_moving
    rows: list[list[Cell]] = [
        [name, by_part[name][1], share(by_part[name][1], params), by_part[name][0],
         share(by_part[name][0], macs)]
        for name in PARTS
    ]  # fmt: skip
    rows.append(["all", params, share(params, params), macs, share(macs, macs)])
    heads = ["Part", "Parameters, without moving", "Share", "MACs", "Share"]
    parts.append(grid(heads, rows, "", "Parameters and multiply-accumulates by part, one sample"))
    unknown = ", ".join(count.cost.unknown)
    left = (
        f"Not counted, because they have no formula: {unknown}."
        if unknown
        else f"Every layer has a formula. Besides the MACs: {count.cost.elementwise:,} elementwise "
        f"operations (norms, activations, poolings, biases); together {count.cost.flops:,} FLOPs."
    )
    return "".join([*parts, f"<p>{escape(left)}</p>"])


def field(count: Counted) -> str:
    """The receptive field of the output, on every axis."""
    if count.cost is None:
        return "<p>It needs every layer's kernel size, which the text does not hold.</p>"
    try:
        seen = receptive_field(count.table)
    except (ValueError, KeyError, StopIteration, ZeroDivisionError) as error:
        return f"<p>{escape(f'It could not be followed through this network: {error}.')}</p>"
    if not seen.axes:
        return "<p>The output has no spatial axes.</p>"
    rows: list[list[Cell]] = [
        [_axis_name(n, len(seen.axes)), a.smallest, a.largest, a.before, a.after]
        for n, a in enumerate(seen.axes)
    ]
    heads = ["Axis", "Smallest", "Largest", "Reach before", "Reach after"]
    text = grid(heads, rows, "", "Input voxels that an output voxel depends on")
    if seen.unknown:
        text += f"<p>{escape('Taken as pointwise: ' + ', '.join(seen.unknown))}.</p>"
    return text


def _axis_name(number: int, axes: int) -> str:
    return {3: ("depth", "height", "width"), 2: ("height", "width")}.get(axes, ("length",))[number]


def memory(count: Counted) -> str:
    """The memory budget of one sample in float32."""
    taken = count.memory
    if isinstance(taken, str):
        return f"<p>{escape(taken)}</p>"
    rows: list[list[Cell]] = [[label, size, _mib(size), note] for label, size, note in taken.rows()]
    heads = ["Memory", "Bytes", "MiB", "What it is"]
    text = grid(heads, rows, "", "One sample, float32")
    if taken.not_modeled:
        missing = ", ".join(taken.not_modeled)
        why = f"Missing from saved and training, because they have no rule: {missing}."
        text += f"<p>{escape(why)}</p>"
    return text


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f}"


def totals(count: Counted) -> str:
    """The network's numbers in a row."""
    table = count.table
    first, last = table.rows[0], table.rows[-1]
    pairs = []
    if len(first.shape) > 2:
        pairs.append(
            ("Input" if first.layer_class == "InputLayer" else "First map", of_sample(first.shape))
        )
        pairs.append(("Output", of_sample(last.shape)))
    pairs.append(("Parameters", f"{table.without_moving:,}"))
    if table.total != table.without_moving:
        pairs.append(("With moving statistics", f"{table.total:,}"))
    if count.cost is not None:
        pairs.append(("MACs, one sample", f"{count.cost.macs:,}"))
    drawn = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in pairs
    )
    return f'<dl class="totals">{drawn}</dl>'


def statements(name: str) -> str:
    """A zoo network's documented statements with their verdicts; empty if it has none."""
    from audit.documents.check import check

    try:
        verdicts = check(name)
    except ValueError:
        return ""
    items = []
    for verdict in verdicts:
        word = verdict.verdict.replace("_", " ")
        items.append(
            f'<li><p><span class="verdict {escape(verdict.verdict)}">{escape(word)}</span> '
            f"<b>{escape(verdict.id)}</b> {escape(verdict.stated)}</p>"
            f"<p>measured {escape(verdict.measured)}; {escape(verdict.reason)}</p></li>"
        )
    return f'<ul class="statements">{"".join(items)}</ul>'


def what_is_missing(table: Table, linked: bool, sized: bool) -> str:
    """One sentence on what a text does not hold; empty for a model."""
    missing = []
    if not sized:
        missing.append("no map sizes, so there is no U to draw")
    elif not linked:
        missing.append(
            "no connections, so the boxes are drawn in the order of its rows, without skips"
        )
    if any(row.shape[-1:] == (None,) for row in table):
        missing.append("not the channels of every row")
    return f"Its text holds {'; and '.join(missing)}." if missing else ""
