"""``unetzoo predict``: masks on the grids of the images, case after case."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from unetzoo.data.datasets import Case
from unetzoo.data.datasets.inputs import check_apart, check_targets, target
from unetzoo.data.datasets.reading import read_case, write_case_labels
from unetzoo.data.io.pictures import Picture
from unetzoo.data.io.volumes import Volume, write_image
from unetzoo.data.preprocessing.inverse import restore_labels, restore_probabilities
from unetzoo.data.preprocessing.preparation import Grid, prepare
from unetzoo.inference.fusing import fuse
from unetzoo.inference.postprocessing import largest_component
from unetzoo.inference.windows import classes_of, segment, sliding_window_slabs
from unetzoo.layers.onednn import hasten
from unetzoo.pipeline.run import RUN, Run
from unetzoo.saving import load_model
from unetzoo.utils.checks import check
from unetzoo.utils.files import make_folder, replacing
from unetzoo.utils.text import counted


@dataclass
class Outcome:
    """What became of a list of cases: names, and a sentence for each that failed."""

    written: dict[str, Path] = field(default_factory=dict)
    skipped: dict[str, Path] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{len(self.written)} written"]
        if self.skipped:
            parts.append(f"{len(self.skipped)} there already (--overwrite writes them again)")
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        return ", ".join(parts)


@dataclass(frozen=True)
class Predictor:
    """A run's network and all that it takes to apply it to a file.

    Args:
        run: the run.
        model: its network.
        mirror: whether to take the mean over the image and its mirror images, 2^d times slower.
        overlap: as in ``sliding_window``.
        largest: whether only the largest component of each class is kept.
        probabilities: whether these are written as well.

    Raises: ValueError for an overlap that is no share.
    """

    run: Run
    model: keras.Model
    mirror: bool = False
    overlap: float | None = None
    largest: bool = False
    probabilities: bool = False

    def __post_init__(self) -> None:
        right = self.overlap is None or 0 <= self.overlap < 1
        check(right, "overlap", self.overlap, "a share from 0 to under 1")

    def segment(self, image: Volume | Picture) -> np.ndarray:
        """The classes of an image's voxels ``(*spatial)``, on its canonical axes."""
        slabs, grid = self._slabs(image)
        return self._cleaned(restore_labels(slabs, grid))

    def segment_prepared(self, image: np.ndarray) -> np.ndarray:
        """The classes ``(*spatial)`` of a prepared image ``(*spatial, C)``."""
        return self._cleaned(
            segment(
                self.model, image, self.run.settings.patch,
                overlap=self.overlap, mirror=self.mirror,
            )
        )  # fmt: skip

    def predict_probabilities(self, image: Volume | Picture) -> np.ndarray:
        """The probabilities ``(*spatial, C)``, float32, on its canonical axes."""
        slabs, grid = self._slabs(image)
        return restore_probabilities(
            slabs, grid, "sigmoid" if self.model.outputs[0].shape[-1] == 1 else "softmax"
        )

    def write(self, case: Case, folder: Path) -> Path:
        """Segment one case into a folder; the mask's path."""
        image = read_case(case, fill=self.run.preparation.fill)
        path = target(case, folder)
        if self.probabilities:
            probabilities = self.predict_probabilities(image)
            _write_probabilities(folder / f"{case.name}_probabilities", probabilities, image)
            classes = self._cleaned(classes_of(probabilities, threshold=0.5))
        else:
            classes = self.segment(image)
        write_case_labels(path, classes, image, self.run.scheme)
        return path

    def _cleaned(self, classes: np.ndarray) -> np.ndarray:
        return largest_component(classes) if self.largest else classes

    def _slabs(self, image: Volume | Picture) -> tuple[Iterator[np.ndarray], Grid]:
        """The logits of the prepared image, and the way back from it."""
        if image.data.shape[-1] != self.run.channels:
            raise ValueError(
                f"{image.files[0].path}: {counted(image.data.shape[-1], 'channel')}; the run in "
                f"{self.run.folder} was trained with {self.run.channels}."
            )
        prepared = prepare(image, self.run.preparation)
        slabs = sliding_window_slabs(
            self.model, prepared.image, self.run.settings.patch,
            overlap=self.overlap, mirror=self.mirror,
        )  # fmt: skip
        return slabs, prepared.grid


def load_predictor(folder: Path | str, which: str = "best", **options: bool | float) -> Predictor:
    """The network of a run's folder, ready to be applied.

    Args:
        folder: of the run.
        which: "best" or "last"; where there was no validation, "best" is the last with a warning.
        options: as in ``Predictor``.

    Raises: ValueError for another ``which``, options that cannot work, or a folder without a run or
        without a model.
    """
    run = Run.read(folder)
    path = run.model_file(which)
    model = load_model(path)
    _check_record(run, model, path)
    return Predictor(run, hasten(fuse(model)), **options)  # type: ignore[arg-type]


def _check_record(run: Run, model: keras.Model, path: Path) -> None:
    """Whether a network is the one that a run's record speaks of."""
    channels, classes = model.inputs[0].shape[-1], model.outputs[0].shape[-1]
    for thing, of, recorded, needed in (
        ("axis", "", run.rank, len(model.inputs[0].shape) - 2),
        ("channel", "", run.channels, channels),
        ("class", "", len(run.class_names), classes),
        ("class", " of the labels", run.scheme.num_classes or len(run.class_names), classes),
    ):
        if recorded != needed:
            raise ValueError(
                f"{run.folder / RUN}: {counted(recorded, thing)}{of}, but the network in "
                f"{path.name} has {needed}; expected the record that it was trained with: put it "
                "back."
            )


def predict_cases(
    predictor: Predictor,
    cases: Sequence[Case],
    folder: Path | str,
    *,
    overwrite: bool = False,
    progress: Callable[[Iterable], Iterable] = lambda cases: cases,
) -> Outcome:
    """Segment every case into a folder; a bad file is told at the end, the others are done.

    Raises: ValueError where two cases would write one file, or the folder holds files of theirs.
    """
    folder = Path(folder)
    check_apart(cases, folder)
    check_targets(cases, folder)
    make_folder(folder)
    outcome = Outcome()
    for case in progress(list(cases)):
        path = target(case, folder)
        if path.exists() and not overwrite:
            outcome.skipped[case.name] = path
            continue
        try:
            outcome.written[case.name] = predictor.write(case, folder)
        except (ValueError, OSError, MemoryError) as error:
            outcome.failed[case.name] = " ".join(str(error).split()) or type(error).__name__
    return outcome


def _write_probabilities(stem: Path, probabilities: np.ndarray, image: Volume | Picture) -> None:
    """As NIfTI with a channel for each class; for a picture as numpy's ``.npy``."""
    if isinstance(image, Volume):
        write_image(stem.with_name(f"{stem.name}.nii.gz"), probabilities, image)
        return
    with replacing(stem.with_name(f"{stem.name}.npy")) as beside, beside.open("wb") as file:
        np.save(file, probabilities, allow_pickle=False)
