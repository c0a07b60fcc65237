"""``train``, ``predict`` and ``evaluate``, in Python and on the command line."""

import csv
import json
import shutil

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import unetzoo
from unetzoo import train as training
from unetzoo.cli import cli
from unetzoo.data.inputs import cases_of
from unetzoo.data.synthetic import write_dataset
from unetzoo.history import read_history
from unetzoo.predict import load_predictor, predict_cases, shard
from unetzoo.runs import Run, Settings
from unetzoo.train import train


def settings(data, **more):
    choice = {
        "network": "unet2d_small", "patch": (32, 32), "epochs": 4, "steps": 6, "batch_size": 4,
        "learning_rate": 1e-2, "validate_every": 2, "build": {"dropout": 0.1}, **more,
    }  # fmt: skip
    return Settings(data=str(data), **choice)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, 10, (48, 41), classes=3, layout="pictures")
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run of four epochs, trained once for all tests."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(settings(data), folder)
    return folder


def invoke(*words):
    """The command line without its catch: errors are the exceptions themselves."""
    return CliRunner().invoke(cli, [str(word) for word in words])


def losses(folder):
    return [row["loss"] for row in read_history(folder)]


# === What a run leaves ===


def test_a_run_leaves_its_models_history_pictures_and_record(run):
    names = {path.name for path in run.iterdir()}
    assert names == {
        "best.keras", "curves.png", "epoch-0004.keras", "history.csv", "overlay-1.png",
        "overlay-2.png", "prepared", "run.json", "tensorboard",
    }  # fmt: skip
    rows = read_history(run)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert [("val_dice" in row, "val_dice_2" in row) for row in rows] == [
        (False, False), (True, True), (False, False), (True, True),
    ]  # fmt: skip
    assert losses(run)[-1] < losses(run)[0]
    for name in ("curves.png", "overlay-1.png"):
        with Image.open(run / name) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 100


def test_the_record_holds_what_it_takes_to_repeat_the_run(run, data):
    record = json.loads((run / "run.json").read_text())
    assert record["settings"]["seed"] == 0
    assert record["settings"]["data"] == str(data)
    assert set(record["versions"]) >= {"python", "unetzoo", "keras", "numpy"}
    assert record["backend"] in ("tensorflow", "jax", "torch")
    assert len(record["train"]) == 8
    assert len(record["held_out"]) == 2
    assert not set(record["train"]) & set(record["held_out"])
    assert all(len(key) == 64 for key in record["train"].values())
    again = Run.read(run)
    assert again.settings == settings(data)
    assert again.class_names[0] == "background"


def test_tensorboard_can_read_what_was_logged(run):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for part in ("train", "validation"):
        events = EventAccumulator(str(run / "tensorboard" / part))
        events.Reload()
        found[part] = events
    assert [event.step for event in found["train"].Tensors("epoch_loss")] == [0, 1, 2, 3]
    assert [event.step for event in found["validation"].Tensors("epoch_dice")] == [1, 3]


# === The same again ===


@pytest.mark.slow
def test_the_same_seed_gives_the_same_losses_and_another_does_not(run, data, tmp_path):
    train(settings(data), tmp_path / "again", workers=2)
    assert losses(tmp_path / "again") == losses(run)
    train(settings(data, seed=1, epochs=1), tmp_path / "other")
    assert losses(tmp_path / "other")[0] != losses(run)[0]


