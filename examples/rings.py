"""The skip playground in the documentation: notebook 05's network, trained, on a test picture.

    python examples/rings.py                         writes docs/playground/rings.html; a minute
    python examples/rings.py -o page.html --short    a trial: hardly trained

It runs the notebook's cells up to the first training, with the seed 0, and keeps all skips on.
"""

import argparse
import json
import os
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).parent / "05_skip_ablation.ipynb"
PAGE = Path(__file__).parent.parent / "docs" / "playground" / "rings.html"
PICTURE = 0  # of the test pictures
UNTIL = "zeroed, never, pictures ="  # begins the cell that trains all networks


def cells():
    """The code of the notebook, up to its long cell."""
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if UNTIL in source:
            return
        if cell["cell_type"] == "code":
            yield source


def main(words=None):
    """Train the network and write its page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=PAGE, help="the page")
    parser.add_argument("--short", action="store_true", help="a trial: hardly trained")
    arguments = parser.parse_args(words)
    os.environ["MPLBACKEND"] = "agg"
    if arguments.short:
        os.environ["UNETZOO_SHORT"] = "1"
    names = {"__name__": "notebook"}
    for source in cells():
        exec(source, names)
    print(f"training: loss {names['fit'](0, ()):.3f}", file=sys.stderr)
    import audit

    image, objects, _ = names["test"][PICTURE]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    print(
        audit.skips(
            names["model"],
            image,
            arguments.output,
            labels=(objects > 0).astype("uint8"),
            class_names=("background", "ring"),
            title="rings, the network of notebook 05",
        )
    )


if __name__ == "__main__":
    main()
