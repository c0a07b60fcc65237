"""What a network takes in memory: weights, activations, a prediction, a training step."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from audit.analysis.cost import complete, positions
from audit.analysis.formulas import attention
from audit.analysis.saved_tensors import FLOAT32, SAVED, Kept, has_activation, is_view, kept_by
from audit.formats.pytorch import is_module, sequentials, with_containers
from audit.kinds import HANDING_ON, SIZE_FROM_SECOND
from audit.tables import Row, Table
from unetzoo.utils.checks import whole
from unetzoo.utils.choices import REMAT
from unetzoo.utils.text import aligned
from unetzoo.utils.units import Call, is_heavy, units

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
MIB = 2**20
Saved = dict[str, tuple[int, int]]  # bytes, and the number of the first row that keeps them


@dataclass(frozen=True)
class LayerMemory:
    """Bytes of one call of a layer.

    Attributes:
        alive: of the maps in memory while it runs in a prediction, its own among them.
        saved: of what a training step keeps for it until its gradient is computed, without what
            an earlier layer keeps already.
    """

    name: str
    call: int
    alive: int
    saved: int


@dataclass(frozen=True)
class Memory:
    """Bytes that a network takes at one batch size and dtype.

    Attributes:
        weights: all parameters and moving statistics, float32 under every dtype.
        torchsummary: activations as torchsummary counts them, its "Forward/backward pass size".
        torchinfo: the same figure as torchinfo counts it.
        saved: what the forward pass of a training step keeps for the backward pass.
        prediction: the weights and the maps alive at a prediction's peak.
        training: the peak of a training step with Adam.
        peak: the layer at which a prediction's memory peaks.
        not_modeled: layer classes whose saved tensors are unknown, and so are missing from
            ``saved`` and ``training``.
        remat: which maps a training step computes again, as in ``memory``.
        layers: each layer's part, in the order in which they run: their ``saved`` add up to
            ``saved``, and the largest ``alive`` is ``maps``, that of the peak.
    """

    name: str
    batch: int
    dtype: str
    weights: int
    torchsummary: int
    torchinfo: int
    saved: int
    prediction: int
    training: int
    peak: str
    not_modeled: tuple[str, ...]
    remat: str | None = None
    layers: tuple[LayerMemory, ...] = field(default=(), repr=False)

    @property
    def maps(self) -> int:
        """The maps alive at a prediction's peak, without the weights."""
        return self.prediction - self.weights

    def rows(self) -> list[tuple[str, int, str]]:
        """For each figure: its label, its bytes, and a sentence that says what it is."""
        return [
            ("weights", self.weights, "Parameters and moving statistics in float32."),
            (
                "torchsummary",
                self.torchsummary,
                "Its forward/backward size: twice every module's output, with blocks, in float32.",
            ),
            (
                "torchinfo",
                self.torchinfo,
                "Its forward/backward size: twice the outputs of the layers with parameters.",
            ),
            (
                "saved",
                self.saved,
                "What the forward pass keeps for back-propagation, without the weights.",
            ),
            (
                "prediction",
                self.prediction,
                f"Weights and the maps alive at the peak, in {self.peak}.",
            ),
            (
                "training",
                self.training,
                "The peak of a step with Adam: weights, two moments, gradients and saved maps.",
            ),
        ]

    def by_layer(self) -> str:
        """A line for each layer, in MiB: the maps alive while it runs, what is saved, the peak."""
        heads = ["", "layer", "alive", "saved"]
        peak = self.peak_layer
        rows = [
            ["peak" if each is peak else "", each.name, f"{each.alive / MIB:,.2f}",
             f"{each.saved / MIB:,.2f}"]
            for each in self.layers
        ]  # fmt: skip
        total = ["", "in all", "", f"{self.saved / MIB:,.2f}"]
        return "\n".join(aligned([heads, *rows, total], left=2))

    @property
    def peak_layer(self) -> LayerMemory | None:
        """The layer at which a prediction's memory peaks: the first of several."""
        return next((each for each in self.layers if each.alive == self.maps), None)

    def __str__(self) -> str:
        again = "" if self.remat is None else f", remat {self.remat}"
        lines = [f"{self.name}: memory in MiB, batch {self.batch}, {self.dtype}{again}"]
        for label, size, note in self.rows():
            lines.append(f"  {label:<13}{size / MIB:>12,.2f}  {note}")
        if self.not_modeled:
            lines.append(f"  missing from saved and training: {', '.join(self.not_modeled)}")
        return "\n".join(lines)