@pytest.mark.parametrize("stop", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_run_that_was_stopped_goes_on_to_the_same_losses(run, data, tmp_path, stop, monkeypatch):
    def interrupt(_, epoch, logs=None):
        if epoch == stop:
            raise KeyboardInterrupt

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(training.DrawCurves, "on_epoch_begin", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(settings(data), folder)
    assert len(read_history(folder)) == stop
    train(settings(data), folder)
    np.testing.assert_allclose(losses(folder), losses(run), rtol=1e-5)
    expected, found = (
        [row.get("val_dice", -1) for row in read_history(place)] for place in (run, folder)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.slow
def test_going_on_with_other_settings_or_data_is_refused(run, data, tmp_path):
    before = (run / "run.json").read_bytes()
    with pytest.raises(ValueError, match=r"begun with epochs 4, not 9, seed 0, not 3") as error:
        train(settings(data, epochs=9, seed=3), run)
    assert "another folder" in str(error.value)
    moved = tmp_path / "data"
    shutil.copytree(data, moved)
    folder = tmp_path / "run"
    train(settings(moved, epochs=1), folder)
    Image.new("L", (41, 48), 7).save(moved / "images" / "case_003.png")
    with pytest.raises(ValueError, match=r"the files of \['case_003'\] are not those"):
        train(settings(moved, epochs=1), folder)
    assert (run / "run.json").read_bytes() == before


@pytest.mark.slow
def test_patience_ends_a_run_and_it_stays_ended(data, tmp_path):
    choice = settings(data, epochs=30, steps=1, learning_rate=1e-12, validate_every=1, patience=2)
    train(choice, tmp_path)
    ended = len(read_history(tmp_path))
    assert 3 <= ended < 30
    train(choice, tmp_path)
    assert len(read_history(tmp_path)) == ended


@pytest.mark.slow
def test_mixed_precision_and_sgd_train_and_go_back_to_float32(data, tmp_path):
    import keras

    choice = settings(
        data, epochs=1, precision="mixed_bfloat16", optimizer="sgd", fold=None, augment=False
    )
    model = train(choice, tmp_path)
    assert keras.config.dtype_policy().name == "float32"
    assert model.layers[3].compute_dtype == "bfloat16"
    assert model.optimizer.momentum == 0.99
    assert np.isfinite(losses(tmp_path)).all()
    assert not (tmp_path / "best.keras").exists()
    assert Run.read(tmp_path).held_out == {}


# === What cannot work is said before anything is trained ===


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"network": "unet3d_19m"}, r"'unet3d_19m' has 3 axes of space, .* unet2d_large"),
        ({"patch": (32, 32, 32)}, r"patch \(32, 32, 32\) has 3, the data have 2"),
        ({"network": "unet2d_original"}, r"'unet2d_original' needs sizes of 16 n \+ 188"),
        ({"network": "unet2d_smal"}, "unet2d_smal"),
        ({"folds": 11}, "11"),
        ({"data": "/nowhere"}, "/nowhere"),
        ({"optimizer": "adamw"}, "expected one of adam, sgd"),
        ({"build": {"dropuot": 0.1}}, "dropuot"),
    ],
)
def test_what_cannot_work_is_one_sentence(data, tmp_path, change, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        train(Settings(**{**vars(settings(data)), **change}), tmp_path / "run")
    assert not (tmp_path / "run" / "history.csv").exists()


@pytest.mark.parametrize(
    "change",
    [{"fold": 5}, {"epochs": 0}, {"precision": "float8"}, {"patience": -1}, {"batch_size": 2.0}],
)
def test_settings_are_checked(data, change):
    with pytest.raises(ValueError, match="expected"):
        settings(data, **change)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"settings": 3}', '{"settings": {"data": "x", "evil": 1}}', "\xff"]
)
def test_a_damaged_record_is_one_sentence(tmp_path, text):
    (tmp_path / "run.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"run.json: not the record of a run") as error:
        Run.read(tmp_path)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="expected the folder of a run"):
        Run.read(tmp_path / "none")


# === predict ===


