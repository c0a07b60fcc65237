"""Training: what to compile with, and runs that can be killed and started again."""

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from unetzoo.files import replacing
from unetzoo.losses import DiceCrossentropy
from unetzoo.metrics import DiceScore
from unetzoo.registry import load_model

CHECKPOINT = "epoch-{:04d}.keras"


def compile_model(
    model: keras.Model,
    *,
    optimizer: Any = None,
    learning_rate: float = 1e-4,
    ignore_label: int | None = None,
    jit_compile: bool | str = "auto",
) -> keras.Model:
    """Compile a network that gives logits: Adam, Dice + cross-entropy, the Dice of each class.

    One output channel is trained as a sigmoid, several as a softmax.

    Args:
        optimizer: a Keras optimizer; None for Adam.
        learning_rate: of Adam; 1e-4 is the textbook chapter's (S5.7).
        ignore_label: the label that does not count, or None.
        jit_compile: as in ``Model.compile``. Keras's "auto" chooses by backend and device: no XLA
            with tensorflow on a CPU, where it makes these 3D networks four times slower
            (benchmarks/step.py), XLA with jax and with tensorflow on a GPU, eager with torch.

    Returns: the model.
    Raises: ValueError for a model that ends in a softmax or a sigmoid.
    Source: S5.7, S5.32.

    >>> import unetzoo
    >>> compile_model(unetzoo.build("unet2d_small", num_classes=3)).loss.activation
    'softmax'
    """
    last = getattr(model.layers[-1], "activation", None)
    if last in (keras.activations.softmax, keras.activations.sigmoid):
        raise ValueError(
            f"model {model.name!r} gives probabilities: compile_model needs logits; build it with "
            "activation=None."
        )
    classes = model.output_shape[-1]
    activation = "sigmoid" if classes == 1 else "softmax"
    model.compile(
        optimizer=optimizer or keras.optimizers.Adam(learning_rate),
        loss=DiceCrossentropy(activation=activation, ignore_label=ignore_label),
        metrics=[DiceScore(classes, activation=activation, ignore_label=ignore_label)],
        jit_compile=jit_compile,
    )
    return model


class SaveRun(keras.callbacks.Callback):
    """After every epoch, the history as CSV and the whole model, optimiser included.

    Both files are written beside their places and moved there, so a run killed at any moment
    leaves a whole checkpoint: ``resume`` finds it. Keras does not save the random state of
    dropout, so each epoch begins with one drawn from the seed and the epoch's number.

    Args:
        folder: of the run; holds ``history.csv`` and ``epoch-0001.keras`` (the newest only).
        first_epoch: how many epochs the run has behind it; later rows of an old history are cut.
        seed: of the dropout.
    """

    def __init__(self, folder: Path | str, first_epoch: int = 0, seed: int = 0):
        super().__init__()
        self.seed = seed
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

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.rows.append({"epoch": epoch + 1, **{k: float(v) for k, v in (logs or {}).items()}})
        write_rows(self.folder / "history.csv", self.rows)
        place = self.folder / CHECKPOINT.format(epoch + 1)
        with replacing(place) as beside:
            self.model.save(beside)
        for old in self.folder.glob("epoch-*.keras"):
            if old != place:
                old.unlink()


def resume(folder: Path | str) -> tuple[keras.Model | None, int]:
    """The model of a run's newest checkpoint and the epochs behind it; (None, 0) without one."""
    found = {}
    for path in Path(folder).glob("epoch-*.keras"):
        if match := re.fullmatch(r"epoch-(\d+)\.keras", path.name):
            found[int(match[1])] = path
    if not found:
        return None, 0
    epoch = max(found)
    return load_model(found[epoch]), epoch


def read_history(folder: Path | str) -> list[dict[str, Any]]:
    """The rows of a run's ``history.csv``, oldest first; none if there is no such file."""
    path = Path(folder) / "history.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [{k: float(v or "nan") for k, v in row.items()} for row in csv.DictReader(file)]
    return [{**row, "epoch": int(row["epoch"])} for row in rows]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as CSV, whole or not at all; a row lacks what it does not have."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as beside, beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=names)
        writer.writeheader()
        writer.writerows(rows)
