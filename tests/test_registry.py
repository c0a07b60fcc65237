"""Names, cards, errors, and what a skeleton costs."""

import importlib
import inspect
import os
import pydoc
import subprocess
import sys

import keras
import numpy as np
import pytest

import unetzoo
from unetzoo.training.compile import compile_model


def run(code, **variables):
    """A fresh Python's output."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **variables}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_patterns():
    names = unetzoo.list_models()
    assert len(names) == 15
    of_3d = unetzoo.list_models("3d")
    assert of_3d == [name for name in names if not name.startswith("unet2d")]
    assert set(unetzoo.list_models("2d")) & set(of_3d) == {
        "attention_unet", "plain_unet", "residual_unet", "transunet", "unet_plus_plus", "vnet",
    }  # fmt: skip
    assert unetzoo.list_models("unet3d") == [n for n in names if n.startswith("unet3d")]
    assert unetzoo.list_models("unet2d-[ls]*") == ["unet2d_large", "unet2d_small"]
    assert unetzoo.list_models("4d") == []


def test_hyphens_are_accepted():
    assert unetzoo.card("unet3d-2-5m") is unetzoo.card("unet3d_2_5m")


def test_an_unknown_name_is_told_the_closest():
    with pytest.raises(ValueError, match=r"'unet3d_91m'.*closest are unet3d_90m, unet3d_19m"):
        unetzoo.build("unet3d_91m")
    with pytest.raises(
        ValueError, match=r"'xyz': expected a name of the zoo; unetzoo list shows them\.$"
    ):
        unetzoo.card("xyz")


def test_a_part_of_a_name_is_told_all_that_have_it():
    with pytest.raises(ValueError, match=r"'unet'.*there are (.*)\.$") as error:
        unetzoo.build("unet")
    told = str(error.value).partition("there are ")[2].removesuffix(".").split(", ")
    assert told == [name for name in unetzoo.list_models() if name != "vnet"]
    with pytest.raises(ValueError, match=r"'U-Net3D'.* there are unet3d_19m, .*unet3d_textbook\.$"):
        unetzoo.build("U-Net3D")
    with pytest.raises(ValueError, match=r"'residual': .* try residual_unet\.$"):
        unetzoo.card("residual")


@pytest.mark.parametrize("name", [1, None, ["unet3d_90m"], np.zeros(9), unetzoo])
def test_what_is_no_name_is_a_sentence(name):
    for call in (unetzoo.build, unetzoo.skeleton, unetzoo.card):
        with pytest.raises(ValueError, match=r"^network .*: expected a name of the zoo") as error:
            call(name)
        assert len(str(error.value)) < 200
    with pytest.raises(ValueError, match=r"pattern .*: expected a text"):
        unetzoo.list_models(name)


def test_help_and_tab_show_the_arguments():
    for function in (unetzoo.build, unetzoo.skeleton):
        assert list(inspect.signature(function).parameters) == [
            "name", "input_shape", "num_classes", "norm", "dropout", "activation", "arguments",
        ]  # fmt: skip
        assert "num_classes=..." in str(inspect.signature(function))
    for name in unetzoo.list_models():
        module = getattr(unetzoo.models, name)
        builder = inspect.signature(getattr(module, name))
        text = "".join(pydoc.plain(pydoc.render_doc(module)).split())  # Python 3.13 breaks lines
        assert f"{name}(input_shape:collections.abc.Sequence[int|None]=(" in text
        arguments = unetzoo.card(name).arguments
        assert list(arguments) == [f"{p.name}={p.default!r}" for p in builder.parameters.values()]
        text = str(unetzoo.card(name))
        assert all(argument in text for argument in arguments)
    assert set(dir(unetzoo.models)) >= set(unetzoo.list_models())


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "unet2d_small",
            {"input_shape": (3, 64, 64)},
            r"\(3, 64, 64\): shapes are channels last, such as \(64, 64, 3\); 'unet2d_small' needs",
        ),
        ("unet3d_90m", {"input_shape": (4, 50, 50, 50)}, r"such as \(50, 50, 50, 4\);"),
        ("unet2d_small", {"input_shape": (3, 64, 3)}, r"\(3, 64, 3\): 'unet2d_small' needs"),
        (
            "unet2d_original",
            {"input_shape": (50, 51, 3)},
            r"input_shape \(50, 51, 3\): 'unet2d_original' needs sizes of 16 n \+ 188, n >= 0; "
            "the nearest is 188",
        ),
        ("unet2d_original", {"input_shape": (500, 572, 1)}, "the nearest are 492 and 508"),
        ("unet3d_original", {"input_shape": (99, 100, None, 1)}, "the nearest are 92 and 100"),
        ("unet3d_90m", {"input_shape": (64, 64, 4)}, r"needs 4 numbers \(D, H, W, C\)"),
        ("unet3d_90m", {"input_shape": 64}, r"input_shape 64: .* whole numbers \(D, H, W, C\)"),
        ("unet2d_small", {"input_shape": (64, 64, None)}, "number of channels of at least 1"),
        ("unet2d_small", {"input_shape": (64, -64, 3)}, "sizes of at least 8"),
        ("unet2d_small", {"num_classes": 0}, "num_classes 0: expected a whole number"),
        ("unet2d_small", {"norm": "layer"}, "norm 'layer': expected one of 'batch', 'instance'"),
        ("unet2d_small", {"dropout": 1}, r"dropout 1: expected a rate in \[0, 1\)"),
        ("unet3d_2_5m", {"interpolation": "cubic"}, "interpolation 'cubic': expected 'nearest'"),
        (
            "unet2d_textbook",
            {"upsampling": "nearest"},
            "upsampling 'nearest': expected one of 'linear'",
        ),
        ("unet2d_large", {"kernel_size": 2}, "kernel_size 2: expected 1, 3, 5, 7 or 9"),
        ("unet2d_large", {"kernel_size": 3.0}, "kernel_size 3.0: expected 1, 3, 5, 7 or 9"),
        ("unet2d_small", {"activation": "sofmax"}, "activation 'sofmax': expected None or an"),
        ("unet2d_small", {"name": "a/b"}, "name 'a/b': expected a name of letters"),
        ("unet2d_small", {"num_classes": True}, "num_classes True: expected a whole number"),
        ("unet2d_small", {"input_shape": (32.7, 32, 3)}, "needs whole numbers"),
        ("unet2d_small", {"input_shape": ("32", "32", "3")}, "needs whole numbers"),
        ("plain_unet", {"input_shape": (True, 64, 1)}, "needs whole numbers"),
        ("unet3d_2_5m", {"interpolation": ["linear"]}, r"interpolation \['linear'\]: expected"),
    ],
)
def test_a_value_that_cannot_work_is_one_sentence(name, arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        unetzoo.build(name, **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "smallest"),
    [
        ("attention_unet", 16), ("plain_unet", 1), ("residual_unet", 1), ("transunet", 16),
        ("unet2d_large", 8), ("unet2d_original", 188), ("unet2d_small", 8), ("unet2d_textbook", 16),
        ("unet3d_19m", 8), ("unet3d_2_5m", 16), ("unet3d_90m", 16), ("unet3d_original", 92),
        ("unet3d_textbook", 16), ("unet_plus_plus", 16), ("vnet", 16),
    ],
)  # fmt: skip
def test_a_size_under_the_smallest_is_told_the_smallest(name, smallest):
    *spatial, channels = unetzoo.card(name).input_shape
    shape = (smallest - 1, *[smallest] * (len(spatial) - 1), channels)
    sentence = rf"{name!r} needs sizes of .*; the nearest is {smallest}\.$"
    with pytest.raises(ValueError, match=sentence):
        unetzoo.skeleton(name, input_shape=shape)
    assert unetzoo.skeleton(name, input_shape=(*[smallest] * len(spatial), channels))


def test_numbers_of_numpy_are_numbers():
    model = unetzoo.skeleton(
        "unet2d_small",
        input_shape=list(np.array([16, 16, 3])),
        num_classes=np.int64(4),
        dropout=np.float32(0.2),
    )
    assert model.output_shape == (None, 16, 16, 4)


@pytest.mark.parametrize(
    ("name", "size"), [("unet2d_original", 190), ("unet2d_original", 150), ("unet2d_small", 7)]
)
def test_open_sizes_are_checked_when_they_come(name, size):
    channels = unetzoo.card(name).input_shape[-1]
    model = unetzoo.build(name, input_shape=(None, None, channels))
    image = np.zeros((1, size, 188, channels), "float32")
    for call in (model, lambda x: model.predict(x, verbose=0)):
        with pytest.raises(
            ValueError, match=rf"input of \({size}, 188\): needs sizes of .* nearest"
        ):
            call(image)


@pytest.mark.parametrize("order", ["import unetzoo", "import keras, unetzoo"])
def test_a_saved_model_is_loaded_in_a_fresh_process(tmp_path, order):
    """By Keras too, which is imported where it is needed, or was before."""
    path = tmp_path / "model.keras"
    compile_model(unetzoo.build("unet2d_small", input_shape=(None, None, 3))).save(path)
    load = f"print(unetzoo.load_model({str(path)!r}).loss.name)"
    again = f"import keras; print(keras.models.load_model({str(path)!r}).loss.name)"
    assert run(f"{order}; {load}; {again}").split() == ["dice_crossentropy"] * 2


@pytest.mark.parametrize(
    "method",
    ["fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch", "save",
     "save_weights", "load_weights", "get_weights", "set_weights", "export"],
)  # fmt: skip
def test_a_skeleton_says_that_it_has_no_weights(tmp_path, method):
    with pytest.raises(ValueError, match=f"^{method} of 'UNetSmall': a skeleton has no weights;"):
        getattr(unetzoo.skeleton("unet2d_small"), method)(tmp_path / "model.keras")
    assert not any(tmp_path.iterdir())


def test_a_skeleton_takes_shapes_and_no_numbers():
    """Keras would make it new weights at each call."""
    model = unetzoo.skeleton("unet2d_small", input_shape=(None, None, 3))
    assert model(keras.Input((16, 16, 3))).shape == (None, 16, 16, 32)
    assert model.compute_output_shape((1, 16, 16, 3)) == (1, 16, 16, 32)
    with pytest.raises(ValueError, match="call of 'UNetSmall': a skeleton has no weights; build"):
        model(np.zeros((1, 16, 16, 3), "float32"))


@pytest.mark.parametrize(
    "use",
    [
        lambda model, path: keras.saving.save_model(model, path),
        lambda model, path: keras.saving.save_weights(model, path.with_suffix(".weights.h5")),
        lambda model, path: keras.Model(model.inputs, model.layers[3].output).save(path),
        lambda model, path: model.layers[1].get_weights(),
        lambda model, path: model.layers[1](np.zeros((1, 16, 16, 3), "float32")),
        lambda model, path: np.asarray(model.weights[0]),
        lambda model, path: unetzoo.inference.fuse(model),
        lambda model, path: compile_model(model),
    ],
)
def test_nothing_gives_a_skeleton_weights(tmp_path, use):
    """Keras would draw new ones wherever a value is read, and write them into files."""
    with pytest.raises(ValueError, match=r"a skeleton(, without| has no) weights; build the net"):
        use(unetzoo.skeleton("unet2d_small", input_shape=(16, 16, 3)), tmp_path / "model.keras")


@pytest.mark.parametrize("name", unetzoo.list_models())
def test_a_network_s_module_is_called_like_its_builder(name):
    module = importlib.import_module(f"unetzoo.models.{name}")
    assert module is getattr(unetzoo.models, name)
    assert inspect.ismodule(module)
    assert inspect.signature(module) == inspect.signature(getattr(module, name))
    with pytest.raises(TypeError, match=f"'num_clases': {name!r} does not"):
        module(num_clases=3)


def test_what_the_module_gives_is_the_network():
    model = unetzoo.models.unet2d_small((16, 16, 1), num_classes=2)
    assert model.output_shape == (None, 16, 16, 2)


def test_a_network_of_other_classes_gets_all_weights_but_those_of_its_classes():
    source, target = (
        unetzoo.build("unet2d_small", input_shape=(16, 16, 1), num_classes=n) for n in (3, 5)
    )
    with pytest.raises(ValueError, match="build the target with num_classes=3, or take") as error:
        unetzoo.copy_weights(source, target)
    code = str(error.value).split("what fits: ")[1].removesuffix(".")
    last = target.layers[-1]
    before = last.get_weights()
    eval(code, {"unetzoo": unetzoo, **locals()})
    for layer in target.layers[:-1]:
        for given, copied in zip(
            source.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(given, copied)
    for weight, same in zip(before, last.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)
    narrow = unetzoo.build("plain_unet", input_shape=(16, 16, 1), features=(4, 8), kernels=(3, 3),
                           strides=(1, 2))  # fmt: skip
    wide = unetzoo.build("plain_unet", input_shape=(16, 16, 1), features=(4, 9), kernels=(3, 3),
                         strides=(1, 2))  # fmt: skip
    with pytest.raises(ValueError, match="build both with the same arguments"):
        unetzoo.copy_weights(narrow, wide)


def test_a_typo_in_an_argument_is_named():
    with pytest.raises(TypeError, match=r"'num_clases': 'unet2d_small' does not.* num_classes"):
        unetzoo.build("unet2d_small", num_clases=3)


@pytest.mark.parametrize("name", unetzoo.list_models())
def test_open_sizes_and_given_sizes_are_the_same_network(name):
    card = unetzoo.card(name)
    rank = len(card.input_shape) - 1
    model = unetzoo.skeleton(name, input_shape=(*[None] * rank, card.input_shape[-1]))
    assert model.count_params() == card.total_params
    assert model.output_shape == (None, *[None] * rank, card.num_classes)


COST = """
import os, psutil, keras, unetzoo, audit, audit.sources.keras_model, audit.formats
import unetzoo.blocks.basic
keras.Model(i := keras.Input((8, 8, 8, 1)), keras.layers.Conv3D(1, 3)(i))
process = psutil.Process()
before = process.memory_info().rss
model = unetzoo.skeleton("unet3d_90m")
text = audit.table(model).to_text("torchsummary")
with open(os.devnull, "w") as nowhere:
    model.summary(print_fn=lambda line, **_: nowhere.write(line))
