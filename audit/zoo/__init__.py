"""The tables of the zoo's networks at their defaults, stored so that no table waits for Keras.

``python -m audit.zoo`` builds every network without weights and rewrites its table;
``tests/audit/zoo/test_zoo_tables.py`` builds them too, and compares.
"""

from pathlib import Path

from audit.formats.plain import parse_json
from audit.tables import Table

FOLDER = Path(__file__).parent


def stored_table(name: str) -> Table | None:
    """The stored table of a network's id; None if there is none.

    >>> stored_table("unet3d_90m").trainable
    90309763
    """
    path = FOLDER / f"{name}.json"
    return parse_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def stored_text(table: Table) -> str:
    """A network's table as it is stored."""
    return table.to_text("json") + "\n"
