"""Runs as what a folder of nnU-Net is made of, with the stage before a cascade."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unetzoo.interop.nnunet_trained import Trained
from unetzoo.pipeline.chosen import Chosen
from unetzoo.pipeline.previous import place_before
from unetzoo.pipeline.run import Run
from unetzoo.registry import check_arguments
from unetzoo.utils.choices import CASCADE, LOWRES

if TYPE_CHECKING:
    import keras


def trained_of(run: Run, saved: Path) -> "tuple[keras.Model, Trained]":
    """The network of a run, in float32, and what its folder of nnU-Net is made of.

    Args:
        run: the run.
        saved: the file of its network.
    """
    import keras

    from unetzoo.inference.fusing import in_float32
    from unetzoo.pipeline.loading import check_record
    from unetzoo.saving import load_model

    model, settings = load_model(saved, compile=False), run.settings
    check_record(run, model, saved)
    model = in_float32(model)
    weights = {
        f"{layer.name}.{weight.name}": keras.ops.convert_to_numpy(weight).astype("float32")
        for layer in model.layers
        for weight in layer.weights
    }
    trained = Trained(
        network=settings.network.replace("-", "_"),
        build=check_arguments(settings.network, **settings.build or {}),
        weights=weights,
        patch=run.patch,
        batch_size=settings.batch_size,
        channels=run.channels,
        class_names=run.class_names,
        preparation=run.preparation,
        scheme=run.scheme,
        stage="" if settings.previous is None else CASCADE,
    )
    return model, trained


def stage_before(run: Run) -> list[Trained]:
    """All folds of the stage before a cascade; none of other runs."""
    place = place_before(run)
    if place is None:
        return []
    chosen = Chosen.read(place)
    pairs = [trained_of(fold, fold.model_file(chosen.model)) for fold in chosen.runs()]
    return [replace(one, stage=LOWRES, mirrored=chosen.mirror) for _, one in pairs]
