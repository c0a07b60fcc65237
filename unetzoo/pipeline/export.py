"""A run's network for other runtimes, with its processing and a test pair beside it."""

import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from unetzoo.evaluation.calibration import FILE, read_temperature
from unetzoo.inference.shapes import first_output
from unetzoo.interop.processing import INPUT, OUTPUT, Processing, digest, is_exported
from unetzoo.model_files import check_saved
from unetzoo.pipeline.previous import check_stage_before
from unetzoo.pipeline.run import Run
from unetzoo.utils.choices import EXPORTS
from unetzoo.utils.files import check_folder, make_folder
from unetzoo.utils.kernels import keras_backend

if TYPE_CHECKING:
    from unetzoo.interop.bioimageio import KerasFile

TOLERANCE = 1e-4  # of the largest logit
ONNX = ("tf2onnx", "onnx", "onnxruntime")
ONNX_BYTES = 2**31 - 2**24  # of weights, with room for the graph
NEEDED = {"onnx": ONNX, "bioimageio": ONNX, "openvino": ("openvino",)}  # packages
UNCALIBRATED = {  # formats that cannot hold a temperature
    "nnunet": "nnU-Net's folders have no place for",
    "bioimageio": "rdf.yaml has no words for",
}
WITHOUT_TENSORFLOW = ("keras", "nnunet")  # which any backend writes


@dataclass(frozen=True)
class Exported:
    """What was written, and how far the file's own runtime is from Keras."""

    folder: Path
    file: str
    runtime: str
    difference: float  # of the largest logit

    def __str__(self) -> str:
        return (
            f"{self.folder / self.file}: in {self.runtime}, logits differ by at most "
            f"{self.difference:.1e} of the largest"
        )


def export(
    run: Path | str,
    folder: Path | str,
    format: str = "onnx",
    *,
    which: str = "best",
    overwrite: bool = False,
) -> Exported:
    """Write a run's network for another runtime, with ``processing.json`` and a test pair.

    The file is run in its own runtime on the test pair, and nothing is left where the logits differ
    by more than 1e-4 of the largest. The network has its batch norms folded into convolutions, and
    takes patches of any size that the run's network takes; as LiteRT those of the run's patch only.
    It computes in float32, also that of a run in half precision.

    Args:
        run: the folder of a run.
        folder: for the files; it must be empty, or not be there.
        format: "onnx", "openvino", "litert", "saved_model", "keras", or "nnunet" for a folder that
            nnU-Net takes for one that it has trained, or "bioimageio" for a package of the BioImage
            Model Zoo.
        which: "best" or "last", as in ``unetzoo.load_predictor``.
        overwrite: whether to replace an export that is there, once the new one is whole.

    Returns: what was written, and the difference.
    Raises: ValueError for another format, packages that are not installed, another backend than
        TensorFlow's but for "keras" and "nnunet", a network that nnU-Net does not have, one too
        large for ONNX, a folder with files, or logits that differ.
    """
    folder = Path(folder)
    record, saved = check_export(run, folder, format, which, overwrite)
    temperature = read_temperature(record.folder, saved.name)
    if temperature != 1 and format in UNCALIBRATED:
        warnings.warn(
            f"format {format}: {UNCALIBRATED[format]} the temperature {temperature:.3f} of "
            f"{record.folder / FILE}; masks are the same without it, probabilities are not.",
            stacklevel=2,
        )
    if format == "nnunet":
        return _export_nnunet(record, saved, folder)
    from unetzoo.inference.joins import of_sizes, without_concatenations  # as predictions are made
    from unetzoo.interop.formats import WRITERS

    write: Callable = WRITERS["onnx" if format == "bioimageio" else format]
    model = _network(record, saved)
    if "onnx" in NEEDED.get(format, ()):
        _check_size(model, format)
    with _becoming(folder) as place:
        x = _drawn(record)
        file, runtime, run_file = write(model, place, x.shape[1:])
        network = without_concatenations(of_sizes(model, x.shape[1:-1]))
        expected = np.asarray(network.predict_on_batch(x), "float32")
        difference = _compared(run_file(x), expected, file, runtime)
        keras_file = _keras_alone(model, place, x, expected) if format == "bioimageio" else None
        np.save(place / INPUT, x, allow_pickle=False)
        np.save(place / OUTPUT, expected, allow_pickle=False)
        processing = _processing(record, model, place, file, x.shape[1:-1], expected.shape[1:-1])
        files = sorted(path for path in place.rglob("*") if path.is_file())
        sums = {path.relative_to(place).as_posix(): digest(path) for path in files}
        processing = replace(processing, checksums=sums, temperature=temperature)
        processing.write(runtime=runtime, difference=difference)
        if keras_file is not None:
            _describe(processing, model, record, keras_file)
    return Exported(folder, file, runtime, difference)


