"""``best.json``: the networks that were chosen by cross-validation, and the clean-up of masks."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unetzoo.inference.postprocessing import Steps
from unetzoo.pipeline.run import CHOSEN, Run
from unetzoo.utils.checks import is_number, is_whole
from unetzoo.utils.choices import MODELS
from unetzoo.utils.files import replacing
from unetzoo.utils.json_values import read_json, short
from unetzoo.utils.text import shortened

FOLD = "fold_{}"


@dataclass(frozen=True)
class Chosen:
    """The folds of a cross-validation, or several of these, and how a mask is made with them.

    Args:
        folder: where the record lies.
        folds: numbers, of a cross-validation; their runs lie in ``fold_0`` ...
        model: "best" or "last", of each run.
        mirror, overlap: with which the held-out cases were segmented.
        postprocessing: the steps of ``keep_components``.
        members: instead of folds, cross-validations whose probabilities are averaged.
        dice: mean foreground Dice on held-out cases, of each that was compared.
    """

    folder: Path
    folds: tuple[int, ...] = ()
    model: str = "last"
    mirror: bool = False
    overlap: float | None = None
    postprocessing: Steps = ()
    members: "tuple[Chosen, ...]" = ()
    dice: Mapping[str, float] = field(default_factory=dict)

    def runs(self) -> list[Run]:
        """The runs of the folds.

        Raises: ValueError for a run that is missing or damaged, or prepared otherwise than others.
        """
        runs = [Run.read(self.folder / FOLD.format(number)) for number in self.folds]
        for run in runs[1:]:
            same = [(r.preparation, r.patch, r.class_names, r.channels) for r in (run, runs[0])]
            if same[0] != same[1]:
                raise ValueError(
                    f"{run.folder}: its images are prepared otherwise than those of "
                    f"{runs[0].folder}; expected folds of one unetzoo cross-validate."
                )
        return runs

    def digest(self) -> str:
        """Of the networks of the folds, by which a temperature knows them."""
        whole = hashlib.sha256()
        for run in self.runs():
            with run.model_file(self.model).open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
        return whole.hexdigest()

    @property
    def first(self) -> Run:
        """The run of the first fold, of the first member."""
        return self.firsts[0]

    @property
    def firsts(self) -> list[Run]:
        """The run of the first fold, of each member."""
        if self.members:
            return [run for member in self.members for run in member.firsts]
        return [Run.read(self.folder / FOLD.format(self.folds[0]))]

    def write(self) -> None:
        """Write the record, completely or not at all."""
        folder = self.folder.resolve()
        members = [os.path.relpath(member.folder.resolve(), folder) for member in self.members]
        record: dict[str, Any] = {"format": "unetzoo best", "version": 1}
        if members:
            record["members"] = members
        else:
            record |= {"folds": self.folds, "model": self.model, "mirror": self.mirror,
                       "overlap": self.overlap}  # fmt: skip
        record |= {"postprocessing": self.postprocessing, "dice": dict(self.dice)}
        with replacing(self.folder / CHOSEN) as beside:
            beside.write_text(json.dumps(record, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path | str) -> "Chosen":
        """The record in a folder. Raises: ValueError where there is none, or it is damaged."""
        folder = Path(folder)
        path = folder / CHOSEN
        record = read_json(path, "the folder of a cross-validation")
        try:
            return cls(folder, **_parts(record, folder))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = shortened(str(error).removesuffix(".") or type(error).__name__, 200)
            raise ValueError(
                f"{path}: not what unetzoo cross-validate or best wrote ({reason}); run it again."
            ) from error


def _parts(record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    steps = tuple(tuple(step) for step in record["postprocessing"])
    dice = {str(name): float(value) for name, value in record["dice"].items()}
    if not all(is_whole(number) for step in steps for number in step):
        raise ValueError(f"postprocessing {short(steps)}: expected classes of at least 1")
    parts: dict[str, Any] = {"postprocessing": steps, "dice": dice}
    if "members" in record:
        places = [folder / str(place) for place in record["members"]]
        for place in places:  # before their own members are read: these could go on without end
            if "members" in read_json(place / CHOSEN, "the folder of a cross-validation"):
                places = []
        if not places:
            raise ValueError(f"members {short(record['members'])}: expected cross-validations")
        return {**parts, "members": tuple(map(Chosen.read, places))}
    folds, model, overlap = tuple(record["folds"]), record["model"], record["overlap"]
    if not folds or not all(is_whole(number, least=0) for number in folds):
        raise ValueError(f"folds {short(folds)}: expected whole numbers of at least 0")
    if model not in MODELS or not (overlap is None or is_number(overlap)):
        raise ValueError(f"model {short(model)}, overlap {short(overlap)}: expected other values")
    return {**parts, "folds": folds, "model": model, "overlap": overlap,
            "mirror": bool(record["mirror"])}  # fmt: skip


def is_chosen(folder: Path | str) -> bool:
    """Whether ``unetzoo cross-validate`` or ``unetzoo best`` has written a folder."""
    return (Path(folder) / CHOSEN).is_file()
