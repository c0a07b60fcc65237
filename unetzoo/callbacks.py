"""Keras callbacks: runs that can be killed and started again, and honest validation.

The state of a run is in its folder: the newest checkpoint and ``history.csv``. No callback keeps
anything else, so a run that goes on is the run that was stopped.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from unetzoo.data.sample import Sample
from unetzoo.evaluation.scores import Overlap, counted_mean, overlaps
from unetzoo.inference.windows import segment
from unetzoo.model_files import check_saved
from unetzoo.saving import load_model
from unetzoo.training.checkpoints import BEST, CHECKPOINT, checkpoints
from unetzoo.training.compile import build_state
from unetzoo.training.history import HISTORY, best_row, read_history, waited_in_vain, write_rows
from unetzoo.utils.errors import RunStopped
from unetzoo.utils.files import replacing


class SaveRun(keras.callbacks.Callback):
    """After every epoch, the history as CSV and the whole model, optimiser included.

    Every file is written beside its place and moved there, so a run killed at any moment leaves a
    whole checkpoint: ``resume`` finds it. Keras does not save the random state of dropout, so each
    epoch begins with one drawn from the seed and the epoch's number.

    Args:
        folder: of the run; holds ``history.csv``, ``epoch-0001.keras`` (the newest only) and, with
            ``monitor``, ``best.keras``.
        first_epoch: how many epochs the run has behind it; later rows of an old history are cut.
        seed: of the dropout.
        monitor: the measure whose highest value makes a model the best, or None.

    Raises: RunStopped for a loss that is NaN or infinite, before it is saved, and where the disk
        takes no more.
    """

    def __init__(
        self,
        folder: Path | str,
        first_epoch: int = 0,
        seed: int = 0,
        monitor: str | None = None,
    ):
        super().__init__()
        self.seed = seed
        self.monitor = monitor
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(".writing-*"):  # of a run that was killed
            left.unlink()
        self.rows = [row for row in read_history(self.folder) if int(row["epoch"]) <= first_epoch]

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        for number, layer in enumerate(self.model.layers):
            generator = getattr(layer, "seed_generator", None)
            if generator is not None:
                draw = np.random.SeedSequence((self.seed, epoch, number)).generate_state(2)
                generator.state.assign(draw)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise RunStopped(
                f"the loss became {loss} in batch {batch + 1} of epoch {self._epoch}; {self._left} "
                "Try a smaller learning rate, gradient clipping, float32, or look at the labels."
            )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        row = {"epoch": epoch + 1, **{k: float(v) for k, v in (logs or {}).items()}}
        row["learning_rate"] = float(self.model.optimizer.learning_rate)
        with self._written():
            self._save(row)

    def _save(self, row: dict) -> None:
        measure = self.monitor or ""
        best = best_row(self.rows, measure)
        if row.get(measure, math.nan) > (best[measure] if best else -math.inf):
            with replacing(self.folder / BEST) as beside:
                self.model.save(beside)
        write_rows(self.folder / HISTORY, [*self.rows, row])
        place = self.folder / CHECKPOINT.format(row["epoch"])
        with replacing(place) as beside:
            self.model.save(beside)
        self.rows.append(row)
        for old in self.folder.glob("epoch-*.keras"):
            if old != place:
                old.unlink()

    @property
    def _epoch(self) -> int:
        return self.rows[-1]["epoch"] + 1 if self.rows else 1

    @property
    def _left(self) -> str:
        """What a run that stops leaves behind."""
        if not self.rows:
            return f"{self.folder} holds no checkpoint yet."
        return f"the checkpoint of epoch {self._epoch - 1} in {self.folder} is whole."

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunStopped(
                f"epoch {self._epoch} cannot be saved ({error.strerror or error}); {self._left} "
                "Make room or mend the permissions, and start the run again to go on."
            ) from error


class WholeCases(keras.callbacks.Callback):
    """Every few epochs, and after the last, the Dice of whole held-out cases by sliding window.

    It adds ``val_dice``, the mean over the classes, and ``val_dice_1`` ... for each class, the mean
    over the cases that have it, to the epoch's logs; in the epochs between it adds nothing. Put
    it before ``SaveRun``.

    Args:
        cases: prepared held-out cases by name, or what has their ``items()``.
        patch: sizes of the window, voxels.
        every: epochs from one validation to the next.
        ignore_label: the label that does not count, or None.
        folder: draws the first three cases to ``overlay-1.png`` ... there, or None.
        class_names: for the drawings.
    """

    def __init__(
        self,
        cases: Mapping[str, Sample] | Any,
        patch: Sequence[int],
        *,
        every: int = 1,
        ignore_label: int | None = None,
        folder: Path | str | None = None,
        class_names: Sequence[str] = (),
    ):
        super().__init__()
        self.cases = cases
        self.patch = tuple(patch)
        self.every = every
        self.ignore_label = ignore_label
        self.folder = None if folder is None else Path(folder)
        self.class_names = tuple(class_names)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        last = epoch + 1 == self.params.get("epochs")
        if logs is not None and (last or (epoch + 1) % self.every == 0):
            logs.update(self.validate())

    def validate(self) -> dict[str, float]:
        """``val_dice`` and the Dice of each class; NaN for one that no case has."""
        classes = self.model.outputs[0].shape[-1]
        labels = range(1, max(classes, 2))
        found = []
        for number, (name, sample) in enumerate(self.cases.items()):
            prediction = segment(self.model, sample.image, self.patch)
            found.append(overlaps(sample.labels, prediction, labels, self.ignore_label))
            if self.folder is not None and number < 3:
                place = self.folder / f"overlay-{number + 1}.png"
                self._draw(place, name, sample, prediction)
        return _dice(found)

    def _draw(self, place: Path, name: str, sample: Sample, prediction: np.ndarray) -> None:
        from unetzoo.visualization.figures import overlay

        with _drawn():
            overlay(
                place,
                sample.image,
                sample.labels,
                prediction,
                title=name,
                class_names=self.class_names,
                spacing=sample.spacing,
                ignore_label=self.ignore_label,
            )


class DrawCurves(keras.callbacks.Callback):
    """After every epoch, the curves of a run's history as ``curves.png``. Put it after ``SaveRun``.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path | str):
        super().__init__()
        self.folder = Path(folder)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        from unetzoo.visualization.figures import curves

        with _drawn():
            curves(self.folder / "curves.png", read_history(self.folder))