def test_masks_are_written_and_a_bad_file_is_told_at_the_end(run, data, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(data / "images", images)
    (images / "case_004.png").write_bytes(b"no picture")
    out = tmp_path / "masks"
    result = invoke("predict", run, images, "-o", out)
    assert result.exit_code == 1
    assert "9 written, 1 failed" in result.stderr
    assert "case_004.png" in result.stderr.splitlines()[-1]
    assert result.stdout.split() == [str(out / f"case_{n:03}.png") for n in range(10) if n != 4]
    with Image.open(out / "case_003.png") as mask, Image.open(images / "case_003.png") as image:
        assert mask.size == image.size
        assert set(np.unique(np.asarray(mask))) <= {0, 1, 2}


def test_probabilities_of_pictures_are_numpys(run, data, tmp_path):
    image = data / "images" / "case_003.png"
    result = invoke("predict", run, image, "-o", tmp_path, "--probabilities")
    assert result.exit_code == 0, result.output
    scores = np.load(tmp_path / "case_003_probabilities.npy", allow_pickle=False)
    assert (scores.shape, scores.dtype) == ((48, 41, 3), "float32")
    np.testing.assert_allclose(scores.sum(-1), 1, rtol=1e-5)
    mask = np.asarray(Image.open(tmp_path / "case_003.png"))
    np.testing.assert_array_equal(mask, scores.argmax(-1))


def test_a_mask_that_is_there_is_left_alone_unless_it_may_be_written(run, data, tmp_path):
    image = data / "images" / "case_000.png"
    (tmp_path / "case_000.png").write_bytes(b"mine")
    result = invoke("predict", run, image, "-o", tmp_path)
    assert result.exit_code == 0
    assert "1 there already (--overwrite" in result.stderr
    assert (tmp_path / "case_000.png").read_bytes() == b"mine"
    assert invoke("predict", run, image, "-o", tmp_path, "--overwrite").exit_code == 0
    assert (tmp_path / "case_000.png").read_bytes()[:4] == b"\x89PNG"


def test_shards_share_the_cases_out(run, data, tmp_path):
    parts = [shard(range(10), f"{n}/3") for n in (1, 2, 3)]
    assert sorted(n for part in parts for n in part) == list(range(10))
    result = invoke("predict", run, data / "images", "-o", tmp_path, "--shard", "4/4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case_003.png", "case_007.png"]
    assert result.exit_code == 0
    for wrong in ("0/2", "3/2", "2", "a/b", "1/0"):
        with pytest.raises(ValueError, match="expected such as 2/8"):
            shard([], wrong)


def test_mirroring_gives_the_mean_over_the_flips(run, data, tmp_path):
    (case,) = cases_of([data / "images" / "case_001.png"], 1)
    plain, mirrored = load_predictor(run), load_predictor(run, mirror=True)
    from unetzoo.data.reading import read_case

    image = read_case(case)
    scores = []
    for flip in ((), (0,), (1,), (0, 1)):
        flipped = type(image)(np.flip(image.data, flip).copy(), image.files)
        scores.append(np.flip(np.log(plain.score(flipped)), flip))
    expected = np.mean(scores, axis=0)
    found = np.log(mirrored.score(image))
    difference = found - expected  # equal up to what a softmax does not see
    difference -= difference.mean(-1, keepdims=True)
    assert np.abs(difference).max() < 0.02
    assert np.abs(np.log(plain.score(image)) - found).max() > 0.02


def test_two_cases_of_one_name_and_a_lost_channel_are_refused(run, data, tmp_path):
    shutil.copytree(data / "images", tmp_path / "b")
    result = invoke("predict", run, data / "images", tmp_path / "b", "-o", tmp_path / "out")
    assert "both would be written to" in str(result.exception)
    for name in ("x_0000.nii.gz", "x_0002.nii.gz"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"case 'x': channels \[0, 2\]; expected 3"):
        cases_of([tmp_path / "x_0000.nii.gz", tmp_path / "x_0002.nii.gz"], 3)
    with pytest.raises(ValueError, match="not there"):
        cases_of([tmp_path / "nothing.nii"], 1)


# === evaluate ===


def test_the_held_out_cases_are_scored_and_the_worst_drawn(run, data, tmp_path):
    result = invoke("evaluate", run, "-o", tmp_path, "--worst", "1")
    assert result.exit_code == 0, result.output
    held_out = set(Run.read(run).held_out)
    content = json.loads((tmp_path / "scores.json").read_text())
    assert set(content["cases"]) == held_out
    for name in held_out:
        truth = np.asarray(Image.open(data / "masks" / f"{name}.png"))
        found = np.asarray(Image.open(tmp_path / "masks" / f"{name}.png"))
        for label in (1, 2):
            a, b = truth == label, found == label
            dice = 2 * (a & b).sum() / (a.sum() + b.sum())
            assert content["cases"][name][str(label)]["dice"] == pytest.approx(dice)
    with (tmp_path / "scores.csv").open() as file:
        assert {row["case"] for row in csv.DictReader(file)} == held_out
    assert (tmp_path / "scores.txt").read_text() == result.stdout
    assert Image.open(tmp_path / "worst-1.png").size[0] > 300
    assert not (tmp_path / "worst-2.png").exists()


def test_other_data_are_scored_whole(run, tmp_path):
    write_dataset(tmp_path / "new", 3, (40, 40), classes=3, seed=50, layout="pictures")
    result = invoke("evaluate", run, "--data", tmp_path / "new", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert len(json.loads((tmp_path / "out" / "scores.json").read_text())["cases"]) == 3


def test_a_run_on_all_cases_has_none_left_to_score(data, tmp_path):
    train(settings(data, epochs=1, steps=1, fold=None), tmp_path)
    with pytest.raises(ValueError, match="trained on all of its labelled cases"):
        raise invoke("evaluate", tmp_path).exception


# === Volumes ===


def threshold_run(folder, spacing=None, deviations=0.0):
    """A run of one convolution: class 1 where the first channel is above its mean by so much."""
    import keras

    from unetzoo.callbacks import CHECKPOINT
    from unetzoo.data.labels import LabelScheme
    from unetzoo.data.preparation import Preparation, ZScore

    model = keras.Sequential([keras.Input((None, None, None, 2)), keras.layers.Conv3D(2, 1)])
    kernel = np.zeros((1, 1, 1, 2, 2), "float32")
    kernel[..., 0, 1] = 1
    model.set_weights([kernel, np.array([deviations, 0], "float32")])
    model.save(folder / CHECKPOINT.format(1))
    Run(
        folder=folder, settings=Settings(data="none", network="unet3d_19m", patch=(8, 8, 8)),
        scheme=LabelScheme(labels={0: 0, 4: 1}), class_names=("background", "bright"), channels=2,
        preparation=Preparation(spacing, (ZScore(), ZScore())), train={}, held_out={}, versions={},
        backend=keras.backend.backend(),
    ).write()  # fmt: skip
    return folder


AFFINES = {
    "canonical": np.diag([1, 1, 2, 1.0]),
    "turned": np.array([[0, 0, -2, 9], [-1, 0, 0, 5], [0, 1, 0, 3], [0, 0, 0, 1.0]]),
    "oblique": np.array([[0.9, -0.3, 0, 9], [0.3, 0.9, 0, 5], [0, 0, -2, 3], [0, 0, 0, 1.0]]),
}


@pytest.mark.parametrize("way", AFFINES)
@pytest.mark.parametrize("kind", ["channels in one file", "a file a channel"])
def test_a_mask_lies_on_the_images_own_grid(tmp_path, way, kind):
    """The network only compares, so the mask must equal the comparison on the file's own voxels."""
    rng = np.random.default_rng(3)
    scan = rng.integers(1, 1000, (13, 9, 11, 2)).astype("int16")
    affine = AFFINES[way]
    paths = [tmp_path / "scan.nii.gz"]
    if kind == "a file a channel":
        paths = [tmp_path / f"scan_{n:04}.nii.gz" for n in range(2)]
        for path, channel in zip(paths, np.moveaxis(scan, -1, 0), strict=True):
            nibabel.save(nibabel.Nifti1Image(channel, affine), path)
    else:
        nibabel.save(nibabel.Nifti1Image(scan, affine), paths[0])
    (tmp_path / "run").mkdir()
    result = invoke(
        "predict", threshold_run(tmp_path / "run"), *paths, "-o", tmp_path / "out",
        "--model", "last", "--probabilities",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    mask = nibabel.load(tmp_path / "out" / "scan.nii.gz")
    first = scan[..., 0]
    np.testing.assert_array_equal(np.asarray(mask.dataobj), 4 * (first > first.mean()))
    np.testing.assert_array_equal(mask.affine, nibabel.load(paths[0]).affine)
    assert mask.header.get_zooms() == nibabel.load(paths[0]).header.get_zooms()[:3]
    scores = nibabel.load(tmp_path / "out" / "scan_probabilities.nii.gz").get_fdata()
    expected = 1 / (1 + np.exp(-(first - first.mean()) / first.std()))
    np.testing.assert_allclose(scores[..., 1], expected, atol=1e-5)


def test_a_resampled_mask_comes_back_to_the_files_size(tmp_path):
    """A bright ball at 1 mm, predicted at 1.5 mm: the same ball again but for its surface."""
    at = np.stack(np.meshgrid(*map(np.arange, (30, 33, 28)), indexing="ij"))
    ball = np.linalg.norm(at - np.array([14, 16, 13]).reshape(3, 1, 1, 1), axis=0) < 9
    scan = np.where(ball, 900, 100).astype("int16")
    nibabel.save(nibabel.Nifti1Image(np.stack([scan] * 2, -1), np.eye(4)), tmp_path / "a.nii.gz")
    (tmp_path / "run").mkdir()
    half_way = (500 - scan.mean()) / scan.std()
    folder = threshold_run(tmp_path / "run", (1.5, 1.5, 1.5), half_way)
    predictor = load_predictor(folder, largest=True)
    outcome = predict_cases(predictor, cases_of([tmp_path / "a.nii.gz"], 2), tmp_path / "out")
    assert outcome.failed == {}
    found = np.asarray(nibabel.load(outcome.written["a"]).dataobj) == 4
    assert found.shape == ball.shape
    assert 2 * (found & ball).sum() / (found.sum() + ball.sum()) > 0.95


def test_an_image_of_other_channels_is_one_sentence(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.ones((9, 9, 9), "int16"), np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "run").mkdir()
    predictor = load_predictor(threshold_run(tmp_path / "run"))
    outcome = predict_cases(predictor, cases_of([tmp_path / "a.nii"], 2), tmp_path / "out")
    assert "a.nii: 1 channels; the run in" in outcome.failed["a"]
    (tmp_path / "run" / "epoch-0001.keras").unlink()
    with pytest.raises(ValueError, match="no model yet"):
        load_predictor(tmp_path / "run")


def test_the_zoo_is_what_a_run_trains(run):
    model = unetzoo.load_model(run / "best.keras")
    assert model.output_shape == (None, None, None, 3)
    expected = unetzoo.build("unet2d_small", input_shape=(None, None, 1), num_classes=3)
    assert model.count_params() == expected.count_params()
