"""Run notebooks from top to bottom, each in a fresh kernel, and keep their outputs.

    python examples/run.py 03_pictures_from_tfds    one
    python examples/run.py                          all, in full; minutes each
    python examples/run.py --short                  all, in short: a trial that saves nothing

A notebook reads UNETZOO_SHORT from the environment; where it is set, it does as little as shows
that every cell works. Nothing is saved that ``faults`` finds fault with.
"""

import argparse
import base64
import hashlib
import io
import os
import re
import socket
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

from unetzoo.utils.files import replacing

HERE = Path(__file__).parent
MAX_PICTURE = 150_000  # bytes of a PNG
MAX_NOTEBOOK = 600_000  # bytes of the file
MAX_SECONDS = 1800  # of a cell
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
REMARK = {  # what TensorFlow says of itself; in a notebook it says some of it to stdout
    "stderr": re.compile(r"(?s).+"),
    "stdout": re.compile(r"(?m)^WARNING:(?:tensorflow|absl):.*\n(?:Instructions for .*\n.*\n)?"),
}
OF_A_MACHINE = {
    "an absolute path": re.compile(r"(?<![\w.:/<])/(home|root|tmp|work|usr|Users|var|mnt|opt)/"),
    "a path of Windows": re.compile(r"\b[A-Z]:\\\\?\w"),
    "an address in memory": re.compile(r"\b0x[0-9a-f]{8,}"),
    "the machine's name": re.compile(rf"\b{re.escape(socket.gethostname())}\b"),
}


def notebooks():
    """Their paths, in order."""
    return sorted(HERE.glob("[0-9]*.ipynb"))


def execute(path, short=False):
    """The notebook with fresh outputs; CellExecutionError where a cell raises."""
    notebook = nbformat.read(path, as_version=4)
    environment = {**os.environ, **ENVIRONMENT}
    environment.pop("UNETZOO_SHORT", None)
    if short:
        environment["UNETZOO_SHORT"] = "1"
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=MAX_SECONDS,
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(HERE)}},
    )
    client.execute(env=environment)
    return notebook


def tidy(notebook):
    """Leave out what differs from run to run, make pictures small; return what was left out."""
    remarks = []
    for number, cell in enumerate(notebook.cells, 1):
        cell.id, cell.metadata = f"cell-{number}", {}
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                remarks += [match[0] for match in REMARK[output.name].finditer(output.text)]
                output.text = REMARK[output.name].sub("", output.text)
            elif "image/png" in output.get("data", {}):
                output.data["image/png"] = _smaller(output.data["image/png"])
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("text") != ""]
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
            "executed": digest(notebook),
        }
    )
    return "".join(remarks)


def digest(notebook):
    """Of what was executed: the code cells."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


def faults(notebook):
    """What a notebook must not be saved or committed with, a sentence each."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    pictures = [_size(output) for output in outputs if "image/png" in output.get("data", {})]
    text = nbformat.writes(notebook)
    found = []
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        found.append("its cells were not executed one after another, each once")
    if notebook.metadata.get("executed") != digest(notebook):
        found.append("its cells have changed since they were executed")
    if any(output.output_type == "error" for output in outputs):
        found.append("a cell raised an error")
    if any(output.get("name") == "stderr" for output in outputs):
        found.append("it holds output of stderr")
    if not pictures:
        found.append("it has no picture")
    if pictures and max(pictures) > MAX_PICTURE:
        found.append(f"a picture of {max(pictures)} bytes; expected at most {MAX_PICTURE}")
    if len(text.encode()) > MAX_NOTEBOOK:
        found.append(f"{len(text.encode())} bytes; expected at most {MAX_NOTEBOOK}")
    return found + _of_a_machine(notebook)


def _smaller(picture):
    """A PNG, base64, in 256 colours, or in fewer where it is too large."""
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        whole = image.convert("RGB")
    for colours in (256, 128, 64):
        written = io.BytesIO()
        few = whole.quantize(colours, dither=Image.Dither.NONE)
        few.save(written, "PNG", optimize=True)
        if len(written.getvalue()) <= MAX_PICTURE:
            break
    return base64.b64encode(written.getvalue()).decode()


def _size(output):
    return len(base64.b64decode(output.data["image/png"]))


def _of_a_machine(notebook):
    """Names and places of the machine that a notebook was executed on."""
    parts = [cell.source for cell in notebook.cells]
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = {"text": output.get("text", ""), **output.get("data", {})}
            parts += [str(value) for kind, value in data.items() if not kind.startswith("image/")]
    text = "\n".join(parts)
    return [
        f"{what}: {match[0]!r}"
        for what, pattern in OF_A_MACHINE.items()
        if (match := pattern.search(text))
    ]


def main(words=None):
    """Run the named notebooks, or all; 1 where one raised or has faults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--short", action="store_true", help="a trial that saves nothing")
    arguments = parser.parse_args(words)
    known = {path.stem: path for path in notebooks()}
    names = [Path(name).stem for name in arguments.names] or list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"notebook {unknown[0]!r}: expected one of {', '.join(known)}.")
    return max([_run(known[name], arguments.short) for name in names], default=0)


def _run(path, short):
    began = time.perf_counter()
    try:
        notebook = execute(path, short)
    except CellExecutionError as error:
        print(f"{path.stem}: {error}", file=sys.stderr)
        return 1
    remarks = tidy(notebook)
    print(remarks, end="", file=sys.stderr)
    found = faults(notebook)
    if not found and not short:
        with replacing(path) as beside:
            nbformat.write(notebook, beside)
    result = "; ".join(found) or ("works" if short else "saved")
    print(f"{path.stem}: {time.perf_counter() - began:.0f} s, {result}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
