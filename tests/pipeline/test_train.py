"""``train``: what a run leaves, runs that go on, and what cannot work."""

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import keras
import numpy as np
import pytest
from commands import all_started, command
from PIL import Image
from small_runs import interrupted, losses, settings
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import unetzoo
from unetzoo.callbacks import LogToTensorBoard
from unetzoo.data.preprocessing import jobs
from unetzoo.data.preprocessing.survey import Survey
from unetzoo.data.splits import folds
from unetzoo.losses import Crossentropy, DiceTopK
from unetzoo.pipeline.early import training_data
from unetzoo.pipeline.evaluator import evaluate
from unetzoo.pipeline.run import Run, Settings, settings_at
from unetzoo.pipeline.trainer import train
from unetzoo.training import remat
from unetzoo.training.history import read_history
from unetzoo.utils.errors import RunStopped

# === What a run leaves ===


def test_a_run_leaves_its_models_history_pictures_and_record(small_run):
    names = {path.name for path in small_run.iterdir()}
    assert names == {
        "best.keras", "curves.png", "epoch-0004.keras", "history.csv", "overlay-1.png",
        "overlay-2.png", "prepared", "run.json", "tensorboard",
    }  # fmt: skip
    rows = read_history(small_run)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert [("val_dice" in row, "val_dice_2" in row) for row in rows] == [
        (False, False), (True, True), (False, False), (True, True),
    ]  # fmt: skip
    assert losses(small_run)[-1] < losses(small_run)[0]
    for name in ("curves.png", "overlay-1.png"):
        with Image.open(small_run / name) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 100


def test_the_record_holds_what_it_takes_to_repeat_the_run(small_run, small_data):
    record = json.loads((small_run / "run.json").read_text())
    assert record["settings"]["seed"] == 0
    assert record["settings"]["data"] == str(small_data)
    assert set(record["versions"]) >= {"python", "unetzoo", "keras", "numpy"}
    assert record["backend"] in ("tensorflow", "jax", "torch")
    assert len(record["train"]) == 8
    assert len(record["held_out"]) == 2
    assert not set(record["train"]) & set(record["held_out"])
    assert all(len(key) == 64 for key in record["train"].values())
    again = Run.read(small_run)
    assert again.settings == settings(small_data)
    assert again.class_names[0] == "background"


def test_tensorboard_can_read_what_was_logged(small_run):
    found, rows = {}, read_history(small_run)
    for part in ("train", "validation"):
        events = EventAccumulator(str(small_run / "tensorboard" / part))
        events.Reload()
        found[part] = {
            name: [(event.step, event.value) for event in events.Scalars(name)]
            for name in events.Tags()["scalars"]
        }
    assert events.FirstEventTimestamp() > 1.7e9  # seconds; TensorBoard counts from there
    for name in ("loss", "dice", "dice_1", "learning_rate"):
        expected = [(n, pytest.approx(row[name])) for n, row in enumerate(rows)]
        assert found["train"][f"epoch_{name}"] == expected
    expected = [(n, pytest.approx(rows[n]["val_dice"])) for n in (1, 3)]
    assert found["validation"]["epoch_dice"] == expected
    assert "epoch_loss" not in found["validation"]  # which whole cases do not have


def test_tensorboard_is_told_where_there_is_no_room(tmp_path):
    (tmp_path / "tensorboard").write_text("")
    log = LogToTensorBoard(tmp_path / "tensorboard")
    log.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.1)))
    with pytest.raises(RunStopped, match=r"tensorboard is not a folder.* to resume from its last"):
        log.on_epoch_end(0, {"loss": 1.0})


