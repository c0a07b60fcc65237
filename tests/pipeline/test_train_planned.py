"""From a plan to a run: ``unetzoo train --plan`` and ``--network planned``."""

import dataclasses
import json
import os
import threading
from unittest import mock

import numpy as np
import pytest
from brains import scan
from commands import command
from drawn_volumes import SPACINGS, masks, volumes

import unetzoo
from unetzoo.data.preprocessing.normalization import CT, ZScore
from unetzoo.data.preprocessing.preparation import Preparation, preparation_for, prepare
from unetzoo.data.preprocessing.statistics import CaseStatistics
from unetzoo.data.synthetic import write_dataset
from unetzoo.pipeline.run import Run
from unetzoo.pipeline.settings import Settings
from unetzoo.pipeline.trainer import train
from unetzoo.planning import Fingerprint
from unetzoo.planning import plan as planned
from unetzoo.planning.serialization import read_plan, write_plan
from unetzoo.training.distribution import ALONE

THICK = planned(Fingerprint([(0.7, 5.0, 0.8)] * 9, [(60, 12, 50)] * 9, 1, 3))


# === From a plan to settings ===


def test_a_plan_becomes_settings():
    one = THICK.configurations["3d_fullres"]
    assert Settings.from_plan(THICK, data="d") == Settings(
        data="d",
        network="plain_unet",
        patch=one.patch,
        spacing=(0.7, 5.0, 0.8),
        normalisation=(ZScore(),),
        batch_size=one.batch_size,
        build={
            "features": list(one.features),
            "kernels": [list(kernel) for kernel in one.kernels],
            "strides": [list(stride) for stride in one.strides],
            "deep_supervision": True,
        },
        optimizer="sgd",
    )
    assert Settings.from_plan(THICK, "2d", data="d").batch_dice
    assert not Settings.from_plan(THICK, "2d", data="d", batch_dice=False).batch_dice
    pictures = planned(Fingerprint([(1, 1)] * 9, [(90, 80)] * 9, 3, 2), network="residual_unet")
    found = Settings.from_plan(pictures, data="d")
    assert found.batch_dice
    assert (found.network, found.patch, found.spacing) == ("residual_unet", (96, 80), None)
    single = planned(Fingerprint([(1, 1, 1)] * 9, [(90, 80, 1)] * 9, 1, 2))
    assert Settings.from_plan(single, data="d").patch == (96, 80, 1)
    with pytest.raises(
        ValueError, match=r"configuration '3d_lowres': expected one of the plan, 2d"
    ):
        Settings.from_plan(single, "3d_lowres", data="d")


@pytest.mark.parametrize("network", ["plain_unet", "residual_unet"])
def test_2d_on_volumes_is_a_network_of_one_voxel_across(network):
    """It has a network of 2D's parameters, and gives slices what that gives them."""
    one = THICK.configurations["2d"]
    found = Settings.from_plan(dataclasses.replace(THICK, network=network), "2d", data="d")
    assert found.spacing == (0.7, None, 0.8)
    assert found.patch == (one.patch[0], 1, one.patch[1])
    small = {"features": [4, 8, 8], "deep_supervision": True}
    thin = {name: found.build[name][:3] for name in ("kernels", "strides")}
    flat = {"kernels": one.kernels[:3], "strides": one.strides[:3]}
    shape = (16, 1, 24, 1)
    volume = unetzoo.build(network, input_shape=shape, num_classes=3, **thin, **small)
    plane = unetzoo.build(network, input_shape=(16, 24, 1), num_classes=3, **flat, **small)
    for weights, others in zip(plane.weights, volume.weights, strict=True):
        others.assign(np.reshape(weights, others.shape))
    x = np.random.default_rng(0).normal(size=(2, 16, 24, 1)).astype("float32")
    pairs = zip(plane(x), volume(x[:, :, None]), strict=True)
    for expected, got in pairs:
        np.testing.assert_allclose(np.array(got)[:, :, 0], np.array(expected), atol=1e-4)


def test_settings_come_back_from_their_json():
    plan_ = dataclasses.replace(THICK, normalisation=(CT(-9.0, 90.0, 40.0, 8.5),))
    for name in ("2d", "3d_fullres"):
        one = Settings.from_plan(plan_, name, data="d")
        assert Settings.from_json(json.loads(json.dumps(one.to_json()))) == one
    assert one.differences(dataclasses.replace(one, normalisation=None)) == [
        "normalisation None, not (CT(lower=-9.0, upper=90.0, mean=40.0, deviation=8.5),)"
    ]


