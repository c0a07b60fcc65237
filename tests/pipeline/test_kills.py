"""A run that is killed and started again is the run that was not killed."""

import pytest
from kill_runs import compare


@pytest.mark.slow
def test_a_run_killed_three_times_ends_with_the_same_losses():
    done, worst = compare(3, seed=1)
    assert len(done) == 3
    assert worst < 1e-5
