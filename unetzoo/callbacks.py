"""Keras callbacks: runs that can be killed and resumed, and validation on whole cases.

The state of a run is in its folder: the newest checkpoint and ``history.csv``. No callback keeps
any other state, so a run that is resumed continues as if it had not been stopped.
"""

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from unetzoo.data.labels import LabelScheme
from unetzoo.data.sample import Sample
from unetzoo.evaluation.regions import region_overlaps
from unetzoo.evaluation.scores import Overlap, counted_mean, overlaps
from unetzoo.inference.one_device import OnOneDevice, undistributed
from unetzoo.inference.slices import SliceNetwork
from unetzoo.inference.windows import segment, sliding_window_slabs
from unetzoo.model_files import check_saved
from unetzoo.saving import load_model
from unetzoo.training.checkpoints import BEST, CHECKPOINT, checkpoints
from unetzoo.training.compile import build_state
from unetzoo.training.distribution import Team
from unetzoo.training.history import HISTORY, best_row, read_history, waited_in_vain, write_rows
from unetzoo.training.loss_scaling import SKIPPED, loss_scale, what_broke
from unetzoo.utils.errors import RunStopped
from unetzoo.utils.files import WRITING, replacing

SECONDS = 10  # from one drawing of the curves to the next


class SaveRun(keras.callbacks.Callback):
    """Save the history as CSV and the whole model, optimizer included, after every epoch.

    Every file is written under another name and then moved, so a run that is killed at any moment
    leaves an intact checkpoint for ``resume``. Keras does not save the random state of dropout, so
    it is drawn anew for each epoch, from the seed and the epoch's number.

    Args:
        folder: of the run; holds ``history.csv``, the newest checkpoint (such as
            ``epoch-0001.keras``) and, with ``monitor``, ``best.keras``.
        first_epoch: number of epochs that are done; later rows of an old history are dropped.
        seed: of the dropout.
        monitor: the measure whose highest value makes a model the best, or None.

    Raises: RunStopped for a loss that is NaN or infinite, before anything is saved, and for a disk
        that cannot be written to. In float16, loss scaling skips batches that overflow; it raises
        where all do.
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
        for unfinished in self.folder.glob(f"{WRITING}*"):  # of a run that was killed
            unfinished.unlink()
        self.rows = [row for row in read_history(self.folder) if int(row["epoch"]) <= first_epoch]

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self.skips = loss_scale(model) is not None

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self.measured = time.perf_counter()  # when the last epoch was measured

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        seed_dropout(self.model, self.seed, epoch)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        skipped = self.skips and batch + 1 < SKIPPED
        if not (math.isfinite(loss) or skipped):
            raise RunStopped(
                f"the loss became {loss} in batch {batch + 1} of epoch {self._epoch}; "
                f"{self._saved} "
                "Try a smaller learning rate, gradient clipping or float32, or check the labels."
            )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        row = {"epoch": epoch + 1, **{k: float(v) for k, v in (logs or {}).items()}}
        row["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        before, self.measured = self.measured, time.perf_counter()
        row["seconds"] = round(self.measured - before, 3)  # with saving the epoch before
        with self._explained(), undistributed():
            if broken := what_broke(self.model):
                raise RunStopped(
                    f"{broken}; {self._saved} Try a smaller learning rate, mixed_bfloat16 or "
                    "float32, or instance norm."
                )
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
    def _saved(self) -> str:
        """What a run that stops here has saved."""
        if not self.rows:
            return f"{self.folder} holds no checkpoint yet."
        return f"the checkpoint of epoch {self._epoch - 1} in {self.folder} is intact."

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunStopped(
                f"epoch {self._epoch} cannot be saved ({error.strerror or error}); {self._saved} "
                "Free some space or fix the permissions, then start the run again to resume."
            ) from error


def seed_dropout(model: keras.Model, seed: int, epoch: int) -> None:
    """Draw a model's dropout anew for an epoch, the same in every process and every time."""
    for number, layer in enumerate(model.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            draw = np.random.SeedSequence((seed, epoch, number)).generate_state(2)
            generator.state.assign(draw)


class WholeCases(keras.callbacks.Callback):
    """Measure the Dice of whole held-out cases, every few epochs and after the last one.

    It adds to the epoch's logs ``val_dice_1`` ..., for each class the mean over the cases that have
    it, and ``val_dice``, the mean over the classes; in other epochs it adds nothing. Cases are
    segmented by sliding window. Put it before ``SaveRun``.

    Args:
        cases: prepared held-out cases by name, in a dict or anything with ``items()``.
        patch: sizes of the window, voxels.
        every: epochs from one validation to the next.
        ignore_label: a label whose voxels are ignored, or None.
        folder: where to draw the first three cases, as ``overlay-1.png`` ..., or None.
        class_names: for the drawings.
        scheme: if it has regions, the network's channels are these.
        slicing: of a 2D network, the axis across the slices of volumes; or None.
        distributed: whether several devices share the batches; one of them segments the cases.
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
        scheme: LabelScheme | None = None,
        slicing: int | None = None,
        distributed: bool = False,
    ):
        super().__init__()
        self.distributed = distributed
        self.scheme = scheme if scheme is not None and scheme.regions else None
        self.slicing = slicing
        self.cases = cases
        self.patch = tuple(patch)
        self.every = every
        self.ignore_label = ignore_label
        self.folder = None if folder is None else Path(folder)
        self.class_names = tuple(class_names)

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self.network: Any = OnOneDevice(model) if self.distributed else model

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        last = epoch + 1 == self.params.get("epochs")
        if logs is not None and (last or (epoch + 1) % self.every == 0):
            logs.update(self.validate())

    def validate(self) -> dict[str, float]:
        """``val_dice`` and the Dice of each class; NaN for a class that no case has."""
        classes = self.model.outputs[0].shape[-1]
        labels = range(1, max(classes, 2))
        overlaps_of_cases = []
        model = self.network
        model = model if self.slicing is None else SliceNetwork(model, self.slicing)
        for number, (name, sample) in enumerate(self.cases.items()):
            if self.scheme is None:
                prediction = segment(model, sample.image, self.patch)
                counts = overlaps(sample.labels, prediction, labels, self.ignore_label)
            else:
                slabs = sliding_window_slabs(model, sample.image, self.patch)
                masks = np.concatenate([slab > 0 for slab in slabs])
                counts = region_overlaps(sample.labels, masks, self.scheme)
                prediction = self.scheme.painted(masks)
            overlaps_of_cases.append(counts)
            if self.folder is not None and number < 3:
                place = self.folder / f"overlay-{number + 1}.png"
                self._draw(place, name, sample, prediction)
        return _dice(overlaps_of_cases)

    def _draw(self, place: Path, name: str, sample: Sample, prediction: np.ndarray) -> None:
        from unetzoo.visualization.figures import overlay

        with _resumable():
            overlay(
                place,
                getattr(sample.image, "image", sample.image),  # without its neighbors
                sample.labels,
                prediction,
                title=name,
                class_names=self.class_names,
                spacing=sample.spacing,
                ignore_label=self.ignore_label,
            )


class DrawCurves(keras.callbacks.Callback):
    """Draw a run's history as ``curves.png``: every ten seconds, after an epoch, and at the end.

    Put it after ``SaveRun``.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path | str):
        super().__init__()
        self.folder = Path(folder)

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self.drawn = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if time.monotonic() - self.drawn >= SECONDS:
            self.on_train_end()
            self.drawn = time.monotonic()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        from unetzoo.visualization.figures import curves

        with _resumable():
            curves(self.folder / "curves.png", read_history(self.folder))