class StopEarly(keras.callbacks.Callback):
    """Stop once a measure's best value is some epochs old. Put it after ``SaveRun``.

    Unlike ``keras.callbacks.EarlyStopping`` it reads the run's history: it counts on where a run
    goes on, and does not mind epochs without validation.

    Args:
        folder: of the run.
        monitor: the measure, higher is better.
        patience: epochs.
    """

    def __init__(self, folder: Path | str, monitor: str, patience: int):
        super().__init__()
        self.folder = Path(folder)
        self.monitor = monitor
        self.patience = patience

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if waited_in_vain(read_history(self.folder), self.monitor, self.patience):
            self.model.stop_training = True


def resume(folder: Path | str) -> tuple[keras.Model | None, int]:
    """The model of a run's newest checkpoint and the epochs behind it; (None, 0) without one.

    Raises: ValueError for a checkpoint that is damaged.
    """
    found = checkpoints(folder)
    if not found:
        return None, 0
    epoch = max(found)
    try:
        check_saved(found[epoch])
    except ValueError as error:
        raise ValueError(
            f"{error} Delete it to go on from the checkpoint before it, or without one to start "
            "over."
        ) from error
    model = load_model(found[epoch])
    if model.compiled:
        build_state(model)
    return model, epoch


@contextmanager
def _drawn() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise RunStopped(
            f"{error} Start the run again to go on from its last whole checkpoint."
        ) from error


def _dice(cases: list[list[Overlap]]) -> dict[str, float]:
    """The mean over cases for each class, and over the classes; what is absent does not count."""
    each = {
        f"val_dice_{rows[0].label}": counted_mean(row.dice for row in rows)
        for rows in zip(*cases, strict=True)
    }
    return {"val_dice": counted_mean(each.values()), **each}
