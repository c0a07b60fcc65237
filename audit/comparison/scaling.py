"""A network with all its inner widths multiplied: what a table with half the widths would say."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import takewhile

from audit.comparison.causes import head_of
from audit.comparison.diff import Diff
from audit.comparison.forms import IMAGE, Form, forms_of, is_conv
from audit.tables import Row, Table

FEWEST = 2  # layers that say that the widths are multiplied throughout
WORDS = {Fraction(1, 2): "halved", Fraction(2): "doubled"}


def factors(aligned: Diff) -> list[Fraction]:
    """By how much the second's layers may be wider than the first's.

    The most frequent factors of its pairs, and the factors of the first and the widest layers,
    because layers of other levels may be paired.
    """
    heads = head_of(aligned.first), head_of(aligned.second)
    ratios = Counter(
        Fraction(pair.second.shape[-1] or 1, pair.first.shape[-1] or 1)
        for pair in aligned.pairs
        if pair.first and pair.second and is_conv(pair.first) and pair.first is not heads[0]
        and pair.first.shape[-1] and pair.second.shape[-1]
    )  # fmt: skip
    frequent = [ratio for ratio, count in ratios.most_common(2) if count >= FEWEST]
    widths = [_widths(table) for table in (aligned.first, aligned.second)]
    ends = [Fraction(b, a) for a, b in zip(*widths, strict=True)] if all(widths) else []
    return [ratio for ratio in dict.fromkeys([*frequent, *ends]) if ratio != 1]


def _widths(table: Table) -> tuple[int, ...]:
    """The first layer's width, and the largest."""
    widths = [row.shape[-1] for row in table if is_conv(row) and row.total and row.shape[-1]]
    return (widths[0], max(widths)) if len(widths) > FEWEST else ()


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


def alike(first: Table, second: Table) -> int:
    """How many convolutions have the same width in two tables, wherever they stand."""
    widths = [
        Counter(row.shape[-1] for row in table if is_conv(row) and row.total)
        for table in (first, second)
    ]
    return (widths[0] & widths[1]).total()


class _NotWholeError(Exception):
    """A width that cannot be multiplied."""


def _rows(table: Table, factor: Fraction) -> Iterator[Row]:
    forms = {key: found[0] for key, found in forms_of(table).items() if found}
    tail = _tail([forms.get(row.key) for row in table.first_calls if is_conv(row) and row.total])
    before, after = True, False  # the first convolution, the heads
    for row in table:
        if is_conv(row) and row.total:
            form = forms.get(row.key)
            if form is None:
                raise _NotWholeError
            inner = not after or form not in tail
            before, after = False, form in tail
            yield _conv(row, form, after, factor, inner)
        elif before or after or not row.shape or not row.shape[-1]:
            yield row
        else:
            yield _other(row, factor)


def _tail(forms: list[Form | None]) -> list[Form]:
    """The last convolution, others like it, and narrow ones before it: they keep their widths."""
    known = [form for form in forms if form]
    if not known:
        return []
    last = known[-1]
    alike = [form for form in known if (form.outputs, form.taps) == (last.outputs, last.taps)]
    narrow = takewhile(lambda form: form.outputs < IMAGE, reversed(known))
    return [*alike, *narrow]


def _conv(row: Row, form: Form, head: bool, factor: Fraction, inner: bool) -> Row:
    """With other inputs, but for those of an image or a head, and another width."""
    inner = inner and not form.first
    inputs = _times(form.inputs, factor) if inner else form.inputs
    outputs = form.outputs if head else _times(form.outputs, factor)
    count = {"kernel": form.taps * inputs * outputs} | ({"bias": outputs} if form.bias else {})
    settings = dict(row.settings)
    if "in_channels" in settings and inner:
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
