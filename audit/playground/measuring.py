"""Every combination of skips: its mask on the slice that is shown, and the whole mask's scores."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from audit.playground.scenes import Scene
from unetzoo.evaluation.objects import ObjectScores, score_objects
from unetzoo.evaluation.scores import overlaps
from unetzoo.utils.text import counted
from unetzoo.visualization.sheet import class_name
from unetzoo.visualization.slices import Cut, informative_cuts

BOUNDARY = "boundary distance"


@dataclass(frozen=True)
class ClassNumbers:
    """A class in one mask: its Dice, and its objects; NaN where there is nothing to measure."""

    name: str
    dice: float
    objects: ObjectScores


@dataclass(frozen=True)
class Combination:
    """Which skips are on, the finest first, the mask on the slice, and the whole mask's scores."""

    on: tuple[bool, ...]
    mask: np.ndarray  # (rows, columns)
    classes: tuple[ClassNumbers, ...]

    @property
    def dice(self) -> float:
        """The mean over the classes that count."""
        return _mean([each.dice for each in self.classes])

    @property
    def distance(self) -> float:
        """The mean over all objects that are found."""
        found = [
            each.objects for each in self.classes if each.objects.objects > each.objects.missed
        ]
        weights = [each.objects - each.missed for each in found]
        total = sum(w * each.distance for w, each in zip(weights, found, strict=True))
        return total / sum(weights) if weights else math.nan

    @property
    def missed(self) -> int:
        """Objects of all classes that are missed."""
        return sum(each.objects.missed for each in self.classes)

    @property
    def objects(self) -> int:
        """Objects of all classes."""
        return sum(each.objects.objects for each in self.classes)


@dataclass(frozen=True)
class Measured:
    """A scene with all its combinations; that with every skip on is the first."""

    scene: Scene
    cut: Cut
    combinations: tuple[Combination, ...]

    @property
    def compared(self) -> str:
        """What the masks are compared with."""
        if self.scene.reference is None:
            return "the mask with every skip on, as there are no labels"
        return "the labels"


def measured(
    scene: Scene, progress: Callable[[Sequence], Iterable] = lambda turns: turns
) -> Measured:
    """Segment the image with every combination of skips, and score each mask.

    Args:
        scene: with its network.
        progress: wraps the list of combinations, to show progress.
    """
    turns = list(itertools.product((True, False), repeat=len(scene.skips)))
    reference, labels = scene.reference, range(0)
    cut = Cut()
    combinations: list[Combination] = []
    for turn in progress(turns):
        scene.turn(turn)
        mask = np.asarray(scene.segment())
        if reference is None:  # every skip is on
            reference = mask
        if not combinations:
            _check_grids(reference, mask)
            cut = informative_cuts(
                reference.shape, [reference, mask], scene.spacing, scene.ignore, count=1
            )[0]
            labels = range(1, max(len(scene.class_names), _largest(reference, scene.ignore) + 1))
        numbers = _numbers(scene, reference, mask, [n for n in labels if n != scene.ignore])
        combinations.append(Combination(turn, np.array(cut.of(mask)), numbers))
    scene.turn(turns[0])
    return Measured(scene, cut, tuple(combinations))


def _largest(labels: np.ndarray, ignore: int | None) -> int:
    return int(labels[labels != ignore].max(initial=0))


def _check_grids(reference: np.ndarray, mask: np.ndarray) -> None:
    if reference.shape != mask.shape:
        raise ValueError(
            f"labels of shape {reference.shape}, a mask of shape {mask.shape}: expected the labels "
            "of this image."
        )


def _numbers(
    scene: Scene, reference: np.ndarray, mask: np.ndarray, labels: Sequence[int]
) -> tuple[ClassNumbers, ...]:
    spacing = scene.spacing
    if mask.ndim == 3 and mask.shape.count(1) == 1:  # a single slice is scored within it
        thin = mask.shape.index(1)
        reference, mask = reference.squeeze(thin), mask.squeeze(thin)
        spacing = (*spacing[:thin], *spacing[thin + 1 :])
    dices = overlaps(reference, mask, labels, scene.ignore)
    things = score_objects(reference, mask, labels, spacing, scene.ignore)
    return tuple(
        ClassNumbers(class_name(label, scene.class_names), dice.dice, thing)
        for label, dice, thing in zip(labels, dices, things, strict=True)
    )


def _mean(values: Iterable[float]) -> float:
    valid = [value for value in values if not math.isnan(value)]
    return sum(valid) / len(valid) if valid else math.nan


# === In words ===


def which(on: Sequence[bool]) -> str:
    """Which skips are on, as a sentence without its full stop.

    >>> which((True, True, True)), which((False, True, False)), which((False, False))
    ('All skips are on', 'Skip 2 is on; skips 1 and 3 are off', 'All skips are off')
    """
    if all(on) or not any(on):
        return f"All skips are {'on' if all(on) else 'off'}"
    parts = []
    for value in (True, False):
        numbers = [str(n) for n, each in enumerate(on, 1) if each is value]
        listed = " and ".join(filter(None, [", ".join(numbers[:-1]), numbers[-1]]))
        word = "on" if value else "off"
        parts.append(f"kip{'s' if len(numbers) > 1 else ''} {listed} "
                     f"{'are' if len(numbers) > 1 else 'is'} {word}")  # fmt: skip
    return f"S{parts[0]}; s{parts[1]}"


def in_words(each: Combination, whole: Combination, unit: str) -> str:
    """What a combination is and how good its mask is, beside the network as it was trained."""
    if each.on == whole.on:
        return f"{which(each.on)}. Dice {number(each.dice)}, {_objects(each, unit)}."
    return (
        f"{which(each.on)}. Dice {number(each.dice)} (all on: {number(whole.dice)}), "
        f"{_objects(each, unit)} (all on: {_objects(whole, unit)})."
    )


def _objects(each: Combination, unit: str) -> str:
    if not each.objects:
        return "no objects to find"
    missed = f"{each.missed} of {counted(each.objects, 'object')} missed"
    if math.isnan(each.distance):
        return missed
    return f"{BOUNDARY} {number(each.distance)} {unit}, {missed}"


def number(value: float) -> str:
    """A score with two digits; a dash if there is none."""
    return "-" if math.isnan(value) else f"{value:.2f}"
