"""The sliding window: blending, slabs, mirroring, tiling by context, and what is refused."""

import itertools
import json
import subprocess
import sys
from unittest import mock

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import unetzoo
from unetzoo import blocks
from unetzoo.inference import shapes
from unetzoo.inference.windows import importance, positions, sliding_window, sliding_window_slabs


@keras.saving.register_keras_serializable(package="tests")
class Recorded(keras.layers.Layer):
    """The identity, and a list of the shapes that it was traced or called with."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.shapes = []

    def call(self, x):
        self.shapes.append(tuple(x.shape))
        return x

    def compute_output_shape(self, shape):  # so that asking for it is no call
        return shape


def network(rank, channels=1, layers=()):
    return keras.Sequential([keras.Input((*[None] * rank, channels)), *layers])


def identity(rank, channels):
    return network(rank, channels, [keras.layers.Identity()])


def convolution(rank, channels=1, classes=2):
    """Padded, so that a voxel's logits depend on where the patch ends."""
    keras.utils.set_random_seed(1)
    kind = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[rank]
    return network(rank, channels, [kind(classes, 3, padding="same")])


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype="float32")


IDENTITY = {(rank, channels): identity(rank, channels) for rank in (2, 3) for channels in (1, 3)}


class Doubled:
    """A network of another program: fixed sizes, two classes, no Keras."""

    input_shape = (1, 4, 6, 1)
    output_shape = (1, 4, 6, 2)

    def predict_on_batch(self, x):
        assert x.shape == self.input_shape
        return np.concatenate([x, 2 * x], axis=-1)


def test_a_network_that_is_not_kerass():
    image = noise(9, 11, 1)
    logits = sliding_window(Doubled(), image, (4, 6))
    np.testing.assert_array_equal(logits, np.concatenate([image, 2 * image], axis=-1))
    with pytest.raises(ValueError, match=r"patch \(4, 8\): 'Doubled' was built for \(4, 6\)"):
        sliding_window(Doubled(), image, (4, 8))


def test_open_sizes_that_nothing_computes_are_refused():
    network = Doubled()
    network.input_shape, network.output_shape = (1, None, None, 1), (1, None, None, 2)
    with pytest.raises(ValueError, match=r"patch \(4, 6\): 'Doubled' gives \(None, None\)"):
        sliding_window(network, noise(9, 11, 1), (4, 6))


