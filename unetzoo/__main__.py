"""``python -m unetzoo``."""

from unetzoo.start import unetzoo

unetzoo()
