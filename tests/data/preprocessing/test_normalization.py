"""Intensities rescaled, as nnU-Net's classes define it, written here anew."""

import numpy as np
import pytest

from unetzoo.data.preprocessing.normalization import Rescaled, ZScore, from_json, to_json, undo
from unetzoo.data.preprocessing.statistics import CaseStatistics, normalizations


@pytest.mark.parametrize("by", ["none", "range", "255"])
def test_intensities_as_they_are_and_from_0_to_1(by):
    values = np.array([[0, 51, 255], [102, 3, 9]], "float32") + (0 if by == "255" else 7)
    expected = {
        "none": values,
        "range": (values - values.min()) / (values.max() - values.min()),
        "255": values / 255,
    }[by]
    result, scale = Rescaled(by).apply(values)
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    np.testing.assert_allclose(undo(result, scale), values, rtol=1e-6, atol=1e-6)
    assert from_json(to_json(Rescaled(by))) == Rescaled(by)
    assert Rescaled(by).apply(np.full((2, 2), 3.0))[0].dtype == "float32"  # a constant channel


def test_what_cannot_be_rescaled_is_one_sentence():
    with pytest.raises(ValueError, match="by 'x': expected one of none, range, 255"):
        Rescaled("x")
    with pytest.raises(ValueError, match="intensities -1 to 3: expected colors, 0 to 255"):
        Rescaled("255").apply(np.array([-1.0, 3.0]))
    with pytest.raises(ValueError, match=r"by .*expected one of"):
        from_json({"name": "rescaled", "by": ["none"]})


def test_the_names_of_channels_say_how_they_are_normalized():
    case = CaseStatistics.__new__(CaseStatistics)
    for name, value in {"kept": 1.0, "channels": 4, "intensities": []}.items():
        object.__setattr__(case, name, value)
    names = ("noNorm", "T1", "Rescale_to_0_1", "rgb_to_0_1")
    expected = (Rescaled("none"), ZScore(), Rescaled("range"), Rescaled("255"))
    assert normalizations([case], names) == expected