def memory(
    table: Table, batch: int = 1, dtype: str = "float32", remat: str | None = None
) -> Memory:
    """The memory that a network takes, at the sizes of its table.

    ``saved`` holds the tensors that PyTorch's backward functions read, each once, the network's
    input among them; ``audit.analysis.saved_tensors`` has the rules, and takes rules for further
    layers. A crop is a view, so it keeps the whole map that it cuts.

    ``prediction`` follows the maps: one lives from the layer that makes it to the last that reads
    it, the network's input and outputs to the end. PyTorch code whose variables hold maps for
    longer takes more; so does Keras on PyTorch, which holds all maps to the end, for a network that
    ``unetzoo`` has neither compiled nor prepared for prediction.

    ``training`` follows the gradients back through the layers: a layer's saved maps go once its
    gradient is computed, its weights' gradients stay, and Adam then updates weight by weight.
    The loss's own tensors are not included.

    With ``remat`` the layers are in the units of ``unetzoo.training.rematerialize``. A unit keeps
    the maps it reads; the others that its gradient needs are there again while it is computed. A
    layer in no unit keeps its maps as usual.

    With "float16" and "bfloat16" (mixed precision) a number takes two bytes in the maps, and four
    in the weights, their gradients, the moments and a norm's statistics. A step keeps a copy of
    each kernel in the maps' dtype, a prediction only one layer's at a time. Not included are the
    workspace of libraries within a layer (im2col, cuDNN), and the copies of joined maps that
    ``unetzoo`` makes on PyTorch to train on pictures with a CPU without AVX-512.

    Args:
        table: of a Keras model, or read from audit's own JSON.
        batch: how many samples, at least 1.
        dtype: of the maps: "float32", "float16" or "bfloat16".
        remat: "full" or "activations", as ``unetzoo train --remat``; None: all maps are kept.

    Raises:
        ValueError: for another batch, dtype or remat, or if a size is open or the table does not
            say what its layers read.

    Source: PyTorch's derivatives.yaml; torchsummary 1.5.1; torchinfo 1.8.0.

    >>> import audit, unetzoo
    >>> taken = memory(audit.table(unetzoo.skeleton("unet2d_small")), batch=2)
    >>> taken.weights // 4, taken.torchsummary // 2**20, taken.peak
    (64300, 32, 'conv')
    """
    if dtype not in BYTES:
        raise ValueError(f"dtype {dtype!r}: expected one of {', '.join(BYTES)}.")
    if remat is not None and remat not in REMAT:
        raise ValueError(f"remat {remat!r}: expected one of {', '.join(REMAT)}, or None.")
    batch = whole("batch", batch)
    complete(table, "memory")
    forward, step = _Maps(table, batch, dtype, False), _Maps(table, batch, dtype, True)
    weights = FLOAT32 * table.total
    groups = _units(table, remat)
    saved, again, unknown = _saved(step, groups)
    alive = _alive(forward)
    maps = max(alive, default=0)
    peak = next((row.name for row, size in zip(table, alive, strict=True) if size == maps > 0), "")
    return Memory(
        name=table.name,
        batch=batch,
        dtype=dtype,
        weights=weights,
        torchsummary=2 * FLOAT32 * batch * _torchsummary_numbers(table),
        torchinfo=2 * BYTES[dtype] * batch * _torchinfo_numbers(table),
        saved=sum(size for size, _ in saved.values()),
        prediction=weights + maps,
        training=weights
        + 2 * FLOAT32 * table.trainable
        + max(_backward(step, saved, again), _adam(table)),
        peak=peak,
        not_modeled=unknown,
        remat=remat,
        layers=tuple(_layers(forward, alive, saved)),
    )


