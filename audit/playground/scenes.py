"""What a playground shows: an image, its labels, and a trained network that segments it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from audit.playground.switches import Skip, Switched, sized, skips_of, with_switches
from unetzoo.data.datasets import Case
from unetzoo.data.datasets.inputs import cases_of
from unetzoo.data.datasets.reading import read_case, read_case_labels
from unetzoo.data.io.pictures import Picture
from unetzoo.data.io.volumes import Volume
from unetzoo.data.labels import LabelScheme
from unetzoo.inference.shapes import strides
from unetzoo.inference.slices import SliceNetwork
from unetzoo.inference.windows import segment
from unetzoo.pipeline.early import channels_of
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.predictor import Mixed, Predictor
from unetzoo.saving import load_model
from unetzoo.utils.text import counted

if TYPE_CHECKING:
    from unetzoo.interop.nnunet import NnunetPredictor

LARGEST = {2: 512, 3: 128}  # of a patch along an axis, where nothing says which
TRIED = (64, 128, 256, 96, 188, 108)  # voxels along each axis: sizes at which skips are looked for


@dataclass(frozen=True)
class Scene:
    """An image, what is known of it, and a network of which each skip can be switched.

    Attributes:
        image: ``(*spatial, C)``.
        reference: the classes ``(*spatial)``, or None.
        segment: the network's classes ``(*spatial)``, with the skips as they are switched.
        turn: switches each skip on or off.
        unit: of the spacing, "mm" or "px".
    """

    name: str
    network: str
    image: np.ndarray
    reference: np.ndarray | None
    spacing: tuple[float, ...]
    unit: str
    class_names: tuple[str, ...]
    ignore: int | None
    skips: tuple[Skip, ...]
    segment: Callable[[], np.ndarray]
    turn: Callable[[Sequence[bool]], None]


def scene_of(
    model: Any,
    images: Any,
    labels: Any = None,
    *,
    class_names: Sequence[str] = (),
    spacing: Sequence[float] | None = None,
    title: str = "",
) -> Scene:
    """The scene of a trained network and a case; arguments as in ``audit.skips``."""
    if isinstance(model, str | Path) and not str(model).endswith(".keras"):
        scene = _of_folder(Path(model), images, labels)
        return replace(scene, network=title or scene.network)
    if isinstance(model, str | Path):
        title = title or Path(model).name
        model = load_model(Path(model), compile=False)
    channels, classes = model.inputs[0].shape[-1], max(model.outputs[0].shape[-1], 2)
    image, reference, steps, name = _arrays(images, labels, channels, classes)
    if image.shape[-1] != channels:
        raise ValueError(
            f"image of {counted(image.shape[-1], 'channel')}: {model.name!r} takes {channels}."
        )
    rank = image.ndim - 1
    unnamed = ("",) * (classes - len(class_names))
    switched = Switches(model, [image.shape[:-1]])
    patch = _patch(model, image.shape[:-1])
    return Scene(
        name=name,
        network=title or model.name,
        image=image,
        reference=reference,
        spacing=tuple(map(float, spacing or steps or (1.0,) * rank)),
        unit="mm" if spacing is not None or (steps and rank == 3) else "px",
        class_names=(*class_names, *unnamed),
        ignore=None,
        skips=switched.skips,
        segment=lambda: segment(switched.network, image, patch),
        turn=switched.turn,
    )


class Switches:
    """A network as a predictor holds it, with switches; those of an ensemble turn together."""

    def __init__(self, network: Any, patches: Sequence[tuple[int, ...]]) -> None:
        self.parts: list[Switched] = []
        self.skips: tuple[Skip, ...] = ()
        self.network = self._switched(network, patches)

    def turn(self, on: Sequence[bool]) -> None:
        for part in self.parts:
            part.turn(on)

    def _switched(self, network: Any, patches: Sequence[tuple[int, ...]]) -> Any:
        if isinstance(network, SliceNetwork):
            axis = network.axis
            flat = [(*patch[:axis], *patch[axis + 1 :]) for patch in patches]
            return SliceNetwork(self._switched(network.model, flat), axis)
        if (models := getattr(network, "models", None)) is not None:
            from unetzoo.interop.nnunet import Ensemble

            return Ensemble([self._switched(model, patches) for model in models])
        if not isinstance(network, keras.Model) or not hasattr(network, "_nodes_by_depth"):
            raise ValueError(
                f"{type(network).__name__}: expected a functional Keras network, whose skips can "
                "be switched; give the run that was exported, or a .keras file."
            )
        rank, channels = len(network.input_shape) - 2, network.input_shape[-1]
        sizes = [patch for patch in patches if len(patch) == rank]
        shapes = [(*size, channels) for size in [*sizes, *((n,) * rank for n in TRIED)]]
        self.skips = skips_of(sized(network, shapes))
        if not self.skips:
            raise ValueError(
                f"model {network.name!r}: it has no skip to switch off; expected a U-Net."
            )
        self.parts.append(with_switches(network, self.skips))
        return self.parts[-1].network


# === Files ===


def _of_folder(folder: Path, images: Any, labels: Any) -> Scene:
    """The scene of a run, or of a folder that nnU-Net has trained."""
    case = _case(images, labels, *channels_of(folder, "best", {}))
    predictor = load_predictor(folder)
    if isinstance(predictor, Mixed):
        raise ValueError(f"{folder}: several networks; expected the folder of one of them.")
    if isinstance(predictor, Predictor):
        return _of_run(folder, predictor, case)
    return _of_nnunet(folder, predictor, case)


def _of_run(folder: Path, predictor: Predictor, case: Case) -> Scene:
    run = predictor.run
    if run.scheme.overlapping:
        raise ValueError(
            f"{folder}: its labels lie over each other, so a mask has no one class for each voxel; "
            "expected a run of classes."
        )
    image = predictor.read(case)
    reference = read_case_labels(case, run.scheme).data if case.label else None
    switched = Switches(predictor.model, [run.patch])
    applied = replace(predictor, model=switched.network)
    names = run.scheme.drawn_names(run.class_names)
    return _scene(
        folder, case, image, reference, names, run.scheme.ignore, switched,
        lambda: applied.segment(image),
    )  # fmt: skip


def _of_nnunet(folder: Path, predictor: "NnunetPredictor", case: Case) -> Scene:
    from unetzoo.interop.nnunet import Ensemble

    image = read_case(case)
    several = len(predictor.models) > 1
    network = Ensemble(predictor.models) if several else predictor.models[0]
    switched = Switches(network, [tuple(predictor.trained.configuration["patch_size"])])
    applied = replace(predictor, models=(switched.network,))
    named = predictor.label_names
    names = ["background", *(named.get(n, "") for n in range(1, max(named, default=0) + 1))]
    reference = read_case_labels(case, LabelScheme()).data if case.label else None

    def classes() -> np.ndarray:
        labels = applied.segment(image)
        if isinstance(image, Picture):
            return labels
        return image.files[0].to_canonical(labels[..., None])[..., 0]

    ignore = predictor.trained.labels.get("ignore")
    return _scene(folder, case, image, reference, names, ignore, switched, classes)


def _scene(
    folder: Path, case: Case, image: Volume | Picture, reference: np.ndarray | None,
    names: Sequence[str], ignore: int | None, switched: Switches, classes: Callable,
) -> Scene:  # fmt: skip
    return Scene(
        name=case.name,
        network=folder.name,
        image=image.data,
        reference=reference,
        spacing=tuple(map(float, image.spacing)),
        unit="px" if isinstance(image, Picture) else "mm",
        class_names=tuple(names),
        ignore=ignore,
        skips=switched.skips,
        segment=classes,
        turn=switched.turn,
    )


def _case(images: Any, labels: Any, channels: int, numbered: bool = False) -> Case:
    """The one case that files of images are. Raises: ValueError if they are several."""
    paths = [images] if isinstance(images, str | Path) else list(images)
    cases = cases_of(paths, channels, numbered=numbered)
    if len(cases) != 1:
        raise ValueError(
            f"{paths[0]}: {counted(len(cases), 'image')}; expected one, with a file for each "
            "channel if it has several."
        )
    return replace(cases[0], label=Path(labels) if labels is not None else None)


def _arrays(
    images: Any, labels: Any, channels: int, classes: int
) -> tuple[np.ndarray, np.ndarray | None, tuple[float, ...] | None, str]:
    """Image, classes, spacing and name; an array is taken as it is, a file is normalized."""
    if isinstance(images, np.ndarray):
        reference = None if labels is None else np.asarray(labels)
        if reference is not None and reference.shape != images.shape[:-1]:
            raise ValueError(
                f"labels of shape {reference.shape}, image of shape {images.shape}: expected the "
                "same spatial sizes, and the channels of the image last."
            )
        return images, reference, None, "An image"
    case = _case(images, labels, channels)
    read = read_case(case)
    axes = tuple(range(read.data.ndim - 1))
    spread = read.data.std(axes, dtype="float64")
    image = (read.data - read.data.mean(axes, dtype="float64")) / np.where(spread > 0, spread, 1)
    reference = _read_labels(case, classes) if case.label else None
    return image.astype("float32"), reference, tuple(read.spacing), case.name


def _read_labels(case: Case, classes: int) -> np.ndarray:
    """The numbers in a file of labels; of two classes, 0 and 255 will do too."""
    try:
        return read_case_labels(case, LabelScheme()).data
    except ValueError:
        if classes > 2:
            raise
    return read_case_labels(case, LabelScheme(labels={0: 0, 255: 1})).data


def _patch(model: keras.Model, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The network's own patch, or one that covers the image if that is not large."""
    if len(sizes) != len(model.input_shape) - 2:
        raise ValueError(
            f"image of {counted(len(sizes), 'axis')}: {model.name!r} takes "
            f"{len(model.input_shape) - 2}."
        )
    largest = LARGEST.get(len(sizes), 128)
    steps = strides(model)
    return tuple(
        built or min(-(-size // step) * step, max(largest // step * step, step))
        for built, size, step in zip(model.input_shape[1:-1], sizes, steps, strict=True)
    )