@contextmanager
def _becoming(folder: Path) -> Iterator[Path]:
    """A folder beside, which takes the place of another one when everything in it is written."""
    make_folder(folder.parent)
    with TemporaryDirectory(prefix=".export-", dir=folder.parent) as beside:
        place, before = Path(beside) / "export", Path(beside) / "before"
        place.mkdir()
        yield place
        if folder.is_dir():
            folder.rename(before)
        try:
            place.rename(folder)
        except OSError:
            if before.is_dir():
                before.rename(folder)
            raise


def _keras_alone(model: Any, place: Path, x: np.ndarray, expected: np.ndarray) -> "KerasFile":
    """The network as ``.keras`` without this package's layers, if there is such a one."""
    import keras
    import tensorflow as tf

    from unetzoo.interop.bioimageio import KerasFile
    from unetzoo.interop.keras_only import only_keras

    file = "network.keras"
    try:
        plain = only_keras(model, x.shape[1:-1])
    except ValueError as error:
        return KerasFile(lacking=str(error).removesuffix("."))
    plain.save(place / file)
    logits = np.asarray(keras.models.load_model(place / file).predict_on_batch(x))
    _compared(logits, expected, file, "Keras alone")
    return KerasFile(file, keras.__version__, ("tensorflow", tf.__version__))


def _describe(processing: Processing, model: Any, run: Run, keras_file: "KerasFile") -> None:
    """The package's own description and sample."""
    import onnx

    from unetzoo.interop.bioimageio import IMAGE, LOGITS, describe, normalized

    folder = processing.folder
    image = np.load(folder / INPUT)
    logits = np.asarray(model.predict_on_batch(normalized(image, processing)), "float32")
    np.save(folder / IMAGE, image, allow_pickle=False)
    np.save(folder / LOGITS, logits, allow_pickle=False)
    opsets = onnx.load(folder / processing.file).opset_import
    opset = next(item.version for item in opsets if item.domain in ("", "ai.onnx"))
    name = f"{run.settings.network} of {run.folder.resolve().name}"
    describe(processing, name, opset, keras_file)


def _export_nnunet(run: Run, saved: Path, folder: Path) -> Exported:
    """A folder that nnU-Net takes, read again and compared; of a cascade that before it, too."""
    from unetzoo.interop.nnunet import load_nnunet
    from unetzoo.interop.nnunet_writer import write_folder
    from unetzoo.pipeline.nnunet_export import stage_before, trained_of

    model, trained = trained_of(run, saved)
    name = re.sub(r"\W", "", run.folder.resolve().name) or "run"
    with _becoming(folder) as place:
        written = write_folder(place, f"Dataset001_{name}", trained, stage_before(run))
        x = _drawn(run)
        expected = np.asarray(first_output(model.predict_on_batch(x)), "float32")
        logits = load_nnunet(written).models[0].predict_on_batch(trained.turned(x))
        back = trained.turned_back(np.asarray(logits))
        difference = _compared(back, expected, written.name, "this package's reader of nnU-Net")
    return Exported(folder, str(written.relative_to(place)), "nnU-Net's network", difference)


