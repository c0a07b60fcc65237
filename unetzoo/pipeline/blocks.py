"""Prediction of images that are larger than memory: from OME-Zarr to OME-Zarr, block by block.

The mask is the one of the whole image. The first axis is walked along with a window, as ever; the
two others are cut into columns that fit into memory. Patches that reach two columns are predicted
for both. What is done stays on the disk, and a process that was stopped goes on there.
"""

import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.datasets import Case
from unetzoo.data.datasets.inputs import target
from unetzoo.data.io.containers import container_of
from unetzoo.data.io.in_parts import InParts, in_parts
from unetzoo.data.io.volumes import MAX_GIB
from unetzoo.data.io.zarr import CHUNK, ENDINGS
from unetzoo.data.io.zarr_masks import MaskArray, edges, finish
from unetzoo.data.preprocessing.axes import Box, resizing
from unetzoo.data.preprocessing.in_parts import Measured, PreparedInParts, measure
from unetzoo.data.preprocessing.inverse import label_rows
from unetzoo.data.preprocessing.normalization import ZScore
from unetzoo.inference.shapes import first_output
from unetzoo.inference.windows import sliding_window_slabs
from unetzoo.pipeline.block_cleanup import IMAGE, clean_up, cleanup_of, forget
from unetzoo.pipeline.predictor import Mixed, Predictor
from unetzoo.utils.checks import check, is_number
from unetzoo.utils.files import replacing
from unetzoo.utils.json_values import read_json
from unetzoo.utils.lock import owned
from unetzoo.utils.memory import free_bytes
from unetzoo.utils.progress import inner
from unetzoo.utils.text import counted

GB = 2.0  # memory of a column, where none is given
SHARE = 0.5  # of the free memory; an image that needs more is predicted in blocks
PROGRESS = "progress.json"  # in the folder of what is done so far


def check_blocks(predictor: Any, gigabytes: float | None) -> None:
    """Check before any work that a predictor can go block by block.

    Raises: ValueError for a size that is no positive number, and for what needs the whole image.
    """
    if gigabytes is None:
        return
    fits = is_number(gigabytes) and gigabytes > 0
    check(fits, "blocks", gigabytes, "gigabytes of memory, more than 0")
    if reason := needs_whole(predictor):
        raise ValueError(f"blocks {gigabytes:g}: {reason}.")


def needs_whole(predictor: Any) -> str:
    """Why a predictor cannot go block by block, and what to do; "" if it can.

    Args:
        predictor: as ``load_predictor`` gives it.
    """
    if not isinstance(predictor, Predictor):
        return "networks of nnU-Net need the whole image in memory; leave blocks away"
    kinds = predictor.run.preparation.normalisation
    for name, reason in {
        "probabilities need": predictor.probabilities or predictor.sampler is not None,
        "uncertainty needs": predictor.uncertainty,
        "the networks of several configurations need": isinstance(predictor, Mixed),
        "a cascade needs": predictor.previous is not None,
        "labels that overlap need": predictor.run.scheme.overlapping,
        "z-scores of a mask need": any(isinstance(k, ZScore) and k.masked for k in kinds),
        "a network of pictures needs": len(predictor.run.patch) == 2,
    }.items():
        if reason:
            return f"{name} the whole image in memory; leave blocks away"
    return ""


def is_too_large(predictor: Any, case: Case) -> bool:
    """Whether a case is OME-Zarr that should not be read as a whole, and need not be."""
    if needs_whole(predictor) or not all(map(_is_zarr, (*case.images, target(case, Path())))):
        return False
    image = _image(predictor, case)
    most = min(SHARE * free_bytes(), MAX_GIB * 2**30)
    return sum(file.needed_bytes for file in image.files) > most


