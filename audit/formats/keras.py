"""What all of Keras's summaries share: a layer's fields, connections and totals."""

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import lru_cache

from audit.kinds import KINDS
from audit.tables import NOTHING, Row, Shape, Table

NAME = re.compile(r'Model: "(.*)"')
ABOVE = 12  # lines: in a notebook the title is an output of its own
DERIVED = re.compile(r"(?<=.)Conv\dD(Transpose)?$")  # TorchConv2DTranspose is a Conv2DTranspose
KERAS1 = {  # Keras 1's classes that were renamed
    "Convolution1D": "Conv1D", "Convolution2D": "Conv2D", "Convolution3D": "Conv3D",
    "Deconvolution2D": "Conv2DTranspose", "Deconvolution3D": "Conv3DTranspose",
    "AtrousConvolution1D": "Conv1D", "AtrousConvolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
}  # fmt: skip
CONNECTION = re.compile(r"[^\s,'\[\]]+\[\d+\]\[\d+\]")
CUT = "\N{HORIZONTAL ELLIPSIS}"


def class_shown(row: Row) -> str:
    """The class that Keras prints: the layer's own, not the class that it derives from.

    An operation's class is printed without ``ops.``.
    """
    return str(row.settings.get("class", row.layer_class)).removeprefix("ops.")


def connections(table: Table) -> dict[str, list[str]]:
    """What each layer is connected to, by its name, over all its calls."""
    sources: dict[str, list[str]] = {}
    for call in table.rows:
        sources.setdefault(call.name, []).extend(call.inputs)
    return sources


def branches(table: Table) -> bool:
    """Whether a layer has several inputs, several readers or several calls."""
    sources = Counter(source for row in table.rows for source in row.inputs)
    several_inputs = any(len(row.inputs) > 1 for row in table.rows)
    several_readers = any(count > 1 for count in sources.values())
    return several_inputs or several_readers or len(table.first_calls) < len(table.rows)


def readable_bytes(number: float, smallest: str = "B") -> str:
    """A memory size as Keras prints it, with units of 1024; Keras 2's smallest is "Byte".

    >>> readable_bytes(90_321_539 * 4)
    '344.55 MB'
    """
    units = [smallest, "KB", "MB", "GB", "TB"]
    while number >= 1024 and len(units) > 1:
        number /= 1024
        units.pop(0)
    return f"{number:.2f} {units[0]}"


def row_of(
    name: str, kind: str, shape: str, count: str, inputs: Iterable[str], flag: str = ""
) -> Row:
    """A row from the texts of its fields; a shape that its column cut is marked in the settings.

    The flag is the column Trainable: "N" for a layer that is frozen. A class that its column cut
    ends in "…"; it is completed if only one of Keras's begins so.
    """
    return _nameless(kind, shape, count, flag == "N").but(name=name, inputs=tuple(inputs))


@lru_cache(maxsize=1024)
def _nameless(kind: str, shape: str, count: str, frozen: bool) -> Row:
    """A row without what is its own alone."""
    digits = count.replace(",", "")
    number = int(digits if digits.isdecimal() else re.sub(r"\D.*", "", digits) or 0)
    sizes, cut = shape_of(shape)
    ours, about = _class_of(kind)
    parameters = roles_of(ours, number, sizes)
    return Row(
        name="",
        layer_class=ours,
        shape=sizes,
        parameters=parameters,
        trainable=0 if frozen else number - parameters.get("moving", 0),
        settings={"cut": shape, **about} if cut else about,
    )


@lru_cache(maxsize=1024)
def _class_of(kind: str) -> tuple[str, Mapping[str, str]]:
    """Keras's class for a printed one, and what the settings say of it."""
    kind, cut = kind.removesuffix("…"), kind.endswith("…")
    printed = _completed(kind)
    derived = None if printed in KINDS else DERIVED.search(kind)
    ours = KERAS1.get(kind, derived[0] if derived else printed)
    about = {"class": printed} if ours != printed else {}
    about |= {"cut class": kind} if cut and _several(kind) else {}
    return ours, about or NOTHING


