"""Names and colors of labels for other programs: ``.ctbl`` of 3D Slicer, ``.label`` of ITK-SNAP."""

import re
from collections.abc import Mapping
from pathlib import Path

from unetzoo.utils.colors import rgb_of
from unetzoo.utils.files import replacing

SLICER, SNAP = "labels.ctbl", "labels.label"
LONGEST = 200  # letters of a name
HEAD = "# ITK-SnAP Label Description File\n# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL\n"
CLEAR = '    0     0    0    0        0  0  0    "Clear Label"\n'


def write_label_files(folder: Path, names: Mapping[int, str]) -> None:
    """Write both files beside masks, each whole or not at all.

    Args:
        folder: of the masks.
        names: of the numbers in the masks; 0 is the background.

    Raises: ValueError where they cannot be written.
    """
    labels = [(number, name) for number, name in sorted(names.items()) if number > 0]
    colors = [(number, rgb_of(at), name) for at, (number, name) in enumerate(labels, 1)]
    slicer = ["# Color table for 3D Slicer: number, name, red, green, blue, alpha\n"]
    slicer.append("0 background 0 0 0 0\n")
    snap = [HEAD, CLEAR]
    for number, (red, green, blue), name in colors:
        plain = plain_name(name, number)
        spaceless = re.sub(r"\s+", "_", plain)  # 3D Slicer shows _ as a space
        slicer.append(f"{number} {spaceless} {red} {green} {blue} 255\n")
        quoted = plain.replace("\\", "/").replace('"', "'")
        snap.append(f'{number:>5} {red:>5}{green:>5}{blue:>5}        1  1  1    "{quoted}"\n')
    for name, lines in ((SLICER, slicer), (SNAP, snap)):
        with replacing(folder / name) as beside:
            beside.write_text("".join(lines), encoding="utf-8")


def read_label_file(folder: Path) -> dict[int, tuple[str, tuple[int, int, int]]]:
    """The names and colors in a folder's ``.label``; none without one.

    Raises: ValueError for another content.
    """
    path = folder / SNAP
    if not path.is_file():
        return {}
    found = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r'\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)(?:\s+[\d.]+){3}\s+"(.*)"\s*', line)
        if match is None:
            raise ValueError(f"{path}: line {line[:60]!r}; expected labels as ITK-SNAP has them.")
        number, red, green, blue = (int(part) for part in match.groups()[:4])
        found[number] = (match[5], (red, green, blue))
    return found


def plain_name(name: str, number: int) -> str:
    """A name of one line that other programs can read.

    >>> plain_name("left \\n kidney", 2), plain_name("\\t", 3)
    ('left kidney', 'label 3')
    """
    kept = "".join(letter if letter.isprintable() else " " for letter in name)
    return " ".join(kept.split())[:LONGEST] or f"label {number}"
