"""An exported network as a package of the BioImage Model Zoo: ``rdf.yaml`` beside its files.

The description is JSON, which is YAML too. The ``.keras`` file has only Keras's layers, since the
zoo's own runner does not import this package; without it the ONNX file alone is offered.

Source: bioimageio.spec 0.5.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.preprocessing.normalization import CT, Normalization, ZScore
from unetzoo.interop.processing import INPUT, NAME, OUTPUT, Processing, digest
from unetzoo.utils.files import replacing

FORMAT = "0.5.3"
DESCRIPTION = "rdf.yaml"
IMAGE, LOGITS = "sample_image.npy", "sample_logits.npy"
AXES = {2: ("y", "x"), 3: ("x", "y", "z")}
EPSILON = 1e-6  # that the zoo adds to a deviation


def normalized(image: np.ndarray, processing: Processing) -> np.ndarray:
    """An image ``(1, *spatial, C)`` after the steps of ``preprocessing``, float32."""
    kinds = processing.preparation.normalisation
    axes = tuple(range(1, image.ndim - 1))
    if _plain_zscores(kinds):
        mean, deviation = (f(image, axis=axes, keepdims=True) for f in (np.mean, np.std))
        return ((image - mean) / (deviation + EPSILON)).astype("float32")
    if len(kinds) == 1 and isinstance(kinds[0], CT):
        kind = kinds[0]
        clipped = np.clip(image, kind.lower, kind.upper)
        return ((clipped - kind.mean) / kind.deviation).astype("float32")
    return image


@dataclass(frozen=True)
class KerasFile:
    """The network as ``.keras``, or why there is none."""

    file: str = ""
    keras: str = ""  # the version
    backend: tuple[str, str] = ("", "")  # its name and version
    lacking: str = ""


def describe(processing: Processing, name: str, opset: int, keras_file: KerasFile) -> None:
    """Write ``rdf.yaml``, a README and a cover into an export's folder.

    Authors, citation and license are left to whoever publishes it.

    Args:
        processing: of the export, whose folder holds the network and the sample pair.
        name: for readers.
        opset: version of ONNX's operators in the file.
        keras_file: the same network for Keras.
    """
    folder = processing.folder
    _write_readme(folder / "README.md", processing, name, keras_file)
    _write_cover(folder / "cover.png")
    rank = len(processing.patch)
    space = [_space(processing, axis) for axis in range(rank)]
    channels = [f"channel{number}" for number in range(processing.channels)]
    record = {
        "type": "model",
        "format_version": FORMAT,
        "name": name,
        "description": "A U-Net that segments images; its outputs are logits.",
        "documentation": "README.md",
        "covers": ["cover.png"],
        "tags": ["unet", "segmentation", f"{rank}d"],
        "attachments": [{"source": name} for name in (NAME, INPUT, OUTPUT)],
        "inputs": [{
            "id": "image",
            "axes": [{"type": "batch"}, *space, {"type": "channel", "channel_names": channels}],
            "test_tensor": _file(folder / IMAGE),
            "data": {"type": "float32"},
            "preprocessing": [{"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
                              *_steps(processing, AXES[rank])],
        }],
        "outputs": [{
            "id": "logits",
            "axes": [{"type": "batch"},
                     *(_tiled(processing, axis) for axis in range(rank)),
                     {"type": "channel", "channel_names": list(_names(processing.class_names))}],
            "test_tensor": _file(folder / LOGITS),
            "data": {"type": "float32"},
        }],
        "weights": _weights(processing, opset, keras_file),
    }  # fmt: skip
    with replacing(folder / DESCRIPTION) as beside:
        beside.write_text(json.dumps(record, indent=1) + "\n")


def _weights(processing: Processing, opset: int, keras_file: KerasFile) -> dict[str, Any]:
    """Those of Keras first, which the others are made from."""
    onnx = {**_file(processing.folder / processing.file), "opset_version": opset}
    if keras_file.lacking:
        return {"onnx": onnx}
    entry = _file(processing.folder / keras_file.file)
    return {
        "keras_v3": {**entry, "keras_version": keras_file.keras, "backend": keras_file.backend},
        "onnx": {**onnx, "parent": "keras_v3"},
    }


def _plain_zscores(kinds: tuple[Normalization, ...]) -> bool:
    return all(kind == ZScore() for kind in kinds)


def _names(classes: tuple[str, ...]) -> list[str]:
    """Names that begin with a letter and differ, as the zoo wants them."""
    plain = ["".join(c if c.isalnum() and c.isascii() else "_" for c in name) for name in classes]
    return [f"class{number}_{name}" for number, name in enumerate(plain)]


def _file(path: Path) -> dict[str, str]:
    return {"source": path.name, "sha256": digest(path)}


def _scale(processing: Processing, axis: int) -> dict[str, Any]:
    spacing = processing.preparation.spacing
    size = None if spacing is None else spacing[axis]
    return {} if size is None else {"unit": "millimeter", "scale": float(size)}


def _space(processing: Processing, axis: int) -> dict[str, Any]:
    size = {"min": processing.patch[axis], "step": processing.strides[axis]}
    name = AXES[len(processing.patch)][axis]
    return {"type": "space", "id": name, "size": size, **_scale(processing, axis)}


def _tiled(processing: Processing, axis: int) -> dict[str, Any]:
    """Of an output; its halo is what neighboring tiles share: a quarter of the patch.

    There is none where the network cuts its context off itself, and across a single slice.
    """
    name, less = AXES[len(processing.patch)][axis], processing.context[axis]
    size = {"tensor_id": "image", "axis_id": name, "offset": -less}
    shared = processing.patch[axis] // 4
    halo = {"halo": shared} if shared and not less else {}
    return {"type": "space", "id": name, "size": size, **halo, **_scale(processing, axis)}


def _steps(processing: Processing, axes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Normalization, where the model zoo's words can say it."""
    kinds = processing.preparation.normalisation
    if _plain_zscores(kinds):
        kwargs = {"axes": list(axes), "eps": EPSILON}
        return [{"id": "zero_mean_unit_variance", "kwargs": kwargs}]
    if len(kinds) == 1 and isinstance(kinds[0], CT):
        kind = kinds[0]
        return [
            {"id": "clip", "kwargs": {"min": kind.lower, "max": kind.upper}},
            {"id": "fixed_zero_mean_unit_variance",
             "kwargs": {"mean": kind.mean, "std": kind.deviation}},
        ]  # fmt: skip
    return []


