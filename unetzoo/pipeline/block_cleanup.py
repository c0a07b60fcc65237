"""Clean-up of a mask that was written block by block, step after step."""

import shutil
from pathlib import Path

import numpy as np

from unetzoo.data.io.in_parts import InParts
from unetzoo.data.io.zarr_masks import MaskArray, boxes
from unetzoo.data.labels import LabelScheme
from unetzoo.inference.components import keep_parts, kept_components
from unetzoo.pipeline.predictor import Predictor
from unetzoo.utils.files import replacing
from unetzoo.utils.lock import LOCK
from unetzoo.utils.progress import inner

IMAGE, PARTS = "image", "parts"  # folders of arrays: the mask, and the number of each voxel's part

Cleanup = list[tuple[tuple[int, ...], bool]]  # classes that are taken as one; whether ties all stay


def cleanup_of(predictor: Predictor) -> Cleanup:
    """The steps that a predictor's masks go through, in order: ``postprocessing``, ``largest``."""
    steps = [(tuple(classes), True) for classes in predictor.postprocessing]
    if not predictor.largest:
        return steps
    scheme = predictor.run.scheme
    if scheme.regions:
        regions = [tuple(np.flatnonzero(column).tolist()) for column in scheme.table.T]
    else:
        regions = [(label,) for label in range(1, scheme.num_classes)]
    return [*steps, *((classes, False) for classes in regions)]


def clean_up(folder: Path, image: InParts, scheme: LabelScheme, steps: Cleanup) -> None:
    """Keep the largest components of a mask, in place.

    Args:
        folder: of what is done so far; a step that an earlier process has done is not done again.
        image: whose mask it is.
        scheme: the number of each class.
        steps: as ``cleanup_of`` gives them.
    """
    file = image.files[0]
    if not steps:
        return
    mask, blocks = MaskArray(folder / IMAGE, file), boxes(file)
    numbers = scheme.to_numbers(np.arange(scheme.num_classes), folder)
    for number, (classes, ties) in enumerate(steps):
        done, table = folder / f"step-{number}.done", folder / f"step-{number}.npy"
        if done.exists():
            continue
        taken = set(numbers[list(classes)].tolist())
        if table.exists():
            parts, kept = MaskArray(folder / PARTS, file), np.load(table, allow_pickle=False)
        else:
            parts = MaskArray(folder / PARTS, file, np.dtype("int64"))
            kept = kept_components(
                mask, parts, blocks, taken, ties=ties, progress=inner("  components")
            )
            with replacing(table) as beside, beside.open("wb") as out:
                np.save(out, kept, allow_pickle=False)
        keep_parts(
            mask, parts, blocks, taken, kept,
            background=int(numbers[0]), progress=inner("  clean-up"),
        )  # fmt: skip
        done.touch()


def forget(folder: Path) -> None:
    """Delete what is done so far of other work."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
