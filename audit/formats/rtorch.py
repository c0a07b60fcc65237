"""R torch's print of an ``nn_module``: its modules, each with its count."""

import re
from math import prod

from audit.formats.cells import Found, each_table, having
from audit.formats.pytorch import LOST, keras_class
from audit.styles import Style, register
from audit.tables import Row, Table

HEADER = re.compile(r"\s*An `(?P<name>[\w.]+)` containing (?P<count>[\d,]+) parameters?\.?")
MODULE = re.compile(r"\s*[•●*] (?P<name>\S+): <(?P<kind>[\w.]+)> #(?P<count>[\d,]+) parameters?")
OWN = re.compile(r"\s*[•●*] (?P<name>\S+): \w+ \[(?P<sizes>[\d:, ]+)\]")
SECTION = re.compile(r"\s*[─-]+ (?P<name>\w+)")
WORDS = {
    "norm": "Norm", "transpose": "Transpose", "adaptive": "Adaptive", "avg": "Avg", "max": "Max",
    "leaky": "Leaky", "prelu": "PReLU", "relu": "ReLU", "elu": "ELU",
    "gelu": "GELU", "lstm": "LSTM", "gru": "GRU", "rnn": "RNN",
}  # fmt: skip


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The modules printed in a text, each with the line number of its first line.

    R prints the outermost modules alone; the sizes are not told.
    """
    headers = [n for n in having("containing", lines) if HEADER.match(lines[n])]

    def read(start: int, end: int) -> Table | None:
        header = HEADER.match(lines[start])
        assert header is not None
        rows, section = [], ""
        for line in lines[start + 1 : end]:
            if title := SECTION.match(line):
                section = title["name"]
            elif module := MODULE.match(line):
                rows.append(_row(module["name"], _kind(module["kind"]), module["count"]))
            elif section == "Parameters" and (own := OWN.match(line)):
                count = prod(int(size) for size in re.findall(r"1:(\d{1,9})", own["sizes"]))
                rows.append(_row(own["name"], "Parameter", str(count)))
        stated = {"total": int(header["count"].replace(",", ""))}
        name = "" if header["name"] == "nn_module" else header["name"]
        return Table(name, tuple(rows), "r-torch", stated, repairs)

    return each_table(headers, lines, read)


def _row(name: str, kind: str, printed: str) -> Row:
    count = int(printed.replace(",", ""))
    return Row(name, kind, (None,), {"all": count} if count else {}, count)


def _kind(name: str) -> str:
    """The class of R's name: ``nn_conv_transpose2d`` is ``ConvTranspose2d``.

    >>> _kind("nn_conv_transpose2d"), _kind("nn_linear"), _kind("nn_batch_norm2d")
    ('Conv2DTranspose', 'Dense', 'BatchNormalization')
    """
    if not name.startswith("nn_"):
        return name
    words = re.findall(r"[a-z]+|\d+d", name[3:])
    return keras_class(
        "".join(WORDS.get(w, w if w[0].isdigit() else w.capitalize()) for w in words)
    )


register(Style("r-torch", "R torch's print", None, (*LOST, "sizes"), parse, pytorch=True,
               once_a_layer=True))  # fmt: skip