def test_the_sliding_window_needs_no_keras():
    code = (
        "import sys, unetzoo.inference.windows; "
        "sys.exit(any(name in sys.modules for name in ('keras', 'tensorflow', 'jax', 'torch')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# === Positions and weights ===


def test_positions_are_spread_evenly():
    assert positions(110, 64) == [0, 23, 46]
    assert positions(64, 64) == positions(30, 64) == [0]


@given(
    size=st.integers(1, 300),
    patch=st.integers(1, 100),
    overlap=st.one_of(st.floats(0, 0.9), st.sampled_from([0, 0.5])),
    step=st.sampled_from([1, 2, 3, 8, 16]),
)
def test_positions_cover_every_voxel(size, patch, overlap, step):
    starts = positions(size, patch, overlap, step)
    covered = {voxel for start in starts for voxel in range(start, start + patch)}
    assert covered >= set(range(size))
    assert starts == sorted(set(starts))
    step = step if step <= patch else 1
    assert starts[-1] + patch < max(size, patch) + step
    assert all(start % step == 0 for start in starts)


@pytest.mark.parametrize(
    ("size", "patch", "overlap", "numbers"),
    [
        (57, 20, 0.5, {2: 18}),
        (100, 64, 0.3, {1: 36}),
        (131, 9, 0.5, {21: 91, 22: 96}),
        (233, 8, 0.25, {18: 107, 19: 113}),
    ],
)
def test_positions_are_nnu_nets_where_halves_are_rounded(size, patch, overlap, numbers):
    """As its compute_steps_for_sliding_window gives them: 91.5 comes out as 91, 112.5 as 113."""
    found = positions(size, patch, overlap)
    assert {number: found[number] for number in numbers} == numbers


def test_importance_is_nnu_nets():
    """The values of its compute_gaussian."""
    weight = importance((8, 5))
    assert weight.dtype == np.float32
    known = [0.0033550262451171875, 0.111083984375, 1.353515625, 6.06640625, 10, 6.06640625]
    np.testing.assert_allclose(weight[:6, 2], known, rtol=1e-3)
    known = [2.002716064453125e-05, 0.0009326934814453125, 0.0033550262451171875]
    np.testing.assert_allclose(weight[0, :3], known, rtol=1e-3)
    assert importance((40, 40, 40)).min() == 2.0**-24  # the smallest of float16, where it has 0


@pytest.mark.parametrize("patch", [(12, 9, 20), (1, 32, 24), (64, 48)])
def test_importance_is_a_filtered_voxel_in_half_precision(patch):
    torch = pytest.importorskip("torch")
    middle = np.zeros(patch)
    middle[tuple(size // 2 for size in patch)] = 1
    weight = gaussian_filter(middle, [size / 8 for size in patch], mode="constant")
    half = torch.from_numpy(weight / (weight.max() / 10)).half().float().numpy()
    np.testing.assert_array_equal(importance(patch)[half > 0], half[half > 0])


# === Blending ===


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 17), min_size=2, max_size=3),
    patch=st.sampled_from([(4, 6, 3), (5, 7, 5)]),
    overlap=st.sampled_from([None, 0.0, 0.3, 0.8]),
    channels=st.sampled_from([1, 3]),
    mirror=st.booleans(),
    batch_size=st.sampled_from([1, 3]),
)
def test_an_identity_network_gives_the_image_back_exactly(
    sizes, patch, overlap, channels, mirror, batch_size
):
    """To the last bit, whatever overlaps, and for images smaller than the patch."""
    image = noise(*sizes, channels)
    found = sliding_window(
        IDENTITY[len(sizes), channels], image, patch[: len(sizes)],
        overlap=overlap, mirror=mirror, batch_size=batch_size,
    )  # fmt: skip
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("size", [(16, 24, 12), (5, 24, 3)])
def test_the_blend_is_monais(size):
    """Sizes at which MONAI lays its patches in the same places, and smaller than the patch."""
    torch = pytest.importorskip("torch")
    inferers = pytest.importorskip("monai.inferers")
    model, patch = convolution(3), (8, 12, 6)
    image = noise(*size, 1)

    def predict(x):
        logits = model.predict_on_batch(np.moveaxis(x.numpy(), 1, -1))
        return torch.from_numpy(np.moveaxis(logits, -1, 1).copy())

    expected = inferers.sliding_window_inference(
        torch.from_numpy(np.moveaxis(image, -1, 0)[None].copy()), patch, 1, predict, overlap=0.5,
        mode="gaussian", roi_weight_map=torch.from_numpy(importance(patch)),
    )  # fmt: skip
    found = sliding_window(model, image, patch)
    np.testing.assert_allclose(found, np.moveaxis(expected[0].numpy(), 0, -1), atol=1e-5)
    whole = model.predict_on_batch(image[None])[0]
    assert np.abs(found - whole).max() > 1e-4  # the patches' borders do show


def test_mirroring_is_the_mean_over_all_flips():
    model, image = convolution(3), noise(4, 6, 5, 1)
    expected = np.zeros((4, 6, 5, 2))
    for flips in itertools.product((1, -1), repeat=3):
        way = tuple(slice(None, None, flip) for flip in flips)
        expected += model.predict_on_batch(image[way][None])[0][way] / 8
    found = sliding_window(model, image, (4, 6, 5), mirror=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - sliding_window(model, image, (4, 6, 5))).max() > 0.1


# === Slabs ===


@pytest.mark.parametrize("size", [(30, 9), (3, 9), (31, 4)])
def test_slabs_are_the_image_in_order_and_no_larger_than_a_patch(size):
    model, image = convolution(2, channels=2, classes=3), noise(*size, 2)
    slabs = list(sliding_window_slabs(model, image, (8, 6), mirror=True))
    assert all(1 <= len(slab) <= 8 for slab in slabs)
    assert all(slab.shape[1:] == (size[1], 3) and slab.dtype == np.float32 for slab in slabs)
    assert len(slabs) == len(positions(size[0], 8))
    together = sliding_window(model, image, (8, 6), mirror=True)
    np.testing.assert_array_equal(np.concatenate(slabs), together)


