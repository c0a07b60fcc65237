"""The options for several devices and processes."""

import click
import pytest

from unetzoo.cli.team import Devices, number_of


def test_this_process_is_named_or_known_from_slurm(monkeypatch):
    assert number_of(None, None, None) == 0
    assert number_of("host:1234", 4, 3) == 3
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert number_of(None, None, None) == 0  # without srun, it is that of a batch script
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    assert number_of(None, None, None) == 1


@pytest.mark.parametrize("words", [("host:1", None, None), (None, 2, 0), (None, None, 1)])
def test_the_three_options_belong_together(words):
    with pytest.raises(ValueError, match="expected --coordinator, --processes and --process"):
        number_of(*words)


def test_a_number_is_less_than_their_count():
    with pytest.raises(ValueError, match="--process 2: expected less than --processes 2"):
        number_of("host:1", 2, 2)


def test_devices_are_a_number_or_all():
    assert Devices().convert("all", None, None) == "all"
    assert Devices().convert("2", None, None) == 2
    with pytest.raises(click.UsageError, match="'two': expected a whole number of at least 1, or"):
        Devices().convert("two", None, None)
