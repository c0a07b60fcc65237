"""Weights to start from, wherever a trained network lies."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import keras

from unetzoo.interop.nnunet_folder import (
    TrainedFolder,
    check_folds,
    is_trained_folder,
    read_folder,
    reading_plans,
)
from unetzoo.interop.nnunet_network import architecture_of, renamed, trained_network
from unetzoo.interop.nnunet_zip import trained_place
from unetzoo.pipeline.early import check_trained
from unetzoo.pipeline.nnunet_plan import axes_of
from unetzoo.pipeline.run import Run
from unetzoo.saving import load_model
from unetzoo.training.initial import InitReport, compare, init_weights
from unetzoo.utils.text import counted

FIRST = {"plain_unet": "encoder1-conv1", "residual_unet": "stem-conv1"}  # convolutions
INIT = "init.txt"  # in a run's folder: what its weights were at the beginning


def init_from(model: keras.Model, path: Path | str) -> InitReport:
    """As ``unetzoo.training.init_weights``, from anything that ``unetzoo train --init`` takes.

    Args:
        model: gets the weights; do it before you compile.
        path: the folder of a run, of which the best model is taken; a ``.keras`` file; a folder
            or zip of nnU-Net, of which the first fold is taken, or a fold in one.

    Returns: what was taken, adapted and left fresh.
    Raises: ValueError where there is no trained network, or where nothing of it fits.
    """
    source, axes, note = _trained(path, len(model.inputs[0].shape) - 2)
    report = init_weights(model, source, axes=axes)
    return dataclasses.replace(report, notes=(*note, *report.notes))


def check_fits(model: keras.Model, path: Path | str) -> None:
    """Raises: ValueError where ``init_from`` would; the model may be a skeleton."""
    source, axes, _ = _trained(path, len(model.inputs[0].shape) - 2)
    compare(model, source, axes)


def _trained(
    path: Path | str, rank: int
) -> tuple[keras.Model, Sequence[int] | None, tuple[str, ...]]:
    """The network, which of its axes are those of images with so many, and what is left out."""
    path = Path(path)
    check_trained(path)
    if path.is_file() and path.suffix == ".keras":
        return load_model(path, compile=False), None, ()
    with trained_place(path) as place:
        if not is_trained_folder(place) and not is_trained_folder(place.parent):
            return load_model(Run.read(path).model_file(), compile=False), None, ()
        fold = place.name if not is_trained_folder(place) else check_folds(place)[0]
        folder = place if is_trained_folder(place) else place.parent
        trained = read_folder(folder, [fold.removeprefix("fold_")])
        network, note = _network(trained)
        return network, axes_of(trained, rank), note


def _network(trained: TrainedFolder) -> tuple[keras.Model, tuple[str, ...]]:
    """With the heads of deep supervision; that of a cascade without its channels of masks."""
    plans, configuration = trained.path / "plans.json", trained.configuration
    with reading_plans(trained.path):
        name, stages = architecture_of(configuration, plans)
        channels = len(configuration["normalization_schemes"])
    weights, note = trained.weights[0], tuple[str, ...]()
    ours = {key: renamed(key, len(stages["features"])) for key in weights}
    if configuration.get("previous_stage"):  # whose masks come after the image's channels
        first = f"{FIRST[name]}.weight"
        weights = {k: a[:, :channels] if ours[k] == first else a for k, a in weights.items()}
        left = counted(len(trained.numbers), "channel")
        note = (f"{FIRST[name]}: taken without {left} of the previous stage's mask",)
    heads = {f"head{level}.weight" for level in range(1, len(stages["features"]))}
    deep = heads <= {ours[k] for k, a in weights.items() if a.any()}  # an export's may be zeros
    return trained_network(
        name, stages, weights, channels, trained.heads, plans, deep_supervision=deep
    ), note
