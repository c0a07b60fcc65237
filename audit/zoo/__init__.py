"""The tables of the zoo's networks at their defaults, kept, so that no table waits for Keras.

``python -m audit.zoo`` builds every network without weights and writes its table anew;
``tests/audit/zoo/test_zoo_tables.py`` builds them too, and compares.
"""

from pathlib import Path

from audit.formats.plain import parse_json
from audit.tables import Table

FOLDER = Path(__file__).parent


def kept(name: str) -> Table | None:
    """The kept table of a network's id; None where there is none.

    >>> kept("unet3d_90m").trainable
    90309763
    """
    path = FOLDER / f"{name}.json"
    return parse_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def written(table: Table) -> str:
    """The text to keep of a network's table."""
    return table.to_text("json") + "\n"