def test_a_slab_comes_before_later_patches_are_asked_for():
    """And what was given out does not change after."""
    asked = []

    def progress(windows):
        for window in windows:
            asked.append(window)
            yield window

    image = noise(24, 6, 1)
    slabs = sliding_window_slabs(identity(2, 1), image, (8, 6), progress=progress)
    first = next(slabs)
    assert len(asked) == 2  # of 5: the next one begins where the slab ends
    rest = list(slabs)
    assert len(asked) == 5
    np.testing.assert_array_equal(np.concatenate([first, *rest]), image)


def test_progress_sees_all_patches_and_its_end():
    seen = []

    def progress(windows):
        seen.append(len(windows))
        yield from windows
        seen.append("end")

    sliding_window(
        IDENTITY[2, 1], noise(8, 9, 1), (8, 6), mirror=True, batch_size=3, progress=progress
    )
    assert seen == [2 * 4, "end"]


def test_whole_numbers_and_files_are_read_as_they_are(tmp_path):
    image = np.arange(60, dtype="int16").reshape(10, 6, 1)
    np.save(tmp_path / "image.npy", image)
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    found = sliding_window(IDENTITY[2, 1], mapped, (4, 8))
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, image.astype("float32"))


# === One shape ===


@pytest.mark.parametrize("batch_size", [1, 4])
def test_nothing_is_traced_again(batch_size):
    """For images of any size, and a last batch that is not full: 9, 6 and 1 patches."""
    layer = Recorded()
    model = network(2, layers=[layer, keras.layers.Conv2D(2, 3, padding="same")])
    layer.shapes.clear()
    found = sliding_window(model, noise(16, 16, 1), (8, 8), batch_size=batch_size)
    traced = len(layer.shapes)
    for size in [(12, 10), (5, 8), (16, 16)]:
        again = sliding_window(model, noise(*size, 1), (8, 8), batch_size=batch_size)
    assert set(layer.shapes) == {(batch_size, 8, 8, 1)}
    if keras.backend.backend() != "torch":  # it traces nothing: these are all its calls
        assert len(layer.shapes) == traced < 3
    np.testing.assert_array_equal(again, found)
    np.testing.assert_allclose(found, sliding_window(model, noise(16, 16, 1), (8, 8)), atol=1e-6)


# === Networks that give less than they take ===


def unpadded(channels=1, pools=2):
    """A small U-Net like that of 2015; sizes of 2^pools n, and its context on both sides."""
    keras.utils.set_random_seed(2)
    x = inputs = keras.Input((None, None, channels))

    def double_conv(x, *, name):
        return blocks.double_conv(x, 4, 4, name=name, kind=None, padding="valid")

    def up_conv(x, *, name):
        return blocks.up_conv(x, 4, name=name)

    skips = [double_conv(x, name="first")]
    for level in range(pools):
        skips.append(blocks.down(skips[-1], double_conv, name=f"down{level}"))
    x = skips.pop()
    for level in range(pools):
        join = blocks.crop_and_concat
        x = blocks.up(x, skips.pop(), up_conv, join, double_conv, name=f"up{level}")
    return keras.Model(inputs, blocks.head(x, 2, None, name="out"))


UNPADDED = unpadded()
CONTEXT = 40  # 44 in, 4 out


