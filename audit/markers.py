"""Keeps the tables in a README up to date: what stands between two markers is rewritten.

In Markdown a table stands between ``<!-- audit: table unet3d_90m --style torchsummary -->`` and
``<!-- audit: end -->``, in reStructuredText between ``.. audit: table unet3d_90m`` and
``.. audit: end``, each on a line of its own and outside code. A marker names a network of the zoo,
a ``.keras`` file beside the README, or a name for which the command line gives a builder: nothing
that the file itself names is imported or run.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from shutil import copymode

import click

from audit.comparison.assertion import mismatch
from audit.sources.builders import SpecError, built, find_builder, split_spec
from audit.sources.resolve import as_table, ready, zoo_id, zoo_table
from audit.sources.text import read_all
from audit.styles import STYLES
from audit.tables import Table
from unetzoo.utils.console import ShapeType, load_keras
from unetzoo.utils.files import missing, replacing
from unetzoo.utils.text import counted

MARKDOWN = (re.compile(r" {0,3}<!--\s*audit:(.*)"), re.compile(r"(.*?)-->\s*$"))
RST = (re.compile(r"\.\.\s+audit:(?!:)(.*)"), re.compile(r"(.*)$"))
FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})(.*)")
BARE = ("markdown", "html")  # styles that Markdown shows as they are


@dataclass(frozen=True)
class Slot:
    """A marked place: the lines of its two markers, from 0, and the first one's command."""

    first: int
    last: int
    command: str


@dataclass(frozen=True)
class Page:
    """A file, its text as it should be, how many tables are marked, and which are stale.

    ``stale`` holds a text for each stale table: where it is, then how it differs.
    """

    path: Path
    text: str
    tables: int
    stale: tuple[str, ...]

    def summary(self, what: str) -> str:
        """One line: how many of the tables are stale, or were rewritten."""
        tables = counted(self.tables, "table")
        state = f"{len(self.stale)} of {tables} {what}" if self.stale else f"{tables}, up to date"
        return f"{self.path}: {state}"

    def write(self) -> None:
        """Replace the file by the text, whole; a link to it stays a link."""
        path = self.path.resolve() if self.path.is_symlink() else self.path
        with replacing(path) as beside:
            beside.write_bytes(self.text.encode("utf-8", "surrogateescape"))
            copymode(path, beside)


class Networks:
    """The tables of the networks that markers name; each of the user's builders is called once."""

    def __init__(self, builders: Iterable[str] = ()) -> None:
        """Take builders as ``NAME=pkg.module:build``. Raises: ValueError for another form."""
        self.specs: dict[str, str] = {}
        self.tables: dict[str, Table] = {}
        for builder in builders:
            name, _, spec = builder.partition("=")
            if not name or re.search(r"\s", name) or not spec:
                raise ValueError(f"--model {builder}: expected NAME=MODULE:FUNCTION.")
            self.specs[name] = ":".join(split_spec(spec))

    def table(self, name: str, arguments: Mapping[str, object], folder: Path) -> Table:
        """The network's table. Raises: ValueError for a name that leads to no network."""
        if name not in self.specs and zoo_id(name):
            return zoo_table(name, arguments)
        if arguments:
            raise ValueError(
                f"{name!r}: only networks of the zoo take a shape and classes; leave them out."
            )
        if name in self.specs:
            if name not in self.tables:
                self.tables[name] = _users_table(self.specs[name])
            return self.tables[name]
        if name.endswith(".keras"):
            ready(folder / name)
            return as_table(folder / name)
        raise ValueError(
            f"{name!r}: expected a network of the zoo (unetzoo list), a .keras file, or a name "
            f"that the command line gives: --model {name}=pkg.module:build."
        )


def _users_table(spec: str) -> Table:
    """The table of what a builder returns; the numbers of unnamed layers start anew."""
    load_keras(f"building {spec}")
    import keras

    keras.utils.clear_session(free_memory=False)
    try:
        model = built(find_builder(spec))
    except SpecError:
        raise
    except (Exception, SystemExit) as error:
        raise ValueError(f"{spec!r} raised {type(error).__name__}: {error}") from error
    return as_table(model)


