"""Undoes what people and programs do to a printed table; each sort of repair is noted once."""

import html
import re
from collections.abc import Callable

from audit.formats.cells import Lines
from unetzoo.utils.json_values import parsed

LONGEST = 4096  # characters of a line that are read
MARKS = "\r\t&\\\x1b\u00a0\u2007\u202f<"
PRINTABLE = "&\\<"  # those of them that can be seen
MARKED = re.compile(f"[{re.escape(MARKS)}]")
STARTS = ("#", "/", ">", "*", "In", "Out", '{"')
STARTED = re.compile(rf"\n[^\S\n]*(?:{'|'.join(map(re.escape, STARTS))})")
LOGGED = ("log", "message", "msg", "text", "line")  # where a log of JSON has what was printed
TOO_LONG = f"lines of over {LONGEST:,} characters"
RETURNS = re.compile(r"\r+$", re.MULTILINE)
COLOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
PREFIX = re.compile(r"^\s*(?:(?:#+|//+|\*|>)(?=[\s>]|$)\s?)+")
ENTITY = re.compile(r"&(?:[A-Za-z]\w*|#\d+|#[xX][0-9a-fA-F]+);")
ESCAPED = re.compile(r"\\([\[\]_*()<>#`-])")
BROKEN = re.compile(r"\\\n[^\n]*\\$", re.MULTILINE)  # two lines with a hard break of Markdown
BREAK = re.compile(r"\\$", re.MULTILINE)
SPACES = re.compile("[\u00a0\u2007\u202f]")
UNUSUAL = re.compile("[\u2000-\u2006\u2008-\u200d\u205f\u2060\u3000\ufeff]")
EMPTY = "\u200b\u200c\u200d\u2060\ufeff"  # characters of no width
OVERWRITTEN = re.compile(r"[^\n\r]*\r(?=[^\n\r])")  # as a progress bar is
TAG = re.compile(
    r"</?(?:pre|code|span|samp|tt|font|div|p|b|i|u|a|strong|em|br|h[1-6]|body|html|table|thead|"
    r"tbody|li|ul|center)(?:\s[^<>]*)?/?>"
)
PROMPT = re.compile(r"^(?:In|Out) ?\[\d+\]: ?(?! ?\w+\(\s*$)")


WHOLE: tuple[tuple[str, str, Callable[[str], str]], ...] = (  # at once, for they may be anywhere
    ("carriage returns", "\r", lambda text: _returned(text)),
    ("color codes", "\x1b", lambda text: COLOR.sub("", text)),
    ("tabs", "\t", lambda text: text.expandtabs(4)),
    ("backslashes", "\\\n", lambda text: BREAK.sub("", text) if BROKEN.search(text) else text),
    ("unusual spaces", "", lambda text: text if text.isascii() else _plainly_spaced(text)),
)


def _returned(text: str) -> str:
    """Lines that end in carriage returns alone; and of overwritten lines, what is seen."""
    if "\n" not in text:
        return text.replace("\r", "\n")
    text = RETURNS.sub("", text)
    return OVERWRITTEN.sub("", text) if "\r" in text else text


def _plainly_spaced(text: str) -> str:
    return UNUSUAL.sub(lambda found: "" if found[0] in EMPTY else " ", text)


def clean(lines: Lines) -> tuple[Lines, tuple[str, ...], bool]:
    """The lines without color codes, quote and comment marks, HTML, log prefixes, tabs and CRs;
    what was done; and whether nothing was, as every line is plain and printable."""
    if all(map(str.isprintable, lines)) and not _is_marked(lines):
        return lines, (), True
    text = lines.text
    repairs: dict[str, None] = {}
    for name, mark, step in WHOLE:
        if mark in text and (mended := step(text)) != text:
            text, repairs[name] = mended, None
    marked = any(mark in text for mark in MARKS)
    cleaned = [
        _clean(line, repairs)
        if len(line) > LONGEST
        or line.lstrip().startswith(STARTS)
        or (marked and MARKED.search(line))
        else line
        for line in text.split("\n")
    ]
    return Lines(cleaned), tuple(repairs), False


def _is_marked(lines: Lines) -> bool:
    """Whether some printable line may have to be mended."""
    return (
        any(mark in lines.text for mark in PRINTABLE)
        or STARTED.search(f"\n{lines.text}") is not None
        or max(map(len, lines)) > LONGEST
    )


def _clean(line: str, repairs: dict[str, None]) -> str:
    for name, step in STEPS:
        mended = step(line)
        if mended != line:
            repairs[name] = None
        line = mended
    return line


def _unescaped(line: str) -> str:
    """A line without entities; one that stands for the end of a line is a space."""
    return " ".join(html.unescape(line).splitlines())


def _logged(line: str) -> str:
    """What a line of JSON holds, as Docker logs a program: ``{"log": "...", "stream": ...}``."""
    try:
        whole = parsed(line)
    except ValueError:
        return line
    texts = (whole.get(key) for key in LOGGED) if isinstance(whole, dict) else ()
    found = next((text for text in texts if isinstance(text, str)), line)
    return found.rstrip("\r\n").replace("\n", " ")


STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (  # of a line, in this order
    (TOO_LONG, lambda text: text[:LONGEST]),
    ("lines of JSON", lambda text: _logged(text) if text.lstrip().startswith('{"') else text),
    ("carriage returns", lambda text: text.rstrip("\r")),
    ("color codes", lambda text: COLOR.sub("", text)),
    ("tabs", lambda text: text.expandtabs(4)),
    ("HTML tags", lambda text: TAG.sub("", text) if "<" in text else text),
    ("quote or comment marks", lambda text: PREFIX.sub("", text)),
    ("HTML entities", lambda text: _unescaped(text) if ENTITY.search(text) else text),
    (
        "non-breaking spaces",
        lambda text: text if text.isascii() else SPACES.sub(" ", text),
    ),
    ("backslashes", lambda text: ESCAPED.sub(r"\1", text) if "\\" in text else text),
    ("prompts", lambda text: PROMPT.sub("", text)),
)
