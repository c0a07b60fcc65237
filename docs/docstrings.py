"""What the generator of the pages cannot see by itself: lazy names, our docstrings' shape."""

import ast
import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"(?:^>>> .*\n?(?:^(?!\s*$).*\n?)*)", re.MULTILINE)
SENTENCE = re.compile(r"^(Args|Raises|Returns|Source|Yields): (?=\S)", re.MULTILINE)


class LazyNames(griffe.Extension):
    """Reads ``{"name": "package.module:name"}`` in a package as an import of that name."""

    def on_module_members(self, *, node: Any, mod: griffe.Module, **_: Any) -> None:
        """Add the lazy names of a package that has them."""
        if not mod.is_init_module or not isinstance(node, ast.AST):
            return
        for name, place in _places(node):
            if name not in mod.members:
                target = place.replace(":", ".")
                mod.set_member(name, griffe.Alias(name, target, parent=mod))
                mod.imports[name] = target

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Show examples as code, and sections of one sentence as paragraphs of their own."""
        objects: list[griffe.Object | griffe.Alias] = [pkg]
        while objects:
            here = objects.pop()
            objects.extend(member for member in here.members.values() if not member.is_alias)
            if here.docstring:
                here.docstring.value = shown(here.docstring.value)


def shown(text: str) -> str:
    """A docstring as the generator reads it."""
    text = EXAMPLE.sub(lambda example: f"```pycon\n{example[0].rstrip()}\n```\n", text)
    return SENTENCE.sub(r"\n**\1:** ", text)


def _places(node: ast.AST) -> list[tuple[str, str]]:
    dicts = [part for part in ast.walk(node) if isinstance(part, ast.Dict)]
    pairs = [pair for part in dicts for pair in zip(part.keys, part.values, strict=True)]
    return [
        (key.value, value.value)
        for key, value in pairs
        if isinstance(key, ast.Constant)
        and isinstance(value, ast.Constant)
        and isinstance(value.value, str)
        and re.fullmatch(r"(unetzoo|audit)[\w.]*:\w+", value.value)
    ]
