"""Where the files lie that tests read."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
GOLDEN = TESTS / "golden"  # printed by the programs themselves, see its README.md
SCRIPTS = TESTS / "scripts"
