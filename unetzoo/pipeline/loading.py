"""Trained networks of every kind, ready to be applied: runs, folds, exports, nnU-Net's folders."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetzoo.evaluation.calibration import read_temperature
from unetzoo.inference.shapes import Network
from unetzoo.inference.slices import SliceNetwork
from unetzoo.interop.nnunet_folder import is_trained_folder
from unetzoo.interop.nnunet_zip import trained_place
from unetzoo.interop.onnx_network import OnnxNetwork
from unetzoo.interop.processing import Processing, is_exported
from unetzoo.pipeline.chosen import Chosen, is_chosen
from unetzoo.pipeline.predictor import Mixed, Predictor
from unetzoo.pipeline.run import RUN, Run
from unetzoo.utils.text import counted

if TYPE_CHECKING:
    import keras

    from unetzoo.interop.nnunet import NnunetPredictor


def load_predictor(
    folder: Path | str, which: str = "best", **options: Any
) -> "Predictor | NnunetPredictor":
    """Load the network of a run, of a folder that nnU-Net has trained, or of an export.

    Of a cross-validation, or of what ``find_best`` chose, these are the networks of all folds.

    Args:
        folder: of the run; nnU-Net's ``TRAINER__PLANS__CONFIGURATION``; or one that
            ``unetzoo export`` has written as ONNX, which needs onnxruntime and no Keras.
        which: of a run, "best" or "last"; without a validation, "best" is the last, with a warning.
        options: as in ``Predictor``; of nnU-Net's folder as in ``unetzoo.interop.load_nnunet``.

    Raises: ValueError for another ``which``, options that cannot work, or a folder that has no run
        or no model.
    """
    with trained_place(folder) as place:
        if is_trained_folder(place):
            from unetzoo.interop.nnunet import load_nnunet

            return load_nnunet(place, **options)
    if is_exported(folder):
        processing = Processing.read(folder)
        network: Network = OnnxNetwork(processing)
        if processing.flat and processing.across is not None:
            network = SliceNetwork(network, processing.across)
        return Predictor(processing, network, **options)
    if is_chosen(folder):
        return predictor_of_folds(Chosen.read(folder), **options)
    return predictor_of_run(folder, which, **options)


def predictor_of_run(folder: Path | str, which: str = "best", **options: Any) -> Predictor:
    """As ``load_predictor``, of a run of our own."""
    from unetzoo.inference.fusing import fuse
    from unetzoo.layers.onednn import hasten
    from unetzoo.saving import load_model

    run = Run.read(folder)
    path = run.model_file(which)
    model = load_model(path)
    _check_record(run, model, path)
    options = {"temperature": read_temperature(run.folder, path.name), **options}
    network: Network = hasten(fuse(model))
    if run.settings.slicing is not None:
        network = SliceNetwork(network, run.settings.slicing)
    return Predictor(run, network, file=path.name, **options)


def predictor_of_folds(chosen: Chosen, **options: Any) -> Predictor:
    """The networks of a cross-validation as one, or those of several, as ``find_best`` chose them.

    Args:
        chosen: the folds, and how their masks were made.
        options: as in ``Predictor``; they override how the masks were made.
    """
    if chosen.members:
        members = tuple(predictor_of_folds(member, **options) for member in chosen.members)
        options = {"postprocessing": chosen.postprocessing, **options}
        if len(members) == 1:
            return replace(members[0], **options)
        return Mixed(members[0].run, members[0].model, members=members, **options)
    from unetzoo.interop.nnunet import Ensemble

    options = {"mirror": chosen.mirror, "overlap": chosen.overlap,
               "postprocessing": chosen.postprocessing, **options}  # fmt: skip
    folds = [predictor_of_run(run.folder, chosen.model, temperature=1.0) for run in chosen.runs()]
    models: list[Any] = [fold.model for fold in folds]
    return Predictor(folds[0].run, models[0] if len(models) == 1 else Ensemble(models), **options)


def _check_record(run: Run, model: "keras.Model", path: Path) -> None:
    """Whether a network has the sizes that the record of its run has.

    Raises: ValueError where it has not.
    """
    channels, classes = model.inputs[0].shape[-1], model.outputs[0].shape[-1]
    for thing, whose, recorded, needed in (
        ("axis", "", len(run.settings.network_patch), len(model.inputs[0].shape) - 2),
        ("channel", "", run.network_channels, channels),
        ("class", "", len(run.class_names), classes),
        ("class", " of the labels", run.scheme.channels or len(run.class_names), classes),
    ):
        if recorded != needed:
            raise ValueError(
                f"{run.folder / RUN}: {counted(recorded, thing)}{whose}, but the network in "
                f"{path.name} has {needed}; put back the record that it was trained with."
            )