class LogToTensorBoard(keras.callbacks.Callback):
    """Write the measures of each epoch, and its learning rate, for TensorBoard.

    Folders and names are those of ``keras.callbacks.TensorBoard``, which loads TensorFlow on every
    backend.

    Args:
        folder: for the folders "train" and "validation".

    Raises: RunStopped for a file that cannot be written.
    """

    def __init__(self, folder: Path | str):
        super().__init__()
        self.folder = Path(folder)
        self.name = f"events.out.tfevents.{int(time.time())}.{os.getpid()}"

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        from unetzoo.training.tensorboard import log_epoch

        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        measures: dict[str, dict[str, float]] = {"train": {"learning_rate": rate}, "validation": {}}
        for name, value in (logs or {}).items():
            part = "validation" if name.startswith("val_") else "train"
            measures[part][name.removeprefix("val_")] = float(value)
        with _resumable():
            for part, found in measures.items():
                if found:
                    log_epoch(self.folder / part / self.name, epoch, found)


class StopEarly(keras.callbacks.Callback):
    """Stop when a measure has not improved for some epochs. Put it after ``SaveRun``.

    Unlike ``keras.callbacks.EarlyStopping`` it reads the run's history: it keeps counting when a
    run is resumed, and epochs without validation do not disturb it.

    Args:
        folder: of the run.
        monitor: the measure; higher is better.
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


class Together(keras.callbacks.Callback):
    """Keep the processes of a team in step: the same dropout, and all stop when the first does.

    Put it last.

    Args:
        team: from ``unetzoo.training.distribute``.
        seed: of the dropout.
    """

    def __init__(self, team: Team, seed: int = 0):
        super().__init__()
        self.team = team
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        seed_dropout(self.model, self.seed, epoch)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.model.stop_training = self.team.agreed(self.model.stop_training)


def resume(folder: Path | str) -> tuple[keras.Model | None, int]:
    """Load the model of a run's newest checkpoint, and the number of epochs that are done.

    Returns: (None, 0) where there is no checkpoint.

    Raises: ValueError for a checkpoint that is damaged.
    """
    paths = checkpoints(folder)
    if not paths:
        return None, 0
    epoch = max(paths)
    try:
        check_saved(paths[epoch])
    except ValueError as error:
        fault = str(error).rstrip(".").partition(";")[0]
        raise ValueError(
            f"{fault}. Delete it to resume from the checkpoint before it, or to start over if "
            "there is none."
        ) from error
    model = load_model(paths[epoch])
    if model.compiled:
        build_state(model)
    return model, epoch


@contextmanager
def _resumable() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise RunStopped(
            f"{error} Start the run again to resume from its last intact checkpoint."
        ) from error


def _dice(cases: list[list[Overlap]]) -> dict[str, float]:
    """The mean over cases for each class, and over the classes; absent classes do not count."""
    by_class = {
        f"val_dice_{rows[0].label}": counted_mean(row.dice for row in rows)
        for rows in zip(*cases, strict=True)
    }
    return {"val_dice": counted_mean(by_class.values()), **by_class}
