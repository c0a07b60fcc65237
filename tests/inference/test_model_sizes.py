"""What networks give for a patch, their strides, and the patches that they do not take."""

import keras
import pytest

import unetzoo
from unetzoo.inference.shapes import output_shape, strides


def network(rank, *layers):
    return keras.Sequential([keras.Input((*[None] * rank, 1)), *layers])


@pytest.mark.parametrize(
    ("name", "patch", "output", "stride"),
    [
        ("unet2d_original", (572, 572), (388, 388), 16),
        ("unet3d_original", (132, 132, 116), (44, 44, 28), 8),
        ("unet3d_19m", (64, 64, 64), (64, 64, 64), 8),
        ("unet2d_textbook", (128, 96), (128, 96), 16),
    ],
)
def test_the_documented_sizes(name, patch, output, stride):
    card = unetzoo.card(name)
    open_sizes = (*[None] * len(patch), card.input_shape[-1])
    model = unetzoo.skeleton(name, input_shape=open_sizes)
    assert output_shape(model, patch) == (*output, card.num_classes)
    assert strides(model) == (stride,) * len(patch)


def test_a_network_inside_a_network_has_its_strides():
    inner = network(2, keras.layers.MaxPooling2D((2, 1)), keras.layers.Conv2DTranspose(1, 2, 2))
    outer = network(2, inner, keras.layers.Conv2D(1, 3, 3), keras.layers.GlobalMaxPooling2D())
    assert strides(outer) == (6, 3)


# === What is refused, in one sentence ===


def refused(model, patch, match):
    with pytest.raises(ValueError, match=match) as error:
        output_shape(model, patch)
    assert str(error.value).count("\n") == 0


def test_patches_that_the_network_does_not_take():
    original = unetzoo.skeleton("unet2d_original", input_shape=(None, None, 1))
    needs = "'unet2d_original' needs sizes of 16 n . 188, n >= 0; the nearest are 188 and 204"
    refused(original, (200, 188), needs)
    fixed = unetzoo.skeleton("unet2d_textbook", input_shape=(64, 32, 1))
    refused(fixed, (64, 64), r"was built for \(64, 32\); give that patch, or build the network")
    cut = unetzoo.skeleton("unet3d_19m", input_shape=(None, None, None, 1))
    needs = r"\(16, 16, 20\): 'unet3d' needs sizes of 8 n . 8, n >= 0; the nearest are 16 and 24"
    refused(cut, (16, 16, 20), needs)
    convolution = network(2, keras.layers.Conv2D(1, 5))
    refused(convolution, (3, 8), r"patch \(3, 8\): 'seq.*' cannot take it; larger sizes")


@pytest.mark.parametrize(
    ("layer", "gives"),
    [
        (keras.layers.Conv2D(1, 2), r"\(7, 7\)"),
        (keras.layers.UpSampling2D(), r"\(16, 16\)"),
        (keras.layers.GlobalAveragePooling2D(), r"\(\)"),
    ],
)
def test_outputs_that_are_not_the_patchs_centre(layer, gives):
    refused(network(2, layer), (8, 8), f"gives {gives} for a patch of")
