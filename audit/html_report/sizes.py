"""The same network at a handful of input sizes, for the slider."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.tables import Table
from unetzoo.model_files import check_saved

FACTORS = (1.0, 0.5, 2.0, 1.5, 0.75)  # only the first are used if there are many rows
ROWS = 1400  # for all sizes together, so that a page stays under 2 MB
OPEN = 64  # the size if a file leaves it open


@dataclass(frozen=True)
class Sized:
    """A network at its own input size, and at others."""

    table: Table
    others: tuple[Table, ...] = ()
    note: str = ""

    @property
    def all(self) -> list[Table]:
        """All tables, by the size of the input."""
        return sorted((self.table, *self.others), key=lambda table: _numbers(_input(table)))


def of_zoo(name: str) -> Sized:
    """A network of the zoo, at sizes that its card allows."""
    from audit.sources.keras_model import table_of
    from unetzoo.registry import card, skeleton

    known = card(name)
    *spatial, channels = known.input_shape

    def build(sizes: tuple[int, ...]) -> Table:
        return table_of(skeleton(name, input_shape=(*sizes, channels)))

    def allowed(size: int) -> int:
        return max(known.sizes.nearest(size))

    table = build(tuple(spatial))
    return Sized(table, tuple(_others(tuple(spatial), allowed, build, table)))


def of_file(path: Path) -> Sized:
    """The model of a ``.keras`` file, and at other sizes if its graph can be rebuilt for them.

    Raises: ValueError if the file holds no such model.
    """
    check_saved(path)
    import keras

    from audit.sources.keras_model import load, table_of

    model = load(path)
    if isinstance(model, keras.Sequential) and model.built:
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    table = table_of(model)
    inputs = [row for row in table if row.layer_class == "InputLayer"]
    if len(inputs) != 1 or len(inputs[0].shape) < 3:
        return Sized(table)
    spatial, channels = inputs[0].shape[1:-1], inputs[0].shape[-1]

    def build(sizes: tuple[int, ...]) -> Table:
        return rebuilt(model, (*sizes, channels), table)

    if None in spatial:
        tables = list(_others((OPEN,) * len(spatial), lambda size: size, build, table, True))
        if not tables:
            return Sized(table)
        middle = next((t for t in tables if _input(t) == (OPEN,) * len(spatial)), tables[0])
        note = f"The file leaves its input size open; it is drawn at {OPEN} along each axis."
        return Sized(middle, tuple(t for t in tables if t is not middle), note)
    known = tuple(size or 0 for size in spatial)
    return Sized(table, tuple(_others(known, lambda size: size, build, table)))


def _others(
    own: tuple[int, ...],
    allowed: Callable[[int], int],
    build: Callable[[tuple[int, ...]], Table],
    like: Table,
    own_too: bool = False,
) -> Iterator[Table]:
    """The tables at a few other sizes; sizes that do not work are left out."""
    seen = set() if own_too else {own}
    for factor in FACTORS[: ROWS // len(like)]:
        sizes = tuple(allowed(round(size * factor)) for size in own)
        if sizes in seen or min(sizes) < 1:
            continue
        seen.add(sizes)
        try:
            yield build(sizes)
        except ValueError:
            continue


def rebuilt(model: Any, shape: tuple[int | None, ...], like: Table) -> Table:
    """The model's graph for another input shape. Raises: ValueError if that does not work."""
    import keras

    from audit.sources.keras_model import table_of
    from unetzoo.registry import without_weights

    try:
        with without_weights():
            entry = keras.Input(shape, name=model.inputs[0].name, dtype=model.inputs[0].dtype)
            inputs = keras.tree.map_structure(lambda _: entry, model.input)
            table = table_of(keras.models.clone_model(model, input_tensors=inputs))
    except Exception as error:
        raise ValueError(f"{model.name!r} does not take {shape}.") from error
    if table.total != like.total or any(None in row.shape[1:] for row in table):
        raise ValueError(f"{model.name!r} is another network at {shape}.")
    return table


def _input(table: Table) -> tuple[int | None, ...]:
    return next(row.shape[1:-1] for row in table if row.layer_class == "InputLayer")


def _numbers(sizes: tuple[int | None, ...]) -> tuple[int, ...]:
    return tuple(size or 0 for size in sizes)
