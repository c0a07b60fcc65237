"""A published table of Keras -> a Keras model, and readable code that builds the same one.

The model is made from the layers that were solved, never by running the code.
"""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from audit.comparison.diff import Diff, diff
from audit.comparison.forms import CERTAIN, Form, forms_of, forms_reading, is_conv
from audit.rebuilding.code import Step, written
from audit.rebuilding.layers import SOLVERS, Site
from audit.sources.keras_model import table_of
from audit.styles import FILES, style_of
from audit.tables import Row, Shape, Table
from unetzoo.utils.notebook import Shown
from unetzoo.utils.text import counted, few, printable

JOINS = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
READS = re.compile("Activation|Normalization|LU$|Softmax")  # what an activation may stand in


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

        tensors: dict[str, Any] = {}
        for step in self.steps:
            if step.layer_class == "InputLayer":
                tensors[step.name] = keras.Input(step.arguments["shape"], name=step.name)
                continue
            layer = getattr(keras.layers, step.layer_class)(**step.arguments, name=step.name)
            read = [tensors[name] for name in step.inputs]
            tensors[step.name] = layer(read if len(read) > 1 else read[0])
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
        except (ValueError, TypeError, ArithmeticError) as error:
            reason = printable(" ".join(str(error).split())[:200])
            raise ValueError(
                f"{self.table.name!r}: its rows make no network ({reason}); the table is cut, or "
                "another one."
            ) from error
        return diff(self.table, table_of(again))

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
    """The network that a table of Keras 2 or 3 describes.

    Kernel sizes, strides, padding and biases follow from the shapes and counts, the wiring from
    "Connected to"; a table without that column is taken as a chain. What is not determined is
    assumed, and named.

    Args:
        table: read from a text, or made from a model.

    Raises: ValueError for layers called twice, classes that are not known here, and rows whose
        shape or count no layer gives.

    >>> import keras
    >>> from audit.sources.keras_model import table_of
    >>> inputs = keras.Input((8, 8, 3), name="in")
    >>> model = keras.Model(inputs, keras.layers.Conv2D(2, 3, name="out")(inputs))
    >>> print(rebuild(table_of(model)))
    2 rows: each as in the table
    assumed: softmax within the output (or logits): out
    """
    if table.of_pytorch or table.style in FILES:
        program = style_of(table.style).program
        raise ValueError(
            f"{table.name!r}: expected a table of Keras; what {program} gives cannot be rebuilt."
        )
    rows = list(table.rows)
    names = [row.name for row in rows]
    if len(set(names)) < len(names):
        again = few([printable(name) for name in dict.fromkeys(names) if names.count(name) > 1])
        raise ValueError(f"{table.name!r}: {again}: expected each layer once; none is shared.")
    if not rows or rows[0].layer_class != "InputLayer":
        rows = [_image(table), *rows]
    assumed: dict[str, list[str]] = {}
    rows = _wired(rows, assumed)
    readers: dict[str, list[Row]] = {}
    for row in rows:
        for name in _sources(row):
            readers.setdefault(name, []).append(row)
    rows = [_with_channels(row, readers.get(row.name, []), assumed) for row in rows]
    shapes: dict[str, Shape] = {}
    steps = []
    for row in rows:
        if row.layer_class in JOINS and len(row.inputs) == 1:
            row = _joined(row, shapes, readers, assumed)
        reads = [shapes[name] for name in _sources(row)]
        forms = forms_reading(row, reads[0][-1]) if is_conv(row) and reads else []
        row = _whole(row, reads, forms)
        shapes[row.name] = row.shape
        site = Site(
            row, reads, forms, row.name not in readers,
            any(READS.search(reader.layer_class) for reader in readers.get(row.name, [])),
        )  # fmt: skip
        steps.append(_step(site))
        for word in site.assumed:
            assumed.setdefault(word, []).append(printable(row.name))
    outputs = tuple(row.name for row in rows if row.name not in readers)
    sentences = tuple(f"{word}: {few(where, 4)}" for word, where in assumed.items())
    rebuilt = Rebuilt(table, tuple(steps), outputs, sentences)
    rebuilt.diff  # noqa: B018  (raises if it cannot be built)
    return rebuilt


def _image(table: Table) -> Row:
    """The input of a sequential model, whose table does not show it. Raises: ValueError."""
    first = next((row for row in table if forms_of(table).get(row.key)), None)
    if first is None:
        raise ValueError(f"{table.name!r}: no layer says what the network reads.")
    form = forms_of(table)[first.key][0]
    return Row("image", "InputLayer", (*first.shape[:-1], form.inputs))


