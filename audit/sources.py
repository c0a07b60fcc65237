"""A table from whatever names one: a table, a model, a file, a text, a network of the zoo."""

import re
from pathlib import Path
from typing import Any

from audit.reading import read
from audit.table import Table


def as_table(source: Any) -> Table:
    """The table of a Keras model, a zoo id, a ``.keras`` file, or the first summary in a text.

    Raises: ValueError for what is none of these.

    >>> as_table("unet2d-small").name
    'UNetSmall'
    """
    if isinstance(source, Table):
        return source
    if not isinstance(source, str | Path):
        from audit.models import table_of

        return table_of(source)
    from unetzoo.registry import card, list_models, skeleton

    name = str(source)
    if name.replace("-", "_") in list_models():
        from audit.models import table_of

        return table_of(skeleton(name))
    if name.endswith(".keras"):
        from audit.models import load, table_of

        return table_of(load(Path(name)))
    if re.fullmatch(r"[\w-]+", name) and not Path(name).exists():
        card(name)  # raises, with the closest names
    return read(source)
