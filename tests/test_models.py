"""The nine networks against PyTorch twins with the same weights, and what every one must do."""

import numpy as np
import pytest
import torch
from torch_weights import channels_first, channels_last, copy_weights, randomise
from twins import TWINS

import unetzoo

# Two small sizes for each network, one of them odd where the network allows it.
SIZES = {
    "unet2d_large": [(16, 24), (19, 13)],
    "unet2d_original": [(188, 188), (204, 188)],
    "unet2d_small": [(32, 16), (19, 29)],
    "unet2d_textbook": [(32, 16), (19, 29)],
    "unet3d_19m": [(16, 16, 8), (17, 19, 23)],
    "unet3d_2_5m": [(16, 32, 16), (17, 23, 31)],
    "unet3d_90m": [(16, 16, 16), (17, 19, 25)],
    "unet3d_original": [(92, 92, 92), (100, 92, 92)],
    "unet3d_textbook": [(16, 32, 16), (17, 23, 19)],
}
CHOICES = [
    *[(name, {}) for name in SIZES],
    ("unet3d_2_5m", {"interpolation": "linear"}),
    ("unet2d_textbook", {"upsampling": "transposed"}),
    ("unet3d_textbook", {"upsampling": "transposed"}),
]


def test_every_network_has_sizes():
    assert sorted(SIZES) == unetzoo.list_models() == sorted(TWINS)


@pytest.mark.parametrize(("name", "choice"), CHOICES)
def test_logits_equal_the_pytorch_twins(name, choice):
    card = unetzoo.card(name)
    twin = randomise(TWINS[name](**choice), seed=1)
    rank = len(card.input_shape) - 1
    any_size = (*[None] * rank, card.input_shape[-1])
    model = unetzoo.build(name, input_shape=any_size, **choice)
    copy_weights(twin, model)
    rng = np.random.default_rng(2)
    for size in SIZES[name]:
        x = rng.standard_normal((1, *size, card.input_shape[-1]), dtype="float32")
        with torch.no_grad():
            expected = channels_last(twin(channels_first(x)))
        found = np.asarray(model(x))
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