def _write_readme(path: Path, processing: Processing, name: str, keras_file: KerasFile) -> None:
    classes = ", ".join(processing.class_names)
    steps = _steps(processing, AXES[len(processing.patch)])
    weights = (
        f"There are no Keras weights ({keras_file.lacking})."
        if keras_file.lacking
        else f"`{keras_file.file}` has only Keras's own layers, so that Keras loads it by itself."
    )
    text = f"""# {name}

A U-Net trained with unetzoo. Its outputs are logits, a channel for each of the classes
{classes}. {weights}

`{NAME}` says all that is done to an image before and after: axes, crop, normalization, spacing,
tiling and labels. `rdf.yaml` says of it what its words can: no crop and no resampling. Resample an
image to the stated scale first. Where probabilities are wanted, divide the logits by its
temperature, {processing.temperature:g}.

## Normalization

{_normalizations(processing)}

{_difference(processing) if steps else LEFT_OUT}

## Validation

`{INPUT}` and `{OUTPUT}` are a prepared patch and its logits; `{IMAGE}` and `{LOGITS}` the same with
the normalization that `rdf.yaml` states.
"""
    with replacing(path) as beside:
        beside.write_text(text)


LEFT_OUT = """`rdf.yaml` has no words for this and states no normalization: do it before the network
sees an image, or the logits are not those of the training."""


def _normalizations(processing: Processing) -> str:
    """A line of Markdown for each channel."""
    kinds = processing.preparation.normalisation
    return "\n".join(f"- channel {n}: {_in_words(kind)}" for n, kind in enumerate(kinds))


def _in_words(kind: Normalization) -> str:
    if isinstance(kind, CT):
        return (
            f"clipped to {kind.lower:g} and {kind.upper:g}, minus {kind.mean:g}, divided by "
            f"{kind.deviation:g}"
        )
    if isinstance(kind, ZScore):
        which = "the voxels that are not 0 in every channel" if kind.masked else "all voxels"
        rest = "; all others become 0" if kind.masked else ""
        return f"minus the mean and divided by the deviation of {which} of the cropped image{rest}"
    return {
        "none": "as it is",
        "range": "from the image's smallest and largest value to 0 and 1",
        "255": "divided by 255",
    }[kind.by]


def _difference(processing: Processing) -> str:
    """How what ``rdf.yaml`` states is another thing, if it is."""
    if not _plain_zscores(processing.preparation.normalisation):
        return "`rdf.yaml` states the same."
    return (
        f"`rdf.yaml` states the same but for two things: it adds {EPSILON:g} to the deviation, and "
        "takes mean and\ndeviation of the whole image that it is given, not of the cropped one."
    )


def _write_cover(path: Path) -> None:
    """A U of five levels."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (512, 256), "white")
    draw = ImageDraw.Draw(image)
    for level in range(5):
        height, left, top = 96 >> level, 40 + 44 * level, 30 + 40 * level
        for x in (left, 460 - 44 * level):
            draw.rectangle((x, top, x + 14, top + max(height // 3, 8)), fill=(40, 90, 160))
    with replacing(path) as beside, beside.open("wb") as file:
        image.save(file, format="PNG")
