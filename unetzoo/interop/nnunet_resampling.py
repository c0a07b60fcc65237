"""How the plan of a folder resamples images, masks of a stage before, and logits.

A missing argument has the default of nnU-Net's own function, which need not be what its planner
writes: without force_separate_z, thick slices are not looked for.

Source: nnU-Net 2.8.1, ``preprocessing/resampling``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.preprocessing.axes import Resizing, resizing
from unetzoo.data.preprocessing.resampling import (
    THICK,
    coarse_axis,
    resample_image,
    resample_labels,
    resample_linearly,
)
from unetzoo.utils.checks import is_number
from unetzoo.utils.json_values import short
from unetzoo.utils.text import few

SPLINE, TORCH = "resample_data_or_seg_to_shape", "resample_torch_fornnunet"
NONE = "no_resampling_hack"
LABELS, FORCE, FACTOR = "is_seg", "force_separate_z", "separate_z_anisotropy_threshold"
LEAN = "memefficient_seg_resampling"
KNOWN: dict[str, dict[str, Any]] = {  # function: its arguments and their defaults
    SPLINE: {LABELS: False, "order": 3, "order_z": 0, FORCE: False, FACTOR: THICK},
    TORCH: {
        LABELS: False, FORCE: None, FACTOR: THICK, "mode": "linear",
        "aniso_axis_mode": "nearest-exact", LEAN: False,
        "num_threads": 4, "device": "cpu",
    },
    NONE: {},
}  # fmt: skip
FREE = (FORCE, FACTOR, "num_threads", "device", "order", LABELS, LEAN)  # checked apart, or idle
ORDERS = {"data": (3, 1), "seg": (1,), "probabilities": (1,)}


@dataclass(frozen=True)
class Rule:
    """How one kind of volume is resampled.

    Args:
        splines: whether by cubic splines; or else linearly.
        force: whether slices are resampled by themselves; None: where they are thick.
        factor: by which the coarsest axis is above the finest in thick slices.
        none: whether nothing is resampled.
        torch: whether by torch's function, whose labels are others where two are all but equal.
        lean: of torch's function for labels: whether only more than half of a voxel counts.
    """

    splines: bool = False
    force: bool | None = None
    factor: float = THICK
    none: bool = False
    torch: bool = False
    lean: bool = False

    def coarse(self, current: Sequence[float], new: Sequence[float]) -> int | None:
        """The axis that is resampled by the nearest slice.

        >>> Rule().coarse((1, 1, 4), (1, 1, 1)), Rule(force=False).coarse((1, 1, 4), (1, 1, 1))
        (2, None)
        >>> Rule(force=True).coarse((1, 1, 2), (1, 1, 1))
        2
        """
        if self.force is None:
            return coarse_axis(current, new, factor=self.factor)
        return coarse_axis(current, factor=1) if self.force else None

    def resampled(self, values: np.ndarray, shape: Sequence[int], coarse: int | None) -> np.ndarray:
        """A channel ``(*spatial)`` on another grid, float32."""
        return (resample_image if self.splines else resample_linearly)(values, shape, coarse)

    def resampled_labels(
        self, labels: np.ndarray, shape: Sequence[int], coarse: int | None
    ) -> np.ndarray:
        """Labels ``(*spatial)`` on another grid."""
        if not self.torch:
            return resample_labels(labels, shape, coarse, ties="nearest")
        return _torch_labels(labels, resizing(labels.shape, shape, coarse), shape, self.lean)


def _torch_labels(
    labels: np.ndarray, whole: Resizing, shape: Sequence[int], lean: bool
) -> np.ndarray:
    """Labels as ``resample_torch_fornnunet`` gives them.

    It holds each label's share, times 1000, in half precision; of equal ones the smallest label
    counts. To save memory it may look only for more than half, and else leave 0.
    """
    if not whole.order:
        return labels
    result = np.zeros(shape, labels.dtype)
    largest = np.full(shape, 500 if lean else -1, "float32")
    for number in np.unique(labels):
        share = whole((labels == number).astype("float32") * 1000)
        if not lean:
            share = share.astype("float16").astype("float32")
        more = share > largest
        np.copyto(largest, share, where=more & (not lean))
        np.copyto(result, number, where=more)
    return result


@dataclass(frozen=True)
class Rules:
    """Those of images, of the masks of a stage before, and of logits."""

    data: Rule
    seg: Rule
    probabilities: Rule


def rules_of(configuration: Mapping[str, Any], path: Path) -> Rules:
    """What a configuration says.

    Raises: ValueError for a function or an argument that would give other masks.
    """
    rules = Rules(*(_rule(what, configuration, path) for what in ORDERS))
    if rules.data.none != rules.probabilities.none:
        raise ValueError(
            f"{path}: only images or only probabilities are resampled; expected both, or neither."
        )
    if configuration.get("previous_stage") and rules.data.none != rules.seg.none:
        raise ValueError(
            f"{path}: only images or only masks of the stage before are resampled; expected both, "
            "or neither."
        )
    return rules


def _rule(what: str, configuration: Mapping[str, Any], path: Path) -> Rule:
    function = configuration[f"resampling_fn_{what}"]
    start = f"{path}: resampling of {what}"
    if not isinstance(function, str) or function not in KNOWN:
        raise ValueError(f"{start} {short(function)}: expected one of {', '.join(KNOWN)}.")
    labels = what == "seg"
    if labels and not configuration.get("previous_stage"):
        return Rule()  # there are none
    given = configuration[f"resampling_fn_{what}_kwargs"] or {}
    if unknown := [key for key in given if key not in KNOWN[function]]:
        raise ValueError(f"{start}: {few(unknown)}: {function} has no such argument.")
    values = {**KNOWN[function], **given}
    _check_values(values, KNOWN[function], labels, start)
    if function == NONE:
        return Rule(none=True)
    if values.get("order", 1) not in ORDERS[what]:
        wanted = " or ".join(map(str, ORDERS[what]))
        raise ValueError(f"{start}: order {short(values['order'])}: expected {wanted}.")
    return Rule(
        values.get("order") == 3, values[FORCE], values[FACTOR],
        torch=function == TORCH, lean=values.get(LEAN, False),
    )  # fmt: skip


def _check_values(
    values: Mapping[str, Any], known: Mapping[str, Any], labels: bool, start: str
) -> None:
    """Raises: ValueError for an argument that would give other masks."""
    for key, default in known.items():
        if key not in FREE and values[key] != default:
            raise ValueError(f"{start}: {key} {short(values[key])}: expected {default}.")
    if known and values[LABELS] is not labels:
        raise ValueError(f"{start}: {LABELS} {short(values[LABELS])}: expected {labels}.")
    if known and values[FORCE] not in (None, True, False):
        raise ValueError(f"{start}: {FORCE} {short(values[FORCE])}: expected true, false or null.")
    if values.get(LEAN, False) not in (True, False):
        raise ValueError(f"{start}: {LEAN} {short(values[LEAN])}: expected true or false.")
    if known and not is_number(values[FACTOR]):
        raise ValueError(f"{start}: {FACTOR} {short(values[FACTOR])}: expected a number.")
