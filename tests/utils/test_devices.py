"""The choice of a device, which the backends read from the environment."""

import os
import sys

import pytest

from unetzoo.utils.devices import VISIBLE, choose_device


@pytest.fixture
def without_keras(monkeypatch):
    for name in (VISIBLE, "JAX_PLATFORMS", "KERAS_TORCH_DEVICE"):
        monkeypatch.setenv(name, "")
    monkeypatch.delitem(sys.modules, "keras", raising=False)


@pytest.mark.parametrize(
    ("device", "visible", "expected"),
    [
        ("cpu", "", "-1"), ("gpu", "", ""), ("gpu:1", "", "1"), ("gpu", "4,6", "4,6"),
        ("gpu:1", "4,6", "6"), ("cpu", "4,6", "-1"),
    ],
)  # fmt: skip
def test_the_backends_see_the_device_alone(device, visible, expected, without_keras, monkeypatch):
    monkeypatch.setenv(VISIBLE, visible)
    choose_device(device)
    assert os.environ[VISIBLE] == expected
    assert os.environ["JAX_PLATFORMS"] == ("cpu" if device == "cpu" else "")


def test_what_is_not_visible_is_refused(without_keras, monkeypatch):
    monkeypatch.setenv(VISIBLE, "4,6")
    with pytest.raises(ValueError, match=r"gpu:2: CUDA_VISIBLE_DEVICES is 4,6; expected fewer"):
        choose_device("gpu:2")


def test_it_is_too_late_once_keras_is_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", object())
    with pytest.raises(ValueError, match="expected before Keras is imported"):
        choose_device("cpu")