def _wired(rows: list[Row], assumed: dict[str, list[str]]) -> list[Row]:
    """The rows with their inputs: a row that names none reads the one before it."""
    known: set[str] = set()
    wired: list[Row] = []
    branches = any(row.inputs for row in rows)
    for row in rows:
        inputs = row.inputs
        if not inputs and row.layer_class != "InputLayer":
            inputs = (f"{wired[-1].name}[0][0]",)
            if branches:
                assumed.setdefault("it reads the row before it", []).append(printable(row.name))
        names = [_found(each.split("[")[0], known, row) for each in inputs]
        known.add(row.name)
        wired.append(replace(row, inputs=tuple(f"{name}[0][0]" for name in names)))
    return wired


def _found(name: str, known: set[str], row: Row) -> str:
    """The row before this one that a name means; of a name that was cut the end is left.

    Raises: ValueError if there is none, or several.
    """
    if name in known:
        return name
    end = name.rpartition("\N{HORIZONTAL ELLIPSIS}")[2]
    ending = [each for each in known if each.endswith(end)] if end and end != name else []
    if len(ending) != 1:
        raise ValueError(f"row {row.name!r}: it reads {name!r}, which no row before it is.")
    return ending[0]


def _joined(
    row: Row, shapes: dict[str, Shape], readers: dict[str, list[Row]],
    assumed: dict[str, list[str]],
) -> Row:  # fmt: skip
    """A join of which one input was cut off, with the one that fits: unread, or the latest.

    Raises: ValueError if none fits.
    """
    (known,) = _sources(row)
    width = row.shape[-1]
    if row.layer_class == "Concatenate" and width:
        width -= shapes[known][-1] or 0
    fitting = [
        name for name, shape in shapes.items()
        if name != known and shape[1:] == (*row.shape[1:-1], width)
    ]  # fmt: skip
    unread = [name for name in fitting if name not in readers]
    if not fitting:
        raise ValueError(f"row {row.name!r}: it joins {known!r} and nothing that is before it.")
    other = (unread or fitting)[-1]
    readers.setdefault(other, []).append(row)
    word = f"it also reads {printable(other)}, which the table cut off"
    assumed.setdefault(word, []).append(printable(row.name))
    return replace(row, inputs=(f"{other}[0][0]", *row.inputs))


def _with_channels(row: Row, readers: list[Row], assumed: dict[str, list[str]]) -> Row:
    """An input whose channels a column cut off, with those that the first convolution tells."""
    if row.layer_class != "InputLayer" or not row.shape or row.shape[-1] is not None:
        return row
    for channels in (1, 3, 2, 4):
        for reader in filter(is_conv, readers):
            forms = [f for f in forms_reading(reader, channels) if f.fit == CERTAIN]
            if forms and forms[0].taps == 3 ** (len(row.shape) - 2):
                assumed.setdefault(f"channels in: {channels}", []).append(printable(row.name))
                return replace(row, shape=(*row.shape[:-1], channels))
    return row


def _whole(row: Row, reads: list[Shape], forms: list[Form]) -> Row:
    """The row with its channels, where a column cut them off."""
    if not reads or not row.shape or row.shape[-1] is not None:
        return row
    channels = [shape[-1] for shape in reads]
    width = forms[0].outputs if forms else channels[0]
    if "Concat" in row.layer_class or (row.layer_class == "TensorFlowOpLayer" and len(reads) > 1):
        width = sum(size or 0 for size in channels) if all(channels) else None
    return replace(row, shape=(*row.shape[:-1], width))


def _sources(row: Row) -> list[str]:
    return [name.split("[")[0] for name in row.inputs]


def _step(site: Site) -> Step:
    row = site.row
    inputs = tuple(_sources(row))
    if row.layer_class == "InputLayer":
        return Step("InputLayer", row.name, {"shape": tuple(row.shape[1:])}, ())
    kind, inputs, word = _standing_for(row, inputs)
    site.assumed += [word] * bool(word)
    if kind not in SOLVERS:
        raise ValueError(
            f"row {row.name!r}: class {kind!r} cannot be rebuilt; expected convolutions, pooling, "
            "norms, activations, dropout, dense layers, joins, crops and pads."
        )
    return Step(kind, row.name, SOLVERS[kind](site), inputs)


def _standing_for(row: Row, inputs: tuple[str, ...]) -> tuple[str, tuple[str, ...], str]:
    """The class of Keras, what it reads, and what is assumed by that."""
    kind = row.layer_class.removeprefix("ops.")
    rank = len(row.shape) - 2
    if kind == "TensorFlowOpLayer" and len(inputs) > 1:
        return "Concatenate", inputs, "a concatenation (the table names no operation)"
    if kind == "TensorFlowOpLayer":
        return f"Cropping{rank}D", inputs, "a crop (the table names no operation)"
    if kind in ("LinearUpsampling", "ResizeToMatch"):
        return f"UpSampling{rank}D", inputs[:1], ""
    if kind in ("CropToMatch", "CropToMultiple", "CenterCrop"):
        return f"Cropping{rank}D", inputs[:1], ""
    if kind == "PadToMatch":
        return f"ZeroPadding{rank}D", inputs[:1], ""
    return kind, inputs, ""
