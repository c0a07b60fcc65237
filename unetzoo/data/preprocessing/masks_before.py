"""The masks of a cascade's stage before, on the grids of prepared cases, kept beside these."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from unetzoo.data.datasets.case import Case
from unetzoo.data.datasets.reading import check_label_grid, read_label_file
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing import jobs, processes
from unetzoo.data.preprocessing.axes import slices
from unetzoo.data.preprocessing.cache import PreparedCase, entry_of, grid_of
from unetzoo.data.preprocessing.preparation import Grid
from unetzoo.data.preprocessing.resampling import resample_labels
from unetzoo.utils.files import replacing


def on_grid(classes: np.ndarray, grid: Grid) -> np.ndarray:
    """Classes ``(*spatial)`` of a whole image, on the grid of the prepared one.

    Source: nnU-Net 2.8.1, ``DefaultPreprocessor`` with a segmentation of the stage before.
    """
    return resample_labels(classes[slices(grid.box)], grid.prepared, grid.coarse, ties="nearest")


def prepare_masks(
    cases: Sequence[Case],
    prepared: Sequence[PreparedCase],
    masks: Mapping[str, Path],
    scheme: LabelScheme,
    folder: Path | str,
    *,
    workers: int = 1,
    progress: processes.Progress = lambda cases: cases,
) -> dict[str, np.ndarray]:
    """The mask of each case on its prepared grid, mapped from disk.

    Args:
        cases: with their images.
        prepared: the same cases in the cache.
        masks: the file of each case's mask.
        scheme: which numbers these hold.
        folder: the cache.
        workers: processes that prepare.
        progress: wraps the results as they come.

    Raises: ValueError with a line for each mask that cannot be read, or is not on its image's grid.
    """
    tasks = {
        case.name: [jobs.job(case, scheme), str(masks[case.name]), asdict(there.grid), str(folder)]
        for case, there in zip(cases, prepared, strict=True)
    }
    workers = jobs.worthwhile(workers, cases)
    paths = processes.run_tasks(prepare_mask, tasks, workers=workers, progress=progress)
    return {
        name: np.load(path, mmap_mode="r", allow_pickle=False)
        for name, path in zip(tasks, paths, strict=True)
    }


def prepare_mask(job: dict, path: str, grid: dict, folder: str) -> str:
    """Make sure that the cache holds a mask. Returns: the path of its array."""
    case, scheme, mask = jobs.case_of(job), jobs.scheme_of(job), Path(path)
    content = [jobs.digest(path), grid, job["scheme"], job.get("spacing")]
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    entry = entry_of(Path(folder), case.name, key)
    kept = entry.with_name(f"{entry.name}.npy")
    if not kept.exists():
        check_label_grid(mask, case.images[0], scheme, case.spacing)
        classes = read_label_file(mask, scheme, image=case.images[0], spacing=case.spacing).data
        with replacing(kept) as beside, beside.open("wb") as file:
            np.save(file, on_grid(classes, grid_of(grid)), allow_pickle=False)
    return str(kept)
