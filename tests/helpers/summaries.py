"""What the tests of tables share: networks without weights, their tables, and printed summaries."""

import os
from functools import cache
from pathlib import Path
from unittest import mock

import keras
from places import GOLDEN
from small_networks import VARIANTS, arguments

import audit
import unetzoo
from audit.styles import STYLES

DOCUMENTS = Path(audit.__file__).parent / "documents"
DOCUMENTED = [name for name in unetzoo.list_models() if name not in VARIANTS]
READABLE = sorted(style for style in STYLES if style not in ("csv", "html"))


def printed(file):
    return (GOLDEN / file).read_text().rstrip("\n")


def table_of(name, **arguments):
    return audit.table(unetzoo.skeleton(name, **arguments))


@cache
def network(name):
    """Without weights; a variant as a small one."""
    if name not in VARIANTS:
        return unetzoo.skeleton(name)
    return unetzoo.skeleton(name, **arguments(name, len(unetzoo.card(name).input_shape) - 1))


@cache
def built(name):
    return audit.table(network(name))


def keras_summary(model, width, **more):
    """What ``model.summary`` prints, in a terminal that cuts nothing."""
    lines = []
    with mock.patch.dict(os.environ, COLUMNS="220"):
        model.summary(line_length=width, print_fn=lines.append, **more)
    return "\n".join(lines).rstrip("\n")


def nested():
    """A model within a model, and a name that holds a rule's character."""
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)], name="inner")
    inputs = keras.Input((8, 8, 3), name="a|b")
    return keras.Model(inputs, keras.layers.Conv2D(2, 1, name="head")(inner(inputs)), name="outer")