print((process.memory_info().rss - before) / 2**20, len(text), model.count_params())
"""


def test_a_skeleton_and_its_table_take_no_memory():
    """benchmarks/summary.py has the seconds."""
    mib, length, parameters = map(float, run(COST).split())
    assert parameters == 90_321_539
    assert length == 6029
    assert mib < 10  # of 345 that the weights would take


def test_a_skeleton_never_gets_weights():
    """Keras gives all variables that wait for one a value at the end of any stateless scope."""
    weight = unetzoo.skeleton("unet2d_small").weights[0]
    with keras.StatelessScope():
        pass
    assert weight._value is None


@pytest.mark.parametrize(
    "name",
    [
        "layers.convolutions",
        "losses.dice",
        pytest.param("layers.resizing", marks=pytest.mark.slow),
        pytest.param("losses.targets", marks=pytest.mark.slow),
    ],
)
def test_each_module_can_be_imported_first(name):
    """Keras, which they import, has our classes registered; jax is the quickest to be loaded."""
    run(f"import unetzoo.{name}, keras, unetzoo.layers; unetzoo.layers.Conv3D", KERAS_BACKEND="jax")


def test_a_look_for_keras_does_not_end_the_registration():
    look = "import unetzoo, importlib.util; assert importlib.util.find_spec('keras')"
    run(f"{look}; import keras; unetzoo.layers.Conv3D", KERAS_BACKEND="jax")


@pytest.mark.parametrize("key", ["norm", "nonlinearity", "name", "input_shape", "deep_supervision"])
def test_a_long_value_is_cut_in_the_error(key):
    with pytest.raises(ValueError, match=rf"^{key} .*\.\.\.: ") as error:
        unetzoo.skeleton("plain_unet", **{key: ["x" * 50] * 100})
    assert len(str(error.value)) < 250
