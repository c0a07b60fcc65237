"""Damaged texts for the parsers, for as long as one likes: only a table or one sentence comes out.

    python benchmarks/fuzz.py [MINUTES]

Every text is a whole printed table with pieces cut out, put twice, put elsewhere or overwritten by
noise. It prints how many were tried, how many gave a table, and the slowest one.
"""

import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import audit

HERE = Path(__file__).parents[1]
TEXTS = [
    path.read_text()
    for folder in (HERE / "audit/documents", HERE / "tests/golden", HERE / "tests/golden/programs")
    for path in sorted(folder.iterdir())
    if path.suffix in (".txt", ".md")
]
SLOWEST = 2.0  # seconds for a text of a few thousand characters: far beyond linear
noise = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["|", "(", "[[", "...", "\x1b[1m", "&#40;", "├─", "\t", "\r\n", "-" * 500]),
)
damage = st.lists(
    st.tuples(
        st.floats(0, 1), st.floats(0, 0.3), st.sampled_from(["cut", "twice", "noise"]), noise
    ),
    min_size=1,
    max_size=6,
)
counts = {"texts": 0, "tables": 0, "slowest": 0.0}


def damaged(text: str, steps: list[tuple[float, float, str, str]]) -> str:
    for start, length, how, put in steps:
        first = int(start * len(text))
        last = first + int(length * len(text))
        middle = {"cut": "", "twice": text[first:last] * 2, "noise": put}[how]
        text = text[:first] + middle + text[last:]
    return text


@settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(text=st.sampled_from(TEXTS), steps=damage)
def fuzz(text, steps):
    start = time.perf_counter()
    sentence = ""
    try:
        tables = audit.read_all(damaged(text, steps) + "\n")
    except ValueError as error:
        tables, sentence = [], str(error)
    if tables:
        counts["tables"] += 1
        for table in tables:
            assert table.to_text()
            assert len(table.inconsistencies()) <= 3
            assert audit.read(table.to_text("json")) == table
    else:
        assert sentence.endswith(".")
        assert "\n" not in sentence
    counts["texts"] += 1
    counts["slowest"] = max(counts["slowest"], time.perf_counter() - start)
    assert counts["slowest"] < SLOWEST


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        fuzz()
    print(
        f"{counts['texts']:,} damaged texts in {minutes:g} minutes: {counts['tables']:,} tables, "
        f"the others one sentence each; the slowest took {counts['slowest']:.3f} s"
    )


if __name__ == "__main__":
    main()
