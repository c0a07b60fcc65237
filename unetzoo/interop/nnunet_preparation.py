"""What nnU-Net's plan says of crop, normalization and resampling, as ours.

Source: nnU-Net 2.8.1, ``DefaultPreprocessor`` and its normalization schemes.
"""

from pathlib import Path
from typing import Any

from unetzoo.data.preprocessing.normalization import CT, Normalization, Rescaled, ZScore
from unetzoo.data.preprocessing.preparation import Preparation
from unetzoo.interop.nnunet_folder import RESCALINGS, TrainedFolder
from unetzoo.utils.json_values import short

DEVIATION = 1e-8  # the least that nnU-Net divides by


def preparation_of(trained: TrainedFolder) -> Preparation:
    """Crop, normalization and resampling, as the plan says.

    Raises: ValueError for a scheme of normalization that is not known.
    """
    configuration, plans = trained.configuration, trained.plans
    properties = plans.get("foreground_intensity_properties_per_channel") or plans.get(
        "foreground_intensity_properties_by_modality", {}
    )
    kinds = tuple(
        _normalization(scheme, masked, properties.get(str(channel), {}), trained.path)
        for channel, (scheme, masked) in enumerate(
            zip(
                configuration["normalization_schemes"],
                configuration["use_mask_for_norm"],
                strict=True,
            )
        )
    )
    if trained.resampling.data.none:
        return Preparation(None, kinds)
    spacing = tuple(configuration["spacing"])
    return Preparation((None,) * (3 - len(spacing)) + spacing, kinds)


def _normalization(scheme: str, masked: bool, numbers: dict[str, Any], path: Path) -> Normalization:
    if scheme == "ZScoreNormalization":
        return ZScore(masked)
    if scheme == "CTNormalization":
        return CT(
            numbers["percentile_00_5"], numbers["percentile_99_5"],
            numbers["mean"], max(numbers["std"], DEVIATION),
        )  # fmt: skip
    if scheme in RESCALINGS:
        return Rescaled(RESCALINGS[scheme])
    known = ", ".join(("ZScoreNormalization", "CTNormalization", *RESCALINGS))
    raise ValueError(f"{path}: normalization {short(scheme)}: expected one of {known}.")
