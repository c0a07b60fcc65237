"""Pickles of a few bytes that describe more than any memory holds."""

import tracemalloc

import pytest

from unetzoo.interop.pickled import follow
from unetzoo.interop.torch_names import KNOWN

LEVELS = 60
MANY = 2**18


def text(word):
    return b"X" + len(word).to_bytes(4, "little") + word.encode()


def doubled(step):
    """A text, and again and again what a step makes of the last value twice; all in a tuple."""
    levels = (step % (b"h%ch%c" % (n, n)) + b"q%c" % (n + 1) for n in range(LEVELS))
    return b"(" + text("cpu") + b"q\x00" + b"".join(levels) + b"t"


def again(value, call):
    """A value, and a call with it, which the memo has at 0, very often; all in a tuple."""
    return b"(" + value + b"q\x00" + call * 5000 + b"t"


LARGE = b"](" + b"K\x01" * MANY + b"e"
ATTRIBUTES = b"}(" + b"".join(text(f"{n}") + b"K\x01" for n in range(MANY)) + b"u"
PAIR_OF_IT = b"K\x01\x86\x85\x85"
PICKLES = {
    "tuples": doubled(b"(%bt"),
    "lists": doubled(b"](%be"),
    "devices": doubled(b"ctorch\ndevice\n(%btR"),
    "a key": b"ccollections\nOrderedDict\n" + doubled(b"(%bt") + PAIR_OF_IT + b"R",
    "a dtype": b"cnumpy\ndtype\n" + doubled(b"(%bt") + b"\x85R",
    "an order": b"cnumpy\ndtype\n" + text("f4") + b"\x85RK\x01" + doubled(b"(%bt") + b"\x86b",
    "copies": again(LARGE, b"ctorch.jit._pickle\nbuild_intlist\nh\x00\x85R"),
    "encoded": again(text("c" * MANY), b"c_codecs\nencode\nh\x00" + text("l") + b"\x86R"),
    "names": again(text("c" * MANY), text("__torch__") + b"h\x00\x93"),
    "attributes": again(ATTRIBUTES, b"c__torch__\nN\n)\x81h\x00b"),
}


@pytest.mark.parametrize("kind", PICKLES)
def test_what_repeats_itself_takes_no_memory(kind):
    content = b"\x80\x04" + PICKLES[kind] + b"."
    tracemalloc.start()
    with pytest.raises((ValueError, TypeError)):
        follow(content, KNOWN, lambda path: path.startswith("__torch__."))
    assert tracemalloc.get_traced_memory()[1] < 2**30
    tracemalloc.stop()


def test_what_is_shared_a_few_times_is_read():
    content = b"\x80\x04" + again(b"](K\x01K\x02e", b"h\x00") + b"."
    assert follow(content, {}) == ([1, 2],) * 5001
