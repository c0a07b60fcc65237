"""A document's statement, measured: a verdict, a value, and the reason in one sentence."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from unetzoo.utils.notebook import Shown

VERDICTS = ("confirmed", "confirmed_under_convention", "contradicted", "untestable")


@dataclass(frozen=True)
class Finding:
    """What measuring a statement gave."""

    verdict: str
    measured: str
    reason: str


@dataclass(frozen=True)
class Statement:
    """What a document states about a network, the verdict on record, and how to measure it."""

    id: str
    network: str
    stated: str
    on_record: str
    measure: Callable[["Network"], Finding]


@dataclass(frozen=True)
class Verdict(Shown):
    """The verdict on a statement, from this run.

    Attributes:
        network: the network's id.
        id: the statement's id, such as ``S1.1``.
        verdict: confirmed, confirmed_under_convention, contradicted or untestable.
        stated: what the document states.
        measured: what the built network gives.
        reason: why, in one sentence.
        as_recorded: whether the verdict is the one on record.
    """

    network: str
    id: str
    verdict: str
    stated: str
    measured: str
    reason: str
    as_recorded: bool

    def to_dict(self) -> dict[str, str]:
        """The verdict as JSON holds it."""
        return {key: value for key, value in asdict(self).items() if key != "as_recorded"}

    def __str__(self) -> str:
        changed = "" if self.as_recorded else " (not the verdict on record)"
        return (
            f"{self.id:<6}{self.network:<16}{self.verdict.replace('_', ' ')}{changed}\n"
            f"      stated    {self.stated}\n"
            f"      measured  {self.measured}\n"
            f"      {self.reason}"
        )


class Network:
    """The network of a statement: it gives tables, built without weights, for any arguments."""

    def __init__(self, name: str):
        self.name = name

    def table(self, **arguments: Any) -> Any:
        """Its table, at its documented size unless the arguments say otherwise."""
        from audit.sources.keras_model import table_of
        from unetzoo.registry import skeleton

        return table_of(skeleton(self.name, **arguments))


STATEMENTS: list[Statement] = []


def statement(
    id: str, network: str, stated: str, on_record: str = "confirmed"
) -> Callable[[Callable[[Network], Finding]], Callable[[Network], Finding]]:
    """Put a statement on the list; the decorated function measures it.

    If it has no docstring, the statement becomes its docstring.
    """

    def register(measure: Callable[[Network], Finding]) -> Callable[[Network], Finding]:
        measure.__doc__ = measure.__doc__ or f"{id}: {stated}."
        STATEMENTS.append(Statement(id, network, stated, on_record, measure))
        return measure

    return register


def judged(holds: bool, measured: object, reason: str) -> Finding:
    """Confirmed or contradicted."""
    return Finding("confirmed" if holds else "contradicted", str(measured), reason)


def by_convention(holds: bool, measured: object, reason: str) -> Finding:
    """Confirmed under the convention that the reason names, or contradicted."""
    verdict = "confirmed_under_convention" if holds else "contradicted"
    return Finding(verdict, str(measured), reason)


def untestable(reason: str) -> Finding:
    """Neither, because it cannot be measured here."""
    return Finding("untestable", "-", reason)


def about(measured: float, stated: float) -> bool:
    """Whether a figure is within the 10 % that "about" and "roughly" allow."""
    return abs(measured - stated) <= 0.1 * stated
