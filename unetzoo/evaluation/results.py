"""Dice, IoU, HD95 and surface Dice of masks, in a table with a row per case and class.

``evaluate_files`` reads label files of any origin; ``Evaluation`` is the result, as text, CSV and
JSON. The rules for classes that one or both masks lack are those of
``unetzoo.evaluation.surface``.
"""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len

from unetzoo.data.datasets.reading import check_label_grid, is_picture, read_label_file
from unetzoo.data.io.formats import stated_spacing
from unetzoo.data.labels import LabelScheme
from unetzoo.evaluation.regions import score_regions
from unetzoo.evaluation.scores import ClassScores, Summary, counted_mean, score_case, summarize
from unetzoo.utils.files import make_folder
from unetzoo.utils.notebook import Shown, frame
from unetzoo.utils.text import aligned, counted, printable, spreadsheet_cell, write_text

if TYPE_CHECKING:
    import pandas

MEASURES = ("dice", "iou", "hd95", "surface_dice")
RULES = (
    '"-": neither mask has the class, and the case does not count for it. One mask has it: Dice, '
    "IoU and NSD are 0, HD95 is inf."
)

Files = Path | str | Sequence[Path]  # one for each of labels that overlap
Pair = tuple[str, Files, Path | str]  # name, reference, prediction


