"""Networks of Keras's layers alone, in a process that does not import this package."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from small_networks import VARIANTS

import unetzoo
from unetzoo.inference.fusing import fuse
from unetzoo.inference.shapes import strides
from unetzoo.interop.keras_only import only_keras
from unetzoo.layers import convolutions

STAGES = VARIANTS["plain_unet"][0]
NETWORKS = {  # patch, arguments
    "unet2d_small": ((40, 21), {}),
    "unet2d_original": ((188, 188), {}),
    "unet3d_19m": ((17, 19, 16), {}),
    "unet3d_2_5m": ((16, 19, 16), {}),
    "plain_unet": ((9, 16, 16), STAGES),
    "residual_unet": ((8, 16, 16), VARIANTS["residual_unet"][0]),
    "vnet": ((32, 48), VARIANTS["vnet"][0]),
    "unet_plus_plus": ((40, 35), VARIANTS["unet_plus_plus"][0]),
}
QUICK = ("unet2d_small",)
LOADED = """
import json, sys
import keras, numpy as np
for line in sys.stdin:
    network, *inputs = json.loads(line)
    model = keras.models.load_model(network)
    for n in inputs:
        np.save(n + ".out.npy", model.predict_on_batch(np.load(n)))
    assert not any(name.startswith("unetzoo") for name in sys.modules)
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def elsewhere():
    """A process that takes the paths of a network and of its inputs, a line each."""
    words = [sys.executable, "-c", LOADED]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.stdin.close()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in NETWORKS],
)
def test_keras_alone_gives_the_logits(tmp_path, name, elsewhere):
    patch, arguments = NETWORKS[name]
    keras.utils.set_random_seed(0)
    shape = (*[None] * len(patch), 2)
    model = fuse(unetzoo.build(name, input_shape=shape, num_classes=3, **arguments))
    model = keras.Model(model.inputs[0], model.outputs[0])
    only_keras(model, patch).save(tmp_path / "network.keras")
    expected = {}
    for n in range(2):
        size = [size + n * step for size, step in zip(patch, strides(model), strict=True)]
        x = np.random.default_rng(n).normal(size=(1, *size, 2)).astype("float32")
        np.save(tmp_path / f"{n}.npy", x)
        expected[tmp_path / f"{n}.npy"] = model.predict_on_batch(x)
    elsewhere.stdin.write(json.dumps([str(tmp_path / "network.keras"), *map(str, expected)]) + "\n")
    elsewhere.stdin.flush()
    assert elsewhere.stdout.readline() == "done\n"
    for path, logits in expected.items():
        found = np.load(f"{path}.out.npy")
        np.testing.assert_allclose(found, logits, atol=1e-5 * np.abs(logits).max())


def test_convolutions_of_a_run_on_pytorch_are_kerass():
    inputs = keras.Input((None, None, 2))
    own = convolutions.Conv2D(3, 3, padding="same", data_format="channels_last", name="own")
    model = keras.Model(inputs, own(inputs))
    copy = only_keras(model, (8, 8))
    assert type(copy.get_layer("own")) is keras.layers.Conv2D
    x = np.random.default_rng(0).normal(size=(1, 12, 8, 2)).astype("float32")
    np.testing.assert_allclose(copy.predict_on_batch(x), model.predict_on_batch(x), atol=1e-6)


@pytest.mark.parametrize("name", ["unet2d_textbook", "transunet"])
def test_a_layer_that_keras_lacks_is_named(name):
    shape = (*[None] * (len(unetzoo.card(name).input_shape) - 1), 3)
    model = unetzoo.build(name, input_shape=shape, **VARIANTS.get(name, ({},))[0])
    with pytest.raises(ValueError, match=r"layer '.*': Keras has no [A-Z]\w+\."):
        only_keras(model, (32, 32))