class _Maps:
    """The calls, where the output of each is in memory, and how large it is."""

    def __init__(self, table: Table, batch: int, dtype: str, training: bool):
        self.rows = list(table)
        self.batch, self.bytes = batch, BYTES[dtype]
        self.shapes = {row.key: row.shape for row in self.rows}
        self.place: dict[str, str] = {}  # of a call's output: the call that made the memory
        for row in self.rows:
            view = is_view(row, training)
            self.place[row.key] = self.place[row.sources[0]] if view else row.key

    def size(self, call: str) -> int:
        return self.batch * self.bytes * positions(self.shapes[call])

    def kept(self, row: Row) -> Kept | None:
        return kept_by(row, [self.shapes[source] for source in row.sources])

    def copy(self, row: Row) -> int:
        """The bytes of the kernel's copy in the maps' dtype; 0 if that is its own dtype."""
        return 0 if self.bytes == FLOAT32 else self.bytes * _kernels(row)

    def outputs(self) -> set[str]:
        """The calls that no other reads."""
        return set(self.shapes) - {source for row in self.rows for source in row.sources}


def _torchsummary_numbers(table: Table) -> int:
    hidden = sequentials(table.rows)
    rows = [row for row, block in with_containers(table.rows) if block not in hidden]
    return sum(positions(row.shape) for row in rows) + _inside(table)


def _torchinfo_numbers(table: Table) -> int:
    with_parameters = [row for row in table if is_module(row) and row.without_moving]
    attentions = sum(
        positions(row.shape) for row in table if row.layer_class == "MultiHeadAttention"
    )
    return sum(positions(row.shape) for row in with_parameters) + _inside(table) - attentions


def _inside(table: Table) -> int:
    """The outputs of the four projections in an attention, which are modules of their own."""
    shapes = {row.key: row.shape for row in table}
    numbers = 0
    for row in table:
        if row.layer_class == "MultiHeadAttention":
            *projected, _ = attention(row, [shapes[source] for source in row.sources]).projected
            numbers += sum(projected) + positions(row.shape)
    return numbers


def _alive(maps: _Maps) -> list[int]:
    """The bytes of the maps alive while each layer runs in a prediction."""
    last: dict[str, int] = {}
    for number, row in enumerate(maps.rows):
        last.update({maps.place[call]: number for call in (*row.sources, row.key)})
    held = {maps.place[call] for call in maps.outputs()}
    held.update(row.key for row in maps.rows if row.layer_class == "InputLayer")
    alive, peaks = 0, []
    for number, row in enumerate(maps.rows):
        made = maps.size(row.key) if maps.place[row.key] == row.key else 0
        alive += made
        highest = alive + maps.copy(row) + maps.batch * (maps.kept(row) or Kept()).sample_bytes
        read = {maps.place[source] for source in row.sources} - held
        alive -= sum(maps.size(place) for place in read if last[place] == number)
        if has_activation(row):  # a map before the activation and one after it
            highest = max(highest, alive + made)
        peaks.append(highest)
    return peaks


def _layers(maps: _Maps, alive: list[int], saved: Saved) -> Iterator[LayerMemory]:
    """Each layer's part: what is saved belongs to the first that keeps it."""
    kept = Counter[int]()
    for size, number in saved.values():
        kept[number] += size
    for number, row in enumerate(maps.rows):
        yield LayerMemory(row.name, row.call, alive[number], kept[number])


def _units(table: Table, remat: str | None) -> dict[str, int]:
    """For each call that is computed again, the number of its unit's last row."""
    if remat is None:
        return {}
    numbers = {row.key: number for number, row in enumerate(table)}
    channels = {row.key: positions((None, row.shape[-1])) for row in table}
    calls = [
        Call(row.key, row.sources, positions(row.shape), _is_heavy(row, channels))
        for row in table
        if row.layer_class != "InputLayer"
    ]
    return {key: numbers[unit[-1]] for unit in units(calls, remat) for key in unit}


