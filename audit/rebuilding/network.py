"""A published table -> a Keras model, and readable code that builds the same one.

The model is made from the layers that were solved, never by running the code.
"""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from audit.comparison.alignment import family_of
from audit.comparison.diff import Diff, diff
from audit.comparison.forms import forms_reading, is_conv
from audit.kinds import KINDS
from audit.rebuilding.code import SEVERAL, written
from audit.rebuilding.functions import BARE, standing_for
from audit.rebuilding.hidden import opened
from audit.rebuilding.inference import inferred
from audit.rebuilding.layers import SOLVERS
from audit.rebuilding.site import Site
from audit.rebuilding.steps import Step
from audit.rebuilding.wiring import Assumed, apart, sources_of, wired
from audit.sources.keras_model import table_of
from audit.tables import Row, Shape, Table
from unetzoo.utils.notebook import Shown
from unetzoo.utils.text import counted, few, printable

READS = re.compile("Activation|Normalization|LU$|Softmax")  # what an activation may stand in
NESTED = ("Functional", "Model", "Sequential")


@dataclass(frozen=True)
class Rebuilt(Shown):
    """A network made from a table.

    Attributes:
        table: the table.
        steps: its layers, in order.
        outputs: the names of the layers whose outputs are the network's.
        assumptions: what the table does not determine, with the alternatives.
    """

    table: Table
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    assumptions: tuple[str, ...]

    @cached_property
    def model(self) -> Any:
        """The Keras model, with fresh weights."""
        import keras

        from unetzoo import layers as own

        tensors: dict[str, Any] = {}
        for step in self.steps:
            if step.layer_class == "InputLayer":
                tensors[step.name] = keras.Input(step.arguments["shape"], name=step.name)
                continue
            kind = getattr(keras.layers, step.layer_class, None) or getattr(own, step.layer_class)
            read = [tensors[name] for name in step.inputs]
            read = [read] if len(read) > 1 and step.layer_class not in SEVERAL else read
            tensors[step.name] = kind(**step.arguments, name=step.name)(*read)
        inputs = [tensors[step.name] for step in self.steps if step.layer_class == "InputLayer"]
        outputs = [tensors[name] for name in self.outputs]
        return keras.Model(inputs, outputs[0] if len(outputs) == 1 else outputs)

    @cached_property
    def diff(self) -> Diff:
        """The table, and the model's, row by row."""
        from unetzoo.registry import without_weights

        try:
            with without_weights():
                again = replace(self).model
        except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError) as error:
            reason = printable(" ".join(str(error).split())[:200])
            raise ValueError(
                f"{self.table.name!r}: its rows make no network ({reason}); the table is cut, or "
                "another one."
            ) from error
        places = {step.name: number for number, step in enumerate(self.steps)}
        made = table_of(again)  # Keras orders branches in its own way
        rows = sorted(made.rows, key=lambda row: places.get(row.name, -1))
        return diff(self.table, replace(made, rows=tuple(rows)))

    @property
    def code(self) -> str:
        """A module with a function ``build`` that makes the model."""
        about = self.table.name, self.table.total
        return "\n".join(written(*about, self.steps, self.outputs, self.assumptions)) + "\n"

    def __str__(self) -> str:
        wrong = [pair for pair in self.diff.pairs if pair.status not in ("same", "unshown")]
        rows = counted(len(self.table), "row")
        first = f"{rows}: {'each as in the table' if not wrong else f'{len(wrong)} differ'}"
        lines = str(self.diff).splitlines() if wrong else []
        return "\n".join([first, *lines, *(f"assumed: {each}" for each in self.assumptions)])


def rebuild(table: Table) -> Rebuilt:
    """The network that a table describes, whatever program printed it.

    Kernel sizes, strides, padding and biases follow from shapes and counts, the wiring from
    "Connected to". A table of PyTorch shows no wiring: it is inferred from shapes and counts too,
    in ``inference``. What is not determined is assumed, and named.

    Args:
        table: read from a text, or made from a model.

    Raises: ValueError for rounded counts, layers called twice, classes that are not known here,
        and rows whose
        shape or count no layer gives.

    >>> import keras
    >>> from audit.sources.keras_model import table_of
    >>> inputs = keras.Input((8, 8, 3), name="in")
    >>> model = keras.Model(inputs, keras.layers.Conv2D(2, 3, name="out")(inputs))
    >>> print(rebuild(table_of(model)))
    2 rows: each as in the table
    assumed: softmax within the output (or logits): out
    """
    if table.slack:
        raise ValueError(
            f"{table.name!r}: its counts are rounded; expected a table with every number in full."
        )
    assumed: Assumed = {}
    table = _each_with_its_own(table, assumed)
    if table.of_pytorch:
        table = opened(table, assumed)
        steps, outputs = inferred(table, assumed)
        table = _with_classes(table, [s for s in steps if s.layer_class.startswith("UpSampling")])
    else:
        table = replace(table, rows=tuple(apart(table.rows))) if table.once_a_layer else table
        steps, outputs = _solved(table, assumed)
        table = _with_classes(table, steps)
    sentences = tuple(f"{word}: {few(where, 4)}" for word, where in assumed.items())
    rebuilt = Rebuilt(table, tuple(steps), outputs, sentences)
    rebuilt.diff  # noqa: B018  (raises if it cannot be built)
    return rebuilt


