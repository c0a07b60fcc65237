"""``python -m audit``."""

from unetzoo.start import audit

audit()