# === What preparing does with it ===


def test_an_axis_without_a_spacing_stays_as_it_is():
    image = np.random.default_rng(0).normal(size=(10, 6, 9, 1))
    labels = (image[..., 0] > 0).astype("uint8")
    for across in (4.0, 1.0):
        one = scan(image, (1.0, across, 2.0))
        settings = [Preparation(s, (ZScore(),)) for s in ((2.0, None, 1.5), (2.0, across, 1.5))]
        left, set_ = (prepare(one, each, labels) for each in settings)
        assert left.image.shape == (5, 6, 12, 1)
        np.testing.assert_array_equal(left.image, set_.image)
        np.testing.assert_array_equal(left.labels, set_.labels)
        assert left.grid == set_.grid
    json_ = settings[0].to_json()
    assert json_["spacing"] == [2.0, None, 1.5]
    assert Preparation.from_json(json_) == settings[0]


def test_what_is_given_is_not_measured():
    looks = {
        "c0": CaseStatistics((0.8, 0.8, 2.6), (9, 9, 9), 1, ()),
        "c1": CaseStatistics((1, 1, 1), (9, 9, 9), 1, ()),
    }
    kinds = (CT(0.0, 90.0, 40.0, 9.0),)
    found = preparation_for(looks, ("CT",), spacing=(1, None, 2), normalisation=kinds, fill=0.0)
    assert found == Preparation((1.0, None, 2.0), kinds, True, 0.0)
    found = preparation_for(looks, ("CT",), normalisation=kinds)
    assert (found.normalisation, found.spacing) == (kinds, (0.9, 0.9, 1.8))
    with pytest.raises(
        ValueError, match="normalisation of 2 channels: expected 1, as in case 'c0'"
    ):
        preparation_for(looks, spacing=None, normalisation=kinds * 2)


# === The command line ===


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return volumes(folder / "d", masks(5), spacings=(SPACINGS * 2)[:5])


def asked(*words):
    """The settings that ``unetzoo train`` would train with."""
    with mock.patch("unetzoo.pipeline.trainer.train") as train:
        done = command("unetzoo", "train", *words, "--workers", 1)
    assert done.stderr == ""
    return train.call_args


def test_a_plan_is_followed_and_options_override_it(data, tmp_path):
    path = tmp_path / "plan.json"
    found = unetzoo.plan(data)
    write_plan(found, path)
    words = ["--data", data, "--plan", path, "--out", tmp_path / "run"]
    assert asked(*words) == mock.call(
        Settings.from_plan(found, data=str(data)),
        tmp_path / "run",
        cache=None,
        workers=1,
        plan=found,
        survey=mock.ANY,
        team=ALONE,
    )
    given = asked(
        *words, "--configuration", "2d", "--patch", "16,16,1", "--batch-size", 3, "--spacing",
        "none", "--optimizer", "adam", "--norm", "batch", "--network", "residual_unet",
        "--epochs", 7,
    ).args[0]  # fmt: skip
    assert (given.patch, given.batch_size, given.spacing) == ((16, 16, 1), 3, None)
    assert (given.optimizer, given.network, given.epochs) == ("adam", "residual_unet", 7)
    build = Settings.from_plan(found, "2d", data=str(data)).build
    assert given.build == {**build, "norm": "batch"}
    assert not (tmp_path / "run").exists()


def test_a_plan_may_come_through_a_pipe(data, tmp_path):
    found, pipe = unetzoo.plan(data), tmp_path / "pipe"
    write_plan(found, tmp_path / "plan.json")
    os.mkfifo(pipe)
    text = (tmp_path / "plan.json").read_text()
    writer = threading.Thread(target=pipe.write_text, args=[text])
    writer.start()
    assert asked("--data", data, "--plan", pipe, "--out", tmp_path / "run").kwargs["plan"] == found
    writer.join()


def test_planned_makes_the_plan_first_and_a_run_goes_on_with_its_own(data, tmp_path):
    run = tmp_path / "run"
    words = ["--data", data, "--network", "planned", "--out", run]
    given = asked(*words)
    found = given.kwargs["plan"]
    assert found == unetzoo.plan(data)
    assert given.args == (Settings.from_plan(found, data=str(data)), run)
    assert not run.exists()
    run.mkdir()
    write_plan(dataclasses.replace(found, network="residual_unet"), run / "plan.json")
    (run / "run.json").touch()
    assert asked(*words).args[0].network == "plain_unet"  # no epoch was finished with it
    (run / "epoch-0001.keras").touch()
    with mock.patch("unetzoo.pipeline.early.run_to_resume"):  # of the run that was begun
        assert asked(*words).args[0].network == "residual_unet"