def write_in_blocks(
    predictor: Predictor, case: Case, folder: Path, gigabytes: float | None = None
) -> Path:
    """Segment a case block by block and write its mask to a folder, as ``Predictor.write`` does.

    Args:
        predictor: of which ``needs_whole`` says nothing.
        case: its images are OME-Zarr.
        folder: for the mask. Beside it, blocks that are done are kept until the last one is.
        gigabytes: of memory for a column, besides the libraries, the network and its maps.

    Returns: the mask's path.
    Raises: ValueError for a damaged image, or a mask of another format than OME-Zarr.
    """
    path = target(case, folder)
    image = _image(predictor, case)
    _check_channels(image, predictor)
    if not _is_zarr(path):
        raise ValueError(f"{path}: blocks are written as OME-Zarr alone; leave --format away.")
    with owned(work := folder / f".blocks-{path.name}"):
        measured = measure(image, predictor.run.preparation, inner("  reading"))
        columns = _columns(image, measured, predictor, gigabytes or GB)
        rows = _clipped(edges(image.files[0], 0), measured.grid.box[0])
        blocks = _Blocks(predictor, image, measured, columns, rows, work)
        done = blocks.begin()
        todo = len(columns) * (len(rows) - 1) - sum(done)
        for _ in inner("  blocks", todo)(blocks.run(done)):
            pass
        clean_up(work, image, predictor.run.scheme, cleanup_of(predictor))
        finish(path, work / IMAGE, image.files[0])
        shutil.rmtree(work)
    return path


def _check_channels(image: InParts, predictor: Predictor) -> None:
    if image.shape[-1] != predictor.run.channels:
        raise ValueError(
            f"{image.files[0].path}: {counted(image.shape[-1], 'channel')}; the run in "
            f"{predictor.run.folder} was trained with {predictor.run.channels}."
        )


def _is_zarr(path: Path) -> bool:
    return container_of(path).name.lower().endswith(ENDINGS)


def _image(predictor: Predictor, case: Case) -> InParts:
    preparation = predictor.run.preparation
    fill = preparation.fill if predictor.fill is None else predictor.fill
    return in_parts(case.images, fill=fill, spacing=case.spacing, near=preparation.spacing)


