"""The notebooks of ``examples/`` as pages: what they showed when they ran; nothing is run here.

mkdocs calls ``on_files``. A cell of text is Markdown already; code, text and pictures that it gave
become blocks of Markdown, so that a notebook looks and is searched like any other page.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parent.parent / "examples"
COLORS = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal
NOTE = "This is `examples/{0}` as it ran. [Download the notebook]({0})."


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each notebook, its pictures, and the notebook itself."""
    from mkdocs.structure.files import File

    for path in sorted(EXAMPLES.glob("*.ipynb")):
        text, pictures = page(path)
        contents: dict[str, str | bytes] = {f"{path.stem}.md": text, **pictures}
        contents[path.name] = path.read_text(encoding="utf-8")
        for name, content in contents.items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files


def page(path: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by their names."""
    pictures: dict[str, bytes] = {}
    blocks = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            blocks.append(source)
        elif cell["cell_type"] == "code":
            blocks.append(_fenced(source, "python"))
            blocks += [_output(output, path.stem, pictures) for output in cell["outputs"]]
        if len(blocks) == 1:
            blocks.append(NOTE.format(path.name))
    return "\n\n".join(blocks) + "\n", pictures


def _output(output: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> str:
    """What a cell showed, in the richest of its forms; a picture is also kept in ``pictures``."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "image/png" in data:
        name = f"{stem}-{len(pictures) + 1}.png"
        pictures[name] = base64.b64decode("".join(data["image/png"]))
        return f"![What the code above draws]({name})"
    if "text/html" in data:
        return f'<div class="output">\n{"".join(data["text/html"])}\n</div>'
    return _fenced(COLORS.sub("", "".join(data["text/plain"])), "{ .text .output }")


def _fenced(text: str, kind: str) -> str:
    """A block of code whose fence is longer than any in it."""
    fence = "`" * max([3, *[len(run) + 1 for run in re.findall("`{3,}", text)]])
    return f"{fence} {kind}\n{text.rstrip()}\n{fence}"
