"""The layers of a network that is being rebuilt, and the maps that they give."""

import re
from dataclasses import dataclass, field

from audit.rebuilding.module import Sizes, one
from audit.rebuilding.steps import Step
from unetzoo.utils.text import printable

GROWN = re.compile("Transpose|UpSampling")  # the classes that make maps larger
Assumed = dict[str, list[str]]  # what is assumed, and of which layers


@dataclass
class Value:
    """A map: a layer's output.

    Attributes:
        name: the layer's.
        sizes: without channels.
        width: its channels.
        readers: the classes of the layers that read it.
        down: whether a smaller map is made of it: it is the last of its level.
        gate: whether it only weighs other maps.
    """

    name: str
    sizes: Sizes
    width: int
    readers: list[str] = field(default_factory=list)
    down: bool = False
    gate: bool = False
    sources: tuple[str, ...] = ()
    kind: str = ""
    kernel: int = 0


class Maps:
    """The layers so far, and their maps by name.

    Attributes:
        steps: the layers.
        values: the maps.
        own: the names of the layers that the table does not show.
    """

    def __init__(self, rank: int, assumed: Assumed):
        self.rank = rank
        self.assumed = assumed
        self.steps: list[Step] = []
        self.values: dict[str, Value] = {}
        self.taken: dict[str, int] = {}
        self.own: set[str] = set()
        self.reserved: set[str] = set()  # the names of the table's rows

    @property
    def current(self) -> Value:
        """The map of the last row."""
        return next(reversed(self.values.values()))

    @property
    def unread(self) -> list[Value]:
        """The maps that nothing reads so far, the last row's left out."""
        return [v for v in self.values.values() if not v.readers and v is not self.current]

    def grows_again(self, value: Value) -> bool:
        """Whether a map is made larger twice in a row."""
        kinds = [value.kind, *(self.values[name].kind for name in value.sources)]
        return len(kinds) > 1 and all(map(GROWN.search, kinds))

    def assume(self, word: str, name: str) -> None:
        """Name an assumption, once for each layer."""
        where = self.assumed.setdefault(word, [])
        if printable(name) not in where:
            where.append(printable(name))

    def give(
        self, kind: str, stem: str, arguments: dict, sources: tuple[Value, ...], sizes: Sizes,
        width: int,
    ) -> Value:  # fmt: skip
        """A layer that the table does not show, with a name of its own."""
        same = (kind, arguments, tuple(source.name for source in sources))
        for step in self.steps:
            if (step.layer_class, step.arguments, step.inputs) == same and step.name in self.own:
                return self.values[step.name]
        self.taken[stem] = self.taken.get(stem, 0) + 1
        name = f"{stem}{self.taken[stem]}"
        while name in self.values or name in self.reserved:
            name += "_"
        self.own.add(name)
        return self.write(name, kind, arguments, sources, sizes, width)

    def write(
        self, name: str, kind: str, arguments: dict, sources: tuple[Value, ...], sizes: Sizes,
        width: int,
    ) -> Value:  # fmt: skip
        for source in sources:
            source.readers.append(kind)
        names = tuple(source.name for source in sources)
        self.steps.append(Step(kind, name, arguments, names))
        kernel = arguments.get("kernel_size", 0)
        kernel = max(kernel) if isinstance(kernel, tuple) else kernel
        self.values[name] = Value(name, sizes, width, sources=names, kind=kind, kernel=kernel)
        return self.values[name]

    def at(self, value: Value, sizes: Sizes) -> Value:
        """The map at other sizes: upsampled, pooled, padded or cropped."""
        if value.sizes == sizes:
            return value
        factors = tuple(max(round(m / n), 1) for n, m in zip(value.sizes, sizes, strict=True))
        if max(factors) > 1:
            grown = tuple(n * f for n, f in zip(value.sizes, factors, strict=True))
            value = self.give(f"UpSampling{self.rank}D", "up", {"size": one(factors)}, (value,),
                              grown, value.width)  # fmt: skip
            self.assume("nearest neighbors (or linear interpolation)", value.name)
        elif all(m == n // 2 for n, m in zip(value.sizes, sizes, strict=True)):
            value.down = True
            value = self.give(f"MaxPooling{self.rank}D", "pool", {"pool_size": 2}, (value,),
                              sizes, value.width)  # fmt: skip
            self.assume("max pooling, which the table does not show (or strides)", value.name)
        return self._fitted(value, sizes)

    def _fitted(self, value: Value, sizes: Sizes) -> Value:
        changes = [m - n for n, m in zip(value.sizes, sizes, strict=True)]
        pads = tuple((max(c, 0) // 2, max(c, 0) - max(c, 0) // 2) for c in changes)
        crops = tuple((max(-c, 0) // 2, max(-c, 0) - max(-c, 0) // 2) for c in changes)
        for kind, key, ends in (("ZeroPadding", "padding", pads), ("Cropping", "cropping", crops)):
            if any(map(any, ends)):
                given = tuple(n + (sum(e) if key == "padding" else -sum(e))
                              for n, e in zip(value.sizes, ends, strict=True))  # fmt: skip
                stem = {"padding": "pad", "cropping": "crop"}[key]
                value = self.give(f"{kind}{self.rank}D", stem, {key: ends}, (value,), given,
                                  value.width)  # fmt: skip
                self.assume(f"a {stem} in the middle (or elsewhere)", value.name)
        return value
