"""``python -m unetzoo``."""

from unetzoo.cli import main

main()
