"""The wiring of a table that says what each row reads: Keras's, and an ONNX file's."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from audit.comparison.forms import CERTAIN, Form, forms_of, forms_reading, is_conv
from audit.formats.keras import CUT
from audit.tables import Row, Shape, Table
from unetzoo.utils.text import counted, few, printable

JOINS = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
KEEPING = re.compile("Normalization|Activation|Dropout|LU$")
Assumed = dict[str, list[str]]  # what is assumed, and of which rows


def wired(table: Table, assumed: Assumed) -> list[Row]:
    """The rows, each with all its inputs and with its channels.

    Raises: ValueError for layers called twice, and for inputs that are no rows before it.
    """
    rows = list(table.rows)
    if table.style == "onnx":
        rows = _computing(_sized(rows, assumed))
    names = [row.name for row in rows]
    twice = [row.name for row in rows if any("[0]" not in each for each in row.inputs)]
    if len(set(names)) < len(names) or twice:
        again = twice or list(dict.fromkeys(name for name in names if names.count(name) > 1))
        raise ValueError(
            f"{table.name!r}: {few(list(map(printable, again)))}: expected each layer once; "
            "none is shared."
        )
    inner = [row for row in rows if row.layer_class == "InputLayer" and row.path]
    if inner and any(row.inputs for row in rows):
        raise ValueError(
            f"{table.name!r}: {printable(inner[0].name)}: of a model within it the table does not "
            "show what it reads; print that model by itself."
        )
    rows = [row for row in rows if row not in inner]
    if not rows or rows[0].layer_class != "InputLayer":
        rows = [_image(table, assumed), *rows]
    rows = _wired(rows, assumed)
    readers: dict[str, list[Row]] = {}
    for row in rows:
        for name in sources_of(row):
            readers.setdefault(name, []).append(row)
    rows = [_with_channels(row, readers.get(row.name, []), assumed) for row in rows]
    shapes: dict[str, Shape] = {}
    whole = []
    for row in rows:
        if row.layer_class in JOINS and len(row.inputs) == 1:
            row = _joined(row, shapes, readers, assumed)
        reads = [shapes[name] for name in sources_of(row)]
        forms = forms_reading(row, reads[0][-1]) if is_conv(row) and reads else []
        row = _whole(row, reads, forms)
        shapes[row.name] = row.shape
        whole.append(row)
    return whole


def apart(rows: Sequence[Row]) -> list[Row]:
    """The rows under names of their own: of long names a column leaves the same beginning."""
    taken: set[str] = set()
    found = []
    for row in rows:
        name, number = row.name, 1
        while name in taken:
            name, number = f"{row.name}_{number + 1}", number + 1
        taken.add(name)
        found.append(row if name == row.name else row.but(name=name))
    return found


def _sized(rows: Sequence[Row], assumed: Assumed) -> Iterator[Row]:
    """An ONNX file's rows, where sizes are computed with those that their inputs tell."""
    shapes: dict[str, Shape] = {}
    for row in rows:
        reads = [shapes[name] for name in sources_of(row) if len(shapes.get(name, ())) > 2]
        if reads and (row.shape == (None,) or None in row.shape[1:]):
            if row.layer_class == "Concatenate":
                row = row.but(shape=(*reads[0][:-1], sum(shape[-1] or 0 for shape in reads)))
            elif row.layer_class.startswith("ZeroPadding") and "pads" in row.settings:
                row = row.but(shape=_with_zeros(reads[0], row.settings["pads"]))
            elif row.layer_class.startswith("ZeroPadding"):
                word = "a pad of nothing (the file computes how much)"
                assumed.setdefault(word, []).append(printable(row.name))
                row = row.but(shape=reads[0])
        shapes[row.name] = row.shape
        yield row


