"""Which model of a run is taken, by the commands and in Python."""

import pytest
from commands import command

from unetzoo.predict import load_predictor


@pytest.mark.parametrize("words", [["predict", "RUN", "x.png", "-o", "OUT"], ["evaluate", "RUN"]])
def test_another_model_than_best_or_last_is_refused(tmp_path, words):
    done = command("unetzoo", *words, "--model", "bset")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'--model': 'bset' is not one of 'best', 'last'" in done.stderr
    with pytest.raises(ValueError, match="which 'bset': expected one of best, last"):
        load_predictor(tmp_path, "bset")