def check_export(
    run: Path | str, folder: Path, format: str, which: str = "best", overwrite: bool = False
) -> tuple[Run, Path]:
    """All that can be said before Keras is loaded.

    Returns: the run, and the file of its network.
    Raises: as ``export``.
    """
    if format not in EXPORTS:
        raise ValueError(f"format {format!r}: expected one of {', '.join(EXPORTS)}.")
    record = Run.read(run)
    settings = record.settings
    if format in ("nnunet", "bioimageio") and (settings.slicing is not None or settings.neighbors):
        raise ValueError(
            f"format {format}: the run in {record.folder} goes through volumes slice by slice with "
            f"{'the slices beside them' if settings.neighbors else 'a 2D network'}, which this "
            "format has no words for; expected --format onnx, or another but this."
        )
    if settings.previous is not None and format != "nnunet":
        raise ValueError(
            f"format {format}: the run in {record.folder} is a cascade, which sees masks of the "
            "stage before; expected --format nnunet, which has both stages."
        )
    saved = record.model_file(which)
    check_saved(saved)
    check_stage_before(record)
    packages = NEEDED.get(format, ())
    if lacking := [name for name in packages if find_spec(name) is None]:
        raise ValueError(
            f"format {format}: {lacking[0]} is not installed; run "
            f"pip install 'unetzoo[{packages[-1].removesuffix('runtime')}]'."
        )
    if format not in WITHOUT_TENSORFLOW and (backend := keras_backend()) != "tensorflow":
        raise ValueError(
            f"format {format}: Keras cannot write it on {backend}; set KERAS_BACKEND=tensorflow, "
            "which reads the same run."
        )
    if folder.is_dir() and any(folder.iterdir()):
        _check_replaced(folder, overwrite)
    check_folder(folder)
    return record, saved


def _check_replaced(folder: Path, overwrite: bool) -> None:
    """Raises: ValueError for a folder with files, but for an export that is to be replaced."""
    nnunet = folder.glob("Dataset*_*/nnUNetTrainer__nnUNetPlans__*/plans.json")
    if not (is_exported(folder) or any(nnunet)):
        raise ValueError(f"{folder}: it has files; expected a new folder for the export.")
    if not overwrite:
        raise ValueError(
            f"{folder}: it has an export; expected a new folder, or --overwrite to replace it."
        )


def _check_size(model: Any, format: str) -> None:
    """Raises: ValueError for more weights than a file of ONNX holds."""
    if (size := 4 * model.count_params()) > ONNX_BYTES:
        raise ValueError(
            f"format {format}: weights of {size / 2**30:.1f} GiB, and an ONNX file holds less than "
            "2; use --format openvino or saved_model."
        )


def _network(run: Run, path: Path) -> Any:
    """The fused network, its logits of full size alone. Raises: ValueError if it is another one."""
    import keras

    from unetzoo.cards import called
    from unetzoo.inference.fusing import fuse, in_float32
    from unetzoo.pipeline.loading import check_record
    from unetzoo.saving import load_model

    model = load_model(path, compile=False)
    check_record(run, model, path)
    model = fuse(in_float32(model))
    return called(keras.Model(model.inputs[0], model.outputs[0], name=model.name))


def _drawn(run: Run) -> np.ndarray:
    """A patch of the noise that z-scores have, float32, from seed 0."""
    shape = (1, *run.settings.network_patch, run.network_channels)
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def _compared(logits: np.ndarray, expected: np.ndarray, file: str, runtime: str) -> float:
    """The largest difference, as a fraction of the largest logit.

    Raises: ValueError where it is above 1e-4, or not a number.
    """
    if logits.shape != expected.shape:
        raise ValueError(f"{file}: {runtime} gives {logits.shape}, expected {expected.shape}.")
    difference = float(np.abs(logits - expected).max() / max(np.abs(expected).max(), 1e-30))
    if math.isnan(difference) or difference > TOLERANCE:
        raise ValueError(
            f"{file}: in {runtime}, logits differ by {difference:.1e} of the largest; expected at "
            f"most {TOLERANCE:g}: nothing was written."
        )
    return difference


def _processing(
    run: Run,
    model: Any,
    folder: Path,
    file: str,
    patch: tuple[int, ...],
    output: tuple[int, ...],
) -> Processing:
    from unetzoo.inference.shapes import strides

    flat, across = run.settings.slicing is not None, run.settings.across

    def along(sizes: Iterable[int], thickness: int) -> tuple[int, ...]:
        """A size for each axis of the image; a 2D network has none across the slices."""
        listed = list(sizes)
        if flat and across is not None:
            listed.insert(across, thickness)
        return tuple(listed)

    return Processing(
        folder=folder,
        file=file,
        patch=along(patch, 1),
        context=along((size - inner for size, inner in zip(patch, output, strict=True)), 0),
        strides=along(strides(model), 1),
        channels=run.channels,
        scheme=run.scheme,
        class_names=run.class_names,
        preparation=run.preparation,
        layout=run.layout,
        across=across,
        flat=flat,
        neighbors=run.settings.neighbors,
    )
