"""compile_model, patches, runs that go on, and the sliding window."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unetzoo
from unetzoo.data.patches import PatchDataset
from unetzoo.files import replacing
from unetzoo.inference import importance, positions, sliding_window
from unetzoo.training import SaveRun, compile_model, read_history, resume


def blobs(size=(20, 22), seed=0):
    """An image whose bright squares are class 1."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(size, int)
    for _ in range(4):
        corner = [rng.integers(n - 5) for n in size]
        labels[tuple(slice(c, c + 5) for c in corner)] = 1
    return (labels + 0.1 * rng.standard_normal(size)).astype("float32")[..., None], labels


def small_model():
    keras.utils.set_random_seed(3)
    return compile_model(
        unetzoo.build("unet2d_small", input_shape=(None, None, 1), num_classes=2, dropout=0.1),
        learning_rate=1e-2,
    )


def patches(first_batch=0, **more):
    return PatchDataset(
        [blobs()], patch=(16, 16), batch_size=4, seed=5, first_batch=first_batch, **more
    )


def fit(model, epochs, folder=None, done=0, data=None):
    """Four batches an epoch; saved after each epoch if there is a folder."""
    return model.fit(
        data or patches(first_batch=4 * done),
        shuffle=False,
        steps_per_epoch=4,
        epochs=epochs,
        initial_epoch=done,
        verbose=0,
        callbacks=[SaveRun(folder, first_epoch=done)] if folder else None,
    ).history


# === compile_model ===


def test_xla_is_off_on_tensorflows_cpu_and_on_for_jax():
    """Compiled or only asked to predict: Keras's "auto", which is right since Keras 3.12."""
    on_jax = keras.backend.backend() == "jax"
    assert small_model().jit_compile == on_jax
    assert unetzoo.build("unet2d_small").jit_compile == on_jax
    assert compile_model(unetzoo.build("unet2d_small"), jit_compile=False).jit_compile is False


def test_one_channel_is_a_sigmoid_and_more_a_softmax():
    one = compile_model(unetzoo.build("unet2d_small", num_classes=1), ignore_label=9)
    assert (one.loss.activation, one.loss.ignore_label) == ("sigmoid", 9)
    assert small_model().loss.activation == "softmax"
    sgd = compile_model(unetzoo.build("unet2d_small"), optimizer=keras.optimizers.SGD(0.5))
    assert sgd.optimizer.name == "SGD" or isinstance(sgd.optimizer, keras.optimizers.SGD)


@pytest.mark.parametrize(("classes", "activation"), [(1, "sigmoid"), (3, "softmax")])
def test_a_network_that_gives_probabilities_is_refused(classes, activation):
    model = unetzoo.build("unet2d_small", num_classes=classes, activation=activation)
    with pytest.raises(ValueError, match="'UNetSmall' gives probabilities: compile_model needs"):
        compile_model(model)


def test_fit_learns_the_blobs():
    model = small_model()
    history = fit(model, epochs=12)
    assert set(history) == {"loss", "dice", "dice_1"}
    assert history["dice"][-1] > 0.9
    image, labels = blobs(seed=7)
    found = sliding_window(model, image, (16, 16)).argmax(-1)
    both, sizes = (found & labels).sum(), found.sum() + labels.sum()
    assert 2 * both / sizes > 0.9


# === Runs that go on ===


def test_a_resumed_run_ends_with_the_losses_of_one_that_was_not_stopped(tmp_path):
    fit(small_model(), 4, tmp_path / "whole")
    folder = tmp_path / "part"
    fit(small_model(), 2, folder)
    model, done = resume(folder)
    assert done == 2
    fit(model, 4, folder, done)
    expected, found = read_history(tmp_path / "whole"), read_history(folder)
    assert [row["epoch"] for row in found] == [1, 2, 3, 4]
    np.testing.assert_allclose(
        [row["loss"] for row in found], [row["loss"] for row in expected], rtol=1e-4
    )


def test_a_run_killed_between_history_and_checkpoint_has_no_double_rows(tmp_path):
    fit(small_model(), 2, tmp_path)
    history = (tmp_path / "history.csv").read_text()
    (tmp_path / "history.csv").write_text(history + history.splitlines()[-1].replace("2,", "3,", 1))
    (tmp_path / ".writing-1-epoch-0003.keras").write_bytes(b"half a file")
    again, done = resume(tmp_path)
    assert done == 2
    fit(again, 3, tmp_path, done)
    assert [row["epoch"] for row in read_history(tmp_path)] == [1, 2, 3]
    assert sorted(path.name for path in tmp_path.glob("epoch-*")) == ["epoch-0003.keras"]


