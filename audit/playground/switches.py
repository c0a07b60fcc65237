"""A network's skips, and the same network with a switch in each of them.

A skip is what the report's picture shows as one: a way that joins, on its level, what stayed there
with what went down. Switched off, the join gets zeros in place of what came through it. What else
reads the same map, such as the next pooling or an attention gate, gets it as before.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import keras

from audit.html_report.drawing.boxes import Box, Graph, Way
from audit.html_report.drawing.graph import graph_of
from audit.sources.keras_model import table_of
from audit.tables import Row, Table
from unetzoo.utils.text import counted

MOST = 6  # switches, so 64 masks; deeper levels share the last


@dataclass(frozen=True)
class Skip:
    """The skips of one level, which are switched together.

    Attributes:
        number: 1 is the finest.
        level: of the network; of several levels that share a switch, the first.
        joins: the inputs that are zeroed: the name of a layer, and the input's place among all.
        maps: what comes through, for people to read: "encoder1, 16 channels".
    """

    number: int
    level: int
    joins: tuple[tuple[str, int], ...]
    maps: tuple[str, ...]


class Switch(keras.layers.Layer):
    """What comes in, or zeros in its place."""

    def build(self, shape: Any) -> None:
        self.on = self.add_weight(shape=(), initializer="ones", trainable=False, name="on")
        self.built = True

    def call(self, x: Any) -> Any:
        """The map, as it is or all zero."""
        return keras.ops.where(self.on > 0, x, keras.ops.zeros_like(x))


@dataclass(frozen=True)
class Switched:
    """A network with switches, one list of them for each skip."""

    network: keras.Model
    switches: tuple[tuple[Switch, ...], ...]

    def turn(self, on: Sequence[bool]) -> None:
        """Switch each skip on or off."""
        for layers, value in zip(self.switches, on, strict=True):
            for layer in layers:
                layer.on.assign(float(value))


def skips_of(table: Table) -> tuple[Skip, ...]:
    """The skips of a network, the finest first: at most six, of which the last may stand for more.

    Args:
        table: with the size of every map.

    >>> import audit
    >>> [skip.joins for skip in skips_of(audit.table("unet2d_original"))][:2]
    [(('up4-concat', 0),), (('up3-concat', 0),)]
    """
    graph = graph_of(table)
    owners = _owners(graph)
    ways = sorted(_joining(graph), key=lambda way: graph.boxes[way.target].level)
    by_level = [
        (level, list(group))
        for level, group in groupby(ways, lambda way: graph.boxes[way.target].level)
    ]
    by_level[MOST - 1 :] = _together(by_level[MOST - 1 :])
    return tuple(
        Skip(
            number,
            level,
            tuple(dict.fromkeys(_join(way, graph, table, owners) for way in group)),
            tuple(dict.fromkeys(_map(graph.boxes[way.source]) for way in group)),
        )
        for number, (level, group) in enumerate(by_level, 1)
    )


def with_switches(model: keras.Model, skips: Sequence[Skip]) -> Switched:
    """The same network, its layers shared, with a switch before each join.

    Raises: ValueError for a join that the network calls several times.
    """
    places = {join: n for n, skip in enumerate(skips) for join in skip.joins}
    joins = {name for name, _ in places}
    made: list[list[Switch]] = [[] for _ in skips]
    calls: Counter[str] = Counter()

    def called(operation: Any, *maps: Any, **arguments: Any) -> Any:
        if operation.name not in joins:
            return operation(*maps, **arguments)
        calls[operation.name] += 1
        if calls[operation.name] > 1:
            raise ValueError(
                f"{operation.name!r} joins skips in several places: expected a layer for each, so "
                "that one can be switched off alone."
            )
        inputs = keras.tree.flatten(maps)
        for at, x in enumerate(inputs):
            if (n := places.get((operation.name, at))) is not None:
                switch = Switch()
                made[n].append(switch)
                inputs[at] = switch(x)
        return operation(*keras.tree.pack_sequence_as(maps, inputs), **arguments)

    network = keras.models.clone_model(
        _uncompiled(model), clone_function=lambda layer: layer, call_function=called
    )
    return Switched(network, tuple(map(tuple, made)))


def sized(model: keras.Model, shapes: Sequence[tuple[int, ...]]) -> Table:
    """The network's table at the first of several input shapes that it takes.

    Args:
        model: a functional network.
        shapes: without the batch, channels last.

    Raises: ValueError if it takes none.
    """
    from audit.html_report.sizes import rebuilt

    table = table_of(model)
    if all(None not in row.shape[1:] for row in table):
        return table
    for shape in shapes:
        try:
            return rebuilt(_uncompiled(model), shape, table)
        except ValueError:
            continue
    raise ValueError(
        f"model {model.name!r}: no map has a known size, at none of "
        f"{counted(len(shapes), 'input size')}; build it with a fixed input size."
    )


def _uncompiled(model: keras.Model) -> keras.Model:
    """The same network without loss and optimizer, which a copy would make again."""
    return keras.Model(model.input, model.output, name=model.name)


def _joining(graph: Graph) -> Iterator[Way]:
    """The skips that end in a join: the weights of an attention gate are none."""
    return (w for w in graph.skips if graph.boxes[w.target].row.layer_class != "Multiply")


def _together(levels: list[tuple[int, list[Way]]]) -> list[tuple[int, list[Way]]]:
    return [(levels[0][0], [way for _, group in levels for way in group])] if levels else []


def _owners(graph: Graph) -> dict[str, int]:
    """The box that makes each row's output; crops and pads on a way belong to none."""
    return {
        row.key: box.number
        for box in graph.boxes
        for row in box.rows
        if not any(row in way.fits for way in box.ways)
    }


def _join(way: Way, graph: Graph, table: Table, owners: dict[str, int]) -> tuple[str, int]:
    """The layer that a skip ends in, and the place of the skip among its inputs."""
    rows = {row.key: row for row in table}
    target: Row = graph.boxes[way.target].row
    for at, source in enumerate(target.sources):
        while source not in owners:
            source = rows[source].sources[0]
        if owners[source] == way.source:
            return target.name, at
    raise ValueError(f"{target.name!r}: a skip ends in it, but none of its inputs comes from it.")


def _map(box: Box) -> str:
    return f"{box.row.name}, {counted(box.channels or 0, 'channel')}"
