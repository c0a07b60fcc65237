"""Which values the settings of a run may have; checked without Keras and without the data."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unetzoo import registry
from unetzoo.data.datasets.detection import LAYOUTS
from unetzoo.data.io.units import is_spacing
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.normalization import Normalization, is_number
from unetzoo.data.preprocessing.preparation import check_spacing
from unetzoo.training.checks import check_optimizer
from unetzoo.utils.checks import check, is_whole
from unetzoo.utils.choices import CASCADE, LAST_SEED, LOSSES, NORMALIZATIONS, PRECISIONS, REMAT
from unetzoo.utils.text import counted

VOXELS = 2**31  # of a patch


def _are_sizes(patch: Any) -> bool:
    listed = isinstance(patch, (list, tuple)) and bool(patch)
    return listed and all(map(is_whole, patch)) and math.prod(patch) <= VOXELS


def _are_kinds(kinds: Any) -> bool:
    listed = isinstance(kinds, (list, tuple)) and bool(kinds)
    if kinds is None or not listed:
        return kinds is None
    named = all(isinstance(kind, str) and kind in NORMALIZATIONS for kind in kinds)
    return named or all(isinstance(kind, Normalization) for kind in kinds)


def _is_pattern(text: Any) -> bool:
    try:
        return text is None or bool(re.compile(text).pattern)
    except (re.error, TypeError):
        return False


def _are_names(names: Any) -> bool:
    listed = isinstance(names, (list, tuple))
    return listed and all(isinstance(name, str) and name != "" for name in names)


COUNTS = ("folds", "epochs", "steps", "batch_size", "validate_every", "accumulate")
_WHOLE = "a whole number of at least 1"
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "data": (
        lambda data: isinstance(data, str) and data != "",
        "a folder, a CSV file, patterns or tfds:NAME",
    ),
    "patch": (
        _are_sizes,
        f"whole numbers of at least 1, such as (64, 64, 64), and {VOXELS:,} voxels at most",
    ),
    **dict.fromkeys(COUNTS, (is_whole, _WHOLE)),
    "patience": (
        lambda epochs: epochs is None or is_whole(epochs),
        f"{_WHOLE}, or None to train to the end",
    ),
    "layout": (
        lambda layout: layout is None or layout in LAYOUTS,
        f"one of {', '.join(LAYOUTS)}, or None to detect it",
    ),
    "file_spacing": (
        lambda sizes: sizes is None or is_spacing(sizes),
        "three sizes in mm, in the order z, y, x, such as (3, 1, 1), or None",
    ),
    "splits": (
        lambda path: path is None or (isinstance(path, str) and path != ""),
        "the path of a file that lists the folds, or None",
    ),
    "previous": (
        lambda place: place is None or (isinstance(place, str) and place != ""),
        "the folder of unetzoo cross-validate of the stage before, or None",
    ),
    "groups": (_is_pattern, "a regular expression such as '^[^_]+', or None"),
    "normalisation": (_are_kinds, f"for each channel one of {', '.join(NORMALIZATIONS)}"),
    "fill": (lambda fill: fill is None or is_number(fill), "a finite number, such as 0"),
    "build": (
        lambda build: build is None or isinstance(build, Mapping),
        "arguments of the network by name, such as {'norm': 'instance'}",
    ),
    "neighbors": (lambda count: is_whole(count, least=0), "a whole number of at least 0"),
    "loss": (lambda name: name in LOSSES, f"one of {', '.join(LOSSES)}"),
    "precision": (lambda policy: policy in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
    "remat": (
        lambda mode: mode is None or mode in REMAT,
        f"one of {', '.join(REMAT)}, or None",
    ),
    **dict.fromkeys(
        ("boundary_weights", "augment", "batch_dice"),
        (lambda flag: isinstance(flag, bool), "True or False"),
    ),
    "init": (
        lambda place: place is None or (isinstance(place, str) and place != ""),
        "the folder of a run or of nnU-Net, a .keras file, or None",
    ),
    "freeze": (_are_names, "beginnings of layer names, such as ('encoder1', 'encoder2')"),
    "seed": (
        lambda seed: is_whole(seed, least=0) and seed <= LAST_SEED,
        f"a whole number from 0 to {LAST_SEED}",
    ),
}


def check_values(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Check settings one by one; missing ones have their defaults.

    Raises: ValueError for a value that cannot work.
    """
    for name, (holds, expected) in _CHECKS.items():
        if name in settings:
            check(holds(settings[name]), name, settings[name], expected)
    if "network" in settings:
        registry.card(settings["network"])
    values = {**defaults, **settings}
    fold, folds, spacing = values["fold"], values["folds"], values["spacing"]
    if values["splits"] is not None and values["groups"] is not None:
        raise ValueError(
            f"splits {values['splits']}, groups {values['groups']!r}: expected one of them; the "
            "file says which cases stay together."
        )
    if values["splits"] is None:  # or else the file says how many there are
        known = fold is None or (is_whole(fold, least=0) and fold < folds)
        check(known, "fold", fold, f"0 to {folds - 1}, or None to train on all cases")
    LabelScheme(
        values["classes"], values["labels"], values["ignore"], threshold=values["threshold"],
        geometry=values["geometry"],
    )  # fmt: skip
    check_spacing(None if spacing == "median" else spacing)
    schedule = "constant" if values["schedule"] is None else values["schedule"]
    if values["freeze"] and values["init"] is None:
        raise ValueError(
            f"freeze {', '.join(values['freeze'])}: expected init too, or untrained weights would "
            "never be trained."
        )
    check(
        values["steps"] % values["accumulate"] == 0,
        "accumulate",
        values["accumulate"],
        f"a divisor of the {values['steps']} steps, so that an epoch ends with an update",
    )
    check_optimizer(values["optimizer"], values["learning_rate"], schedule, values["clip"])


