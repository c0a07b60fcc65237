"""Names, cards, errors, and what a skeleton costs."""

import os
import subprocess
import sys

import pytest

import unetzoo


def run(code):
    """A fresh Python's output."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout


def test_patterns():
    assert len(unetzoo.list_models()) == 9
    assert unetzoo.list_models("3d") == [n for n in unetzoo.list_models() if "3d" in n]
    assert unetzoo.list_models("unet2d-[ls]*") == ["unet2d_large", "unet2d_small"]
    assert unetzoo.list_models("4d") == []


def test_hyphens_are_accepted():
    assert unetzoo.card("unet3d-2-5m") is unetzoo.card("unet3d_2_5m")


def test_an_unknown_name_is_told_the_closest():
    with pytest.raises(ValueError, match=r"'unet3d_91m'.*closest are unet3d_90m, unet3d_19m"):
        unetzoo.build("unet3d_91m")
    with pytest.raises(ValueError, match=r"'resnet'.*there are unet2d_large, .*"):
        unetzoo.card("resnet")


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "unet2d_original",
            {"input_shape": (50, 51, 3)},
            r"input_shape \(50, 51, 3\): 'unet2d_original' needs sizes of 16 n \+ 188, n >= 0; "
            "the nearest is 188",
        ),
        ("unet2d_original", {"input_shape": (500, 572, 1)}, "the nearest are 492 and 508"),
        ("unet3d_original", {"input_shape": (99, 100, None, 1)}, "the nearest are 92 and 100"),
        ("unet3d_90m", {"input_shape": (15, 40, 40, 4)}, "sizes of at least 16; the nearest is 16"),
        ("unet3d_90m", {"input_shape": (64, 64, 4)}, r"needs 4 numbers \(D, H, W, C\)"),
        ("unet3d_90m", {"input_shape": 64}, r"input_shape 64: .* whole numbers \(D, H, W, C\)"),
        ("unet2d_small", {"input_shape": (64, 64, None)}, "number of channels of at least 1"),
        ("unet2d_small", {"input_shape": (64, -64, 3)}, "sizes of at least 8"),
        ("unet2d_small", {"num_classes": 0}, "num_classes 0: expected a whole number"),
        ("unet2d_small", {"norm": "layer"}, "norm 'layer': expected one of 'batch', 'instance'"),
        ("unet2d_small", {"dropout": 1}, "dropout 1: expected a rate from 0 to under 1"),
        ("unet3d_2_5m", {"interpolation": "cubic"}, "interpolation 'cubic': expected 'nearest'"),
        ("unet2d_textbook", {"upsampling": "nearest"}, "upsampling 'nearest': expected 'linear'"),
        ("unet2d_large", {"kernel_size": 2}, "kernel_size 2: expected 1, 3, 5, 7 or 9"),
    ],
)
def test_a_value_that_cannot_work_is_one_sentence(name, arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        unetzoo.build(name, **arguments)
    assert "\n" not in str(error.value)


def test_a_typo_in_an_argument_is_named():
    with pytest.raises(TypeError, match=r"'num_clases': 'unet2d_small' does not.* num_classes"):
        unetzoo.build("unet2d_small", num_clases=3)


@pytest.mark.parametrize("name", unetzoo.list_models())
def test_open_sizes_and_given_sizes_are_the_same_network(name):
    card = unetzoo.card(name)
    rank = len(card.input_shape) - 1
    model = unetzoo.skeleton(name, input_shape=(*[None] * rank, card.input_shape[-1]))
    assert model.count_params() == card.with_moving
    assert model.output_shape == (None, *[None] * rank, card.num_classes)


COST = """
import os, time, psutil, keras, unetzoo, audit, audit.models, audit.formats
import unetzoo.blocks
keras.Model(i := keras.Input((8, 8, 8, 1)), keras.layers.Conv3D(1, 3)(i))
process = psutil.Process()
before, start = process.memory_info().rss, time.perf_counter()
model = unetzoo.skeleton("unet3d_90m")
text = audit.table(model).to_text("torchsummary")
seconds = time.perf_counter() - start
print(seconds, (process.memory_info().rss - before) / 2**20, len(text), model.count_params())
"""


def test_a_skeleton_and_its_table_take_no_time_and_no_memory():
    seconds, mib, length, parameters = map(float, run(COST).split())
    assert parameters == 90_321_539
    assert length == 6029
    assert seconds < 0.2
    assert mib < 10
