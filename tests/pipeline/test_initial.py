"""Runs that start from trained weights: of a run, a file and nnU-Net's folders."""

import json
import shutil
from unittest import mock
from zipfile import ZipFile

import keras
import numpy as np
import pytest
import torch
from commands import command
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from places import GOLDEN
from small_runs import interrupted, losses, settings
from torch import nn

import unetzoo
from unetzoo.data.synthetic import write_dataset
from unetzoo.interop.nnunet import load_nnunet
from unetzoo.pipeline import Run, Settings, init_from, train
from unetzoo.pipeline.early import check_trained
from unetzoo.pipeline.nnunet_plan import plan_at

NNUNET = GOLDEN / "nnunet"
CT = NNUNET / "ct" / "nnUNetTrainer__nnUNetPlans__3d_fullres"


def values(model):
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory):
    """Other pictures, of two classes."""
    folder = tmp_path_factory.mktemp("two_classes")
    write_dataset(folder, 10, (48, 41), classes=2, layout="pictures", seed=5)
    return folder


# === Runs and files ===


@pytest.mark.slow
def test_a_run_from_trained_weights_begins_with_a_lower_loss(small_run, tmp_path):
    """On other pictures of the same kind, after an epoch."""
    write_dataset(tmp_path / "data", 10, (48, 41), classes=3, layout="pictures", seed=5)
    for name, init in (("scratch", None), ("tuned", str(small_run))):
        train(settings(tmp_path / "data", init=init, epochs=1), tmp_path / name)
    assert losses(tmp_path / "tuned")[0] < 0.9 * losses(tmp_path / "scratch")[0]
    assert not (tmp_path / "scratch" / "init.txt").exists()


def test_what_a_run_starts_from_is_told_and_kept(small_run, two_classes, tmp_path, capsys):
    train(settings(two_classes, init=str(small_run), epochs=1, steps=1), tmp_path / "tuned")
    told = capsys.readouterr().err
    report = (tmp_path / "tuned" / "init.txt").read_text()
    assert report in told
    assert report.splitlines()[0] == f"weights from {small_run}"
    assert report.splitlines()[-1] == "conv: fresh, of 2 channels, not 3"
    record = json.loads((tmp_path / "tuned" / "run.json").read_text())
    assert record["settings"]["init"] == str(small_run)


@pytest.mark.parametrize("kind", ["run", "file"])
def test_a_run_and_its_file_give_the_same_weights(small_run, kind):
    model = unetzoo.build("unet2d_small", input_shape=(None, None, 1), num_classes=3)
    init_from(model, small_run if kind == "run" else small_run / "best.keras")
    expected = values(unetzoo.load_model(small_run / "best.keras"))
    for path, value in values(model).items():
        np.testing.assert_array_equal(value, expected[path])


@pytest.mark.slow
def test_frozen_blocks_stay_as_the_source_has_them(small_run, two_classes, tmp_path):
    choice = settings(two_classes, init=str(small_run), freeze=("enc", "bneck"), epochs=2)
    with interrupted(after=1):
        train(choice, tmp_path)
    model = train(choice, tmp_path)  # they stay frozen when the run goes on
    expected = values(unetzoo.load_model(small_run / "best.keras"))
    for path, value in values(model).items():
        if path.startswith("conv/"):  # the head
            continue
        stays = path.startswith(("enc", "bneck"))
        assert np.array_equal(value, expected[path]) == stays, path
    assert Run.read(tmp_path).settings.freeze == ("enc", "bneck")


@pytest.mark.slow
def test_a_run_goes_on_without_its_source(small_run, two_classes, tmp_path):
    source = tmp_path / "source.keras"
    shutil.copy(small_run / "best.keras", source)
    choice = settings(two_classes, init=str(source), epochs=2)
    train(choice, tmp_path / "whole")
    with interrupted(after=1):
        train(choice, tmp_path / "run")
    source.unlink()
    with mock.patch("unetzoo.pipeline.trainer.init_from", side_effect=AssertionError):
        train(choice, tmp_path / "run")
    np.testing.assert_allclose(losses(tmp_path / "run"), losses(tmp_path / "whole"), rtol=1e-5)
    with pytest.raises(ValueError, match=r"begun with init '.*source.keras', not None"):
        train(settings(two_classes, epochs=2), tmp_path / "run")
    with pytest.raises(ValueError, match=r"begun with freeze \(\), not \('enc1',\)"):
        train(settings(two_classes, init=str(source), freeze=("enc1",), epochs=2), tmp_path / "run")


