"""For other people's tests: their published table must be that of their model."""

import os
from pathlib import Path
from typing import Any

from audit.comparison.diff import Diff, diff
from audit.comparison.explain import explain
from audit.sources.resolve import as_table
from audit.sources.text import read_all
from audit.tables import Table
from unetzoo.utils.json_values import short


def assert_matches(model: Any, source: Any) -> None:
    """Fail, with the explained diff, unless the table published in a text is the model's.

    ``audit.diff`` must find the same rows, whichever program printed the table, and the total that
    the text states must be the model's, with or without moving statistics. If a text has several
    tables, the best match is compared: the one with the fewest rows that differ, then the one with
    the smallest gap in parameters, then the first.

    Args:
        model: a Keras model, a zoo id, a ``.keras`` file or a ``Table``.
        source: the path of a README, log or notebook, or the text itself.

    Raises:
        AssertionError: if they differ: one sentence, the rows that differ, the causes of the gap,
            and where the published table does not add up.
        ValueError: if the source has no table, or the model is none of the above.

    >>> import audit, unetzoo
    >>> text = audit.table(unetzoo.skeleton("unet2d_small")).to_text("torchsummary")
    >>> audit.assert_matches("unet2d_small", text)
    """
    __tracebackhide__ = True
    if not isinstance(source, str | os.PathLike):
        raise ValueError(
            f"{short(source)}: expected a path or a text with a table; the model comes first: "
            "assert_matches(model, source)."
        )
    source = source if isinstance(source, str) else Path(source)
    published = read_all(source)
    where = "the text" if "\n" in str(source) else str(source)
    if message := mismatch(published, as_table(model), where):
        raise AssertionError(message)


def mismatch(published: list[Table], model: Table, where: str) -> str:
    """How the published table that matches best differs from the model's; empty if it does not."""
    diffs = [diff(table, model) for table in published]
    best = min(diffs, key=lambda diff: (_differing(diff), abs(diff.gap)))
    if len(diffs) > 1:
        where = f"{where}, table {diffs.index(best) + 1} of {len(diffs)}"
    count = _differing(best)
    reason = f"{count} of {len(best.pairs)} rows differ{'s' * (count == 1)}"
    reason = reason if count else _wrong_total(best.first, model) or "; ".join(best.frozen)
    if not reason:
        return ""
    lines = [
        f"{where}: the published table (the first) is not that of {model.name!r} (the second): "
        f"{reason}.",
        str(best),
    ]
    explanation = explain(best.first, model)
    if explanation.causes:
        lines += ["why the counts differ:", str(explanation)]
    lines += [f"the published table does not add up: {gap}" for gap in best.first.inconsistencies()]
    return "\n".join(lines)


def _differing(diff: Diff) -> int:
    return sum(pair.status != "same" for pair in diff.pairs)


def _wrong_total(published: Table, model: Table) -> str:
    """What is wrong with the stated total; empty if it is right.

    PyTorch's programs leave out moving statistics and count a shared module each time it runs;
    Keras adds the optimizer's variables to the total.
    """
    if "total" not in published.stated:
        return ""
    stated = published.stated["total"] - published.stated.get("optimizer", 0)
    repeated = sum(row.without_moving for row in model)
    if stated in (model.total, model.without_moving, repeated):
        return ""
    text = f"the stated total is {stated:,}, the model has {model.total:,} parameters"
    if model.total != model.without_moving:
        text += f" ({model.without_moving:,} without moving statistics)"
    return text
