"""``unetzoo status``: how far a training is, or the cases that many jobs prepare or segment.

Only small files are read, and neither Keras nor numpy is loaded.
"""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetzoo.training.checkpoints import checkpoints
from unetzoo.training.history import best_row, read_history, waited_in_vain
from unetzoo.utils import journal
from unetzoo.utils.choices import LOWRES
from unetzoo.utils.claims import CLAIM, Claim, claim_of, lives
from unetzoo.utils.json_values import read_json
from unetzoo.utils.lock import owner_of
from unetzoo.utils.text import counted, duration, first_of

RUN = "run.json"
DICE = "val_dice"
LATELY = 100  # finished cases whose mean says how long the others take
EPOCHS = 20  # the same of epochs
NAMED = 10  # cases whose state is told one by one


@dataclass(frozen=True)
class AtWork:
    """A process that works on a case, since a time; 0 is not known."""

    claim: Claim
    since: float

    def __str__(self) -> str:
        who = f"process {self.claim.pid} on {self.claim.host}"
        if not self.since:
            return who
        clock = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.since))
        return f"{who}, since {clock} ({duration(time.time() - self.since)})"


@dataclass(frozen=True)
class CaseStatus:
    """How far the cases of one list are.

    Args:
        what: is done to them, such as "prepared".
        total: how many there are.
        done: those that are finished.
        under_way: by name, who works on them.
        failed: by name, a sentence for each.
        missing: the other ones.
        left: seconds until all are done, estimated from those that are; None where nobody works.
    """

    what: str
    total: int
    done: tuple[str, ...]
    under_way: Mapping[str, AtWork]
    failed: Mapping[str, str]
    missing: tuple[str, ...]
    left: float | None

    def __str__(self) -> str:
        parts = {"under way": self.under_way, "failed": self.failed, "missing": self.missing}
        others = [f"{len(cases)} {name}" for name, cases in parts.items() if cases]
        if self.left is not None:
            others.append(f"about {duration(self.left)} left")
        elif self.missing and not self.under_way:
            others.append("nobody at work")
        counts = "; ".join([f"{len(self.done):,} of {counted(self.total, 'case')}", *others])
        under_way = [f"  {name}: {who}" for name, who in self.under_way.items()]
        failed = [f"  {name}: failed: {fault}" for name, fault in self.failed.items()]
        return "\n".join([f"{self.what}: {counts}", *first_of(under_way, NAMED),
                          *first_of(failed, NAMED)])  # fmt: skip


@dataclass(frozen=True)
class RunStatus:
    """How far a training is.

    Args:
        name: of its folder.
        epochs: that were asked for; 0 where the run has not begun.
        rows: of its history.
        saved: when the newest checkpoint was written, or None.
        owner: the process that has the folder, or None.
        patience: epochs without a better Dice after which it ends, or None.
        folds: how many folds its cases are dealt into.
    """

    name: str
    epochs: int
    rows: Sequence[Mapping[str, Any]]
    saved: float | None
    owner: AtWork | None
    patience: int | None = None
    folds: int = 0

    @property
    def done(self) -> int:
        """Epochs that are done."""
        return int(self.rows[-1]["epoch"]) if self.rows else 0

    @property
    def finished(self) -> bool:
        """Whether no epoch is left to train."""
        stopped = self.patience and self.rows and waited_in_vain(self.rows, DICE, self.patience)
        return bool(self.epochs) and (self.done >= self.epochs or bool(stopped))

    @property
    def seconds(self) -> float | None:
        """The mean seconds of the last epochs, without the first, which makes the graph."""
        timed = [row["seconds"] for row in self.rows if "seconds" in row]
        lately = (timed[1:] or timed)[-EPOCHS:]
        return sum(lately) / len(lately) if lately else None

    @property
    def left(self) -> float | None:
        """Seconds until all epochs are done, estimated; None where nobody trains."""
        if self.owner is None or self.finished or self.seconds is None:
            return None
        began = max(self.saved or 0.0, self.owner.since)  # the epoch that is under way
        return max(self.seconds * (self.epochs - self.done) - (time.time() - began), 0.0)

    def __str__(self) -> str:
        parts = [f"epoch {self.done} of {self.epochs}" if self.epochs else "not begun"]
        if self.saved is not None:
            parts.append(f"saved {duration(time.time() - self.saved)} ago")
        if self.seconds is not None:
            each = f"{self.seconds:.2g} s" if self.seconds < 10 else duration(self.seconds)
            parts.append(f"{each} an epoch")
        if self.left is not None:
            parts.append(f"about {duration(self.left)} left")
        lines = [f"{self.name}: {', '.join(parts)}"]
        if self.rows:
            losses = {name: self.rows[-1].get(name) for name in ("loss", "val_loss")}
            shown = [f"{name} {value:.4g}" for name, value in losses.items() if value is not None]
            measured = [row for row in self.rows if row.get(DICE) is not None]
            if best := best_row(self.rows, DICE):
                last = measured[-1]
                shown.append(f"held-out Dice {last[DICE]:.4f} of epoch {last['epoch']}")
                shown.append(f"best {best[DICE]:.4f} of epoch {best['epoch']}")
            lines.append(f"  {', '.join(shown)}")
        at_work = f"at work: {self.owner}" if self.owner else "nobody at work"
        return "\n".join([*lines, "  finished" if self.finished and not self.owner
                          else f"  {at_work}"])  # fmt: skip


