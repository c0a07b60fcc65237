"""Files to arrays with their geometry, and back."""

from collections.abc import Sequence
from pathlib import Path

Paths = Path | str | Sequence[Path | str]  # one file, or one for each channel of an image
