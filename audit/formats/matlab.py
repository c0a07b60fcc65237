"""MATLAB's ``analyzeNetwork``, as a table of HTML or of Markdown: sizes of each learnable."""

import re
from functools import lru_cache
from math import prod

from audit.formats.cells import Found, cells_of, each_table, having
from audit.formats.totals import count_of
from audit.styles import Style, register
from audit.tables import Row, Shape, Table

HEADER = re.compile(r"\s*\|.*\|\s*Type\s*\|\s*Activations\s*\|.*\bLearnable", re.IGNORECASE)
SIZES = re.compile(r"([A-Za-z]\w*)\s*:?\s*(\d+(?:\s*[\u00d7x*]\s*\d+)+)")
TOTAL = re.compile(
    r"\s*\|?\s*(?:(\S+) )?total learnables\s*[|:]?\s*([\d.,]+\s?[kKMG]?)?", re.IGNORECASE
)
RANK = {"Convolution": "Conv{}D", "Transposed Convolution": "Conv{}DTranspose",
        "Max Pooling": "MaxPooling{}D", "Average Pooling": "AveragePooling{}D"}  # fmt: skip
KINDS = {
    "Image Input": "InputLayer", "3-D Image Input": "InputLayer", "Batch Normalization":
    "BatchNormalization", "Fully Connected": "Dense", "Depth concatenation": "Concatenate",
    "Concatenation": "Concatenate", "Addition": "Add", "Leaky ReLU": "LeakyReLU",
    "Layer Normalization": "LayerNormalization", "Group Normalization": "GroupNormalization",
}  # fmt: skip


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables in a text, each with the line number of its header."""
    headers = [number for number in having("ctivations", lines) if HEADER.match(lines[number])]

    def read(start: int, end: int) -> Table | None:
        titles = [title.lower() for title in cells_of(lines[start])]
        rows = []
        for line in lines[start + 1 : end]:
            cells = dict(zip(titles, cells_of(line), strict=False))
            if cells.get("type") and set(cells["type"]) - set("-: "):
                rows.append(_row(cells))
            elif rows and line.strip() and not cells:
                break
        stated = {}
        for line in lines[max(start - 9, 0) : start]:
            match = TOTAL.match(line)
            if match and (count := count_of(match[2] or match[1] or "")) is not None:
                stated["total"] = count
        return Table("", tuple(rows), "matlab", stated, repairs)

    return each_table(headers, lines, read)


def _row(cells: dict[str, str]) -> Row:
    title = next((key for key in cells if "learnable" in key and "number" not in key), "")
    parameters = {
        name.lower(): prod(int(size) for size in re.findall(r"\d{1,9}", sizes))
        for name, sizes in SIZES.findall(cells.get(title, ""))
    }
    number = next((text for key, text in cells.items() if "number" in key or "#" in key), "")
    if not parameters and (count := count_of(number)):
        parameters = {"all": count}
    shape = _shape(cells.get("activations", ""))
    return Row(
        name=cells.get("name", "").split(" ")[0],
        layer_class=_kind(cells["type"], len(shape) - 2),
        shape=shape,
        parameters=parameters,
        trainable=sum(parameters.values()),
    )


@lru_cache(maxsize=1024)
def _kind(printed: str, rank: int) -> str:
    name = re.sub(r"^[123]-D ", "", printed)
    if name in RANK and rank in (1, 2, 3):
        return RANK[name].format(rank)
    return KINDS.get(printed, name)


@lru_cache(maxsize=1024)
def _shape(text: str) -> Shape:
    """Activations ``28(S) × 28(S) × 8(C) × 1(B)``, or ``28×28×8``: channels last, no batch."""
    sizes = [int(size) for size in re.findall(r"(\d+)(?!\d)(?!\s*\(B\))", text)]
    return (None, *sizes)


register(Style("matlab", "MATLAB's analyzeNetwork", None, ("inputs", "settings"), parse))
