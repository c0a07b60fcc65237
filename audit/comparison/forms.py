"""The forms of convolutions: kernel, inputs, width and bias, worked out from counts and shapes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from audit.tables import Row, Table

KERNELS = {"Conv": (3, 1, 5, 7, 2, 4), "Transpose": (2, 3, 4, 5)}
FLAT = {"Conv": (9, 3), "Transpose": (4,)}  # taps of 3D kernels that are one voxel thick
CERTAIN, LIKELY, UNLIKELY = range(3)  # how well its inputs fit what stands before it
IMAGE = 5  # fewer channels than this are an image's
SEVERAL = range(1, 5)  # maps of one width that are concatenated
PASSING = re.compile("Normalization|Padding|Dropout|Activation|LU$|Identity|Cropping|Noise|Input")


@dataclass(frozen=True)
class Form:
    """A convolution, or a dense layer.

    Attributes:
        taps: the kernel's sizes multiplied.
        inputs: channels that each output reads.
        outputs: its width.
        bias: whether each output has one.
        fit: how well the inputs fit what stands before it.
        first: whether it reads the network's input.
    """

    taps: int
    inputs: int
    outputs: int
    bias: bool
    fit: int = CERTAIN
    first: bool = False

    def count(self) -> int:
        """Its parameters."""
        return self.taps * self.inputs * self.outputs + self.bias * self.outputs


Forms = Mapping[str, list[Form]]  # by the row's key


def is_conv(row: Row) -> bool:
    """Whether it has a kernel, inputs, a width and perhaps a bias, as a dense layer has too."""
    return re.match(r"(Conv\dD(Transpose)?|Dense)$", row.layer_class) is not None


def is_transposed(row: Row) -> bool:
    """Whether it is a transposed convolution."""
    return row.layer_class.endswith("Transpose")


def groups_of(row: Row) -> int:
    """Into how many groups its channels fall, as far as it is known."""
    return row.settings.get("groups", 1)


def forms_of(table: Table) -> Forms:
    """The forms that each convolution of a table may have, those that fit best first.

    >>> import audit
    >>> forms_of(audit.table("unet2d_small"))["dec3-0[0]"]  # known, because it is no text
    [Form(taps=9, inputs=64, outputs=32, bias=True, fit=0, first=False)]
    """
    known = {row.key: row for row in reversed(table.rows)}
    forms: dict[str, list[Form]] = {}
    widths: dict[int, None] = {}  # of the rows so far, the last one last
    started = False
    for row in table:
        if is_conv(row) and row.total:
            first = _reads_input(row, known) if row.inputs else not started
            found = list(_forms(row, _inputs_of(row, known), widths, first))
            forms.setdefault(row.key, sorted(found, key=lambda form: form.fit))
            started = True
        shown = started or row.layer_class == "InputLayer"
        if shown and row.shape and (width := row.shape[-1]):
            widths.pop(width, None)
            widths[width] = None
    return forms


def forms_reading(row: Row, inputs: int | None) -> list[Form]:
    """The forms of a convolution that reads so many channels, those that fit best first."""
    return sorted(_forms(row, inputs, {}, first=False), key=lambda form: form.fit)


def _reads_input(row: Row, known: Mapping[str, Row]) -> bool:
    """Whether only layers that keep the channels stand between it and the input."""
    source: Row | None = row
    for _ in range(len(known)):
        source = known.get(source.sources[0]) if source and source.sources else None
        if source is None or not PASSING.search(source.layer_class):
            return False
        if source.layer_class == "InputLayer":
            return True
    return False


def _inputs_of(row: Row, known: Mapping[str, Row]) -> int | None:
    """The channels that it reads, where a model or its connections say so."""
    if channels := row.settings.get("in_channels"):
        return int(channels)
    source = known.get(row.sources[0]) if row.sources else None
    return source.shape[-1] if source and source.shape else None


def _forms(row: Row, inputs: int | None, widths: dict[int, None], first: bool) -> Iterator[Form]:
    biases = ("bias" in row.parameters,) if "kernel" in row.parameters else (True, False)
    for taps, bias in product(_taps(row), biases):
        width = row.shape[-1] if row.shape else None
        if width is None:  # a column cut it off
            width = row.total // (taps * (inputs or 0) + bias) if inputs else None
        if not width or not row.total or row.total % width:
            continue
        reads, rest = divmod(row.total // width - bias, taps)
        if reads < 1 or rest:
            continue
        fit = _fit(reads * groups_of(row), inputs, widths, first)
        if fit == UNLIKELY and inputs is None and reads < IMAGE:  # beside the first convolution
            yield Form(taps, reads, width, bias, LIKELY, True)
        else:
            yield Form(taps, reads, width, bias, fit, first)


def _taps(row: Row) -> tuple[int, ...]:
    """The kernel volumes to try: the known one, or the usual ones."""
    if row.layer_class == "Dense":
        return (1,)
    if "kernel_size" in row.settings:
        return (prod(row.settings["kernel_size"]),)
    rank = int(row.layer_class[4])
    sort = "Transpose" if is_transposed(row) else "Conv"
    return tuple(dict.fromkeys([*(k**rank for k in KERNELS[sort]), *FLAT[sort] * (rank == 3)]))


def _fit(reads: int, inputs: int | None, widths: dict[int, None], first: bool) -> int:
    """How well a number of channels fits: the row before it, or a concatenation."""
    if inputs is not None:
        return CERTAIN if reads == inputs else UNLIKELY
    last = next(reversed(widths), 0)
    if reads == last:
        return CERTAIN
    if first:
        return CERTAIN if reads < IMAGE and not last else LIKELY
    sums = any((reads - last) % n == 0 and (reads - last) // n in widths for n in SEVERAL)
    return LIKELY if sums or reads in widths else UNLIKELY


def matched(first: Row, second: Row, forms: tuple[Forms, Forms]) -> tuple[Form, Form] | None:
    """The forms of two rows for the same layer: those that fit best and differ least.

    None if there is no such form, or if one fits nowhere and both its kernel and inputs differ.
    """
    choices = [
        (before, after)
        for before in _choices(first, second, forms[0])
        for after in _choices(second, first, forms[1])
    ]
    if not choices:
        return None
    before, after = min(choices, key=lambda pair: _cost(*pair))
    lost = UNLIKELY in (before.fit, after.fit) and before.inputs != after.inputs
    return None if lost and before.taps != after.taps else (before, after)


def _choices(row: Row, partner: Row, forms: Forms) -> list[Form]:
    """The row's forms; of a row whose shape was cut, those with the other row's width."""
    if found := forms.get(row.key):
        return found
    if row.shape and row.shape[-1] is None and partner.shape and partner.shape[-1]:
        shape = (*row.shape[:-1], partner.shape[-1])
        whole = Row(row.name, row.layer_class, shape, row.parameters, settings=row.settings)
        return list(_forms(whole, _inputs_of(row, {}), {}, first=False))
    return []


def _cost(before: Form, after: Form) -> tuple[int, bool]:
    """Of equals, another kernel is more likely than other inputs, but for those of an image."""
    other = before.inputs != after.inputs and max(before.inputs, after.inputs) >= IMAGE
    return 3 * (before.fit + after.fit) + _differences(before, after), other


def _differences(before: Form, after: Form) -> int:
    return (
        (before.taps != after.taps)
        + (before.inputs != after.inputs)
        + (before.bias != after.bias)
        + (before.outputs != after.outputs and UNLIKELY in (before.fit, after.fit))
    )
