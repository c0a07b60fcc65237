"""``python -m audit``."""

from unetzoo.cli.start import audit

audit()