def test_on_torch_no_command_loads_tensorflow(small_data, tmp_path, monkeypatch):
    """It is installed, and Keras would look for it: for seeds, for copies and for files."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    words = ["--network", "unet2d_small", "--patch", "32,32", "--epochs", "1", "--steps", "1"]
    run, image = tmp_path / "run", small_data / "images" / "case_000.png"
    lines = [
        ("train", "--data", small_data, "--out", run, *words),
        ("predict", run, image, "-o", tmp_path / "masks"),
        ("export", run, "--format", "keras", "-o", tmp_path / "exported"),
    ]
    ended = all_started("unetzoo", lines)
    assert [(code, "tensorflow" in heavy) for code, heavy, _, _ in ended] == [(0, False)] * 3


def test_the_zoo_is_what_a_run_trains(small_run):
    model = unetzoo.load_model(small_run / "best.keras")
    assert model.output_shape == (None, None, None, 3)
    expected = unetzoo.build("unet2d_small", input_shape=(None, None, 1), num_classes=3)
    assert model.count_params() == expected.count_params()


# === The same again ===


@pytest.mark.slow
def test_the_same_seed_gives_the_same_losses_and_another_does_not(
    small_run, small_data, tmp_path, monkeypatch
):
    monkeypatch.setattr(jobs, "LITTLE", -1)  # or one process is enough
    train(settings(small_data), tmp_path / "again", workers=2)
    assert losses(tmp_path / "again") == losses(small_run)
    train(settings(small_data, seed=1, epochs=1), tmp_path / "other")
    assert losses(tmp_path / "other")[0] != losses(small_run)[0]


def test_a_run_that_keeps_less_in_memory_has_the_same_losses(
    small_run, small_data, tmp_path, monkeypatch
):
    """After a stop, too; two batches make an update. With large patches TensorFlow does it too."""
    folder = tmp_path / "run"
    same = settings(small_data, remat="full", epochs=2)
    with interrupted(after=1):
        train(same, folder)
    train(same, folder)
    np.testing.assert_allclose(losses(folder), losses(small_run)[:2], rtol=1e-5)
    monkeypatch.setattr(remat, "LARGE", 2)
    monkeypatch.setattr(remat, "WORTH", 2)
    model = train(settings(small_data, accumulate=2, epochs=1), tmp_path / "accumulated")
    assert int(model.optimizer.iterations) == 3
    assert (vars(model)["call"].func is remat._call) == (keras.backend.backend() == "tensorflow")


@pytest.mark.parametrize("stop", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_run_that_was_stopped_goes_on_to_the_same_losses(
    small_run, small_data, tmp_path, stop, capsys
):
    folder = tmp_path / "run"
    with interrupted(after=stop):
        train(settings(small_data), folder)
    assert len(read_history(folder)) == stop
    assert "on this machine, without validation and saving" in capsys.readouterr().err
    train(settings(small_data), folder)
    np.testing.assert_allclose(losses(folder), losses(small_run), rtol=1e-5)
    expected, found = (
        [row.get("val_dice", -1) for row in read_history(place)] for place in (small_run, folder)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_run_without_a_finished_epoch_begins_anew(small_data, tmp_path):
    """With corrected settings, whatever an older run left."""
    folder = tmp_path / "run"
    with mock.patch("unetzoo.pipeline.trainer._fit"):
        train(settings(small_data, epochs=200), folder)
        assert Run.read(folder).settings.epochs == 200
        (folder / "best.keras").write_bytes(b"of the epoch that was not finished")
        train(settings(small_data, epochs=3), folder)
        assert Run.read(folder).settings.epochs == 3
        assert not (folder / "best.keras").exists()
        (folder / "run.json").write_text("damaged")
        train(settings(small_data, epochs=1), folder)
        assert Run.read(folder).settings.epochs == 1


def test_a_damaged_checkpoint_is_told_and_can_be_deleted(small_data, tmp_path):
    with mock.patch("unetzoo.pipeline.trainer._fit"):
        train(settings(small_data, epochs=1), tmp_path)
    checkpoint = tmp_path / "epoch-0001.keras"
    checkpoint.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ValueError, match="begun with steps 6, not 5"):
        train(settings(small_data, epochs=1, steps=5), tmp_path)
    sentence = r"epoch-0001.keras: .* or damaged\. Delete it .* to start over if there is none\.$"
    with pytest.raises(ValueError, match=sentence):
        train(settings(small_data, epochs=1), tmp_path)
    (tmp_path / "run.json").unlink()
    with pytest.raises(
        ValueError, match=r"run.json: there is no such file; expected the folder of a run"
    ):
        train(settings(small_data, epochs=1), tmp_path)
    checkpoint.unlink()
    with mock.patch("unetzoo.pipeline.trainer._fit"):
        train(settings(small_data, epochs=2), tmp_path)
    assert Run.read(tmp_path).settings.epochs == 2


@pytest.mark.parametrize("schedule", [pytest.param(None, marks=pytest.mark.slow), "poly"])
def test_a_finished_run_goes_on_with_more_epochs(schedule, small_data, tmp_path, capsys):
    """As if it had been begun with them, but for the learning rates of before."""
    more = {"steps": 3, "schedule": schedule}
    train(settings(small_data, epochs=2, **more), tmp_path)
    capsys.readouterr()
    train(settings(small_data, epochs=4, **more), tmp_path)
    said = capsys.readouterr().err
    assert "4 epochs instead of 2, of which 2 are done; " in said
    rows = read_history(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    run = Run.read(tmp_path)
    assert (run.settings.epochs, run.continued) == (4, ((2, 2),))
    rates = [row["learning_rate"] for row in rows]
    if schedule is None:
        assert "the learning rate stays as it is" in said
        train(settings(small_data, epochs=4, **more), tmp_path / "whole")
        np.testing.assert_allclose(losses(tmp_path), losses(tmp_path / "whole"), rtol=1e-5)
    else:
        assert "the learning rate goes on at 0.0054, not 0" in said
        expected = [1e-2 * (1 - step / 12) ** 0.9 for step in (9, 12)]
        np.testing.assert_allclose(rates[2:], expected, rtol=1e-4)
        assert rates[1] == 0
    with pytest.raises(ValueError, match="begun with epochs 4, not 3"):
        train(settings(small_data, epochs=3, **more), tmp_path)


@pytest.mark.slow
def test_going_on_with_other_settings_or_data_is_refused(small_run, small_data, tmp_path):
    before = (small_run / "run.json").read_bytes()
    with pytest.raises(ValueError, match=r"begun with epochs 4, not 3, seed 0, not 3") as error:
        train(settings(small_data, epochs=3, seed=3), small_run)
    assert "another folder" in str(error.value)
    moved = tmp_path / "data"
    shutil.copytree(small_data, moved)
    folder = tmp_path / "run"
    train(settings(moved, epochs=1), folder)
    Image.new("L", (41, 48), 7).save(moved / "images" / "case_003.png")
    with pytest.raises(ValueError, match=r"the files of \['case_003'\] are not those"):
        train(settings(moved, epochs=1), folder)
    assert (small_run / "run.json").read_bytes() == before


@pytest.mark.slow
def test_patience_ends_a_run_and_it_stays_ended(small_data, tmp_path, capsys):
    choice = settings(
        small_data, epochs=30, steps=1, learning_rate=1e-12, validate_every=1, patience=2
    )
    train(choice, tmp_path)
    ended = len(read_history(tmp_path))
    assert 3 <= ended < 30
    with mock.patch("unetzoo.pipeline.trainer._fit", side_effect=AssertionError):
        train(choice, tmp_path)
    assert len(read_history(tmp_path)) == ended
    told = f"is finished, epoch {ended}, after 2 without a better Dice: nothing was done;"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("loss", ["ce", "dice_topk"])
def test_the_loss_of_a_run_is_the_one_that_was_asked_for(small_data, tmp_path, loss):
    choice = settings(small_data, epochs=1, steps=1, loss=loss, fold=None)
    model = train(choice, tmp_path)
    kept = {"ce": Crossentropy, "dice_topk": DiceTopK}[loss]
    assert type(model.loss) is kept
    assert type(unetzoo.load_model(tmp_path / "epoch-0001.keras").loss) is kept
    assert Run.read(tmp_path).settings.loss == loss
    with pytest.raises(ValueError, match=f"was begun with loss {loss!r}, not 'dice_ce'"):
        train(replace(choice, loss="dice_ce"), tmp_path)


@pytest.mark.slow
def test_mixed_precision_and_sgd_train_and_go_back_to_float32(small_data, tmp_path):
    choice = settings(
        small_data, epochs=1, precision="mixed_bfloat16", optimizer="sgd", fold=None, augment=False
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
        ({"patch": (32, 32, 32)}, r"'unet2d_small' has 2 .*, patch \(32, 32, 32\) has 3"),
        ({"patch": (8,)}, r"patch \(8,\) has 1: expected the same; for 1 axis there are none"),
        (
            {"network": "unet3d_19m", "patch": (16, 16, 16)},
            r"patch \(16, 16, 16\) has 3, the data have 2: .* these data are attention_unet,",
        ),
        ({"network": "unet2d_original"}, r"'unet2d_original' needs sizes of 16 n \+ 188"),
        ({"network": "unet2d_smal"}, "'unet2d_smal': expected a name .* try unet2d_small"),
        ({"folds": 11}, "10 cases for 11 folds; expected at least one for each: give fewer folds"),
        ({"data": "/nowhere"}, "/nowhere: expected a folder, a .csv file, or two patterns"),
        ({"optimizer": "adamw"}, "optimizer 'adamw', .*: expected one of adam, sgd"),
    ],
)
def test_what_cannot_work_is_one_sentence(small_data, tmp_path, change, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        train(replace(settings(small_data), **change), tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("network", "patch", "sentence"),
    [
        ("unet3d_19m", (17, 16, 16), r"patch \(17, 16, 16\): 'unet3d_19m' needs sizes of 8 n \+ 8"),
        ("unet2d_original", (32, 32), "'unet2d_original' needs sizes of 16 n"),
        ("unet3d-90m", (8, 8, 8), "'unet3d_90m' needs sizes of at least 16"),
    ],
)
def test_a_patch_that_cannot_work_is_told_before_the_data_are_read(
    small_data, tmp_path, network, patch, sentence
):
    read = mock.patch(
        "unetzoo.data.preprocessing.survey.Survey.look_through", side_effect=AssertionError
    )
    with read, pytest.raises(ValueError, match=sentence):
        train(settings(small_data, network=network, patch=patch), tmp_path / "run")


def test_an_argument_that_the_network_does_not_take_is_named(small_data, tmp_path):
    sentence = "argument 'dropuot': 'unet2d_small' does not take it; try dropout"
    with pytest.raises(TypeError, match=sentence):
        train(settings(small_data, build={"dropuot": 0.1}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fold", 5), ("epochs", 0), ("precision", "float8"), ("patience", -1), ("batch_size", 2.0),
        ("loss", "hinge"),
        ("patch", (0, 16)), ("patch", (16.0, 16)), ("patch", 16), ("patch", (2**16, 2**16)),
        ("seed", -1), ("seed", 2**32), ("seed", 1.0), ("fill", float("nan")), ("data", ""),
    ],
)  # fmt: skip
def test_settings_are_checked(small_data, name, value):
    with pytest.raises(ValueError, match=f"{name} .*expected"):
        Settings(**{**vars(settings(small_data)), name: value})


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"settings": 3}', '{"settings": {"data": "x", "evil": 1}}', "\xff",
     "[" * 200_000, '{"settings": {"patch": ' + "[" * 900 + "]" * 900 + "}}", '{"a": 1, "a": 2}'],
)  # fmt: skip
def test_a_damaged_record_is_one_sentence(tmp_path, text):
    (tmp_path / "run.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"run.json: not the record of a run") as error:
        Run.read(tmp_path)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="expected the folder of a run"):
        Run.read(tmp_path / "none")
    with pytest.raises(ValueError, match=r"run.json: it is a file; expected the folder of a run"):
        Run.read(tmp_path / "run.json")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "best.json").write_text("{}")
    with pytest.raises(ValueError, match=r"runs: it holds several runs.* RUNS/fold_0\.$"):
        Run.read(tmp_path / "runs")


def test_a_record_of_any_size_takes_no_memory(tmp_path):
    with (tmp_path / "run.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match=r"run.json: not the record of a run: 1,099,511,627,776 b"):
        Run.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("classes", "a\x1b[31m\n"), ("ignore", [[0] * 1000]), ("optimizer", ["adam"] * 1000),
        ("learning_rate", "a\x1b[31m\n"), ("clip", [[0] * 1000]), ("evil\x1b[31m" * 99, 1),
    ],
)  # fmt: skip
def test_a_damaged_setting_is_a_short_line(small_run, tmp_path, name, value):
    record = json.loads((small_run / "run.json").read_text())
    record["settings"][name] = value
    (tmp_path / "run.json").write_text(json.dumps(record))
    for read in (Run.read, settings_at):
        with pytest.raises(ValueError, match=r"run.json: not the .* of a run: ") as told:
            read(tmp_path)
        said = str(told.value).removeprefix(str(tmp_path))
        assert said.isprintable()
        assert len(said) < 450


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"optimizer": "adamw"}, "optimizer 'adamw', .* expected one of adam, sgd"),
        ({"schedule": "warm"}, "schedule 'warm': expected one of adam, sgd and one of constant"),
        ({"learning_rate": float("inf")}, "learning_rate inf, clip .* expected numbers above 0"),
        ({"clip": 0}, "clip 0: expected numbers above 0"),
        ({"spacing": (1, 1, 1)}, r"spacing \(1, 1, 1\): expected 2 numbers, one for each axis"),
        ({"spacing": "mean"}, "spacing 'mean': expected 2 or 3 positive numbers"),
        ({"patch": (32, 32, 32)}, "'unet2d_small' has 2 axes of space, .* has 3: expected"),
        ({"network": "vnet", "patch": (8, 16, 16)}, "patch .*: 'vnet' needs sizes of"),
        ({"build": {"norm": "layer"}}, "norm 'layer': expected one of"),
        ({"build": [1]}, r"build \[1\]: expected arguments of the network by name"),
        ({"layout": "x"}, "layout 'x': expected one of msd"),
        ({"labels": {0: 0, 2: 5}}, "expected 0, 1, 2 ... without a gap"),
        ({"classes": 0}, "classes=0: expected whole numbers, and at least one class"),
        ({"fold": 1.5}, "fold 1.5: expected 0 to 4"),
        ({"augment": "no"}, "augment 'no': expected True or False"),
        ({"remat": "some"}, "remat 'some': expected one of full, activations, or None"),
        ({"accumulate": 4}, "accumulate 4: expected a divisor of the 6 steps"),
        ({"normalisation": ("z",)}, "normalisation .*: expected for each channel one of zscore"),
    ],
)
def test_all_of_settings_is_checked_where_they_are_made(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        settings("nowhere", **change)


def test_the_skeleton_is_built_once(small_data, tmp_path):
    with (
        mock.patch("unetzoo.registry.skeleton", side_effect=unetzoo.skeleton) as skeleton,
        mock.patch("unetzoo.pipeline.trainer._fit"),
    ):
        train(settings(small_data), tmp_path)
    assert skeleton.call_count == 1


def test_files_and_tfds_are_told_apart_in_one_place():
    folder = Path(unetzoo.__file__).parent / "pipeline"
    texts = {path.name: path.read_text() for path in folder.glob("*.py")}
    assert [name for name, text in texts.items() if "TFDS)" in text] == ["early.py"]


def test_settings_are_equal_however_their_lists_are_written(small_data):
    """Else a run that was begun from Python could not be resumed."""
    planned = {"network": "plain_unet", "optimizer": "sgd"}
    lists = settings(
        small_data, patch=[32, 32], spacing=[1, 2], build={"strides": [[1, 1], [2, 2]]}, **planned
    )
    tuples = settings(small_data, spacing=(1, 2), build={"strides": ((1, 1), (2, 2))}, **planned)
    assert lists == tuples == Settings.from_json(json.loads(json.dumps(tuples.to_json())))


def test_what_the_labels_leave_unlearned_is_said(tmp_path):
    """A class that only held-out cases have; labels that look like numbers of objects."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    (held_out,) = folds([f"{n}" for n in range(5)], 5)[0][1]
    for name in map(str, range(5)):
        mask = np.arange(256, dtype="uint8").reshape(16, 16) % 11
        mask[mask == 10] = 10 if name == held_out else 0
        Image.fromarray(np.arange(256, dtype="uint8").reshape(16, 16)).save(
            tmp_path / "images" / f"{name}.png"
        )
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    data = training_data(Settings(str(tmp_path), "unet2d_small", (16, 16)))
    with pytest.warns(UserWarning, match="classes") as told, Survey() as survey:
        run = data.begin(tmp_path / "run", 1, survey)
    assert run.unlearned == (10,)
    text = " ".join(str(warning.message) for warning in told)
    assert "only held-out cases have the classes [10], which cannot be learned" in text
    assert "the labels are 0 to 10, so 11 classes are trained" in text
    with pytest.warns(UserWarning, match="classes") as told:
        train(replace(data.settings, epochs=1, steps=1), tmp_path / "run")
    assert "had the classes [10]; the network has not learned them" in str(told[-1].message)
    with pytest.warns(UserWarning, match=r"had the classes \[10\]; the network has not learned"):
        evaluate(unetzoo.load_predictor(tmp_path / "run"), None, tmp_path / "scores", worst=0)


