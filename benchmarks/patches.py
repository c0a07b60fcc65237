"""The largest patch that a GPU's memory holds in training, as the auditor predicts it.

    python benchmarks/patches.py [NETWORK ...]

A step with Adam on two patches, all sides equal and a multiple of 32 (or the next size that the
network takes), against 0.9 of the card's memory: the rest is for the loss and the libraries. In
each cell: all maps kept, remat activations, remat full. Nothing is run on a GPU.
"""

import sys
from bisect import bisect_right
from functools import cache

import audit
import unetzoo

CARDS = (8, 16, 24, 40, 80)  # GB
SHARE = 0.9
LARGEST = {2: 4096, 3: 512}
MODES = (None, "activations", "full")
DTYPES = {"float32": "float32", "bfloat16": "mixed"}


def sizes_of(name, rank):
    takes = unetzoo.card(name).sizes
    return sorted({max(takes.nearest(size)) for size in range(32, LARGEST[rank] + 1, 32)})


def row(name, dtype):
    rank = unetzoo.card(name).ranks[-1]
    sizes = sizes_of(name, rank)
    channels = unetzoo.card(name).input_shape[-1]
    table = cache(
        lambda size: audit.table(unetzoo.skeleton(name, input_shape=(*[size] * rank, channels)))
    )

    def needed(size, remat):
        return audit.memory(table(size), batch=2, dtype=dtype, remat=remat).training

    for gigabytes in CARDS:
        held = SHARE * gigabytes * 2**30
        found = [bisect_right(sizes, held, key=lambda s, m=mode: needed(s, m)) for mode in MODES]
        yield " / ".join("-" if not number else f"{sizes[number - 1]}" for number in found)


def main():
    names = sys.argv[1:] or unetzoo.list_models()
    print("| network | | " + " | ".join(f"{size} GB" for size in CARDS) + " |")
    print("|---|---|" + "---|" * len(CARDS))
    for name in names:
        for dtype, word in DTYPES.items():
            rank = unetzoo.card(name).ranks[-1]
            print(f"| `{name}`, {rank}D | {word} | {' | '.join(row(name, dtype))} |", flush=True)


if __name__ == "__main__":
    main()
