"""The largest component of a mask that is larger than memory, found block by block."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import scipy

from unetzoo.utils.progress import Progress

Box = tuple[tuple[int, int], ...]  # begin and end on each axis


class Stored(Protocol):
    """An array of whole numbers, of which boxes are read and written."""

    def read(self, box: Box) -> np.ndarray: ...

    def write(self, box: Box, numbers: np.ndarray) -> None: ...


def kept_components(
    mask: Stored,
    parts: Stored,
    blocks: Sequence[Box],
    numbers: Collection[int],
    *,
    ties: bool = False,
    progress: Progress = lambda blocks: blocks,
) -> np.ndarray:
    """Which parts of some labels, taken as one, belong to their largest component.

    Each block is labeled together with the planes before it, which earlier blocks have labeled;
    what has one label there is one component. Voxels are connected across faces, edges and corners.

    Args:
        mask: the labels.
        parts: where the number of each voxel's part is written, from 1; it is 0 before.
        blocks: boxes that make up the mask, in ascending order.
        numbers: the labels that are taken as one.
        ties: whether all components of the largest size stay; or else the first in the array.
        progress: wraps the list of blocks.

    Returns: for each part whether it stays, bool; part 0, the background, does not.
    """
    graph = _Parts(shape=tuple(max(end for _, end in ends) for ends in zip(*blocks, strict=True)))
    for block in progress(blocks):
        wider = tuple((max(begin - 1, 0), end) for begin, end in block)
        own = tuple(
            slice(begin - low, None) for (begin, _), (low, _) in zip(block, wider, strict=True)
        )
        seen = np.isin(mask.read(wider), list(numbers))
        if not seen.any():
            continue
        labels, count = scipy.ndimage.label(seen, np.ones((3,) * seen.ndim))
        before = parts.read(wider)
        before[own] = 0
        graph.add(labels, before, own, block, count)
        numbered = labels[own].astype(before.dtype)
        numbered[numbered > 0] += graph.count - count
        parts.write(block, numbered)
    return graph.largest(ties)


def keep_parts(
    mask: Stored,
    parts: Stored,
    blocks: Sequence[Box],
    numbers: Collection[int],
    kept: np.ndarray,
    *,
    background: int = 0,
    progress: Progress = lambda blocks: blocks,
) -> None:
    """Make background of the parts that do not stay; doing it twice does no harm.

    Args: as in ``kept_components``.
        kept: what it has returned.
        background: the number of the background.
    """
    for block in progress(blocks):
        labels = mask.read(block)
        gone = np.isin(labels, list(numbers))
        if not gone.any():
            continue
        gone &= ~kept[parts.read(block)]
        if gone.any():
            labels = labels.copy()
            labels[gone] = background
            mask.write(block, labels)


@dataclass
class _Parts:
    """The parts of a mask so far: their sizes, their first voxels, and which of them touch."""

    shape: tuple[int, ...]  # of the mask
    count: int = 0
    sizes: list[np.ndarray] = field(default_factory=lambda: [np.zeros(1, "int64")])
    firsts: list[np.ndarray] = field(default_factory=lambda: [np.zeros(1, "int64")])
    touching: list[np.ndarray] = field(default_factory=list)  # pairs of parts, (n, 2)

    def add(
        self,
        labels: np.ndarray,
        before: np.ndarray,
        own: tuple[slice, ...],
        block: Box,
        count: int,
    ) -> None:
        """A block's labels, and the parts that earlier blocks have in the same voxels."""
        within = labels[own]
        found, places, sizes = np.unique(within, return_index=True, return_counts=True)
        where = np.unravel_index(places, within.shape)
        offsets = (at + begin for at, (begin, _) in zip(where, block, strict=True))
        first = np.ravel_multi_index(tuple(offsets), self.shape)
        size_of, first_of = np.zeros((2, count + 1), "int64")
        size_of[found], first_of[found] = sizes, first
        self.sizes.append(size_of[1:])
        self.firsts.append(first_of[1:])
        shared = before > 0
        pairs = np.stack([before[shared], labels[shared] + self.count], -1)
        self.touching.append(np.unique(pairs, axis=0))
        self.count += count

    def largest(self, ties: bool) -> np.ndarray:
        """Whether each part belongs to the largest component."""
        sizes, firsts = np.concatenate(self.sizes), np.concatenate(self.firsts)
        if not self.count:
            return np.zeros(1, "bool")
        one, other = np.concatenate([np.empty((0, 2), "int64"), *self.touching]).T
        graph = scipy.sparse.coo_array(
            (np.ones(len(one), "bool"), (one, other)), shape=(self.count + 1,) * 2
        )
        _, component = scipy.sparse.csgraph.connected_components(graph, directed=False)
        totals = np.zeros(component.max() + 1, "int64")
        np.add.at(totals, component, sizes)
        kept = (totals == totals.max())[component] & (sizes > 0)
        if not ties:
            begin = np.where(kept, firsts, np.iinfo("int64").max).argmin()
            kept &= component == component[begin]
        kept[0] = False
        return kept