@pytest.mark.parametrize("objects", [True, False])
def test_classes_with_names_that_look_like_numbers_of_objects_are_said(tmp_path, objects):
    """In each case they count from 1 on; classes proper are all there, or one is not."""
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / part).mkdir()
    for case in range(5):
        mask = np.arange(256, dtype="uint8").reshape(16, 16) % (9 + case if objects else 13)
        mask[mask == (0 if objects else 2 * case)] = 0
        Image.fromarray(np.zeros((16, 16), "uint8")).save(
            tmp_path / "imagesTr" / f"{case}_0000.png"
        )
        Image.fromarray(mask).save(tmp_path / "labelsTr" / f"{case}.png")
    names = {"background": 0, **{f"cell {n}": n for n in range(1, 13)}}
    manifest = {"channel_names": {"0": "x"}, "labels": names, "numTraining": 5}
    (tmp_path / "dataset.json").write_text(json.dumps({**manifest, "file_ending": ".png"}))
    data = training_data(Settings(str(tmp_path), "unet2d_small", (16, 16), fold=None))
    with warnings.catch_warnings(record=True) as told, Survey() as survey:
        warnings.simplefilter("always")
        data.begin(tmp_path / "run", 1, survey)
    text = " ".join(str(warning.message) for warning in told)
    assert ("up to 12, as if they numbered objects" in text) == objects


