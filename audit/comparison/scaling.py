"""A network with all its inner widths multiplied: what a table with half the widths would say."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from audit.comparison.causes import head_of
from audit.comparison.diff import Diff
from audit.comparison.forms import Form, forms_of, is_conv
from audit.tables import Row, Table

FEWEST = 2  # layers that say that the widths are multiplied throughout
WORDS = {Fraction(1, 2): "halved", Fraction(2): "doubled"}


def factors(aligned: Diff) -> list[Fraction]:
    """By how much the second's layers are wider than the first's, the most frequent first."""
    heads = head_of(aligned.first), head_of(aligned.second)
    ratios = Counter(
        Fraction(pair.second.shape[-1] or 1, pair.first.shape[-1] or 1)
        for pair in aligned.pairs
        if pair.first and pair.second and is_conv(pair.first) and pair.first is not heads[0]
        and pair.first.shape[-1:] != pair.second.shape[-1:]
        and pair.first.shape[-1] and pair.second.shape[-1]
    )  # fmt: skip
    return [ratio for ratio, count in ratios.most_common(2) if count >= FEWEST]


def words(factor: Fraction) -> str:
    """The cause.

    >>> words(Fraction(1, 2)), words(Fraction(3, 4))
    ('all widths halved', 'all widths times 3/4')
    """
    return f"all widths {WORDS.get(factor, f'times {factor}')}"


def scaled(table: Table, factor: Fraction) -> Table | None:
    """The table with all widths but those of inputs and heads multiplied.

    None where a width would not be a whole number, or a layer's form is unknown.
    """
    try:
        return replace(table, rows=tuple(_rows(table, factor)))
    except _NotWholeError:
        return None


class _NotWholeError(Exception):
    """A width that cannot be multiplied."""


def _rows(table: Table, factor: Fraction) -> Iterator[Row]:
    forms = {key: found[0] for key, found in forms_of(table).items() if found}
    head = head_of(table)
    last = forms.get(head.key) if head else None
    before, after = True, False  # the first convolution, the head
    for row in table:
        if is_conv(row) and row.total:
            form = forms.get(row.key)
            if form is None:
                raise _NotWholeError
            before, after = False, _is_head(form, last)
            yield _conv(row, form, after, factor)
        elif before or after or not row.shape or not row.shape[-1]:
            yield row
        else:
            yield _other(row, factor)


def _is_head(form: Form, last: Form | None) -> bool:
    """The last convolution, and others like it: the heads of deep supervision."""
    return last is not None and (form.outputs, form.taps) == (last.outputs, last.taps)


def _conv(row: Row, form: Form, head: bool, factor: Fraction) -> Row:
    inputs = form.inputs if form.first else _times(form.inputs, factor)
    outputs = form.outputs if head else _times(form.outputs, factor)
    count = {"kernel": form.taps * inputs * outputs} | ({"bias": outputs} if form.bias else {})
    settings = dict(row.settings)
    if "in_channels" in settings and not form.first:
        settings["in_channels"] = _times(settings["in_channels"] or 0, factor)
    return replace(
        row, shape=(*row.shape[:-1], outputs), parameters=count, settings=settings,
        trainable=sum(count.values()) if row.trainable else 0,
    )  # fmt: skip


def _other(row: Row, factor: Fraction) -> Row:
    """A norm, or a layer without parameters; the parameters of any other stay as they are."""
    width = row.shape[-1] or 0
    each = "Normalization" in row.layer_class or row.total == width
    count = {r: _times(n, factor) for r, n in row.parameters.items()} if each else row.parameters
    return replace(
        row, shape=(*row.shape[:-1], _times(width, factor)), parameters=count,
        trainable=_times(row.trainable, factor) if each else row.trainable,
    )  # fmt: skip


def _times(number: int, factor: Fraction) -> int:
    product = number * factor
    if product.denominator != 1:
        raise _NotWholeError
    return int(product)
