"""The cases that each fold of a cross-validation held out, with their masks and probabilities."""

import hashlib
import json
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.datasets import Case
from unetzoo.data.datasets.inputs import target
from unetzoo.data.datasets.reading import read_case_labels, read_label_file
from unetzoo.data.io.pictures import Picture
from unetzoo.data.io.volumes import Volume
from unetzoo.evaluation.cleanup import Postprocessing, find_postprocessing
from unetzoo.pipeline.chosen import FOLD
from unetzoo.pipeline.from_files import Files
from unetzoo.pipeline.loading import predictor_of_run
from unetzoo.pipeline.prediction import predict_cases
from unetzoo.pipeline.predictor import Predictor
from unetzoo.pipeline.previous import MASKS, held_out_masks
from unetzoo.pipeline.run import Run
from unetzoo.utils.files import make_folder, replacing
from unetzoo.utils.progress import EVERY, bar_or_lines
from unetzoo.utils.text import shortened

PROBABILITIES = "probabilities"  # folder of the held-out cases, beside that of their masks
SEGMENTED = "held_out.json"  # in a fold's folder: what its masks were made with


@dataclass(frozen=True)
class OutOfFold:
    """The held-out cases of the folds that are finished, each with its mask.

    Args:
        folder: of the cross-validation.
        made: with which model, mirror and overlap.
    """

    folder: Path
    made: Mapping[str, Any]

    @cached_property
    def runs(self) -> dict[int, Run]:
        """Of the folds whose held-out cases are segmented so."""
        found = {}
        for place in sorted(self.folder.glob(FOLD.format("*"))):
            number = place.name.removeprefix(FOLD.format(""))
            if not number.isdecimal() or not (place / SEGMENTED).exists():
                continue  # such as a copy of a fold
            run = Run.read(place)
            if stamp(run, **self.made) == read_stamp(place):
                found[int(number)] = run
        return dict(sorted(found.items()))

    @property
    def run(self) -> Run:
        """Of the first of the folds."""
        return next(iter(self.runs.values()))

    @cached_property
    def cases(self) -> dict[str, Case]:
        """In the order of their names."""
        found: dict[str, Case] = {}
        for run in self.runs.values():
            found |= {case.name: case for case in Files(run.settings).to_score(run)}
        return dict(sorted(found.items()))

    @property
    def folds(self) -> dict[str, int]:
        """Of each case."""
        return {name: fold for fold, run in self.runs.items() for name in sorted(run.held_out)}

    @cached_property
    def masks(self) -> dict[str, Path]:
        """Of the cases that could be segmented."""
        paths = {name: target(case, self.folder / MASKS) for name, case in self.cases.items()}
        return {name: path for name, path in paths.items() if path.exists()}

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Reference and mask of each case, in classes, one after the other."""
        scheme = self.run.scheme
        for name, path in self.masks.items():
            case = self.cases[name]
            mask = read_label_file(path, scheme, image=case.images[0])
            yield read_case_labels(case, scheme).data, mask.data

    def __len__(self) -> int:
        return len(self.masks)


def stamp(run: Run, model: str, mirror: bool, overlap: float | None) -> dict[str, Any]:
    """What the masks of a run's held-out cases depend on."""
    with run.model_file(model).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"model": digest, "mirror": mirror, "overlap": overlap}


def read_stamp(run_folder: Path) -> Any:
    """The stamp that lies beside a run; None where there is none."""
    with suppress(OSError, ValueError):
        return json.loads((run_folder / SEGMENTED).read_text())
    return None


def segment_held_out(
    run_folder: Path,
    folder: Path,
    model: str,
    *,
    mirror: bool,
    overlap: float | None,
    probabilities: bool,
) -> None:
    """Segment a run's held-out cases; those that its network has segmented before are kept."""
    run = Run.read(run_folder)
    data = Files(run.settings)
    cases = data.to_score(run)
    data.check_same(run, held_out_only=True)
    made = stamp(run, model, mirror, overlap)
    if made != read_stamp(run_folder):  # masks of another network
        for case in cases:
            target(case, folder / MASKS).unlink(missing_ok=True)
            kept(folder, case.name).unlink(missing_ok=True)
        with replacing(run_folder / SEGMENTED) as beside:
            beside.write_text(json.dumps(made, indent=1) + "\n")
    left = [case for case in cases if not target(case, folder / MASKS).exists()]
    if probabilities:
        left = [case for case in cases if case in left or not kept(folder, case.name).exists()]
    if not left:
        return
    predictor = predictor_of_fold(run, left, model, mirror=mirror, overlap=overlap)
    if probabilities:
        predictor = Keeping(**{**vars(predictor), "probabilities": True})
    outcome = predict_cases(
        predictor, left, folder / MASKS, overwrite=True,
        progress=bar_or_lines(f"segmenting what {run_folder.name} held out"),
    )  # fmt: skip
    for name, why in outcome.failed.items():
        print(f"{name}: {why}", file=sys.stderr, flush=True)


def predictor_of_fold(
    run: Run, cases: list[Case], model: str, *, mirror: bool, overlap: float | None
) -> Predictor:
    """A fold's network for cases that it held out; of a cascade with their masks before."""
    options = {"mirror": mirror, "overlap": overlap, "temperature": 1.0}
    predictor = predictor_of_run(run.folder, model, **options)
    return replace(predictor, previous=held_out_masks(run, cases))


class Keeping(Predictor):
    """A predictor that keeps probabilities as float16, beside the folder of the masks."""

    def _keep(
        self, probabilities: np.ndarray, case: Case, image: Volume | Picture, folder: Path
    ) -> None:
        path = kept(folder.parent, case.name)
        make_folder(path.parent)
        with replacing(path) as beside, beside.open("wb") as file:
            np.savez_compressed(file, probabilities=probabilities.astype("float16"))


def kept(folder: Path, name: str) -> Path:
    """The file of a case's probabilities."""
    return folder / PROBABILITIES / f"{name}.npz"


def probabilities_in(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The probabilities of a case, float32, from a file that ``Keeping`` wrote.

    Raises: ValueError for a file that holds an array of another shape, before it is unpacked.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open("probabilities.npy") as file:
            np.lib.format.read_magic(file)
            found, *_, dtype = np.lib.format.read_array_header_1_0(file)
        if found == shape and dtype.kind == "f":
            with np.load(path, allow_pickle=False) as arrays:
                return arrays["probabilities"].astype("float32")
        fault = f"{dtype} of shape {found}"
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, EOFError) as error:
        fault = shortened(str(error), 100)
    raise ValueError(
        f"{path}: {fault}; expected the case's probabilities, of shape {shape}; delete it and run "
        "unetzoo cross-validate again."
    )


def cleanup_of(pairs: Iterable[tuple[np.ndarray, np.ndarray]], run: Run) -> Postprocessing:
    """The clean-up that helps; none of labels that overlap, which are not one mask."""
    if run.scheme.overlapping:
        return Postprocessing((), (), ())
    found = find_postprocessing(
        pairs, run.scheme, bar_or_lines("choosing the clean-up of masks", every=EVERY)
    )
    return replace(found, names=run.scheme.drawn_names(run.class_names))
