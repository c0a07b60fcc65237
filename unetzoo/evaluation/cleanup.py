"""Which clean-up of masks helps, by nnU-Net's rule, on cases that training did not see."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from unetzoo.data.labels import LabelScheme
from unetzoo.evaluation.regions import region_overlaps
from unetzoo.evaluation.scores import counted_mean, overlaps
from unetzoo.inference.postprocessing import Steps, keep_components
from unetzoo.utils.progress import Progress


@dataclass(frozen=True)
class Postprocessing:
    """The steps that were chosen, and the mean Dice of each class without and with them.

    >>> names = ("background", "ring", "core")
    >>> print(Postprocessing(((1, 2), (2,)), (0.5, 0.5), (0.75, 0.5), names))
    the largest component of ring + core, then of core: mean Dice 0.5000 -> 0.6250
    """

    steps: Steps
    before: tuple[float, ...]
    after: tuple[float, ...]
    names: tuple[str, ...] = ()  # of classes 0, 1 ...

    @property
    def mean_before(self) -> float:
        """Over the classes."""
        return counted_mean(self.before)

    @property
    def mean_after(self) -> float:
        """Over the classes."""
        return counted_mean(self.after)

    def __str__(self) -> str:
        if not self.steps:
            return "none, since taking components away does not help"
        names = self.names
        texts = (
            " + ".join(names[n] if n < len(names) else f"class {n}" for n in step)
            for step in self.steps
        )
        change = f"mean Dice {self.mean_before:.4f} -> {self.mean_after:.4f}"
        return f"the largest component of {', then of '.join(texts)}: {change}"


def dice_of(reference: np.ndarray, prediction: np.ndarray, scheme: LabelScheme) -> list[float]:
    """The Dice of each class but the background, or of each region; NaN where neither mask has it.

    Args:
        reference: classes ``(*spatial)``.
        prediction: classes of the same shape.
        scheme: with the number of classes.

    >>> dice_of(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 2]), LabelScheme(3))
    [0.6666666666666666, 1.0]
    """
    if scheme.regions:
        counts = region_overlaps(reference, scheme.in_regions(prediction), scheme)
    else:
        counts = overlaps(reference, prediction, range(1, scheme.num_classes), scheme.ignore)
    return [count.dice for count in counts]


def find_postprocessing(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    scheme: LabelScheme,
    progress: Progress = lambda pairs: pairs,
) -> Postprocessing:
    """Decide which components to take away, by nnU-Net's rule.

    First, only the largest component of the whole foreground is kept, if that raises the mean Dice
    over classes and lowers that of no class. Then the same of each class or region in turn, if
    there are several, where that raises its own Dice. A class that no case has does not count.

    Args:
        pairs: reference and prediction of each case, classes ``(*spatial)``; they are gone through
            several times, one case at a time.
        scheme: with the number of classes, or regions.
        progress: wraps the pairs each time, to show how far it is.

    Source: nnU-Net 2.8.1, ``determine_postprocessing``.

    >>> reference, prediction = np.array([0, 1, 1, 0, 0]), np.array([0, 1, 1, 0, 1])
    >>> find_postprocessing([(reference, prediction)], LabelScheme(2)).steps
    ((1,),)
    """
    foreground = tuple(range(1, scheme.num_classes))
    singles: Steps = tuple((number,) for number in foreground)
    if scheme.regions:
        singles = tuple(tuple(np.flatnonzero(column).tolist()) for column in scheme.table.T)
    before, after = _means(progress(pairs), scheme, [(), (foreground,)])
    steps: Steps = ()
    now = before
    if counted_mean(after) > counted_mean(before) and not np.any(after < before):
        steps, now = (foreground,), after
    if len(singles) == 1:
        return Postprocessing(steps, tuple(before.tolist()), tuple(now.tolist()))
    # Classes do not touch each other, so all of them are tried at once; regions may.
    numbers = range(len(singles))
    for tried in [[n] for n in numbers] if scheme.regions else [numbers]:
        some = steps + tuple(singles[n] for n in tried)
        (after,) = _means(progress(pairs), scheme, [some])
        better = [n for n in tried if after[n] > now[n]]
        steps += tuple(singles[n] for n in better)
        if better:
            now = after if scheme.regions else np.where(after > now, after, now)
    return Postprocessing(steps, tuple(before.tolist()), tuple(now.tolist()))


def _means(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], scheme: LabelScheme, tried: Sequence[Steps]
) -> np.ndarray:
    """The mean Dice of each class over the cases that count, after each of several clean-ups."""
    scores = [
        [dice_of(reference, keep_components(prediction, steps), scheme) for steps in tried]
        for reference, prediction in pairs
    ]
    by_class = np.moveaxis(np.array(scores), 0, -1)  # (tried, classes, cases)
    return np.array([[counted_mean(values) for values in classes] for classes in by_class])