def test_a_planned_run_that_is_finished_needs_no_lock(data, tmp_path):
    """Which a read-only folder would refuse."""
    write_plan(unetzoo.plan(data), tmp_path / "plan.json")
    (tmp_path / "epoch-0003.keras").touch()
    words = ["--data", data, "--network", "planned", "--out", tmp_path, "--epochs", 3]
    first, second = (
        mock.patch(f"unetzoo.{n}.owned", side_effect=OSError)
        for n in ("utils.lock", "pipeline.trainer")
    )
    begun = mock.patch("unetzoo.pipeline.early.run_to_resume")
    with first, second, begun, mock.patch("unetzoo.pipeline.trainer._finished") as finished:
        done = command("unetzoo", "train", *words)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}\n")
    assert finished.call_count == 1
    assert done.stderr.startswith(f"{tmp_path}: the run there is finished, epoch 3 of 3: nothing")


def test_a_plan_is_kept_once_the_run_begins(data, tmp_path):
    found, run = unetzoo.plan(data), tmp_path / "run"
    asked_for = Settings.from_plan(found, data=str(data), fold=None)
    with mock.patch("unetzoo.pipeline.trainer._fit") as fit:
        for change, sentence in (
            ({"build": {"width": 3}}, "width"),
            ({"fold": 0, "folds": 9}, "5 cases"),
        ):
            with pytest.raises((ValueError, TypeError), match=sentence):
                train(dataclasses.replace(asked_for, **change), run, plan=found)
            assert not run.exists()
        other = dataclasses.replace(found, num_classes=50)
        with pytest.raises(ValueError, match="num_classes 50 of the plan: expected 3, as the data"):
            train(asked_for, run, plan=other)
        assert not run.exists()
        train(asked_for, run, plan=found)
    assert fit.call_count == 1
    assert read_plan(run / "plan.json") == found


def test_without_a_plan_the_defaults_are_as_they_were(data, tmp_path):
    given = asked(
        "--data", data, "--network", "unet3d-19m", "--patch", "16,16,16", "--out", tmp_path
    )
    assert given.kwargs["plan"] is None
    assert given.args[0] == Settings(data=str(data), network="unet3d-19m", patch=(16, 16, 16))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "expected --network and --patch, or --network planned, or --plan"),
        (["--network", "unet3d_19m"], "expected --network and --patch, or --network planned"),
        (
            ["--network", "unet3d_19m", "--patch", "8,8,8", "--configuration", "2d"],
            "expected --plan, or",
        ),
        (["--network", "planned", "--configuration", "3d_lowres"], "'3d_lowres': expected one of"),
        (["--plan", "nowhere.json"], "nowhere.json: No such file or directory; expected a plan"),
        (["--plan", "{data}/dataset.json"], "dataset.json: key 'channel_names': expected only"),
        (
            ["--network", "planned", "--plan", "plan.json"],
            "error: --network planned, --plan plan.json: expected one of them; --network planned",
        ),
        (["--network", "planned", "--data", "tfds:x"], "tfds:x: expected files to plan by"),
    ],
)
def test_each_mistake_is_a_sentence(data, tmp_path, words, sentence):
    words = [word.format(data=data) for word in words]
    out = tmp_path / "run"
    done = command("unetzoo", "train", "--data", data, "--out", out, *words, "--workers", 1)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_number_or_name_is_told_before_the_data_are_looked_at(tmp_path):
    wrong = {
        "--epochs": ("0", "x>=1"), "--steps": ("1.5", "integer"), "--batch-size": ("-2", "x>=1"),
        "--optimizer": ("adamw", "'adam', 'sgd'"), "--schedule": ("warm", "'cosine'"),
        "--precision": ("half", "'mixed_bfloat16'"), "--learning-rate": ("0", "x>0"),
        "--loss": ("hinge", "'dice_topk'"),
        "--clip": ("-1", "x>=0"), "--patience": ("0", "x>=1"), "--workers": ("0", "x>=1"),
        "--patch": ("0,16,16", "'0,16,16': expected whole numbers above 0 with commas between"),
        "--seed": ("-1", "0<=x<=4294967295"), "--fill": ("nan", "is not finite"),
    }  # fmt: skip
    words = ["train", "--network", "planned", "--data", "nowhere", "--out", tmp_path / "run"]
    for option, (value, expected) in wrong.items():
        done = command("unetzoo", *words, option, value)
        assert (done.returncode, done.stdout) == (2, "")
        assert option in done.stderr
        assert expected in done.stderr
        assert "nowhere" not in done.stderr
    assert not (tmp_path / "run").exists()