def test_a_file_of_splits_says_which_cases_are_held_out(small_data, tmp_path):
    names = sorted(path.stem for path in (small_data / "images").iterdir())
    path = tmp_path / "splits.json"
    path.write_text(json.dumps([{"train": names[2:4], "val": names[:2]}]))
    chosen = Settings(str(small_data), "unet2d_small", (32, 32), splits=str(path))
    with Survey() as survey:
        run = training_data(chosen).begin(tmp_path / "run", 1, survey)
    assert ([*run.train], [*run.held_out]) == (names[2:4], names[:2])
    for fold in (1, 7):
        with pytest.raises(ValueError, match=rf"fold {fold}: .* lists 1 fold, numbered from 0"):
            training_data(replace(chosen, fold=fold)).check()


@pytest.mark.slow
def test_a_run_goes_on_from_another_working_directory(small_data, tmp_path, monkeypatch):
    """With the same files under another path; other files are refused by their content."""
    shutil.copytree(small_data, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    with interrupted(after=1):
        train(settings("data", epochs=2, steps=1), tmp_path / "run")
    monkeypatch.chdir("/")
    (tmp_path / "data").rename(tmp_path / "moved")
    train(settings(tmp_path / "moved", epochs=2, steps=1), tmp_path / "run")
    assert len(losses(tmp_path / "run")) == 2
    for path in (tmp_path / "moved" / "images").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    with pytest.raises(ValueError, match="are not those that the run in"):
        train(settings(tmp_path / "moved", epochs=2, steps=1), tmp_path / "run")


def test_the_settings_of_a_run_begin_another(small_run, small_data, tmp_path):
    copy = tmp_path / "settings.json"
    copy.write_text(json.dumps(json.loads((small_run / "run.json").read_text())["settings"]))
    for place in (small_run, small_run / "run.json", copy):
        assert settings_at(place) == Run.read(small_run).settings
    words = ["--epochs", "1", "--steps", "2", "--norm", "instance"]
    done = command("unetzoo", "train", "--settings", copy, "--out", tmp_path / "run", *words)
    assert done.returncode == 0, done.stderr
    base, made = Run.read(small_run).settings, Run.read(tmp_path / "run").settings
    assert made == replace(
        base, epochs=1, steps=2, build={**(base.build or {}), "norm": "instance"}
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1]", "not the settings of a run"),
        ('{"data": "a"}', "settings without network, patch: expected these at least"),
        ('{"settings": {"data": "a", "network": "b", "patch": [8], "c": 1}}', "settings ['c']"),
    ],
)
def test_settings_that_are_none_are_one_sentence(text, sentence, tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(text)
    done = command("unetzoo", "train", "--settings", path, "--out", tmp_path / "run")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {path}: ")
    assert sentence in done.stderr
    assert done.stderr.count("expected") == 1


def test_groups_keep_the_cases_of_a_patient_together(small_data):
    chosen = Settings(
        str(small_data), "unet2d_small", (32, 32), folds=3, groups="case_00[0-4]|case"
    )
    sides = []
    for fold in range(3):
        with Survey() as survey:
            run = training_data(replace(chosen, fold=fold)).begin(Path("run"), 1, survey)
        sides.append({name for name in run.held_out if name > "case_004"})
    assert sorted(map(len, sides)) == [0, 0, 5]
    with pytest.raises(ValueError, match="groups '_9': expected one of them"):
        replace(chosen, splits="a.json", groups="_9")
    with pytest.raises(ValueError, match=r"groups '\(': expected a regular expression"):
        replace(chosen, groups="(")