def on_the_whole_mirrored_image(image):
    """One run; mirrored a little further at the end, to a size that the network takes."""
    pads = [(CONTEXT // 2, CONTEXT // 2 + -size % 4) for size in image.shape[:-1]]
    mirrored = np.pad(image, [*pads, (0, 0)], mode="reflect")
    logits = UNPADDED.predict_on_batch(mirrored[None])[0]
    return logits[: image.shape[0], : image.shape[1]]


@settings(max_examples=8, deadline=None)
@given(
    sizes=st.tuples(st.integers(2, 60), st.integers(2, 60)),
    patch=st.sampled_from([(48, 60), (52, 44)]),
    overlap=st.sampled_from([None, 0.5]),
)
def test_tiles_give_what_one_run_on_the_mirrored_image_gives(sizes, patch, overlap):
    """Also images smaller than the context, which is then mirrored more than once."""
    image = noise(*sizes, 1)
    found = sliding_window(UNPADDED, image, patch, overlap=overlap)
    np.testing.assert_allclose(found, on_the_whole_mirrored_image(image), atol=1e-5)


def test_tiles_that_do_not_begin_at_the_stride_give_something_else(monkeypatch):
    image, patch = noise(30, 30, 1), (52, 52)
    expected = on_the_whole_mirrored_image(image)
    np.testing.assert_allclose(sliding_window(UNPADDED, image, patch), expected, atol=1e-5)
    monkeypatch.setattr("unetzoo.inference.windows.strides", lambda model: (1, 1))
    assert np.abs(sliding_window(UNPADDED, image, patch) - expected).max() > 0.01


def test_a_tile_by_context_is_mirrored_with_its_border():
    """One tile: 60 x 64 in, 20 x 24 out, for an image of 20 x 17."""
    image = noise(20, 17, 1)
    taken = np.pad(image, [(20, 20), (20, 27), (0, 0)], mode="reflect")
    expected = np.zeros((20, 24, 2))
    for way in itertools.product([slice(None), slice(None, None, -1)], repeat=2):
        expected += UNPADDED.predict_on_batch(taken[way][None])[0][way] / 4
    found = sliding_window(UNPADDED, image, (60, 64), mirror=True)
    np.testing.assert_allclose(found, expected[:, :17], atol=1e-5)
    assert np.abs(found - sliding_window(UNPADDED, image, (60, 64))).max() > 0.01


def test_of_several_outputs_the_first():
    inputs = keras.Input((None, None, 1))
    coarse = keras.layers.MaxPooling2D()(inputs)
    model = keras.Model(inputs, [keras.layers.Identity()(inputs), coarse])
    image = noise(9, 10, 1)
    np.testing.assert_array_equal(sliding_window(model, image, (8, 4)), image)


# === What is refused, in one sentence and at the call ===


def refused(model, image, patch, match, **more):
    with pytest.raises(ValueError, match=match) as error:
        sliding_window_slabs(model, image, patch, **more)
    assert str(error.value).count("\n") == 0


def test_arguments_that_do_not_fit():
    model, image = identity(2, 1), noise(8, 8, 1)
    for patch in ((8,), (0, 8), (8.0, 8)):
        refused(model, image, patch, r"patch \(.*\): expected 2 whole numbers of")
    for overlap in (1, 1.5, -3):
        refused(model, image, (8, 8), f"overlap {overlap}: expected a fraction", overlap=overlap)
    refused(model, image, (8, 8), "batch_size 0: expected a whole number", batch_size=0)
    shape = r"image of shape \(8, 8, 3\): 'sequential.*' needs 2 spatial axes and 1 channel last"
    refused(model, noise(8, 8, 3), (8, 8), shape)
    refused(model, noise(8, 1), (8, 8), "needs 2 spatial axes")
    refused(model, noise(0, 8, 1), (8, 8), r"\(0, 8, 1\): expected at least one voxel")


def test_a_patch_that_the_network_does_not_take():
    fixed = unetzoo.skeleton("unet2d_textbook", input_shape=(64, 32, 1))
    refused(fixed, noise(8, 8, 1), (64, 64), r"was built for \(64, 32\); give that patch, or build")


def test_a_patch_that_fails_when_it_runs():
    """Maps of odd sizes that do not meet: Keras does not see it in the shapes."""
    inputs = keras.Input((None, None, 1))
    x = keras.layers.UpSampling2D()(keras.layers.MaxPooling2D()(inputs))
    model = keras.Model(inputs, keras.layers.Concatenate()([inputs, x]))
    with pytest.raises(ValueError, match="larger sizes that are multiples of 2 x 2 should work"):
        sliding_window(model, noise(8, 8, 1), (7, 8))


# === Boxes ===

BOXED = {
    "padded": convolution(2),
    "by context": network(2, 1, [keras.layers.Conv2D(2, 3, strides=1)]),
}


@pytest.mark.parametrize("name", BOXED)
@given(data=st.data())
@settings(max_examples=15)
def test_a_box_has_the_logits_of_the_whole_to_the_last_bit(name, data):
    shape = data.draw(st.tuples(st.integers(1, 25), st.integers(1, 25)))
    box = []
    for size in shape:
        begin = data.draw(st.integers(0, size - 1))
        box.append((begin, data.draw(st.integers(begin + 1, size))))
    options = {"overlap": data.draw(st.sampled_from([None, 0.0, 0.7])),
               "mirror": data.draw(st.sampled_from([False, (1,)]))}  # fmt: skip
    image = noise(*shape, 1)
    whole = sliding_window(BOXED[name], image, (8, 6), **options)
    parts = list(sliding_window_slabs(BOXED[name], image, (8, 6), box=box, **options))
    np.testing.assert_array_equal(np.concatenate(parts), whole[tuple(slice(*ends) for ends in box)])


# === Memory ===

LARGE = """
import json, sys, time
import keras, numpy as np
from unetzoo.data.preprocessing.preparation import Grid
from unetzoo.data.preprocessing.inverse import restore_labels
from unetzoo.inference.windows import sliding_window_slabs

prepared = tuple(json.loads(sys.argv[1]))
shape = (512, 512, 400)
model = keras.Sequential([keras.Input((None, None, None, 1)), keras.layers.Conv3D(5, 1)])
classes = np.arange(-2.0, 3)  # the nearest wins
model.set_weights([classes.reshape(1, 1, 1, 1, 5), -(classes**2) / 2])
image = np.random.default_rng(0).standard_normal((*prepared, 1), dtype="float32")
grid = Grid(shape, tuple((0, size) for size in shape), (1.0, 1.0, 1.0), prepared)
start = time.perf_counter()
labels = restore_labels(sliding_window_slabs(model, image, (128, 128, 128)), grid)
seconds = time.perf_counter() - start
with open("/proc/self/status") as status:  # getrusage counts what the parent took at the start, too
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
assert labels.shape == shape and labels.dtype == np.uint8
assert np.bincount(labels[::50].ravel()).min() > 1000
if prepared == shape:
    np.testing.assert_array_equal(labels[::50], np.clip(np.round(image[::50, ..., 0]), -2, 2) + 2)
print(json.dumps([peak, seconds]))
"""


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the default backend's memory")
@pytest.mark.parametrize("prepared", [(512, 512, 400), (256, 256, 200)])
def test_a_large_volume_stays_under_6_gb(prepared):
    """512 x 512 x 400 and five classes, from the image to the mask, TensorFlow included."""
    result = subprocess.run(
        [sys.executable, "-c", LARGE, json.dumps(prepared)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    peak, seconds = json.loads(result.stdout.splitlines()[-1])
    print(f"{prepared}: {peak / 1e9:.2f} GB, {seconds:.0f} s")
    assert peak < 6e9


def test_a_patch_that_memory_cannot_hold_is_told_before_it_is_made():
    """Such as that of a record which someone has tampered with."""
    open_sizes = keras.Sequential([keras.Input((None, None, None, 1)), keras.layers.Identity()])
    image, patch = np.zeros((4, 4, 4, 1), "float32"), (2**14,) * 3
    told = r"patch \(16384, 16384, 16384\): its maps take 3\.3e\+04 GiB or more, and"
    with pytest.raises(ValueError, match=told):
        sliding_window(open_sizes, image, patch)

    x = keras.Input((8, 8, 8, 1))
    wide = keras.Model(x, keras.layers.Conv3D(1, 1)(keras.layers.Conv3D(62, 1)(x)))
    for free, fits in ((4 * 8**3 * 64, True), (4 * 8**3 * 64 - 1, False)):  # in, 62 maps, out
        with mock.patch.object(shapes, "free_bytes", return_value=free):
            if fits:
                assert sliding_window(wide, image, (8, 8, 8)).shape == image.shape
                continue
            with pytest.raises(ValueError, match=r"its maps take 0\.00012 GiB or more"):
                sliding_window(wide, image, (8, 8, 8))