def roles_of(kind: str, number: int, shape: Shape = ()) -> dict[str, int]:
    """A row's count by role, as far as its class tells: two of a batch norm's move.

    It has 4 numbers a channel; without a scale, a shift or both it has 3 or 2.

    >>> roles_of("BatchNormalization", 8), roles_of("Conv2D", 8)
    ({'scale': 2, 'shift': 2, 'moving': 4}, {'all': 8})
    >>> roles_of("BatchNormalization", 96, (None, 8, 8, 32))
    {'all': 32, 'moving': 64}
    """
    if not number:
        return {}
    if kind != "BatchNormalization":
        return {"all": number}
    usual = number % 4 == 0 and number // 4 in shape[1:]
    width = shape[-1] if shape and not usual else None
    if width and number in (2 * width, 3 * width):
        return ({"all": width} if number > 2 * width else {}) | {"moving": 2 * width}
    if number % 4 == 0:
        return {"scale": number // 4, "shift": number // 4, "moving": number // 2}
    return {"all": number}


def leaves(rows: Iterable[tuple[int, Row]]) -> Iterator[Row]:
    """The rows of layers, given each row's depth: with ``expand_nested`` a model's row is above
    those of its layers, and both count their parameters. The model becomes their block."""
    rows = list(rows)
    path: list[str] = []
    for (depth, row), (below, _) in zip(rows, [*rows, (0, None)][1:], strict=True):
        path = path[:depth]
        if below <= depth:
            yield row.but(path=tuple(path)) if path else row
        path.append(row.name)


def _several(kind: str) -> bool:
    """Whether a cut class may be any of several of Keras's."""
    return sum(name.startswith(kind) for name in KINDS) > 1


def _completed(kind: str) -> str:
    if not kind or kind in KINDS:
        return kind
    longer = [name for name in KINDS if name.startswith(kind)]
    return longer[0] if len(longer) == 1 else kind


@lru_cache(maxsize=1024)
def shape_of(text: str) -> tuple[Shape, bool]:
    """The first shape in a field, and whether it is cut; the cut size is None.

    A field without sizes, such as "multiple", only tells that there is a batch.

    >>> shape_of("[(None, 64, 64, 3)]"), shape_of("(None, 64, 64, 3")
    (((None, 64, 64, 3), False), ((None, 64, 64, None), True))
    """
    cut = ")" not in text
    parts = re.findall(r"None|\d+", text.split(")")[0])  # Keras 1 on Python 2 prints 128L
    shape = [None if part == "None" else int(part) for part in parts]
    if cut:
        shape = [*(shape if text.rstrip().endswith(",") else shape[:-1]), None]
    return tuple(shape) or (None,), cut


def connections_in(text: str) -> list[str]:
    """The outputs in a column "Connected to"; a name that it cut keeps its ellipsis.

    >>> connections_in("conv[0][0], up[0][…decoder1-co…")
    ['conv[0][0]', 'up[0][0]', 'decoder1-co…[0][0]']
    """
    if CUT not in text:
        return CONNECTION.findall(text)
    *cut, whole = text.split(CUT)
    found = []
    for part in cut:
        inside = CONNECTION.findall(part)
        found += inside
        left = part.rpartition(inside[-1])[2] if inside else part
        name, bracket, numbers = left.strip(" ,").partition("[")
        call = numbers.partition("]")[0] if "]" in numbers else "0"
        found += [f"{name}{'' if bracket else CUT}[{call}][0]"] * bool(name)
    return found + CONNECTION.findall(whole)


def path_of(name: str, names: Container[str]) -> tuple[str, ...]:
    """The blocks in a layer's name; none if a block would have another layer's name.

    >>> path_of("down1-conv1", {"down1-conv1"}), path_of("conv1-pad", {"conv1", "conv1-pad"})
    (('down1',), ())
    """
    *path, own = name.split("-")
    block = ""
    for segment in path:
        block = f"{block}-{segment}" if block else segment
        if not segment or block in names:
            return ()
    return tuple(path) if own else ()


def named(lines: list[str], header: int) -> str:
    """The model's name, from the lines above the header."""
    above = (line for line in reversed(lines[max(header - ABOVE, 0) : header]))
    title = next((line for line in above if any(map(str.isalpha, line))), "")
    match = NAME.search(title)
    return match[1] if match else ""


LOST = (  # in all that Keras prints
    "roles, except of batch norms", "trainable", "settings", "calls",
    "the inputs in a network that does not branch",
)  # fmt: skip