@dataclass(frozen=True, eq=False)
class Evaluation(Shown):
    """The scores of cases; ``print`` shows them as a table.

    ``to_json`` keeps names as they are; elsewhere, characters that cannot be printed are escaped.

    >>> scores = {"a": [ClassScores(1, 0.5, 1 / 3, 2.0, 0.75)], "b": [ClassScores(1, 1, 1, 0, 1)]}
    >>> evaluation = Evaluation(scores, ("background", "liver"))
    >>> print("\\n".join(str(evaluation).split("\\n")[2:-1]))
    case     class      Dice     IoU  HD95 (mm)  NSD (1 mm)
    a        1 liver  0.5000  0.3333       2.00      0.7500
    b        1 liver  1.0000  1.0000       0.00      1.0000
    -------------------------------------------------------
    mean     1 liver  0.7500  0.6667       1.00      0.8750
    median   1 liver  0.7500  0.6667       1.00      0.8750
    counted  1 liver       2       2          2           2
    >>> evaluation.worst(1)
    ['a']
    """

    scores: Mapping[str, Sequence[ClassScores]]  # of each case
    class_names: tuple[str, ...] = ()  # of classes 0, 1 ...; () if not known
    tolerance: float = 1.0  # of the surface Dice
    unit: str = "mm"  # of tolerance and HD95; "px" for pictures
    failed: Mapping[str, str] = field(default_factory=dict)  # case -> why it has no scores

    @property
    def summary(self) -> list[Summary]:
        """Mean, median and number of counted cases for each measure of each class."""
        return summarize(self.scores.values())

    @property
    def mean_dice(self) -> float:
        """The mean over the classes of their mean Dice; NaN if no class counts."""
        return counted_mean(row.mean for row in self.summary if row.measure == "dice")

    @property
    def case_means(self) -> list[float]:
        """The mean Dice of each case over its classes; NaN if no class counts."""
        return [counted_mean(scores.dice for scores in case) for case in self.scores.values()]

    def worst(self, count: int) -> list[str]:
        """The names of the cases with the lowest mean Dice over classes, the lowest first.

        Cases in which no class counts are left out.
        """
        means = dict(zip(self.scores, self.case_means, strict=True))
        valid = [name for name in means if not math.isnan(means[name])]
        return sorted(valid, key=lambda name: means[name])[: max(count, 0)]

    def __str__(self) -> str:
        """The table, the rule for empty masks, and what could not be scored."""
        heads = ("case", "class", "Dice", "IoU", f"HD95 ({self.unit})", f"NSD ({self._tolerance})")
        rows = [
            [printable(name), self._class(scores.label), *_numbers(scores)]
            for name, case in self.scores.items()
            for scores in case
        ]
        table = aligned([list(heads), *rows, *self._summary_rows()], left=2)
        table.insert(1 + len(rows), "-" * max(cell_len(line) for line in table))
        text = [
            f"{counted(len(self.scores), 'case')}; NSD is the surface Dice at a tolerance of "
            f"{self._tolerance}.\n",
            *table,
            RULES,
        ]
        if self.failed:
            total = counted(len(self.failed) + len(self.scores), "case")
            text.append(f"\n{len(self.failed)} of {total} without scores:")
            text += [f"{printable(name)}: {printable(why)}" for name, why in self.failed.items()]
        return "\n".join(text)

    def write(self, folder: Path) -> None:
        """Write ``scores.txt``, ``scores.csv`` and ``scores.json`` to a folder."""
        make_folder(folder)
        self.to_text(folder / "scores.txt")
        self.to_csv(folder / "scores.csv")
        self.to_json(folder / "scores.json")

    def to_text(self, path: Path | str) -> None:
        """Write the table as UTF-8. Raises: ValueError if it cannot be written."""
        write_text(path, f"{self}\n")

    def to_csv(self, path: Path | str) -> None:
        """Write a CSV file (UTF-8) with a row for each case and class, without means.

        Scores that do not count are empty cells, infinite ones are ``inf``. Names that a
        spreadsheet would read as a formula get a ``'`` in front. Cases that failed have no row.

        Raises: ValueError if it cannot be written.
        """
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(["case", "label", "class", *MEASURES, "tolerance", "unit"])
        measured = (self.tolerance, self.unit)
        for name, case in self.scores.items():
            for scores in case:
                values = [getattr(scores, measure) for measure in MEASURES]
                cells = ["" if math.isnan(value) else float(value) for value in values]
                known = spreadsheet_cell(self._name(scores.label))
                writer.writerow([spreadsheet_cell(name), scores.label, known, *cells, *measured])
        write_text(path, out.getvalue())

    def to_pandas(self) -> "pandas.DataFrame":
        """A frame with a row for each case and class, without means; NaN does not count.

        Raises: ImportError if pandas is not installed.
        """
        rows = [(name, scores) for name, case in self.scores.items() for scores in case]
        return frame(
            {
                "case": [name for name, _ in rows],
                "label": [scores.label for _, scores in rows],
                "class": [self._name(scores.label) for _, scores in rows],
                **{m: [float(getattr(scores, m)) for _, scores in rows] for m in MEASURES},
            }
        )

    def to_json(self, path: Path | str) -> None:
        """Write scores, means and medians, and failures, as strict JSON.

        Scores that do not count are null, infinite ones are the string "inf". The keys of classes
        are their numbers.

        Raises: ValueError if it cannot be written.
        """
        summary: dict[str, dict] = {}
        for row in self.summary:
            means = {"mean": _strict(row.mean), "median": _strict(row.median), "cases": row.cases}
            summary.setdefault(str(row.label), {})[row.measure] = means
        content = {
            "tolerance": self.tolerance,
            "unit": self.unit,
            "rules": 'null: not counted, neither mask has the class; "inf": one mask lacks it',
            "classes": {str(label): name for label, name in enumerate(self.class_names)},
            "cases": {name: _of_classes(case) for name, case in self.scores.items()},
            "summary": summary,
            "mean_dice": _strict(self.mean_dice),
            "failed": dict(self.failed),
        }
        write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")

    def _summary_rows(self) -> list[list[str]]:
        summary = self.summary
        labels = list(dict.fromkeys(row.label for row in summary))
        rows = []
        for label in labels:
            of_class = {row.measure: row for row in summary if row.label == label}
            means, medians = (
                ClassScores(label, *(getattr(of_class[measure], average) for measure in MEASURES))
                for average in ("mean", "median")
            )
            name = self._class(label)
            rows += [["mean", name, *_numbers(means)], ["median", name, *_numbers(medians)]]
            rows.append(["counted", name, *(str(of_class[measure].cases) for measure in MEASURES)])
        if len(labels) > 1:
            rows.append(["mean", "of the classes", f"{self.mean_dice:.4f}", "", "", ""])
        return rows

    @property
    def _tolerance(self) -> str:
        return f"{self.tolerance:g} {self.unit}"

    def _name(self, label: int) -> str:
        return self.class_names[label] if label < len(self.class_names) else ""

    def _class(self, label: int) -> str:
        return f"{label} {printable(self._name(label))}".rstrip()