# === The whole chain ===


@pytest.mark.slow
@pytest.mark.parametrize("configuration", ["2d", "3d_fullres", "pictures"])
def test_three_commands_plan_train_predict_and_evaluate(tmp_path, configuration):
    data, run = tmp_path / "data", tmp_path / "run"
    pictures = configuration == "pictures"
    shape = (40, 32) if pictures else (24, 20, 12)
    layout = "pictures" if pictures else "nnunet"
    write_dataset(data, 5, shape, classes=2, layout=layout)
    words = ["--data", data, "--network", "planned", "--out", run, "--epochs", 2, "--steps", 3]
    words += [] if pictures else ["--configuration", configuration]
    words += ["--validate-every", 1, "--workers", 1, "--batch-size", 2]
    done = command("unetzoo", "train", *words)
    assert done.returncode == 0, done.stderr
    assert (run / "plan.json").exists()
    begun = Run.read(run)
    assert 1 in begun.settings.patch if configuration == "2d" else 1 not in begun.settings.patch
    again = command("unetzoo", "train", *words)
    assert again.returncode == 0, again.stderr
    image = next((data / ("images" if pictures else "imagesTr")).iterdir())
    done = command("unetzoo", "predict", run, image, "-o", tmp_path / "masks")
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "masks").iterdir() if path.stem != "labels"}
    assert names == {image.name.replace("_0000", ""), ".made_from.json"}
    done = command("unetzoo", "evaluate", run)
    assert done.returncode == 0, done.stderr
    assert (run / "evaluation").is_dir()


def test_a_network_without_planned_stages_is_refused(tmp_path):
    write_dataset(tmp_path / "DIR", 5, (24, 20, 22))
    data, file, out = (str(tmp_path / name) for name in ("DIR", "plan.json", "RUN"))
    assert command("unetzoo", "plan", data, "-o", file).returncode == 0
    words = ("unetzoo", "train", "--data", data, "--out", out, "--network")
    done = command(*words, "unet3d_2_5m", "--plan", file)
    assert done.returncode == 2
    expected = "network 'unet3d_2_5m': a plan has the stages of plain_unet or residual_unet"
    assert expected in done.stderr
    done = command(*words, "vnet", "--configuration", "2d")
    assert "--configuration 2d: expected --plan, or --network planned" in done.stderr
    assert not (tmp_path / "RUN").exists()


def test_the_command_and_python_make_the_same_settings_of_a_plan(data, tmp_path):
    """``Settings.from_plan`` is where a plan meets the options, for both."""
    made, path = unetzoo.plan(data), tmp_path / "plan.json"
    write_plan(made, path)
    given = asked(
        "--data", data, "--plan", path, "--out", tmp_path / "run", "--configuration", "2d",
        "--patch", "16,16,1", "--batch-size", 3, "--spacing", "none", "--optimizer", "adam",
        "--norm", "batch", "--dropout", 0.2, "--network", "residual_unet", "--epochs", 7, "--fold",
        "all", "--clip", 0, "--no-augment",
    ).args[0]  # fmt: skip
    expected = Settings.from_plan(
        made, "2d", data=str(data), patch=(16, 16, 1), batch_size=3, spacing=None,
        optimizer="adam", build={"norm": "batch", "dropout": 0.2}, network="residual_unet",
        epochs=7, fold=None, clip=None, augment=False,
    )  # fmt: skip
    assert given == expected
    assert expected.build["features"] == list(made.configurations["2d"].features)
    with pytest.raises(ValueError, match="network 'vnet': a plan has the stages of plain_unet"):
        Settings.from_plan(made, data="d", network="vnet")
    for name, value in {"network": 3, "build": [1], "epochs": 0}.items():
        with pytest.raises(ValueError, match=f"{name} .*: expected"):
            Settings.from_plan(made, data="d", **{name: value})


def test_what_is_given_besides_a_plan_is_checked_before_there_is_one():
    for name, value in {"fold": 5, "network": "unet", "labels": {0: 1}, "clip": -1}.items():
        with pytest.raises(ValueError, match=f"{name}.*expected"):
            Settings.check(**{name: value})
    Settings.check(patch=(7, 7, 7), spacing=(1.0, 2.0))  # which a plan may make right