def _is_heavy(row: Row, channels: dict[str, int]) -> bool:
    read, made = channels[row.sources[0]], channels[row.key]
    return is_heavy(row.layer_class, _kernels(row), read, made, row.settings.get("strides"))


def _kernels(row: Row) -> int:
    return sum(count for role, count in row.parameters.items() if "kernel" in role)


def _saved(maps: _Maps, last: dict[str, int]) -> tuple[Saved, dict[int, Saved], tuple[str, ...]]:
    """What is kept, what each unit makes again, and classes without a rule.

    The units are called by the numbers of their last rows.
    """
    saved: Saved = {}
    again: dict[int, Saved] = {}
    unknown: dict[str, None] = {}
    for number, row in enumerate(maps.rows):
        unit = last.get(row.key)
        for source in row.sources if unit is not None else ():
            if last.get(source) != unit:  # a unit keeps what it reads
                place = maps.place[source]
                saved.setdefault(place, (maps.size(place), number))
        kept = maps.kept(row)
        if kept is None:
            activation = row.settings.get("activation") if row.layer_class in SAVED else None
            unknown[f"{row.layer_class}({activation})" if activation else row.layer_class] = None
            continue
        into = saved if unit is None else again.setdefault(unit, {})
        calls = (row.sources if kept.inputs else ()) + ((row.key,) if kept.output else ())
        for call in calls:
            place = maps.place[call]
            if unit is None or last.get(place) == unit:
                into.setdefault(place, (maps.size(place), number))
        own = maps.batch * (maps.bytes * kept.numbers + kept.sample_bytes) + kept.batch_bytes
        own += maps.copy(row) if kept.kernel else 0
        into[f"{row.key} own"] = own, number
    return saved, again, tuple(unknown)


def _backward(maps: _Maps, saved: Saved, again: dict[int, Saved]) -> int:
    """The peak of outputs, what is still saved, the maps' gradients and the weights' gradients.

    The maps that a unit makes again are there from its last row's gradient on.

    The gradient of a concatenation or sum is passed on unchanged, so it lives until all of its
    parts are used. Of a map that two layers read, one gradient is added to the other in place, or
    into a third where that one is passed on to others too.
    """
    with_gradient: set[str] = set()
    for row in maps.rows:
        if row.trainable or with_gradient.intersection(_values(row)):
            with_gradient.add(row.key)
    gradient = {call: call for call in maps.outputs()}  # of a call's output: its memory
    size = {call: maps.size(call) for call in gradient}
    own: set[str] = set()  # memory of one map's gradient alone, to which another is added in place
    left, of_weights, peak = sum(size for size, _ in saved.values()) + sum(size.values()), 0, 0
    for number, row in reversed(list(enumerate(maps.rows))):
        saved = {**saved, **again.get(number, {})}
        left += sum(size for size, _ in again.get(number, {}).values())
        of_weights += FLOAT32 * row.trainable
        passing = maps.copy(row)
        hands_on = row.layer_class in HANDING_ON
        for source in with_gradient.intersection(_values(row)):
            block = gradient.get(row.key, row.key) if hands_on else f"{row.key} of {source}"
            size.setdefault(block, maps.size(source))
            before = gradient.setdefault(source, block)
            if before == block:
                own.update([] if hands_on else [block])
                continue
            passing += 0 if hands_on else size[block]
            if before not in own:
                block = gradient[source] = f"sum of {source}"
                size[block] = maps.size(source)
                own.add(block)
                passing += 0 if before in gradient.values() else size[before]
        alive = sum(size[block] for block in set(gradient.values()))
        peak = max(peak, left + of_weights + alive + passing)
        gradient.pop(row.key, None)
        left -= sum(size for size, first in saved.values() if first == number)
    return peak


def _values(row: Row) -> tuple[str, ...]:
    """The sources of which a call reads more than the size."""
    return row.sources[:1] if row.layer_class in SIZE_FROM_SECOND else row.sources


def _adam(table: Table) -> int:
    """All gradients, and the update of the largest weight, which takes as many numbers again."""
    largest = max((count for row in table for count in row.parameters.values()), default=0)
    return FLOAT32 * (table.trainable + 2 * largest)