def check_neighbors(neighbors: int, patch: Sequence[int]) -> None:
    """Raises: ValueError for neighbors of a patch that is not one slice of a volume."""
    if neighbors and (len(patch) != 3 or tuple(patch).count(1) != 1):
        raise ValueError(
            f"neighbors {neighbors}, patch {tuple(patch)}: expected a patch of one slice of a "
            "volume, such as 64,64,1; of a plan, configuration 2d."
        )


def check_previous(previous: str | None, patch: Sequence[int]) -> None:
    """Raises: ValueError for a stage before a network that does not see volumes."""
    if previous is not None and (len(patch) != 3 or 1 in patch):
        raise ValueError(
            f"previous {previous}, patch {tuple(patch)}: expected a patch of several voxels on "
            "three axes, such as 64,64,64."
        )


def check_stage(configuration: str | None, previous: str | None) -> None:
    """Raises: ValueError for a cascade without a stage before, or such a stage without one."""
    if configuration == CASCADE and previous is None:
        raise ValueError(
            f"configuration {CASCADE}: expected --previous, the folder of unetzoo cross-validate "
            "--configuration 3d_lowres."
        )
    if configuration != CASCADE and previous is not None:
        raise ValueError(
            f"previous {previous}: expected --configuration {CASCADE} with it, not "
            f"{configuration or 'another'}."
        )


def network_patch(network: str, patch: Sequence[int]) -> tuple[int, ...]:
    """A patch as a network takes it: one slice of a volume is a picture for a 2D network.

    It is none for a network of volumes that takes patches of one voxel, as planned ones do.

    >>> network_patch("unet2d_small", (64, 1, 64)), network_patch("plain_unet", (64, 1, 64))
    ((64, 64), (64, 1, 64))
    """
    card, flat = registry.card(network), tuple(size for size in patch if size != 1)
    of_volumes = len(patch) in card.ranks and card.sizes.allow(1)
    if of_volumes or len(patch) != 3 or len(flat) != 2 or 2 not in card.ranks:
        return tuple(patch)
    return flat


def check_network(
    network: str,
    patch: Sequence[int],
    spacing: str | Sequence[float | None] | None,
    build: Mapping[str, Any] | None,
) -> None:
    """Check that a network takes the patch and its arguments, and that the spacing fits the patch.

    Raises: ValueError where they do not; TypeError for an argument that the builder does not have.
    """
    card, rank = registry.card(network), len(patch)
    patch = network_patch(network, patch)
    if len(patch) not in card.ranks:
        networks = ", ".join(registry.list_models(f"{rank}d")) or "none"
        slices = rank == 3 and 2 in card.ranks
        hint = ", or one slice of a volume, such as 64,64,1" if slices else ""
        raise ValueError(
            f"network {network!r} has {' or '.join(map(str, card.ranks))} axes of space, "
            f"patch {patch} has {rank}: expected the same{hint}; for {counted(rank, 'axis')} there "
            f"are {networks}."
        )
    if wrong := [size for size in patch if not card.sizes.allow(size)]:
        raise ValueError(f"patch {patch}: {card.name!r} {card.sizes.needed(wrong)}")
    if spacing not in ("median", None) and len(spacing) != rank:
        raise ValueError(f"spacing {spacing}: expected {rank} numbers, one for each axis.")
    registry.check_arguments(network, **(build or {}))
