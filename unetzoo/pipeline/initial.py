"""Weights to start from, wherever a trained network lies."""

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
from unetzoo.interop.nnunet_network import architecture_of, trained_network
from unetzoo.pipeline.early import check_trained
from unetzoo.pipeline.nnunet_plan import axes_of
from unetzoo.pipeline.run import Run
from unetzoo.saving import load_model
from unetzoo.training.initial import InitReport, compare, init_weights

INIT = "init.txt"  # in a run's folder: what its weights were at the beginning


def init_from(model: keras.Model, path: Path | str) -> InitReport:
    """As ``unetzoo.training.init_weights``, from anything that ``unetzoo train --init`` takes.

    Args:
        model: gets the weights; do it before you compile.
        path: the folder of a run, of which the best model is taken; a ``.keras`` file; a folder
            that nnU-Net has trained, of which the first fold is taken, or one of its folds.

    Returns: what was taken, adapted and left fresh.
    Raises: ValueError where there is no trained network, or where nothing of it fits.
    """
    source, axes = _trained(path, len(model.inputs[0].shape) - 2)
    return init_weights(model, source, axes=axes)


def check_fits(model: keras.Model, path: Path | str) -> None:
    """Raises: ValueError where ``init_from`` would; the model may be a skeleton."""
    source, axes = _trained(path, len(model.inputs[0].shape) - 2)
    compare(model, source, axes)


def _trained(path: Path | str, rank: int) -> tuple[keras.Model, Sequence[int] | None]:
    """The network, and which of its axes are those of images with so many axes of space."""
    path = Path(path)
    check_trained(path)
    if path.is_file():
        return load_model(path), None
    if not is_trained_folder(path) and not is_trained_folder(path.parent):
        return load_model(Run.read(path).model_file()), None
    fold = path.name if not is_trained_folder(path) else check_folds(path)[0]
    folder = path if is_trained_folder(path) else path.parent
    trained = read_folder(folder, [fold.removeprefix("fold_")])
    return _network(trained), axes_of(trained, rank)


def _network(trained: TrainedFolder) -> keras.Model:
    plans, configuration = trained.path / "plans.json", trained.configuration
    with reading_plans(trained.path):
        name, stages = architecture_of(configuration, plans)
        channels = len(configuration["normalization_schemes"])
    if configuration.get("previous_stage"):  # whose masks are channels too
        channels += len(trained.numbers)
    return trained_network(name, stages, trained.weights[0], channels, trained.heads, plans)