def test_a_run_stopped_in_its_first_epoch_needs_its_source_again(small_run, two_classes, tmp_path):
    source, folder = tmp_path / "source.keras", tmp_path / "run"
    shutil.copy(small_run / "best.keras", source)
    choice = settings(two_classes, init=str(source), epochs=1, steps=1)
    with (
        mock.patch("unetzoo.pipeline.trainer._fit", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        train(choice, folder)
    source.unlink()
    sentence = (
        r"run: the run there was stopped in its first epoch and needs its initial weights once "
        r"more, but .*source\.keras: there is no such file; expected"
    )
    with pytest.raises(ValueError, match=sentence):
        train(choice, folder)
    shutil.copy(small_run / "best.keras", source)
    train(choice, folder)


# === nnU-Net ===


def ct_network(**more):
    """The plan's network, with its axes in our order."""
    choice = {
        "kernels": ((3, 3, 1), 3, 3, 3), "strides": (1, (2, 2, 1), 2, 2),
        "features": (4, 8, 16, 16), "input_shape": (None, None, None, 1), "num_classes": 3, **more,
    }  # fmt: skip
    return unetzoo.build("plain_unet", **choice)


def test_nnu_nets_weights_give_its_logits_on_our_axes():
    """Those of ``load_nnunet``, which are nnU-Net's; its arrays are (z, y, x), ours (x, y, z)."""
    predictor = load_nnunet(CT, [0])
    model = ct_network()
    assert init_from(model, CT).share == 1
    x = np.random.default_rng(0).normal(size=(1, 16, 40, 40, 1)).astype("float32")
    expected = keras.ops.convert_to_numpy(predictor.models[0](x))
    found = keras.ops.convert_to_numpy(model(x.transpose(0, 3, 2, 1, 4)))
    np.testing.assert_allclose(
        found.transpose(0, 3, 2, 1, 4), expected, atol=1e-4 * abs(expected).max()
    )


def test_a_fold_of_nnu_net_is_named_by_its_folder():
    models = [ct_network() for _ in range(3)]
    for model, place in zip(models, (CT, CT / "fold_0", CT / "fold_1"), strict=True):
        init_from(model, place)
    first, same, other = (model.get_weights() for model in models)
    assert all(map(np.array_equal, first, same))
    assert not any(map(np.array_equal, first, other))


def test_a_zip_of_nnu_net_is_as_its_folder(tmp_path):
    """As ``nnUNetv2_export_model_to_zip`` writes it; a fold in it by its path, too."""
    path = tmp_path / "model.zip"
    with ZipFile(path, "w") as archive:
        for file in sorted(CT.rglob("*")):
            archive.write(file, f"Dataset001_ct/{CT.name}/{file.relative_to(CT)}")
    inside = path / "Dataset001_ct" / CT.name
    for place, same in ((path, CT), (inside / "fold_1", CT / "fold_1")):
        check_trained(place)
        models = ct_network(), ct_network()
        reports = [init_from(*pair) for pair in zip(models, (place, same), strict=True)]
        assert reports[0] == reports[1]
        assert all(map(np.array_equal, *(model.get_weights() for model in models)))
    with pytest.raises(ValueError, match=rf"^{inside}: there is no fold_7 with"):
        check_trained(inside / "fold_7")
    (tmp_path / "other.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"other.zip: cannot be read as a zip of nnU-Net"):
        check_trained(tmp_path / "other.zip")


@pytest.mark.parametrize(
    ("folder", "network", "choice"),
    [
        ("mr/nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres", "residual_unet",
         {"kernels": (3,) * 3, "strides": (1, 2, 2), "features": (4, 8, 16), "num_classes": 2}),
        ("ct_2d/nnUNetTrainer__nnUNetPlans__2d", "plain_unet",
         {"kernels": ((3, 3, 1),) * 4, "strides": (1, *((2, 2, 1),) * 3),
          "features": (4, 8, 16, 16), "num_classes": 3}),
        ("cascade/nnUNetTrainer__nnUNetPlans__3d_cascade_fullres", "plain_unet",
         {"kernels": ((3, 3, 1), 3, 3, 3), "strides": (1, (2, 2, 1), 2, 2),
          "features": (4, 8, 16, 16), "num_classes": 3}),
    ],
)  # fmt: skip
def test_every_kind_of_folder_is_a_source(folder, network, choice):
    model = unetzoo.build(network, input_shape=(None, None, None, 1), **choice)
    report = init_from(model, NNUNET / folder)
    assert report.share == 1
    adapted = "adapted, 1 input channel, not"
    assert all(adapted in note or "previous stage" in note for note in report.notes)


def nnu_nets_own(folder, channels):
    """PyTorch's network with the checkpoint's weights; it gives a list, the finest first."""
    checkpoint = min(folder.glob("fold_*/checkpoint_final.pth"))
    saved = torch.load(checkpoint, weights_only=False)
    plans = json.loads((folder / "plans.json").read_text())
    given = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    network = PlainConvUNet(
        channels, 4, given["features_per_stage"], nn.Conv3d, given["kernel_sizes"],
        given["strides"], given["n_conv_per_stage"], 3, given["n_conv_per_stage_decoder"],
        conv_bias=True, norm_op=nn.InstanceNorm3d, norm_op_kwargs=given["norm_op_kwargs"],
        nonlin=nn.LeakyReLU, deep_supervision=True,
    )  # fmt: skip
    network.load_state_dict(saved["network_weights"])
    return network.eval()


def assert_turned_logits(network, model, x, more=0):
    """Of our ``(x, y, z, C)`` and nnU-Net's ``(C, z, y, x)``; ``more`` channels of theirs are 0."""
    theirs = np.pad(x.transpose(0, 4, 3, 2, 1), [(0, 0), (0, more), *[(0, 0)] * 3])
    with torch.no_grad():
        expected = network(torch.from_numpy(np.ascontiguousarray(theirs)))
    outputs = model(x)
    for found, logits in zip(outputs, expected[: len(outputs)], strict=True):
        logits = logits.numpy().transpose(0, 4, 3, 2, 1)
        difference = np.abs(keras.ops.convert_to_numpy(found) - logits)
        assert difference.max() < 1e-4 * np.abs(logits).max()


def test_nnu_nets_heads_of_deep_supervision_go_in():
    """All three outputs are those of nnU-Net's own network."""
    model = ct_network(deep_supervision=True)
    report = init_from(model, CT)
    assert (report.share, report.notes, report.unused) == (1, (), ())
    x = np.random.default_rng(0).normal(size=(1, 40, 40, 16, 1)).astype("float32")
    assert_turned_logits(nnu_nets_own(CT, 1), model, x)
    assert init_from(ct_network(), CT).unused == ("head2", "head3")


def test_heads_that_an_export_left_empty_stay_fresh(tmp_path):
    """Of a run without deep supervision, whose folder of nnU-Net has zeros for them."""
    shutil.copytree(CT, tmp_path / "ct")
    path = tmp_path / "ct" / "fold_0" / "checkpoint_final.pth"
    saved = torch.load(path, weights_only=False)
    for key, value in saved["network_weights"].items():
        if "seg_layers" in key and "seg_layers.2" not in key:
            value.zero_()
    torch.save(saved, path)
    report = init_from(ct_network(deep_supervision=True), tmp_path / "ct")
    assert report.notes == ("head2, head3: fresh, not in the source",)


def test_a_cascades_channels_of_masks_are_left_out_and_the_table_says_so():
    """The logits are nnU-Net's where the previous stage has found nothing."""
    folder = NNUNET / "cascade" / "nnUNetTrainer__nnUNetPlans__3d_cascade_fullres"
    model = ct_network(deep_supervision=True)
    report = init_from(model, folder)
    note = "encoder1-conv1: taken without 2 channels of the previous stage's mask"
    assert (report.share, report.notes) == (1, (note,))
    assert note in str(report).splitlines()
    x = np.random.default_rng(0).normal(size=(1, 40, 40, 16, 1)).astype("float32")
    assert_turned_logits(nnu_nets_own(folder, 3), model, x, more=2)
    two = init_from(ct_network(input_shape=(None, None, None, 2)), folder)
    assert two.notes == (note, "encoder1-conv1: adapted, 2 input channels, not 1")


def test_another_plan_takes_what_fits():
    with pytest.warns(UserWarning, match="only [0-9]+% of the parameters"):
        report = init_from(ct_network(features=(4, 8, 18, 18), deep_supervision=True), CT)
    assert any(note.startswith("head3: fresh, of shape") for note in report.notes)


def test_the_plan_of_a_folder_is_on_our_axes():
    found = Settings.from_plan(plan_at(CT / "plans.json"), data="d")
    assert (found.patch, found.batch_size) == ((40, 40, 16), 2)
    assert found.spacing == pytest.approx((0.8, 0.8, 2.6))
    assert found.build["kernels"][0] == [3, 3, 1]
    assert found.build["strides"][1] == [2, 2, 1]
    assert found.normalisation[0].lower == 61
    flat = NNUNET / "ct_2d" / "nnUNetTrainer__nnUNetPlans__2d" / "plans.json"
    found = Settings.from_plan(plan_at(flat), data="d")
    assert (found.patch, found.spacing[2]) == ((40, 40, 1), None)


@pytest.mark.slow
def test_a_folder_goes_on_with_its_own_plan_on_other_data(tmp_path):
    """Of other classes; all but the heads is taken."""
    write_dataset(tmp_path / "data", 5, (40, 36, 18), classes=2)
    words = ["train", "--data", tmp_path / "data", "--plan", CT / "plans.json", "--init", CT]
    words += ["--epochs", 1, "--steps", 1, "--out", tmp_path / "run", "--workers", 1]
    done = command("unetzoo", *words)
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "run" / "init.txt").read_text()
    assert "encoder1 to decoder1" in report
    assert "head1, head2, head3: fresh, of 2 channels, not 3" in report
    again = command("unetzoo", *words)
    assert again.returncode == 0, again.stderr
    assert "nothing was done" in again.stderr
    done = command("unetzoo", *words[:5], *words[7:-3], tmp_path / "other", "--workers", 1)
    assert done.returncode == 2
    assert "num_classes 3 of the plan: expected 2, as the data have" in done.stderr


# === The command ===


def test_what_cannot_be_a_source_is_told_at_once(small_run, two_classes, tmp_path):
    words = ["train", "--data", two_classes, "--network", "unet2d_small", "--patch", "32,32"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "weights.pth").write_bytes(b"PK")
    for more, sentence in [
        (
            ["--init", "none"],
            "none: there is no such file; expected a .keras file, the folder of a run",
        ),
        (["--init", tmp_path / "empty"], "it has neither run.json nor plans.json"),
        (
            ["--init", tmp_path / "weights.pth"],
            "weights.pth: it is another file; expected a .keras",
        ),
        (["--init", CT / "fold_7"], "there is no fold_7 with checkpoint_final.pth; it has fold_0"),
        (["--freeze", "enc1"], "freeze enc1: expected init too"),
        (["--init", small_run, "--freeze", "encoder"], "freeze 'encoder': expected the beginning"),
        (
            ["--init", CT],
            "no kernel of 'plain_unet', with 3 axes of space, fits into 'unet2d_small'",
        ),
    ]:
        done = command("unetzoo", *words, "--out", tmp_path / "run", *more)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert sentence in done.stderr
        assert not (tmp_path / "run").exists()


def test_the_command_fine_tunes(small_run, two_classes, tmp_path):
    words = ["train", "--data", two_classes, "--network", "unet2d_small", "--patch", "32,32"]
    words += ["--epochs", 1, "--steps", 2, "--out", tmp_path / "run"]
    words += ["--init", small_run, "--freeze", "enc1", "--freeze", "enc2"]
    done = command("unetzoo", *words)
    assert done.returncode == 0, done.stderr
    assert "conv: fresh, of 2 channels, not 3" in done.stderr
    assert Run.read(tmp_path / "run").settings.freeze == ("enc1", "enc2")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"init": ""}, "init '': expected the folder of a run or of nnU-Net, a .keras file, or"),
        ({"init": "x", "freeze": "enc1"}, "freeze 'enc1': expected beginnings of layer names"),
        ({"init": "x", "freeze": ("",)}, "freeze .*: expected beginnings of layer names"),
        ({"freeze": ("enc1",)}, "freeze enc1: expected init too"),
    ],
)
def test_settings_are_checked(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        settings("nowhere", **change)


def test_settings_of_before_have_no_source():
    record = settings("nowhere").to_json()
    del record["init"], record["freeze"]
    assert Settings.from_json(record) == settings("nowhere")
    given = settings("nowhere", init="RUN", freeze=["enc1"])
    assert Settings.from_json(json.loads(json.dumps(given.to_json()))) == given
