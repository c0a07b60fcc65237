"""Reading and writing take time in proportion to the length: calls are counted, not seconds."""

import sys
from dataclasses import replace

import pytest
from long_texts import SAMPLES, WRITTEN, long_table, long_text

import audit
from audit.sources.recovery import recovered


def calls_of(work):
    """How many functions a piece of work calls, C's too: its time, where no clock is to be read."""
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def assert_linear(calls, step):
    calls(step)  # what is imported and cached at first
    first, second, third = calls(step), calls(2 * step), calls(3 * step)
    assert third - second == pytest.approx(second - first, rel=0.1)


@pytest.mark.parametrize("name", [*WRITTEN, *SAMPLES])
def test_reading_is_linear(name):
    """benchmarks/auditor.py reads 100,000 rows by the clock."""
    texts = {rows: long_text(name, rows) for rows in (120, 240, 360)}
    if name != "torchinfo" and name != "torch-summary":  # they fold at a depth
        assert len(audit.read(texts[360])) > 300
    assert_linear(lambda rows: calls_of(lambda: audit.read(texts[rows])), 120)


@pytest.mark.parametrize("name", [name for name in (*WRITTEN, *SAMPLES) if name != "json"])
def test_many_tables_are_read_in_linear_time(name):
    text = long_text(name, 25)
    assert_linear(lambda times: calls_of(lambda: audit.read_all((text + "\n\n") * times)), 10)


@pytest.mark.parametrize("name", WRITTEN)
def test_writing_is_linear(name):
    tables = {rows: long_table(rows) for rows in (60, 120, 180)}
    # each time a table that has not kept its sums
    assert_linear(lambda rows: calls_of(lambda: replace(tables[rows]).to_text(name)), 60)


def test_refusing_is_linear():
    def refused(times):
        with pytest.raises(ValueError, match="expected a network's summary"):
            audit.read(("-" * 99 + "\n") * times)

    assert_linear(lambda times: calls_of(lambda: refused(times)), 20)


def test_recovery_is_linear_where_each_shape_waits_for_the_next():
    """Dropouts whose cut shapes only the last tells, and none of them in order."""

    def chain(layers):
        rows = [
            audit.Row(f"d{n}", "Dropout", (None, 8, None), {}, 0, (f"d{n - 1}[0][0]",),
                      settings={"cut": "(None, 8, 1"})
            for n in range(1, layers)
        ]  # fmt: skip
        last = audit.Row("d0", "Dropout", (None, 8, 16), {}, 0, ("d[0][0]",))
        return recovered(audit.Table("", (*rows[::-1], last)))

    assert {row.shape for row in chain(500)} == {(None, 8, 16)}
    assert_linear(lambda layers: calls_of(lambda: chain(layers)), 100)
