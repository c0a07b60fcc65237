"""A table from whatever names one: a table, a model, a file, a text, or a network of the zoo."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit.sources import files
from audit.sources.text import read
from audit.tables import Table
from audit.zoo import stored_table
from unetzoo.model_files import check_saved


def as_table(source: Any) -> Table:
    """The table of a Keras model, a zoo id, a file of a network, or the first summary in a text.

    Raises: ValueError for what is none of these.

    >>> as_table("unet2d-small").name
    'UNetSmall'
    """
    if isinstance(source, Table):
        return source
    if not isinstance(source, str | Path):
        from audit.sources.keras_model import table_of

        return table_of(source)
    from unetzoo.registry import card, skeleton

    name = str(source)
    if key := zoo_id(name):
        from audit.sources.keras_model import table_of

        return stored_table(key) or table_of(skeleton(key))
    if name.endswith(".keras"):
        from audit.sources.keras_model import load, table_of

        return table_of(load(Path(name)))
    if files.kind_of(name):
        return files.table_of(Path(name))
    if re.fullmatch(r"[\w-]+", name) and not Path(name).exists():
        card(name)  # raises, with the closest names
    return read(source)


def zoo_id(source: Any) -> str:
    """The zoo's id that a source names, with hyphens or not; empty for any other source.

    >>> zoo_id("unet3d-90m"), zoo_id("paper.md")
    ('unet3d_90m', '')
    """
    from unetzoo.registry import list_models

    name = str(source).replace("-", "_") if isinstance(source, str | Path) else ""
    return name if name in list_models() else ""


def ready(*sources: str | Path) -> None:
    """Load Keras, and say so on stderr, if the tables of these sources need it.

    Raises: ValueError, before that, for a damaged ``.keras`` file, and plans that cannot be read.
    """
    waiting = [str(source) for source in sources if _needs_keras(source)]
    for source in waiting:
        if source.endswith(".keras"):
            check_saved(source, weights=False)
        elif not zoo_id(source):
            from audit.sources.nnunet import check_plans

            check_plans(Path(source))
    if waiting:
        from unetzoo.utils.console import load_keras

        load_keras(f"reading {' and '.join(waiting)}")


def _needs_keras(source: str | Path) -> bool:
    if key := zoo_id(source):
        return stored_table(key) is None
    if str(source).endswith(".keras"):
        return Path(source).is_file()
    return files.kind_of(source) == "nnunet"


def zoo_table(name: str, arguments: Mapping[str, object]) -> Table:
    """The table of a network of the zoo, built without weights if there are arguments.

    Raises: ValueError for an unknown name or a value that cannot work.
    """
    from unetzoo.registry import check_arguments, skeleton
    from unetzoo.utils.console import load_keras

    check_arguments(name, **arguments)  # before Keras is loaded
    if not arguments:
        ready(name)
        return as_table(name)
    load_keras(f"building {name}")
    return as_table(skeleton(name, **arguments))
