"""What a pickle describes, followed without Python's unpickler.

A pickle is a program: it names functions, and the unpickler calls them. Here ``pickletools`` only
lists its instructions. Those that build containers, numbers and texts are followed; a name is
looked up in a table of functions of our own; anything else is refused by name.
"""

import itertools
import pickletools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SIMPLE = (str, bytes, int, float, bool, type(None))
AS_THEY_ARE = frozenset(
    {
        "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT",
        "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
        "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BINSTRING", "SHORT_BINSTRING",
    }
)  # fmt: skip
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
MOST = 2**26  # values and characters, counted wherever they stand: a pickle may repeat its parts
COPIED = 2**24  # values and characters, copied by its instructions
REPEATED = "it repeats its parts without end"


@dataclass(frozen=True)
class Name:
    """A class or a function that a pickle names; it is not imported."""

    path: str


@dataclass(eq=False)
class Object:
    """An instance of a class that is not imported: its name and its attributes."""

    kind: str
    state: dict[str, Any] = field(default_factory=dict)


class Refused(ValueError):
    """An instruction or a name that is not followed."""


def follow(
    content: bytes,
    known: Mapping[str, Callable[..., Any]],
    objects: Callable[[str], bool] = lambda path: False,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """What a pickle describes.

    Args:
        content: the pickle.
        known: functions of our own that stand for the names that may be called.
        objects: which classes become an ``Object``, with their attributes.
        persistent: what a persistent id stands for.

    Raises: Refused for a name or an instruction that is not known; ValueError, TypeError,
        IndexError or KeyError for a pickle that is damaged, or describes far more than it holds.

    >>> import pickle
    >>> follow(pickle.dumps({"a": [1, (2.5, None)]}), {})
    {'a': [1, (2.5, None)]}
    >>> follow(pickle.dumps(print), {})
    Traceback (most recent call last):
    ...
    unetzoo.interop.pickled.Refused: it names builtins.print
    """
    machine = _Machine(known, objects, persistent)
    for code, argument, _ in pickletools.genops(content):
        machine.step(code.name, argument)
    if len(machine.stack) != 1:
        raise ValueError("a pickle of no single object")
    if _size(machine.stack[0], {}) > MOST:
        raise ValueError(REPEATED)
    return machine.stack[0]


def _size(value: Any, known: dict[int, int]) -> int:
    """Values and characters in a value; what it holds twice counts twice, but is walked once."""
    if isinstance(value, str | bytes):
        return 1 + len(value)
    inner = value.state if isinstance(value, Object) else value
    if not isinstance(inner, dict | list | tuple):
        return 1
    if id(inner) not in known:
        known[id(inner)] = 0  # it may hold itself
        parts = itertools.chain(inner, inner.values()) if isinstance(inner, dict) else inner
        known[id(inner)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(inner)]


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(
        self,
        known: Mapping[str, Callable[..., Any]],
        objects: Callable[[str], bool],
        persistent: Callable[[Any], Any] | None,
    ) -> None:
        self.known, self.objects, self.persistent = known, objects, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.copied = 0

    def copies(self, value: Any) -> None:
        """Count what an instruction of a few bytes has copied, or is about to copy."""
        self.copied += len(value) if isinstance(value, str | bytes | dict | list | tuple) else 1
        if self.copied > COPIED:
            raise ValueError(REPEATED)

    def step(self, name: str, argument: Any) -> None:
        if name in AS_THEY_ARE:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in EMPTY:
            self.stack.append(EMPTY[name]())
        elif name in TUPLES:
            self.stack.append(tuple(self.pop(TUPLES[name])))
        elif (method := getattr(self, f"do_{name.lower()}", None)) is not None:
            method(argument)
        else:
            raise Refused(f"it has an instruction that is not followed, {name}")

    def pop(self, count: int) -> list[Any]:
        """The last so many, which must lie above the last mark."""
        begin = len(self.stack) - count
        if begin < (self.marks[-1] if self.marks else 0):
            raise ValueError("a pickle that takes more than it has")
        taken = self.stack[begin:]
        del self.stack[begin:]
        return taken

    def since_mark(self) -> list[Any]:
        taken = self.stack[self.marks[-1] :]
        del self.stack[self.marks.pop() :]
        return taken

    def top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise TypeError(f"a pickle that fills a {type(self.stack[-1]).__name__}")
        return self.stack[-1]

    # === Instructions, by their names ===

    def do_proto(self, version: int) -> None: ...

    def do_frame(self, size: int) -> None: ...

    def do_stop(self, _: None) -> None: ...

    def do_mark(self, _: None) -> None:
        self.marks.append(len(self.stack))

    def do_tuple(self, _: None) -> None:
        self.stack.append(tuple(self.since_mark()))

    def do_append(self, _: None) -> None:
        items = self.pop(1)
        self.top(list).extend(items)

    def do_appends(self, _: None) -> None:
        items = self.since_mark()
        self.top(list).extend(items)

    def do_setitem(self, _: None) -> None:
        self._set(self.pop(2))

    def do_setitems(self, _: None) -> None:
        self._set(self.since_mark())

    def _set(self, items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, SIMPLE):
                raise TypeError(f"a key of a dict that is a {type(key).__name__}")
            self.top(dict)[key] = value

    def do_memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def do_binput(self, at: int) -> None:
        self.memo[at] = self.stack[-1]

    do_long_binput = do_binput

    def do_binget(self, at: int) -> None:
        self.stack.append(self.memo[at])

    do_long_binget = do_binget

    def do_global(self, words: str) -> None:
        """The module and the name, which pickletools gives with a blank between them."""
        self._name(".".join(words.split(" ")))

    def do_stack_global(self, _: None) -> None:
        self._name(".".join(self.pop(2)))

    def _name(self, path: str) -> None:
        if path not in self.known and not self.objects(path):
            raise Refused(f"it names {path[:80]}")
        self.copies(path)
        self.stack.append(Name(path))

    def do_reduce(self, _: None) -> None:
        name, arguments = self.pop(2)
        if not isinstance(name, Name) or name.path not in self.known:
            raise Refused(f"it calls {getattr(name, 'path', 'what is no function')[:80]}")
        made = self.known[name.path](*arguments)
        self.copies(made)
        self.stack.append(made)

    def do_newobj(self, _: None) -> None:
        name, arguments = self.pop(2)
        if not isinstance(name, Name) or not self.objects(name.path) or arguments:
            raise Refused(f"it makes a {getattr(name, 'path', 'thing of no class')[:80]}")
        self.stack.append(Object(name.path))

    def do_build(self, _: None) -> None:
        (state,) = self.pop(1)
        built = self.stack[-1]
        if isinstance(built, Object) and isinstance(state, dict):
            self.copies(state)
            built.state.update(state)
        elif not isinstance(built, dict):  # of a dict, its attributes, which are not needed
            built.build(state)

    def do_binpersid(self, _: None) -> None:
        if self.persistent is None:
            raise Refused("it refers to objects outside of it")
        self.stack.append(self.persistent(*self.pop(1)))


def walk(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All that containers hold, each with its keys or attributes; what is met twice, once."""
    seen: set[int] = set()
    waiting = [(path, value)]
    while waiting:
        path, value = waiting.pop()
        inner = value.state if isinstance(value, Object) else value
        if not isinstance(inner, dict):
            yield path, value
        elif id(inner) not in seen:
            seen.add(id(inner))
            items = [((*path, str(key)), held) for key, held in inner.items()]
            waiting.extend(reversed(items))
