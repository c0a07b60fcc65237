"""What a cascade of nnU-Net is given of the stage before it.

Source: nnU-Net 2.8.1, ``nnUNetv2_predict_from_modelfolder -prev_stage_predictions``.
"""

import glob
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetzoo.data.datasets.case import stem_of
from unetzoo.data.datasets.inputs import CHANNEL
from unetzoo.data.datasets.reading import check_grid
from unetzoo.data.io.formats import read_header, stated_spacing
from unetzoo.data.io.volumes import read_voxel_weights
from unetzoo.interop.nnunet_folder import TrainedFolder, is_trained_folder
from unetzoo.interop.nnunet_scan import UNKNOWN, Scan, in_order
from unetzoo.utils.text import counted


@dataclass(frozen=True)
class GivenMasks:
    """Masks of the stage before a cascade, by the names of cases; as nnU-Net's option gives them.

    Args:
        folder: holds ``CASE.nii.gz`` for ``CASE_0000.nii.gz``.
        trained: the cascade.
        canonical: as in ``NnunetPredictor``.
    """

    folder: Path
    trained: TrainedFolder
    canonical: bool = False

    def _labels(self, scan: Scan) -> np.ndarray:
        """The mask of a scan's case, in the plan's order of axes.

        Raises: ValueError where there is none, or it is not on the image's grid.
        """
        match = CHANNEL.fullmatch(stem_of(scan.path))
        name = match[1] if match else stem_of(scan.path)
        there = [path for path in self.folder.glob(f"{glob.escape(name)}.*")
                 if stem_of(path) == name]  # fmt: skip
        if len(there) != 1:
            raise ValueError(
                f"{self.folder}: {counted(len(there), 'mask')} of {name!r}; expected one of the "
                f"stage before, named as {name}.nii.gz."
            )
        spacing = stated_spacing(scan.path, there[0]) or UNKNOWN
        check_grid(there[0], scan.path, spacing)
        labels = read_voxel_weights(there[0], image=scan.path, spacing=spacing)[..., None]
        if not (self.canonical or self.trained.reorients):
            labels = read_header(scan.path, spacing).from_canonical(labels)
        return in_order(labels, self.trained.plans["transpose_forward"])[..., 0].astype("int32")


def stage_before(trained: TrainedFolder, given: Path | str | None = None) -> Path | None:
    """The folder of the stage before a cascade, or of its masks; None of other configurations.

    Raises: ValueError where a cascade has none, or another configuration is given one.
    """
    stage = trained.configuration.get("previous_stage")
    if stage is None and given is not None:
        raise ValueError(
            f"{trained.path}: {trained.configuration_name} has no stage before; give no --previous."
        )
    if stage is None:
        return None
    name = f"{trained.path.name.rpartition('__')[0]}__{stage}"
    before = trained.path.with_name(name) if given is None else Path(given)
    if given is None and not is_trained_folder(before):
        raise ValueError(
            f"{trained.path}: a cascade, and {name} is not beside it; copy it there, or give that "
            "folder, or one with its masks, as --previous."
        )
    if not before.is_dir():
        raise ValueError(
            f"{before}: no folder; expected one that nnU-Net has trained, or one with masks of "
            f"{stage}."
        )
    return before
