"""The likeliest way to give a row of PyTorch from the maps before it."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

from audit.comparison.alignment import family_of
from audit.rebuilding.maps import GROWN, Assumed, Value
from audit.rebuilding.module import Fit, Module, Sizes, module_of
from audit.rebuilding.modules import fits, widths_read
from audit.rebuilding.residuals import Residuals, alike
from audit.tables import Row

MOST_SKIPS = 4  # maps that one concatenation reads besides the row before it
READ_AGAIN = re.compile("Concatenate|Transpose|UpSampling")  # by what several may read a map
ORDER = (
    "a print has its rows in the order of their definition; print the network with torchinfo or "
    "torchsummary"
)
GATES = ("sigmoid", "softmax")
NORMS = ("BatchNormalization", "GroupNormalization")
PASSED = (*NORMS, "ReLU", "LeakyReLU", "PReLU")
BRANCH, CONCAT, RESIZED, MOVED = 3.0, 1.0, 1.5, 0.3  # how unlikely each is


@dataclass(frozen=True)
class Option:
    """One way to give a row: the maps, how they are joined, at which sizes, and the layer.

    A mate is added to the last of the maps first.
    """

    cost: float
    parts: tuple[Value, ...]
    join: str
    sizes: Sizes
    fit: Fit
    mate: Value | None = None


class Wiring(Residuals):
    """The layers so far, and the maps that they give."""

    def __init__(self, rows: Sequence[Row], rank: int, assumed: Assumed):
        super().__init__(rows, rank, assumed)
        self.rows = rows
        self.reserved = {row.name for row in rows}
        self.previous: tuple[Value, ...] = ()  # what the last row reads
        self.shows_ups = any(re.search("Transpose|Upsampl", row.layer_class) for row in rows)
        self.bare = not any(family_of(row) == "activation" for row in rows)
        self.activated = _activated(rows) if self.bare else ()
        self.shrinks = _shrinks(rows)
        self.shows_pools = any("Pool" in row.layer_class for row in rows)

    def add(self, row: Row) -> None:
        """Give the next row, in the likeliest way. Raises: ValueError if there is none."""
        module = module_of(row, self.rank, row.name)
        self.enter(row)
        if family_of(row) == "activation" and module.sizes and not self._mate(module):
            self.add_around(row)
        options = list(self._options(module)) or list(self._options(replace(module, each=True)))
        options.sort(key=lambda option: option.cost)
        if not options:
            reason = ORDER if module.sizes is None else "the table is cut, or shows too little"
            raise ValueError(
                f"row {row.name!r}: no layer of class {row.layer_class!r} gives its shape and its "
                f"{row.total:,} numbers from the maps before it; {reason}."
            )
        best = options[0]
        source = self._joined(best)
        self.previous = (source,)
        if any(best.fit.padding):
            pads = tuple((p, p) for p in best.fit.padding)
            sizes = tuple(n + 2 * p for n, p in zip(source.sizes, best.fit.padding, strict=True))
            kind = f"ZeroPadding{self.rank}D"
            source = self.give(kind, "pad", {"padding": pads}, (source,), sizes, source.width)
        for word in best.fit.assumed:
            self.assume(word, row.name)
        if min(out / n for out, n in zip(best.fit.sizes, source.sizes, strict=True)) <= 0.6:
            for part in best.parts:
                self._end_level(self._whole_of(part))
        self.write(row.name, best.fit.kind, best.fit.arguments, (source,), best.fit.sizes,
                    best.fit.width)  # fmt: skip
        if row.layer_class in self.activated and row is not self.rows[-1]:
            value = self.current
            self.give("ReLU", "relu", {}, (value,), value.sizes, value.width)
            where = "norm" if "Norm" in row.layer_class else "convolution"
            word = f"relu after each {where}, which the table does not show (or elsewhere)"
            self.assume(word, self.current.name)
            return
        self.current.gate = best.fit.arguments.get("activation") in GATES
        self.weigh()
        if family_of(row) != "activation" and module.sizes:
            self.add_around(row)

    def _end_level(self, value: Value) -> None:
        """Mark a map of which a smaller one is made, instead of its norm and activation."""
        for other in (v for v in self.values.values() if v.down):
            source = other
            while len(source.sources) == 1 and source.kind in PASSED:
                source = self.values[source.sources[0]]
            other.down = source is not value or other is value
        value.down = True

    def _whole_of(self, value: Value) -> Value:
        """The sum that a norm and an activation before a convolution read, or the map itself."""
        source, normed = value, False
        while len(source.sources) == 1 and source.kind in PASSED:
            normed = normed or source.kind in NORMS
            source = self.values[source.sources[0]]
        return source if normed and source.kind == "Add" else value

    def _mate(self, module: Module) -> Value | None:
        """An unread map of the same shape, if this is where the two are added."""
        current = self.current
        mates = [v for v in self.unread if alike(v, current) and not v.gate]
        if not mates:
            return None
        mate = mates[-1]
        if module.kind in NORMS and current.kernel and mate.kind in (*NORMS, "Multiply"):
            return None  # the norm of the second branch
        beside = current.sources == mate.sources or self._root(current) == self._root(mate)
        shape = (module.sizes, module.width)
        if mate.kernel and beside and mate.kernel <= self._first_kernel(current):
            same = shape in ((current.sizes, current.width), (current.sizes, None), (None, None))
            return None if same else mate  # the shortcut comes first, and waits
        return mate

    def _chain(self, value: Value) -> Iterator[Value]:
        """The map and those before it, to where it branches off."""
        yield value
        while len(value.sources) == 1 and len(self.values[value.sources[0]].readers) == 1:
            value = self.values[value.sources[0]]
            yield value

    def _root(self, value: Value) -> tuple[str, ...]:
        return [*self._chain(value)][-1].sources

    def _first_kernel(self, value: Value) -> int:
        return next((v.kernel for v in reversed([*self._chain(value)]) if v.kernel), 0)

    def _options(self, module: Module) -> Iterator[Option]:
        widths = widths_read(module)
        if not widths:  # a print shows no channels: the row before it
            widths = [self.current.width]
        alone = self._alone(module, widths)
        found = list(alone)
        yield from found
        if not any(option.cost < BRANCH for option in found):
            yield from self._concatenated(module, widths)

    def _alone(self, module: Module, widths: list[int]) -> Iterator[Option]:
        """The row before it, added to an unread one of the same shape, or an earlier map."""
        current = self.current
        mate = self._mate(module)
        if current.width in widths:
            for fit in fits(module, current.sizes, current.width):
                if mate and module.kind.startswith("Global"):  # a gate's, before the sum
                    yield Option(fit.cost, (mate,), "", current.sizes, fit)
                elif mate:
                    yield Option(fit.cost, (mate, current), "Add", current.sizes, fit)
                yield Option(fit.cost + bool(mate), (current,), "", current.sizes, fit)
            for sizes, cost in self._resized(module, current):
                for fit in fits(module, sizes, current.width):
                    yield Option(cost + fit.cost, (current,), "", sizes, fit)
        yield from self._earlier(module, widths)

    def _earlier(self, module: Module, widths: list[int]) -> Iterator[Option]:
        for number, value in enumerate(self._branches()):
            if value.width in widths:
                for fit in fits(module, value.sizes, value.width):
                    cost = BRANCH - (value.kind == "Concatenate") + fit.cost + number / 1000
                    cost += BRANCH * bool(GROWN.search(self.current.kind))  # which a join reads
                    yield Option(cost, (value,), "", value.sizes, fit)

    def _resized(self, module: Module, value: Value) -> Iterator[tuple[Sizes, float]]:
        """Sizes to which a function may have brought a map, with how unlikely that is."""
        halves = tuple(n // 2 for n in value.sizes)
        if module.sizes and not self.shows_pools and min(halves) > 0:
            yield halves, 0.1 if self.bare else RESIZED
        if module.sizes and not self.shows_ups:
            for times in (2, 4, 8):
                yield tuple(times * n for n in value.sizes), RESIZED

    def _branches(self) -> list[Value]:
        """Earlier maps, the likeliest first: what the last row reads, unread ones, level ends."""
        values = [v for v in self.values.values() if v is not self.current]
        order = {v.name: number for number, v in enumerate(values)}

        bare = bool(self.current.kernel)  # norms come first, so that a sum is read by one

        def rank(value: Value) -> tuple[bool, ...]:
            added = value.kind == "Add" and value.readers[:1] == ["BatchNormalization"]
            unread = not value.readers and not value.gate
            normed = bare and value.readers[:1] == ["BatchNormalization"]
            return (
                normed and value.kind not in PASSED,
                value in self.previous,
                unread,
                added,
                value.down,
            )

        return sorted(values, key=lambda v: (rank(v), order[v.name]), reverse=True)

    def _concatenated(self, module: Module, widths: list[int]) -> Iterator[Option]:
        """The row before it, or what it weighs, joined to earlier maps of the same size."""
        mate = self._mate(module)
        if self.current.gate:
            yield from self._gated(module, widths)
        for base, cost in self._bases():
            for width in widths:
                if width <= base.width:
                    continue
                for parts, more in self._skips(base, width - base.width):
                    for sizes in dict.fromkeys((parts[-1].sizes, base.sizes)):
                        moving = sum(self._moved(v.sizes, sizes) for v in (*parts, base))
                        if moving > 3 * RESIZED or (moving >= RESIZED and self.shows_ups):
                            continue
                        for fit in fits(module, sizes, width):
                            total = CONCAT + cost + more + moving + fit.cost
                            both = (*parts, base)
                            yield Option(total, both, "Concatenate", sizes, fit, mate)

    def _gated(self, module: Module, widths: list[int]) -> Iterator[Option]:
        """An earlier map weighed by the row before it, and joined to the map that it came up as."""
        sizes = self.current.sizes
        values = [v for v in self.values.values() if v.sizes == sizes and not v.gate][::-1]
        for skip in (v for v in values if v.down):
            for fit in fits(module, sizes, skip.width) if skip.width in widths else ():
                yield Option(CONCAT + fit.cost, (self.current, skip), "Multiply", sizes, fit)
            for other in values:
                width = skip.width + other.width
                if other is skip or width not in widths or other.kind in NORMS:
                    continue
                for fit in fits(module, sizes, width):
                    yield Option(
                        CONCAT + fit.cost, (self.current, skip, other), "Gated", sizes, fit
                    )

    def _moved(self, sizes: Sizes, to: Sizes) -> float:
        cuts = {n - m for n, m in zip(sizes, to, strict=True)}
        even = len(cuts) == 1 and min(cuts) > 0 and min(cuts) % 2 == 0
        return MOVED if self.shrinks and even else _moved(sizes, to)

    def _bases(self) -> Iterator[tuple[Value, float]]:
        if not self.current.gate:
            yield self.current, 0.0
        for value in self.unread[-3:]:  # as where a UNet++ begins its next diagonal
            if not value.gate:
                yield value, 0.7

    def _skips(self, base: Value, width: int) -> Iterator[tuple[tuple[Value, ...], float]]:
        """Earlier maps that have so many channels together, with how unlikely they are."""
        near = [
            v for v in self.values.values()
            if v is not base and not v.gate and v.name not in base.sources
            and min(self._moved(v.sizes, base.sizes), self._moved(base.sizes, v.sizes)) <= RESIZED
        ]  # fmt: skip
        near = sorted(near, key=lambda v: self._as_skip(v), reverse=True)
        single = [v for v in near if v.width == width]
        tried = Counter[Sizes]()
        for value in single:
            if (number := tried[value.sizes]) < 6:
                yield (value,), number / 10 + 2.5 * (bool(value.readers) and not value.down)
            tried[value.sizes] += 1
        if any(self._moved(v.sizes, base.sizes) <= MOVED for v in single):
            return
        ends = [
            v for v in near if v.down or not v.readers or any(map(READ_AGAIN.search, v.readers))
        ]
        ends = sorted(ends, key=lambda v: self._moved(v.sizes, base.sizes))[:8]
        for count in range(2, MOST_SKIPS + 1):
            for group in combinations(ends, count):
                if sum(v.width for v in group) == width:
                    yield group, 0.5 * count

    def _as_skip(self, value: Value) -> tuple:
        """The likeliest last: unread, the end of a level, not joined before, the latest."""
        order = list(self.values).index(value.name)
        return (not value.readers, value.down, "Concatenate" not in value.readers, order)

    def _joined(self, option: Option) -> Value:
        parts = list(option.parts)
        if option.mate:
            parts[-1] = self._sum(option.mate, parts[-1])
        parts = [self.at(part, option.sizes) for part in parts]
        if not option.join:
            return parts[0]
        if option.join in ("Multiply", "Gated"):
            gate, skip, *others = parts
            weighed = self.give("Multiply", "weighed", {}, (skip, gate), skip.sizes, skip.width)
            self.assume("a map of the encoder is weighed (or another of its shape)", weighed.name)
            if not others:
                return weighed
            parts = [weighed, *others]
        if option.join == "Add":
            return self._sum(*parts)
        width = sum(part.width for part in parts)
        joined = self.give("Concatenate", "concat", {}, tuple(parts), option.sizes, width)
        self.assume("the skip's channels come first (or last)", joined.name)
        return joined

    def _sum(self, first: Value, second: Value) -> Value:
        total = self.give("Add", "add", {}, (first, second), first.sizes, first.width)
        self.assume("an addition of maps that nothing else reads", total.name)
        return total


def _activated(rows: Sequence[Row]) -> tuple[str, ...]:
    """The classes that an activation follows, in a table that shows none."""
    norms = {row.layer_class for row in rows} & set(NORMS)
    return tuple(norms) or ("Conv1D", "Conv2D", "Conv3D")


def _shrinks(rows: Sequence[Row]) -> bool:
    """Whether convolutions make maps a little smaller, so that skips are cropped."""
    pairs = [(a.shape[1:-1], b) for a, b in pairwise(rows) if b.layer_class.startswith("Conv")]
    cuts = [
        {(n or 0) - (m or 0) for n, m in zip(sizes, row.shape[1:-1], strict=False)}
        for sizes, row in pairs
    ]
    return any(cut in ({2}, {4}) for cut in cuts)


def _moved(sizes: Sizes, to: Sizes) -> float:
    """How unlikely it is that a map is brought to other sizes."""
    if sizes == to:
        return 0.0
    ratios = [m / n for n, m in zip(sizes, to, strict=True)]
    if all(0.4 < ratio < 1.6 for ratio in ratios) and not all(r == 0.5 for r in ratios):
        return MOVED
    return RESIZED if all(ratio >= 1 and round(ratio) <= 4 for ratio in ratios) else 99.0