def _columns(
    image: InParts, measured: Measured, predictor: Predictor, gigabytes: float
) -> list[Box]:
    """Begin and end of each column on the file's second and third axis, within the crop.

    They are halved until their work fits into the memory, or they have the size of a chunk.
    """
    grid, patch = measured.grid, predictor.run.patch
    classes = first_output(predictor.model.output_shape)[-1]
    voxel = 4 * (3 * classes + 1) + 16 * predictor.run.network_channels  # bytes, measured
    sizes = [end - begin for begin, end in grid.box]

    def needed() -> int:
        """Bytes of the planes of a patch in a column."""
        planes = voxel * patch[0]
        for axis in (1, 2):
            factor = grid.prepared[axis] / (grid.box[axis][1] - grid.box[axis][0])
            reach = round(sizes[axis] * factor) + 2 * patch[axis]
            planes *= min(reach, max(grid.prepared[axis], patch[axis]))
        return planes

    while needed() > gigabytes * 1e9 and max(sizes[1:]) > CHUNK:
        axis = 1 if sizes[1] >= sizes[2] else 2
        sizes[axis] = -(-sizes[axis] // (2 * CHUNK)) * CHUNK
    cuts = []
    for axis in (1, 2):
        step = -(-sizes[axis] // CHUNK) * CHUNK
        cuts.append(_clipped(edges(image.files[0], axis, step), grid.box[axis]))
    return list(itertools.product(*map(itertools.pairwise, cuts)))


def _clipped(places: Sequence[int], ends: tuple[int, int]) -> list[int]:
    begin, end = ends
    return sorted({begin, end, *(place for place in places if begin < place < end)})


@dataclass(frozen=True)
class _Blocks:
    """The work on one image; a block is what a column has between two edges of chunks."""

    predictor: Predictor
    image: InParts
    measured: Measured
    columns: Sequence[Box]
    rows: Sequence[int]  # edges of blocks on the first axis
    folder: Path  # of what is done so far

    def begin(self) -> list[int]:
        """The number of blocks of each column that an earlier process has done of the same work."""
        try:
            record = read_json(self.folder / PROGRESS, "the progress of blocks")
        except ValueError:
            record = {}
        done = record.get("done")
        same = record.get("job") == self.job and (self.folder / IMAGE).is_dir()
        if same and isinstance(done, list) and len(done) == len(self.columns):
            return done
        forget(self.folder)
        background = self.predictor.run.scheme.to_numbers(np.zeros(1, "uint8"), self.folder)
        MaskArray(
            self.folder / IMAGE, self.image.files[0], background.dtype, int(background[0])
        )  # fmt: skip
        done = [0] * len(self.columns)
        self._note(done)
        return done

    def run(self, done: list[int]) -> Iterator[None]:
        """Do what is left, and note each block when it is on the disk."""
        mask = MaskArray(self.folder / IMAGE, self.image.files[0])
        scheme = self.predictor.run.scheme
        for number, column in enumerate(self.columns):
            for box, classes in self._blocks(column, done[number]):
                mask.write(box, scheme.to_numbers(classes, self.folder))
                done[number] += 1
                self._note(done)
                yield

    def _blocks(self, column: Box, first: int) -> Iterator[tuple[Box, np.ndarray]]:
        """The classes of each block of a column, from the one with this number on."""
        begin = self.rows[first]
        if begin == self.rows[-1]:
            return
        held: list[np.ndarray] = []
        edge = iter(self.rows[first + 1 :])
        end = next(edge)
        for classes in self._classes(((begin, self.rows[-1]), *column)):
            held.append(classes)
            while held and begin + sum(map(len, held)) >= end:
                together = np.concatenate(held)
                yield ((begin, end), *column), together[: end - begin]
                held = [together[end - begin :].copy()]
                begin, end = end, next(edge, end + 1)

    def _classes(self, box: Box) -> Iterator[np.ndarray]:
        """The classes in a box of the file's voxels, rows after rows."""
        predictor, grid = self.predictor, self.measured.grid
        back = predictor.run.preparation.way_back(grid)
        cropped = [end - begin for begin, end in grid.box]
        inside = tuple(
            (begin - at, end - at) for (begin, end), (at, _) in zip(box, grid.box, strict=True)
        )
        needed, part = resizing(grid.prepared, cropped, back.coarse).part(inside)
        wanted = tuple((ends.start, ends.stop) for ends in needed)
        patch, scheme = predictor.run.patch, predictor.run.scheme
        within = tuple(
            (max(begin - size, 0), min(end + size, most))
            for (begin, end), size, most in zip(wanted, patch, grid.prepared, strict=True)
        )
        image: Any = PreparedInParts(
            self.image, predictor.run.preparation, self.measured, within, margin=self._beside()
        )
        slabs = sliding_window_slabs(
            predictor.model, predictor.run.seen(image), patch,
            overlap=predictor.overlap, mirror=predictor.mirror, box=wanted,
        )  # fmt: skip
        return label_rows(slabs, part, scheme.painting)

    def _beside(self) -> int:
        """The slices on either side of a slice that the network sees."""
        channels = self.predictor.run.network_channels
        return (channels // self.predictor.run.channels - 1) // 2

    def _note(self, done: list[int]) -> None:
        with replacing(self.folder / PROGRESS) as beside:
            beside.write_text(json.dumps({"job": self.job, "done": done}))

    @cached_property
    def job(self) -> dict[str, Any]:
        """What the blocks depend on, as JSON gives it back."""
        predictor, files = self.predictor, self.image.files
        noise = np.random.default_rng(0).standard_normal(
            (1, *predictor.run.patch, predictor.run.network_channels), "float32"
        )
        logits = np.asarray(first_output(predictor.model.predict_on_batch(noise)), "float32")
        values = {
            "network": hashlib.sha256(logits.tobytes()).hexdigest(),
            "images": [str(file.path.resolve()) for file in files],
            "levels": [(file.level.name, file.shape, str(file.dtype)) for file in files],
            "preparation": predictor.run.preparation.to_json(),
            "scheme": predictor.run.scheme.to_json(),
            "how": [predictor.run.patch, predictor.overlap, predictor.mirror, self.image.fill],
            "measured": [self.measured.sums, self.measured.scale, self.measured.grid.box],
            "columns": self.columns,
            "cleanup": cleanup_of(predictor),
        }
        return json.loads(json.dumps(values))