def _computing(rows: Iterable[Row]) -> list[Row]:
    """An ONNX file's rows without those that compute sizes; maps are cropped or padded to a join.

    The last input of a join has the join's sizes: of the others it shows no crop, which is a slice.
    """
    maps = {row.name: row for row in rows if len(row.shape) > 2}
    found = []
    for row in maps.values():
        sources = [name for name in sources_of(row) if name in maps]
        if re.match("UpSampling|ZeroPadding", row.layer_class):
            sources = sources[:1]
        if row.layer_class in JOINS:
            for number, name in enumerate(sources):
                if fitted := _fitted(maps[name], row, number):
                    found.append(fitted)
                    sources[number] = fitted.name
        source = maps.get(sources[0]) if sources else None
        if source and row.layer_class in JOINS and len(sources) == 1 and row.shape == source.shape:
            row = row.but(layer_class="Identity")
        if source and (padded := _padded(row, source)):
            found.append(padded)
            sources[0] = padded.name
        settings = {**row.settings, **({"epsilon": 1e-5} if "Norm" in row.layer_class else {})}
        inputs = tuple(f"{name}[0][0]" for name in sources)
        found.append(replace(row, inputs=inputs, settings=settings))
    return found


def _padded(row: Row, source: Row) -> Row | None:
    """The zeros around a map that a convolution or a pool reads, where Keras has others."""
    kernel = row.settings.get("kernel_size", row.settings.get("pool_size", ()))
    strides = row.settings.get("strides", ())
    if not kernel or "Transpose" in row.layer_class:
        return None
    spread = row.settings.get("dilation_rate", (1,) * len(kernel))
    even = tuple((d * (k - 1) // 2,) * 2 for k, d in zip(kernel, spread, strict=True))
    known = "pads" in row.settings
    pads = row.settings.get("pads", even)
    if not any(map(any, pads)) or (max(strides) == 1 and (pads == even or not known)):
        return None
    shape = _with_zeros(source.shape, pads)
    spans = zip(shape[1:-1], kernel, spread, strides, strict=True)
    after = tuple(((n or 0) - d * (k - 1) - 1) // s + 1 for n, k, d, s in spans)
    if after != row.shape[1:-1] and not known:
        return None
    kind, inputs = f"ZeroPadding{len(pads)}D", (f"{source.name}[0][0]",)
    return Row(f"{row.name}-pad", kind, shape, inputs=inputs, settings={"pads": pads})


def _with_zeros(shape: Shape, pads: Sequence[tuple[int, int]]) -> Shape:
    """A map's shape with zeros before and after it on each axis of space."""
    sizes = (n and n + sum(pad) for n, pad in zip(shape[1:-1], pads, strict=True))
    return (*shape[:1], *sizes, *shape[-1:])


def _fitted(row: Row, join: Row, number: int) -> Row | None:
    """The crop or pad between a map and a join of other sizes; None if there is none."""
    before, after = row.shape[1:-1], join.shape[1:-1]
    gaps = [(m or 0) - (n or 0) for n, m in zip(before, after, strict=False)]
    if not any(gaps) or len(before) != len(after) or join.layer_class == "Multiply":
        return None
    kind = "Cropping" if min(gaps) < 0 else "ZeroPadding"
    shape = (*join.shape[:-1], row.shape[-1])
    name = f"{join.name}-fit{number + 1}"
    return Row(name, f"{kind}{len(gaps)}D", shape, inputs=(f"{row.name}[0][0]",))


def sources_of(row: Row) -> list[str]:
    """The names of the rows that it reads."""
    return [name.split("[")[0] for name in row.inputs]


def _image(table: Table, assumed: Assumed) -> Row:
    """The input of a sequential model, whose table does not show it. Raises: ValueError."""
    first = next((row for row in table if forms_of(table).get(row.key)), None)
    if first is None:
        raise ValueError(f"{table.name!r}: no layer says what the network reads.")
    form = forms_of(table)[first.key][0]
    assumed.setdefault("an input of the first layer's sizes (or larger)", []).append("image")
    return Row("image", "InputLayer", (*first.shape[:-1], form.inputs))


def _wired(rows: list[Row], assumed: Assumed) -> list[Row]:
    """The rows with their inputs: a row that names none reads the one before it."""
    known: dict[str, Row] = {}
    wired: list[Row] = []
    branches = any(row.inputs for row in rows)
    for row in rows:
        inputs = row.inputs
        if not inputs and row.layer_class != "InputLayer":
            inputs = (f"{wired[-1].name}[0][0]",)
            if branches:
                assumed.setdefault("it reads the row before it", []).append(printable(row.name))
        names = [_found(each.split("[")[0], known, row, assumed) for each in inputs]
        known[row.name] = row
        wired.append(replace(row, inputs=tuple(f"{name}[0][0]" for name in names)))
    return wired


def _found(name: str, known: Mapping[str, Row], row: Row, assumed: Assumed) -> str:
    """The row before this one that a name means; of a name that was cut a part is left.

    Of several that begin so it is the last whose shape fits.

    Raises: ValueError if there is none, or several of which only the end is known.
    """
    if name in known:
        return name
    start, cut, end = name.rpartition(CUT)
    fitting = [each for each in known if cut and each.startswith(start) and each.endswith(end)]
    if not fitting or (end and len(fitting) > 1):
        raise ValueError(f"row {row.name!r}: it reads {name!r}, which no row before it is.")
    if len(fitting) > 1:
        word = f"of {counted(len(fitting), 'name')} that begin so it reads the last that fits"
        assumed.setdefault(word, []).append(printable(row.name))
        fitting = [each for each in fitting if _may_read(row, known[each])] or fitting
    return fitting[-1]


def _may_read(row: Row, source: Row) -> bool:
    """Whether a row's shape and count may come of a map."""
    if is_conv(row):
        forms = forms_reading(row, source.shape[-1])
        return any(form.fit == CERTAIN for form in forms)
    if row.layer_class == "Concatenate":
        return source.shape[:-1] == row.shape[:-1]
    joins = row.layer_class in JOINS
    return source.shape == row.shape if joins or KEEPING.search(row.layer_class) else True


def _joined(
    row: Row, shapes: dict[str, Shape], readers: dict[str, list[Row]],
    assumed: Assumed,
) -> Row:  # fmt: skip
    """A join of which one input was cut off, with the one that fits: unread, or the latest.

    Raises: ValueError if none fits.
    """
    (known,) = sources_of(row)
    width = row.shape[-1]
    if row.layer_class == "Concatenate" and width:
        width -= shapes[known][-1] or 0
    fitting = [
        name for name, shape in shapes.items()
        if name != known and shape[1:] == (*row.shape[1:-1], width)
    ]  # fmt: skip
    unread = [name for name in fitting if name not in readers]
    if not fitting:
        raise ValueError(f"row {row.name!r}: it joins {known!r} and nothing that is before it.")
    other = (unread or fitting)[-1]
    readers.setdefault(other, []).append(row)
    word = f"it also reads {printable(other)}, which the table cut off"
    assumed.setdefault(word, []).append(printable(row.name))
    return replace(row, inputs=(f"{other}[0][0]", *row.inputs))


def _with_channels(row: Row, readers: list[Row], assumed: Assumed) -> Row:
    """An input whose channels a column cut off, with those that the first convolution tells."""
    if row.layer_class != "InputLayer" or not row.shape or row.shape[-1] is not None:
        return row
    for channels in (1, 3, 2, 4):
        for reader in filter(is_conv, readers):
            forms = [f for f in forms_reading(reader, channels) if f.fit == CERTAIN]
            if forms and forms[0].taps == 3 ** (len(row.shape) - 2):
                assumed.setdefault(f"channels in: {channels}", []).append(printable(row.name))
                return replace(row, shape=(*row.shape[:-1], channels))
    return row


def _whole(row: Row, reads: list[Shape], forms: list[Form]) -> Row:
    """The row with its channels, where a column cut them off."""
    if not reads or not row.shape or row.shape[-1] is not None:
        return row
    channels = [shape[-1] for shape in reads]
    width = forms[0].outputs if forms else channels[0]
    if "Concat" in row.layer_class or (row.layer_class == "TensorFlowOpLayer" and len(reads) > 1):
        width = sum(size or 0 for size in channels) if all(channels) else None
    return replace(row, shape=(*row.shape[:-1], width))
