"""Blocks whose layers a table of PyTorch hides, with the layers of their like that it shows.

torchinfo shows three levels by default: of milesial's U-Net the first ``DoubleConv``, and of the
others their counts. A hidden block has a shown one's layers where these give its count.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from audit.comparison.forms import Form, forms_reading, is_conv, is_transposed
from audit.kinds import KINDS
from audit.rebuilding.maps import Assumed
from audit.tables import Row, Table
from unetzoo.utils.text import printable

NUMBERED = re.compile(r"_\d+_\d+$")  # as torchinfo numbers its blocks: depth, then place
ODD = 1  # voxels that are cut or padded
TRIED = 4  # blocks of a class, which are mostly alike
Block = tuple[Row, ...]
Path = tuple[str, ...]


def opened(table: Table, assumed: Assumed) -> Table:
    """The table with the layers of hidden blocks, as far as a block of their class is shown."""
    if not any(map(is_hidden, table)):
        return table
    shown = _shown(table.rows)
    held = Counter(row.path for row in table)
    rows: list[Row] = []
    widths: set[int] = set()  # of the maps so far
    for row in table:
        name, layers = "", [row]
        if rows and is_hidden(row) and _keeps_sizes(row, rows[-1]):
            places = [_place_of((*row.path, row.place))]
            if held[row.path] == 1:  # all that its block holds
                places.append(_place_of(row.path))
            blocks = [block for place in places for block in shown.get(place, [])]
            name, layers = _opened(row, blocks, widths)
        if name:
            word = f"the layers of {printable(name)}, which give its count"
            assumed.setdefault(word, []).append(printable(row.name))
        rows += layers
        widths |= {layer.shape[-1] or 0 for layer in layers if layer.shape}
    return replace(table, rows=tuple(rows))


def is_hidden(row: Row) -> bool:
    """Whether it is a block with numbers, whose layers are not shown."""
    return bool(row.total) and row.layer_class not in KINDS


def _shown(rows: Sequence[Row]) -> dict[Path, list[tuple[str, Block]]]:
    """Some blocks all of whose layers are shown, with their names, by their place."""
    blocks: dict[Path, list[Row]] = {}
    for row in rows:
        for depth in range(1, len(row.path) + 1):
            blocks.setdefault(row.path[:depth], []).append(row)
    shown: dict[Path, list[tuple[str, Block]]] = {}
    for path, layers in blocks.items():
        alike = shown.setdefault(_place_of(path), [])
        if len(alike) < TRIED and any(map(is_conv, layers)) and not any(map(is_hidden, layers)):
            alike.append(("-".join(path), tuple(layers)))
    return shown


def _opened(
    row: Row, blocks: Sequence[tuple[str, Block]], widths: set[int]
) -> tuple[str, list[Row]]:
    """The block of which a hidden one has the layers, and these; or no name and the row itself."""
    for name, block in blocks:
        if layers := _like(row, block, widths):
            return name, layers
    return "", [row]


def _place_of(path: Path) -> Path:
    """The class of a block; of a ``Sequential``, which may hold anything, also what it is in."""
    kinds = tuple(NUMBERED.sub("", name) for name in path)
    return kinds[-2:] if kinds[-1:] == ("Sequential",) else kinds[-1:]


def _keeps_sizes(row: Row, before: Row) -> bool:
    pairs = list(zip(before.shape[1:-1], row.shape[1:-1], strict=False))
    return bool(pairs) and all(m and n and abs(m - n) <= ODD for m, n in pairs)


def _like(row: Row, block: Block, known: set[int]) -> list[Row]:
    """The layers of a block, as wide as a row asks and reading such a map; empty if none are."""
    width = row.shape[-1]
    if not width or any(layer.shape[1:-1] != block[-1].shape[1:-1] for layer in block):
        return []
    for forms in _chains(block):
        for widths in _widths(forms, width):
            if layers := _with_widths(row, block, forms, widths, known):
                return layers
    return []


def _chains(block: Block) -> Iterator[list[Form]]:
    """The forms of its convolutions, where each reads the one before it."""
    first, *others = filter(is_conv, block)
    if any(is_transposed(layer) for layer in (first, *others)):
        return
    for form in forms_reading(first, None):
        forms = [form]
        for layer in others:
            reads = forms[-1].outputs
            forms += [f for f in forms_reading(layer, reads) if f.inputs == reads][:1]
        if len(forms) == len(others) + 1:
            yield forms


def _widths(forms: Sequence[Form], width: int) -> Iterator[list[int]]:
    """What the convolutions may give: widths in the block's ratios first, then others within it."""
    outputs = [form.outputs for form in forms]
    if all(width * each % outputs[-1] == 0 for each in outputs):
        yield [width * each // outputs[-1] for each in outputs]
    if len(forms) > 1:
        for inner in (width, 2 * width, width // 2):
            yield [inner] * (len(forms) - 1) + [width]


def _with_widths(
    row: Row, block: Block, forms: Sequence[Form], widths: Sequence[int], known: set[int]
) -> list[Row]:
    """The layers with these widths; empty if no width of a map that is there gives the count."""
    pairs = zip(forms, widths, strict=True)
    now, counts = 0, []  # the first convolution's kernel comes later
    for layer in block:
        if is_conv(layer):
            form, width = next(pairs)
            counts.append(width * (form.taps * now + form.bias))
            now = width
        else:
            each, rest = divmod(layer.total, layer.shape[-1] or 1)
            if rest or (each and not now):
                return []
            counts.append(each * now)
    kernel = row.total - sum(counts)
    reads, rest = divmod(kernel, forms[0].taps * widths[0])
    joined = any(reads - each in known for each in known)
    if rest or reads < 1 or not (reads in known or joined):
        return []
    counts[next(n for n, layer in enumerate(block) if is_conv(layer))] += kernel
    now, outputs, layers = reads, iter(widths), []
    for layer, count in zip(block, counts, strict=True):
        now = next(outputs) if is_conv(layer) else now
        layers.append(_copied(layer, row, count, now))
    return layers


def _copied(layer: Row, row: Row, count: int, width: int) -> Row:
    return layer.but(
        name=f"{row.name}-{layer.place}",
        path=(*row.path, row.place),
        shape=(*row.shape[:-1], width),
        parameters={"all": count} if count else {},
        trainable=count,
    )
