"""``python -m unetzoo``."""

from unetzoo.cli.start import unetzoo

unetzoo()