def test_validation_now_and_then_fits_the_history(tmp_path):
    image, labels = blobs()
    validation = (image[None, :16, :16], labels[None, :16, :16])
    small_model().fit(
        patches(), shuffle=False, steps_per_epoch=2, epochs=3, verbose=0,
        validation_data=validation, validation_freq=2, callbacks=[SaveRun(tmp_path)],
    )  # fmt: skip
    rows = read_history(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [np.isnan(row["val_loss"]) for row in rows] == [True, False, True]
    assert all(isinstance(row["epoch"], int) for row in rows)


def test_what_a_killed_run_left_is_cleared(tmp_path):
    (tmp_path / ".writing-1-epoch-0003.keras").write_bytes(b"half")
    SaveRun(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_resume(tmp_path):
    assert resume(tmp_path / "nowhere") == (None, 0)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as beside:
            beside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# === Patches ===


def test_a_batch_depends_on_the_seed_and_its_number_alone():
    one = patches()
    assert not np.array_equal(one[2][0], one[3][0])
    for again in (patches()[7], patches(first_batch=4)[3]):
        np.testing.assert_array_equal(again[0], one[7][0])
        np.testing.assert_array_equal(again[1], one[7][1])


def test_the_number_of_workers_does_not_change_the_batches():
    """With several, Keras on jax and torch spends the first batch on building the model."""
    spent = 0 if keras.backend.backend() == "tensorflow" else 1
    expected = fit(small_model(), 2, data=patches(first_batch=spent))["loss"]
    for workers in (2, 3):
        found = fit(small_model(), 2, data=patches(workers=workers))["loss"]
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_one_patch_in_three_is_centred_on_a_class_each_as_likely():
    labels = np.zeros((60, 60), int)
    labels[10, 10], labels[40:50, 40:50] = 2, 1
    dataset = PatchDataset([(np.zeros((60, 60, 1)), labels)], patch=(9, 9), batch_size=1, seed=0)
    centres = np.array([dataset[i][1][0, 4, 4] for i in range(1500)])
    assert abs((centres == 2).mean() - 1 / 6) < 0.03  # one voxel, half of the foreground draws
    assert abs((centres == 1).mean() - 1 / 6 - 0.03) < 0.04  # and 100 voxels met by chance


def test_no_patch_is_centred_on_the_ignored_label():
    labels = np.zeros((40, 40), int)
    labels[20, 20], labels[30, 30] = 255, 1
    dataset = PatchDataset(
        [(np.zeros((40, 40, 1)), labels)], patch=(3, 3), batch_size=1, ignore_label=255
    )
    centres = [dataset[i][1][0, 1, 1] for i in range(100)]
    assert centres.count(1) > 20
    assert centres.count(255) < 3


@settings(max_examples=30, deadline=None)
@given(size=st.tuples(*[st.integers(1, 9)] * 3), patch=st.tuples(*[st.integers(1, 9)] * 3))
def test_any_volume_gives_patches_of_the_size(size, patch):
    image = np.arange(np.prod(size), dtype="float32").reshape(*size, 1) + 1
    labels = np.ones(size, int)
    x, y = PatchDataset([(image, labels)], patch=patch, batch_size=2, pad_label=7)[0]
    assert x.shape == (2, *patch, 1)
    assert y.shape == (2, *patch)
    np.testing.assert_array_equal(y == 7, x[..., 0] == 0)  # padded voxels, and only they
    inside = np.prod(np.minimum(size, patch))
    assert ((y == 1).sum((1, 2, 3)) == inside).all()


def test_volumes_that_do_not_fit_are_one_sentence():
    image, labels = np.zeros((4, 4, 1)), np.zeros((4, 5), int)
    with pytest.raises(ValueError, match=r"image of shape \(4, 4, 1\), labels of shape \(4, 5\)"):
        PatchDataset([(image, labels)], patch=(2, 2), batch_size=1)
    with pytest.raises(ValueError, match="0 volumes, batch_size 1"):
        PatchDataset([], patch=(2, 2), batch_size=1)
    with pytest.raises(ValueError, match=r"patch \(2,\): expected 2 sizes"):
        PatchDataset([(image, labels[:, :4])], patch=(2,), batch_size=1)


# === Sliding window ===


def test_positions_are_spread_evenly():
    assert positions(110, 64) == [0, 23, 46]
    assert positions(64, 64) == positions(30, 64) == [0]


@given(size=st.integers(1, 300), patch=st.integers(1, 100), overlap=st.floats(0, 0.9))
def test_positions_cover_every_voxel(size, patch, overlap):
    starts = positions(size, patch, overlap)
    covered = {voxel for start in starts for voxel in range(start, start + patch)}
    assert covered >= set(range(size))
    assert starts == sorted(set(starts))
    assert starts[-1] + patch <= max(size, patch)


def test_importance_is_a_symmetric_gaussian():
    weight = importance((8, 5))
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(weight, weight[::-1, ::-1])
    assert weight.max() == 1
    assert weight.min() > 0
    assert weight[0, 2] / weight[3, 2] == pytest.approx(np.exp(-0.5 * (3.5**2 - 0.5**2)))


@pytest.mark.parametrize("size", [(9, 13), (16, 16), (5, 40)])
def test_an_identity_network_gives_the_image_back(size):
    model = keras.Sequential([keras.Input((None, None, 2)), keras.layers.Identity()])
    image = np.random.default_rng(0).standard_normal((*size, 2), dtype="float32")
    found = sliding_window(model, image, (8, 16))
    np.testing.assert_allclose(found, image, atol=1e-5)


def test_a_network_that_shrinks_is_refused():
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(1, 3)])
    with pytest.raises(ValueError, match=r"gives \(6, 6\) for a patch of \(8, 8\)"):
        sliding_window(model, np.zeros((8, 8, 1), "float32"), (8, 8))
    image = np.zeros((8, 8, 1), "float32")
    for patch in ((8,), (0, 8), (8.0, 8)):
        with pytest.raises(ValueError, match=r"patch \(.*\): expected 2 sizes"):
            sliding_window(model, image, patch)
    for overlap in (1, 1.5, -3):
        with pytest.raises(ValueError, match=f"overlap {overlap}: expected a share"):
            sliding_window(model, image, (8, 8), overlap=overlap)
    with pytest.raises(ValueError, match=r"image of shape \(8, 8, 3\): .* needs 1 channels last"):
        sliding_window(model, np.zeros((8, 8, 3), "float32"), (8, 8))