def evaluate_files(
    pairs: Iterable[Pair],
    scheme: LabelScheme,
    class_names: Sequence[str] = (),
    tolerance: float = 1.0,
    progress: Callable[[Sequence], Iterable] = lambda pairs: pairs,
) -> Evaluation:
    """Score label files, volumes or pictures, against their references, one case at a time.

    A case that cannot be read, or whose files do not have the same grid, ends up in ``failed``, and
    the others are scored. Distances are in mm, for pictures in pixels. A volume with a single slice
    is scored within that slice, as a picture is; else every voxel of it would be surface. Voxels of
    the prediction that have the ignored number belong to no class.

    Args:
        pairs: name, reference and prediction of each case.
        scheme: which numbers the files hold, both references and predictions.
        class_names: of classes 0 (the background, which is not scored), 1 ...; or of the scheme's
            regions.
        tolerance: of the surface Dice, in mm or pixels.
        progress: wraps the list of pairs, to show progress.

    Returns: the scores of all cases.
    Raises: ValueError for a name that is given twice, a tolerance below 0, or classes that do not
        fit.

    >>> import tempfile
    >>> import numpy as np
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name, labels in {"a.png": [[0, 1, 1]], "b.png": [[0, 0, 1]]}.items():
    ...     Image.fromarray(np.array(labels, "uint8")).save(folder / name)
    >>> pairs = [("case", folder / "a.png", folder / "b.png")]
    >>> evaluate_files(pairs, LabelScheme(classes=2)).scores["case"][0].dice
    0.6666666666666666
    """
    cases = [(str(name), _paths(reference), Path(path)) for name, reference, path in pairs]
    if scheme.regions:
        class_names = ("background", *class_names)
    scheme, count = _complete(scheme, class_names)
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance {tolerance}: expected a distance, 0 or more.")
    twice = [name for name, times in Counter(name for name, *_ in cases).items() if times > 1]
    if twice:
        raise ValueError(f"case {twice[0]!r}: given more than once; expected each name once.")
    scores, failed = {}, {}
    for name, references, prediction in progress(cases):
        try:
            scores[name] = _score_files(references, prediction, scheme, count, tolerance)
        except (ValueError, OSError, MemoryError) as error:
            failed[name] = _sentence(error)
    pixels = cases and all(is_picture(references[0]) for _, references, _ in cases)
    unit = "px" if pixels else "mm"
    return Evaluation(scores, tuple(class_names), float(tolerance), unit, failed)


def _paths(files: Files) -> tuple[Path, ...]:
    return (Path(files),) if isinstance(files, str | Path) else tuple(files)


def _score_files(
    references: Sequence[Path],
    prediction: Path,
    scheme: LabelScheme,
    count: int,
    tolerance: float,
) -> list[ClassScores]:
    reference = references[0]
    if is_picture(reference) != is_picture(prediction):
        raise ValueError(
            f"{prediction}: expected the same kind of file as the reference {reference}."
        )
    if reference.exists() and prediction.exists() and reference.samefile(prediction):
        raise ValueError(f"{prediction}: is its own reference; expected another file.")
    check_label_grid(prediction, reference, scheme)
    placed = scheme.geometry == "image"  # the prediction has the image's, the reference any other
    sizes = stated_spacing(prediction, reference)
    truth = read_label_file(references, scheme, image=prediction if placed else None, spacing=sizes)
    predicted = read_label_file(
        prediction, scheme, image=None if placed else reference, spacing=sizes
    )
    masks, spacing = [truth.data, predicted.data], truth.spacing
    if truth.data.ndim == 3 and truth.data.shape.count(1) == 1:
        thin = truth.data.shape.index(1)  # the axis across a single slice
        masks = [mask.squeeze(thin) for mask in masks]
        spacing = (*spacing[:thin], *spacing[thin + 1 :])
    if scheme.regions:
        return score_regions(masks[0], masks[1], scheme, spacing, tolerance)
    return score_case(masks[0], masks[1], range(1, count), spacing, tolerance, scheme.ignore)


def _complete(scheme: LabelScheme, class_names: Sequence[str]) -> tuple[LabelScheme, int]:
    """The scheme with the number of classes, which a single file need not show."""
    if scheme.mapping is None and not class_names:
        raise ValueError(
            "neither class names nor a number of classes: give class_names, or a scheme with "
            "classes or labels."
        )
    scheme = scheme.with_classes(len(class_names))
    count = scheme.channels + bool(scheme.regions)
    if count < 2 or len(class_names) not in (0, count):
        raise ValueError(
            f"class names {list(class_names)} for {counted(count, 'class')} ({scheme}): expected "
            "a name for each class, the background and at least one other."
        )
    return scheme, count


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}; expected a whole label file."
    if isinstance(error, MemoryError):
        return "not enough memory for it; score it on a larger machine."
    return " ".join(str(error).split())


def _numbers(scores: ClassScores) -> list[str]:
    values = [(getattr(scores, name), 2 if name == "hd95" else 4) for name in MEASURES]
    return ["-" if math.isnan(value) else f"{value:.{digits}f}" for value, digits in values]


def _of_classes(case: Sequence[ClassScores]) -> dict[str, dict]:
    return {
        str(scores.label): {name: _strict(getattr(scores, name)) for name in MEASURES}
        for scores in case
    }


def _strict(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return "inf" if math.isinf(value) else float(value)