def status(folder: Path | str) -> str:
    """How far the work in a folder is: of a run, of ``cross_validate``, or of many jobs.

    Raises: ValueError for a folder without any of them.
    """
    folder = Path(folder)
    found = [str(run_status(folder))] if _is_run(folder) else []
    for place in (folder / LOWRES, folder):  # of a cascade, the first comes first
        if folds := [run_status(path) for path in sorted(place.glob("fold_*")) if _is_run(path)]:
            found += [f"{place}: {_of_folds(folds)}", *map(str, folds)]
    found += [str(one) for one in case_statuses(folder)]
    if not found:
        raise ValueError(
            f"{folder}: neither a run nor cases of several jobs; expected the folder of unetzoo "
            "train or prepare, or of predict --shard."
        )
    return "\n".join(found)


def _of_folds(runs: Sequence[RunStatus]) -> str:
    """How far a cross-validation is."""
    total = max([len(runs), *(run.folds for run in runs)])
    counts = f"{sum(run.finished for run in runs)} of {counted(total, 'fold')} trained"
    at_work = sum(run.owner is not None for run in runs)
    timed = [run for run in runs if run.seconds is not None]
    if not (at_work and timed) or total == sum(run.finished for run in runs):
        return counts
    seconds, epochs = timed[-1].seconds or 0.0, max(run.epochs for run in runs)
    left = seconds * epochs * (total - len(runs))
    for run in runs:
        known = seconds * (epochs - run.done) if run.left is None else run.left
        left += 0.0 if run.finished else known
    return f"{counts}; about {duration(left / at_work)} of training left for all of them"


def _is_run(folder: Path) -> bool:
    began = (folder / RUN).exists() or bool(checkpoints(folder))
    return began or (owner_of(folder) is not None and not (folder / journal.JOBS).exists())


def run_status(folder: Path) -> RunStatus:
    """How far the training in a folder is. Raises: ValueError for a damaged record."""
    epochs, patience, folds = 0, None, 0
    if (folder / RUN).exists():
        record = read_json(folder / RUN, "the record of a run")
        try:
            settings = record["settings"]
            epochs, folds = int(settings["epochs"]), int(settings.get("folds", 0))
            patience = settings.get("patience") and int(settings["patience"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{folder / RUN}: not the record of a run; expected what unetzoo train wrote."
            ) from error
        with suppress(ValueError, TypeError):  # the file may have gone
            folds = len(read_json(Path(settings.get("splits")), "a list of folds"))
    saved = None
    with suppress(OSError, ValueError):  # a newer one may just have replaced it
        saved = max(path.stat().st_mtime for path in checkpoints(folder).values())
    owner = owner_of(folder)
    at_work = None
    if owner is not None and lives(claim := Claim(owner.host, owner.pid)):
        at_work = AtWork(claim, owner.since)
    return RunStatus(str(folder), epochs, read_history(folder), saved, at_work, patience, folds)


def case_statuses(folder: Path) -> list[CaseStatus]:
    """How far the cases are that several jobs prepare or segment in a folder."""
    listed = journal.lists(folder)
    if not listed:
        return []
    there = set(os.listdir(folder))
    claims = any(name.startswith(CLAIM) for name in there)
    notes: dict[tuple[str, str], list[dict]] = {}
    for note in journal.notes(folder):
        notes.setdefault((note["what"], note["case"]), []).append(note)
    prepared = {name for one in listed if one.what == "prepared" for name in one.cases}
    found = []
    for one in listed:
        of_list = {name: notes.get((one.what, name), []) for name in one.cases}
        known = {name for name, target in one.cases.items() if target in there}
        if one.what == "measured" and set(one.cases) <= prepared:
            known = set(one.cases)  # perhaps by a training, which does not note it
        found.append(_case_status(folder if claims else None, one, of_list, known))
    return found


def _case_status(
    folder: Path | None, listed: journal.Listed, notes: Mapping[str, list[dict]], known: set[str]
) -> CaseStatus:
    """Args: folder: with claims, or None; known: cases that are certainly done."""
    done, missing = list[str](), list[str]()
    under_way, failed = dict[str, AtWork](), dict[str, str]()
    for name, target in listed.cases.items():
        last: dict[str, Any] = notes[name][-1] if notes[name] else {"state": ""}
        claim = claim_of(folder, name) if folder and last["state"] == "begun" else None
        if name in known or (target is None and last["state"] == "done"):
            done.append(name)
        elif claim is not None:
            same = (claim.host, claim.pid) == (last.get("host"), last.get("pid"))
            under_way[name] = AtWork(claim, last["time"] if same else 0)
        elif last["state"] == "failed":
            failed[name] = str(last.get("fault", ""))
        else:
            missing.append(name)
    left, seconds = None, _seconds(notes)
    if under_way and seconds is not None:
        left = seconds * (len(missing) + len(under_way)) / len(under_way)
    return CaseStatus(
        listed.what, len(listed.cases), tuple(done), under_way, failed, tuple(missing), left
    )


def _seconds(notes: Mapping[str, list[dict]]) -> float | None:
    """The mean seconds of the cases that were finished lately, or None."""
    ends = [note for of_case in notes.values() for note in of_case if "seconds" in note]
    lately = sorted((n for n in ends if n["state"] == "done"), key=lambda n: n["time"])[-LATELY:]
    return sum(note["seconds"] for note in lately) / len(lately) if lately else None