def _each_with_its_own(table: Table, assumed: Assumed) -> Table:
    """The table with the weights that a file holds once for several layers in each of them.

    PyTorch's export keeps one of equal tensors, such as the scales of fresh norms.
    """
    if not any("counted elsewhere" in row.settings for row in table):
        return table
    rows = []
    for row in table:
        if more := row.settings.get("counted elsewhere"):
            word = "weights of its own (the file holds them once for several layers)"
            assumed.setdefault(word, []).append(printable(row.name))
            parameters = {**dict(more), **row.parameters}
            moving = parameters.get("moving", 0)
            row = row.but(parameters=parameters, trainable=sum(parameters.values()) - moving)
        rows.append(row)
    return replace(table, rows=tuple(rows))


def _solved(table: Table, assumed: Assumed) -> tuple[list[Step], tuple[str, ...]]:
    """The layers of a table that says what each row reads, and the names of its outputs."""
    if blank := [printable(row.name) for row in table if not row.shape]:
        raise ValueError(f"{table.name!r}: {few(blank)}: expected an output shape in each row.")
    rows = wired(table, assumed)
    shapes = {row.name: row.shape for row in rows}
    rows = [_standing(row, shapes, assumed) for row in rows]
    readers: dict[str, list[Row]] = {}
    for row in rows:
        for name in sources_of(row):
            readers.setdefault(name, []).append(row)
    whole = table.style == "onnx"  # all operations are rows
    shown = whole or 2 * sum(map(_activates, rows)) >= sum(map(is_conv, rows))  # each is a row
    steps = []
    for row in rows:
        reads = [shapes[name] for name in sources_of(row)]
        site = Site(
            row, reads, forms_reading(row, reads[0][-1]) if is_conv(row) and reads else [],
            row.name not in readers and not whole,
            shown or any(READS.search(each.layer_class) for each in readers.get(row.name, [])),
        )  # fmt: skip
        steps.append(_step(site))
        for word in site.assumed:
            assumed.setdefault(word, []).append(printable(row.name))
    return steps, tuple(row.name for row in rows if row.name not in readers)


def _activates(row: Row) -> bool:
    return family_of(row) == "activation"


def _standing(row: Row, shapes: dict[str, Shape], assumed: Assumed) -> Row:
    """The row, of the class of Keras that stands for it."""
    sources = sources_of(row)
    kind, inputs, word = standing_for(row, tuple(sources), [shapes[name] for name in sources])
    if word:
        assumed.setdefault(word, []).append(printable(row.name))
    said = {"activation": row.layer_class.lower()} if row.layer_class in ("Sigmoid", "Tanh") else {}
    inputs = tuple(f"{name}[0][0]" for name in inputs)
    return row.but(layer_class=kind, inputs=inputs, settings={**row.settings, **said})


def _with_classes(table: Table, steps: list[Step]) -> Table:
    """The table, with the classes of the layers that stand for functions and for cut classes."""
    kinds = {step.name: step.layer_class for step in steps}
    rows = [
        row.but(layer_class=kinds[row.name])
        if row.name in kinds and (row.layer_class in BARE or row.layer_class not in KINDS)
        else row
        for row in table
    ]
    return replace(table, rows=tuple(rows))


def _step(site: Site) -> Step:
    row = site.row
    inputs = tuple(sources_of(row))
    if row.layer_class == "InputLayer":
        return Step("InputLayer", row.name, {"shape": tuple(row.shape[1:])}, ())
    kind = row.layer_class
    if kind in NESTED:
        raise ValueError(
            f"row {row.name!r}: the table does not show the layers of this model within it; print "
            "it with summary(expand_nested=True)."
        )
    if kind not in SOLVERS:
        raise ValueError(
            f"row {row.name!r}: class {kind!r} cannot be rebuilt; expected convolutions, pooling, "
            "norms, activations, dropout, dense layers, joins, crops and pads."
        )
    return Step(kind, row.name, SOLVERS[kind](site), inputs)
