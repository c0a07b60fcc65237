"""Labels by the rule of torch's function against nnU-Net's own (``scripts/nnunet_labels.py``)."""

import numpy as np
import pytest
from places import GOLDEN

from unetzoo.interop.nnunet_resampling import Rule

KEPT = np.load(GOLDEN / "nnunet_labels.npz")
CASES = [name for name in KEPT.files if name != "labels"]


@pytest.mark.parametrize("name", CASES)
def test_labels_are_nnu_nets(name):
    _, thick, lean = name.split("-")
    rule = Rule(force=thick == "True", torch=True, lean=lean == "True")
    coarse = rule.coarse((4, 1, 1), (1, 1, 1))
    found = rule.resampled_labels(KEPT["labels"], KEPT[name].shape, coarse)
    most = 0.01 if rule.lean else 0  # voxels of which a label has half, but for rounding
    assert np.mean(found != KEPT[name]) <= most
    assert found.dtype == KEPT["labels"].dtype


@pytest.mark.parametrize("name", ["double-False-False", "odd-False-True"])
def test_labels_by_the_other_rule_are_others(name):
    found = Rule().resampled_labels(KEPT["labels"], KEPT[name].shape, None)
    assert (found != KEPT[name]).any()
