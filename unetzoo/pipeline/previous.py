"""The stage before a cascade: where it lies, and its masks, of held-out cases above all."""

import glob
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unetzoo.data.datasets import Case
from unetzoo.data.datasets.case import stem_of
from unetzoo.data.datasets.inputs import CHANNEL, target
from unetzoo.data.datasets.reading import check_label_grid, read_label_file
from unetzoo.data.io.pictures import Picture
from unetzoo.data.io.volumes import Volume
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing import jobs
from unetzoo.pipeline.chosen import FOLD, Chosen, is_chosen
from unetzoo.pipeline.run import RUN, Run
from unetzoo.utils.json_values import short
from unetzoo.utils.text import counted

MASKS = "masks"  # folder of the held-out cases' masks, in that of a cross-validation


def masks_before(place: Path | str, cases: Sequence[Case]) -> dict[str, Path]:
    """The mask of each case, made by the fold of a cross-validation that did not see it.

    Args:
        place: the folder of the cross-validation.
        cases: those whose masks are needed.

    Raises: ValueError for another folder, a case without such a mask, or one that its fold saw.
    """
    runs = runs_before(place)
    held_out = {name: run for run in runs for name in run.held_out}
    paths = {case.name: target(case, Path(place) / MASKS) for case in cases}
    if lacking := [name for name, path in paths.items()
                   if name not in held_out or not path.exists()]:  # fmt: skip
        raise ValueError(
            f"{place}: no mask of {counted(len(lacking), 'case')} {short(lacking)} by a fold that "
            "held it out; run unetzoo cross-validate there for all folds of these data."
        )
    if seen := [name for name in paths if name in held_out[name].train]:
        raise ValueError(
            f"{place}: the folds that made the masks of {short(seen)} were trained on these cases; "
            "expected folds that hold them out."
        )
    return paths


def runs_before(place: Path | str) -> list[Run]:
    """The runs of a cross-validation that is to come before another stage.

    Raises: ValueError for another folder.
    """
    if not is_chosen(place) or Chosen.read(place).members:
        raise ValueError(
            f"{place}: no folder of unetzoo cross-validate; expected one, because its masks are of "
            "networks that did not see the case."
        )
    return [Run.read(Path(place) / FOLD.format(number)) for number in Chosen.read(place).folds]


def check_classes(run: Run, place: Path | str | None) -> None:
    """Raises: ValueError where the stage before, in a folder, has other classes than the run."""
    for before in runs_before(place)[:1] if place is not None else ():
        check_scheme(run, before.scheme, before.folder)


def check_scheme(run: Run, scheme: LabelScheme, folder: Path) -> None:
    """Raises: ValueError where the stage before, in a folder, has other labels than the run."""
    if scheme.to_json() != run.scheme.to_json():
        raise ValueError(
            f"{folder}: labels {scheme}, but the run in {run.folder} has {run.scheme}; expected a "
            "stage before with the same."
        )


def check_stage_before(run: Run) -> None:
    """Check the stage before a cascade that is to be exported with it.

    Raises: ValueError where it is not there, or is a cascade itself.
    """
    if (place := place_before(run)) is None:
        return
    first = runs_before(place)[0]
    if first.settings.previous is not None:
        raise ValueError(
            f"{place}: the stage before the run in {run.folder} is a cascade itself; expected one "
            "of two stages."
        )
    check_scheme(run, first.scheme, first.folder)


def place_before(run: Run, given: Path | str | None = None) -> Path | None:
    """The folder of the stage before a cascade, or of its masks; None for other runs.

    It is the one that is given, or that the run was trained with; where that was moved together
    with the run, it is found beside it.

    Raises: ValueError where there is none, or one is given to a run that is no cascade.
    """
    recorded = run.settings.previous
    if recorded is None and given is not None:
        raise ValueError(f"{run.folder}: the run has no stage before; give no --previous.")
    if recorded is None:
        return None
    beside = run.folder.resolve().parent / Path(recorded).name
    places = [Path(recorded), beside] if given in (None, recorded) else [Path(given or "")]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise ValueError(
            f"{places[0]}: no folder; the run in {run.folder} is a cascade: put back the folder of "
            "the stage before, or give it, or one with its masks, as --previous."
        )
    return found


@dataclass(frozen=True)
class GivenMasks:
    """Masks of the stage before.

    Args:
        folder: holds them; named after their cases, where they are not known.
        scheme: which numbers they hold.
        known: the mask of an image, by the image's first file.
    """

    folder: Path
    scheme: LabelScheme
    known: Mapping[Path, Path] = field(default_factory=dict)

    def segment(self, image: Volume | Picture) -> np.ndarray:
        """The classes ``(*spatial)`` of an image's mask, on canonical axes.

        Raises: ValueError where there is none, or it is not on the image's grid.
        """
        first = image.files[0].path
        path = self.known.get(first) or mask_named_after(first, self.folder)
        check_label_grid(path, first, self.scheme)
        return read_label_file(path, self.scheme, image=first).data


def mask_named_after(image: Path, folder: Path) -> Path:
    """The mask in a folder of an image's case: CASE.nii.gz of CASE.nii.gz or CASE_0000.nii.gz.

    Raises: ValueError where there is none, or several.
    """
    stem = stem_of(image)
    names = [stem, match[1]] if (match := CHANNEL.fullmatch(stem)) else [stem]
    there = [
        path
        for name in names
        for path in folder.glob(f"{glob.escape(name)}.*")
        if stem_of(path) == name
    ]
    if len(there) != 1:
        raise ValueError(
            f"{folder}: {counted(len(there), 'mask')} of {names[-1]!r}; expected one of the stage "
            f"before, named as {names[-1]}.nii.gz."
        )
    return there[0]


def masks_of(run: Run, cases: Sequence[Case], given: str | None = None) -> dict[str, Path]:
    """The mask of each case by a fold that did not see it, for a cascade; none for other runs.

    Args:
        run: whose stage before made them.
        cases: those whose masks are needed.
        given: the folder of that stage, if it has moved.
    """
    place = place_before(run, given)
    return {} if place is None else masks_before(place, cases)


def keys_with(masks: Mapping[str, Path], keys: Mapping[str, str]) -> dict[str, str]:
    """The keys of prepared cases, with the content of their masks if there are any."""
    if not masks:
        return dict(keys)
    both = {name: f"{key} {jobs.digest(str(masks[name]))}" for name, key in keys.items()}
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in both.items()}


def held_out_masks(
    run: Run, cases: Sequence[Case], place: Path | str | None = None
) -> GivenMasks | None:
    """The masks that a cascade gets for its held-out cases, by folds that did not see them.

    The networks of the stage before, all together, have seen each of these cases.

    Args:
        run: of the cascade, or another, which gets none.
        cases: that are held out.
        place: the folder of the stage before, or of masks named after their cases; None for that
            which the run was trained with.

    Raises: ValueError for a folder of a network that may have seen the cases.
    """
    before = place_before(run, place)
    if before is None:
        return None
    if not is_chosen(before) and not (before / RUN).exists():
        return GivenMasks(before, run.scheme)
    masks = masks_before(before, cases)
    known = {case.images[0]: masks[case.name] for case in cases}
    return GivenMasks(before, run.scheme, known)