def refreshed(path: Path, networks: Networks) -> Page:
    """The file as it should be; nothing is written.

    Raises: ValueError, with the line's number, for a marker that cannot be followed.
    """
    if reason := missing(path):
        raise ValueError(f"{path}: {reason}; expected a text file with marked tables.")
    data = path.read_bytes()
    if b"\0" in data:
        raise ValueError(f"{path}: expected a text, found a binary file.")
    lines = re.findall(r"[^\n]*\n|[^\n]+$", data.decode("utf-8", "surrogateescape"))
    marked = list(slots(lines, path))
    stale: list[str] = []
    text: list[str] = []
    done = 0
    for slot in marked:
        with _at(path, slot.first):
            name, style, arguments = _parsed(slot.command)
            table = networks.table(name, arguments, path.parent)
            body = _body(table.to_text(style), style, _is_rst(path))
        newline = "\r\n" if lines[slot.first].endswith("\r\n") else "\n"
        after = [line + newline for line in body]
        before = lines[slot.first + 1 : slot.last]
        if before != after:
            where = f"{path}, line {slot.first + 1}"
            stale.append(_difference(before, after, table, where))
        text += [*lines[done : slot.first + 1], *after]
        done = slot.last
    text += lines[done:]
    return Page(path, "".join(text), len(marked), tuple(stale))


def slots(lines: list[str], path: Path) -> Iterator[Slot]:
    """The marked places in a text. Raises: ValueError for markers that are not in pairs."""
    first: int | None = None
    command = ""
    for number, text in _markers(lines, path):
        with _at(path, number):
            if text == "end" and first is None:
                raise ValueError("'audit: end' without a marker before it; remove it.")
            if text != "end" and first is not None:
                raise ValueError(
                    f"a marker before the end of the one on line {first + 1}; write 'audit: end' "
                    "above it."
                )
        if first is None:
            first, command = number, text
        else:
            yield Slot(first, number, command)
            first = None
    if first is not None:
        with _at(path, first):
            raise ValueError(
                "a marker without an end; write 'audit: end' after its table, outside code."
            )


def _markers(lines: list[str], path: Path) -> Iterator[tuple[int, str]]:
    """Each marker outside code: its line's number, and what it says."""
    begins, ends = RST if _is_rst(path) else MARKDOWN
    fence = ""
    for number, line in enumerate(lines):
        before, fence = fence, "" if _is_rst(path) else _fence(line, fence)
        begun = begins.match(line.lstrip("\ufeff"))
        if before or fence or not begun:
            continue
        ended = ends.match(begun[1].rstrip())
        text = ended[1].strip() if ended else ""
        if text != "end" and text.split()[:1] != ["table"]:
            with _at(path, number):
                raise ValueError(
                    f"a marker {line.strip()!r}; expected 'audit: table NAME' or 'audit: end' "
                    "in a comment on a line of its own."
                )
        yield number, text


def _fence(line: str, fence: str) -> str:
    """The code fence that is open after a line of Markdown; empty outside code."""
    match = FENCE.match(line.rstrip("\r\n"))
    if not match:
        return fence
    if not fence:
        return match[1]
    closes = match[1].startswith(fence) and not match[2].strip()
    return "" if closes else fence


@click.command(add_help_option=False)
@click.argument("name")
@click.option("--style", type=click.Choice(list(STYLES)), default="markdown")
@click.option("--input-shape", type=ShapeType())
@click.option("--num-classes", type=int)
def _marker(**_: object) -> None:
    """What may follow ``audit: table``: the arguments of ``python -m audit table``."""


def _parsed(command: str) -> tuple[str, str, dict[str, object]]:
    """A marker's network, style, and arguments of its builder."""
    options = _marker.make_context("audit: table", shlex.split(command)[1:]).params
    name, style = options.pop("name"), options.pop("style")
    return name, style, {key: value for key, value in options.items() if value is not None}


def _body(text: str, style: str, rst: bool) -> list[str]:
    """The lines between the markers, without trailing spaces, which other tools remove."""
    lines = [line.rstrip() for line in text.strip("\n").split("\n")]
    if rst:
        code = [f"    {line}".rstrip() for line in lines]
        return ["", ".. code-block:: text", "", *code, ""]
    if style in BARE:
        return ["", *lines, ""]
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return ["", f"{fence}text", *lines, fence, ""]


def _difference(before: list[str], after: list[str], table: Table, where: str) -> str:
    """The explained diff; a diff of the lines if no table can be read or only its form differs."""
    try:
        explained = mismatch(read_all("".join(before) + "\n"), table, where)
    except ValueError:
        explained = ""
    if explained:
        return explained
    old, new = ([line.rstrip("\r\n") for line in lines] for lines in (before, after))
    lines = list(unified_diff(old, new, n=0, lineterm=""))[2:]
    return "\n".join([f"{where}: the text is not that of {table.name!r}.", *lines])


def _is_rst(path: Path) -> bool:
    return path.suffix.lower() in (".rst", ".rest")


@contextmanager
def _at(path: Path, number: int) -> Iterator[None]:
    """Puts the file and line in front of any error about a marker."""
    try:
        yield
    except click.ClickException as error:
        raise ValueError(f"{path}, line {number + 1}: {error.format_message()}") from None
    except ValueError as error:
        raise ValueError(f"{path}, line {number + 1}: {error}") from error
