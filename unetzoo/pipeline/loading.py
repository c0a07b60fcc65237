"""Trained networks of every kind, ready to be applied: runs, folds, exports, nnU-Net's folders."""

import gc
import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unetzoo.data.io.pictures import Picture
from unetzoo.data.io.volumes import Volume
from unetzoo.evaluation.calibration import FILE, read_temperature
from unetzoo.inference.shapes import Network
from unetzoo.inference.slices import SliceNetwork
from unetzoo.interop.nnunet_folder import is_trained_folder
from unetzoo.interop.nnunet_zip import trained_place
from unetzoo.interop.onnx_network import OnnxNetwork
from unetzoo.interop.processing import Processing, is_exported
from unetzoo.pipeline.chosen import Chosen, is_chosen
from unetzoo.pipeline.predictor import Mixed, Predictor
from unetzoo.pipeline.previous import GivenMasks, check_scheme, place_before
from unetzoo.pipeline.run import RUN, Run
from unetzoo.utils.allocation import hold_little
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
    hold_little()
    with trained_place(folder) as place:
        if is_trained_folder(place):
            from unetzoo.interop.nnunet import load_nnunet

            return load_nnunet(place, **options)
    if is_exported(folder):
        processing = Processing.read(folder)
        options = {"temperature": processing.temperature, **options}
        network: Network = OnnxNetwork(processing)
        if processing.flat and processing.across is not None:
            network = SliceNetwork(network, processing.across)
        return Predictor(processing, network, **options)
    if is_chosen(folder):
        return predictor_of_folds(Chosen.read(folder), **options)
    return predictor_of_run(folder, which, **options)


def predictor_of_run(folder: Path | str, which: str = "best", **options: Any) -> Predictor:
    """As ``load_predictor``, of a run of our own."""
    from unetzoo.inference.fusing import for_prediction
    from unetzoo.saving import load_model

    run = Run.read(folder)
    before = place_before(run, options.pop("previous", None))
    if before is not None:
        options["previous"] = LoadedLater(before, run, options.get("fill"))
    path = run.model_file(which)
    model = load_model(path, compile=False)
    check_record(run, model, path)
    options = {"temperature": read_temperature(run.folder, path.name), **options}
    model = for_prediction(model, run.settings.network_patch)
    gc.collect()  # the network as it was saved
    network: Network = model
    if run.settings.slicing is not None:
        network = SliceNetwork(network, run.settings.slicing)
    return Predictor(run, network, file=path.name, **options)


def predictor_of_folds(chosen: Chosen, **options: Any) -> Predictor:
    """The networks of a cross-validation as one, or those of several, as ``find_best`` chose them.

    Args:
        chosen: the folds, and how their masks were made.
        options: as in ``Predictor``; they override how the masks were made.
    """
    given = options.pop("previous", None)
    if chosen.members:
        if len(chosen.members) > 1:  # each with its own would change masks
            options = {**options, "temperature": 1.0}
        members = tuple(
            predictor_of_folds(member, previous=given if _is_cascade(member) else None, **options)
            for member in chosen.members
        )
        options = {"postprocessing": chosen.postprocessing, **options}
        if len(members) == 1:
            return replace(members[0], **options)
        return Mixed(members[0].run, members[0].model, members=members, **options)
    from unetzoo.interop.nnunet import Ensemble

    temperature = _temperature(chosen, bool(options.get("probabilities")))
    options = {"mirror": chosen.mirror, "overlap": chosen.overlap, "temperature": temperature,
               "postprocessing": chosen.postprocessing, **options}  # fmt: skip
    folds = [
        predictor_of_run(run.folder, chosen.model, temperature=1.0, previous=given)
        for run in chosen.runs()
    ]
    models: list[Any] = [fold.model for fold in folds]
    options["previous"] = folds[0].previous
    return Predictor(folds[0].run, models[0] if len(models) == 1 else Ensemble(models), **options)


def _temperature(chosen: Chosen, wanted: bool) -> float:
    """That of all folds as one; 1 where none was fitted."""
    if (chosen.folder / FILE).exists():
        return read_temperature(chosen.folder, chosen.digest())
    files = [(run.folder, run.model_file(chosen.model).name) for run in chosen.runs()]
    if wanted and any(read_temperature(*file) != 1 for file in files):
        warnings.warn(
            f"{chosen.folder}: the temperatures of its folds are not used, since each is of one "
            f"network; unetzoo evaluate {chosen.folder} --calibration fits one for all.",
            stacklevel=3,
        )
    return 1.0


def _is_cascade(chosen: Chosen) -> bool:
    return chosen.first.settings.previous is not None


@dataclass(frozen=True)
class LoadedLater:
    """The stage before a cascade: its networks, loaded when the first image comes, or its masks.

    Args:
        folder: of a cross-validation, of a run, or of masks named after their cases.
        run: of the cascade.
        fill: replaces NaN and infinite voxels.
        last: the last image and its mask, which folds and mirror images of a cascade share.
    """

    folder: Path
    run: Run
    fill: float | None = None
    last: list = field(default_factory=list, repr=False, compare=False)

    def segment(self, image: Volume | Picture) -> np.ndarray:
        """The classes ``(*spatial)`` that the stage before gives, on canonical axes."""
        if not self.last or self.last[0] is not image:
            self.last[:] = image, self._segment(image)
        return self.last[1]

    def _segment(self, image: Volume | Picture) -> np.ndarray:
        if is_chosen(self.folder) or (self.folder / RUN).exists():
            return self._predictor.segment(image)
        return GivenMasks(self.folder, self.run.scheme).segment(image)

    @cached_property
    def _predictor(self) -> Predictor:
        """As the masks of held-out cases were made: nothing is taken away from them."""
        predictor = load_predictor(self.folder, postprocessing=(), fill=self.fill)
        assert isinstance(predictor, Predictor)  # other folders are masks
        check_scheme(self.run, predictor.run.scheme, self.folder)
        return predictor


def check_record(run: Run, model: "keras.Model", path: Path) -> None:
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
