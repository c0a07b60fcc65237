"""``unetzoo predict``: masks on the grids of the images, one case after the other."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from unetzoo.data.datasets import Case
from unetzoo.data.datasets.inputs import check_apart, check_targets, target
from unetzoo.data.io.label_files import write_label_files
from unetzoo.pipeline.blocks import check_blocks, is_too_large, write_in_blocks
from unetzoo.pipeline.made_from import check_images, noted_images
from unetzoo.pipeline.predictor import Predictor
from unetzoo.utils.claims import CLAIM, claimed
from unetzoo.utils.files import WRITING, abandoned, make_folder
from unetzoo.utils.journal import noted

if TYPE_CHECKING:
    from unetzoo.interop.nnunet import NnunetPredictor


@dataclass
class Outcome:
    """The cases that were written, skipped, left to another job or failed, by name.

    With a sentence for each failure.
    """

    written: dict[str, Path] = field(default_factory=dict)
    skipped: dict[str, Path] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, Path] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{len(self.written)} written"]
        if self.skipped:
            parts.append(f"{len(self.skipped)} already there (--overwrite replaces them)")
        if self.elsewhere:
            parts.append(f"{len(self.elsewhere)} left to another job at work")
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        return ", ".join(parts)


def predict_cases(
    predictor: "Predictor | NnunetPredictor",
    cases: Sequence[Case],
    folder: Path | str,
    *,
    overwrite: bool = False,
    blocks: float | None = None,
    progress: Callable[[Iterable], Iterable] = lambda cases: cases,
) -> Outcome:
    """Segment cases and write their masks to a folder; a case that fails does not stop the others.

    Args:
        predictor: of a run.
        cases: of ``unetzoo.data.find_dataset``, or ``unetzoo.data.datasets.inputs.cases_of``.
        folder: for the masks.
        overwrite: whether to replace masks that are there. If not, a mask that is there and was
            made from another image is a failure, and a case that another process is writing there
            is left to it.
        blocks: predict images of OME-Zarr block by block with so many gigabytes of memory; None:
            only those that are too large for the memory.
        progress: wraps the list of cases, to show progress.

    Beside masks of volumes, labels.ctbl and labels.label have the names of their classes. A hidden
    file says which image each mask was made from.

    Returns: which masks were written, which were there, and which cases failed, and why.
    Raises: ValueError if two cases would write the same file, the folder holds their own files,
        or the predictor needs whole images and blocks were asked for.
    """
    folder = Path(folder)
    check_blocks(predictor, blocks)
    check_apart(cases, folder)
    check_targets(cases, folder)
    make_folder(folder)
    _sweep(folder)
    outcome = Outcome()
    for case in progress(list(cases)):
        path = target(case, folder)
        if path.exists() and not overwrite:
            _skip(case, folder, outcome)
            continue
        with claimed(folder, path.name, wait=overwrite) as ours:
            if not ours:
                outcome.elsewhere[case.name] = path
            elif path.exists() and not overwrite:  # another process was faster
                _skip(case, folder, outcome)
            else:
                _write(predictor, case, folder, outcome, blocks)
    if predictor.label_names and any(path.suffix != ".png" for path in outcome.written.values()):
        write_label_files(folder, predictor.label_names)
    return outcome


def _sweep(folder: Path) -> None:
    """Delete files that killed processes were writing, and their claims."""
    for pattern in (f"{WRITING}*", f"{CLAIM}*"):
        for left in abandoned(folder, pattern):
            with suppress(OSError):  # a folder, or another process was faster
                left.unlink()


def _skip(case: Case, folder: Path, outcome: Outcome) -> None:
    """Leave a mask that is there, if it is this case's."""
    try:
        check_images(case, folder)
        outcome.skipped[case.name] = target(case, folder)
    except ValueError as error:
        outcome.failed[case.name] = str(error)


def _write(
    predictor: "Predictor | NnunetPredictor",
    case: Case,
    folder: Path,
    outcome: Outcome,
    blocks: float | None,
) -> None:
    """Segment a case, and say in the outcome what became of it."""
    try:
        with noted(folder, target(case, folder).name, "segmented"), noted_images(case, folder):
            if isinstance(predictor, Predictor) and (blocks or is_too_large(predictor, case)):
                outcome.written[case.name] = write_in_blocks(predictor, case, folder, blocks)
            else:
                outcome.written[case.name] = predictor.write(case, folder)
    except (ValueError, OSError, MemoryError) as error:
        outcome.failed[case.name] = " ".join(str(error).split()) or type(error).__name__
