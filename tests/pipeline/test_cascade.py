"""A cascade: its second stage sees the masks of the first, by folds that did not see the case."""

import json
import shutil
from dataclasses import replace
from functools import partial

import commands
import nibabel
import numpy as np
import pytest
from cascades import cascade_data, cascade_plan
from small_runs import losses

from unetzoo.data.datasets import find_dataset
from unetzoo.data.preprocessing.masks_before import on_grid
from unetzoo.data.preprocessing.preparation import prepare
from unetzoo.data.previous import WithPrevious
from unetzoo.inference import segment
from unetzoo.pipeline.best import find_best
from unetzoo.pipeline.chosen import Chosen
from unetzoo.pipeline.early import training_data
from unetzoo.pipeline.evaluator import evaluate
from unetzoo.pipeline.export import export
from unetzoo.pipeline.loading import load_predictor, predictor_of_run
from unetzoo.pipeline.previous import GivenMasks, masks_before
from unetzoo.pipeline.run import Run
from unetzoo.pipeline.settings import Settings
from unetzoo.pipeline.trainer import train
from unetzoo.pipeline.training_data import Outputs
from unetzoo.planning import Fingerprint, plan, read_plan

unetzoo_command = partial(commands.command, "unetzoo")
CASCADE = "3d_cascade_fullres"


def words(data, plan_file, *more):
    return ["--data", data, "--plan", plan_file, "--epochs", 1, "--steps", 2, "--folds", 2,
            "--workers", 1, "--configuration", CASCADE, *more]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data, a plan, and runs of both stages."""
    folder = tmp_path_factory.mktemp("cascade")
    cascade_data(folder / "data")
    cascade_plan(folder / "plan.json")
    given = words(folder / "data", folder / "plan.json", "--out", folder / "runs")
    done = unetzoo_command("cross-validate", *given)
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stderr)
    return folder


def volumes(folder):
    return {p.name: np.asarray(nibabel.load(p).dataobj) for p in folder.glob("*.nii.gz")}


# === The plan ===


def test_a_plan_says_a_cascade_where_there_is_a_low_resolution():
    """nnU-Net's rule, too; its configuration inherits from 3d_fullres."""
    large = plan(Fingerprint([(1.0, 1.0, 1.0)] * 9, [(400, 400, 400)] * 9, 1, 2))
    small = plan(Fingerprint([(1.0, 1.0, 1.0)] * 9, [(64, 64, 64)] * 9, 1, 2))
    assert (large.has_cascade, small.has_cascade) == (True, False)
    assert str(large).endswith(f"{CASCADE}: as 3d_fullres, and sees the masks of 3d_lowres")
    assert CASCADE not in str(small)
    settings = Settings.from_plan(large, CASCADE, data="DIR", previous="RUNS")
    full = Settings.from_plan(large, "3d_fullres", data="DIR")
    assert replace(settings, previous=None) == full
    assert settings.batch_dice
    with pytest.raises(ValueError, match="expected one of the plan, 2d or 3d_fullres"):
        Settings.from_plan(small, CASCADE, data="DIR", previous="RUNS")


@pytest.mark.parametrize(
    ("configuration", "previous", "sentence"),
    [
        (CASCADE, None, "expected --previous, the folder of unetzoo cross-validate"),
        ("3d_fullres", "RUNS", f"expected --configuration {CASCADE} with it, not 3d_fullres"),
        (None, "RUNS", f"expected --configuration {CASCADE} with it"),
    ],
)
def test_a_stage_before_belongs_to_a_cascade(configuration, previous, sentence):
    large = plan(Fingerprint([(1.0, 1.0, 1.0)] * 9, [(400, 400, 400)] * 9, 1, 2))
    with pytest.raises(ValueError, match=sentence):
        Settings.from_plan(large, configuration, data="DIR", previous=previous)


@pytest.mark.parametrize("patch", [(16, 16, 1), (16, 16)])
def test_only_volumes_have_a_stage_before(patch):
    with pytest.raises(ValueError, match=r"previous RUNS, patch .*: expected a patch of several"):
        Settings("DIR", "plain_unet", patch, previous="RUNS")


# === Training ===


@pytest.mark.slow
def test_low_resolution_comes_first_and_once(place):
    said = (place / "said.txt").read_text()
    assert f"3d_lowres comes first, into {place / 'runs' / '3d_lowres'}" in said
    first = Run.read(place / "runs" / "3d_lowres" / "fold_0")
    second = Run.read(place / "runs" / "fold_0")
    assert (first.preparation.spacing, second.preparation.spacing) == ((2,) * 3, (1,) * 3)
    assert (first.network_channels, second.network_channels) == (1, 3)
    assert first.settings.steps == second.settings.steps == 2
    assert second.settings.previous == str(place / "runs" / "3d_lowres")


@pytest.mark.slow
def test_a_cross_validation_that_is_done_stays_as_it_is(place, tmp_path):
    runs = shutil.copytree(place / "runs", tmp_path / "runs")
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*.keras")}
    given = words(place / "data", place / "plan.json", "--out", runs)
    done = unetzoo_command("cross-validate", *given)
    assert done.returncode == 0, done.stderr
    assert "comes first" not in done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in runs.rglob("*.keras")}


@pytest.mark.slow
def test_each_case_gets_the_mask_of_the_fold_that_did_not_see_it(place):
    """In training and validation, for cases to train on and for those held out."""
    runs = place / "runs"
    cases = find_dataset(str(place / "data")).cases
    for number in range(2):
        first = Run.read(runs / "3d_lowres" / f"fold_{number}")
        assert {*first.held_out} & {*first.train} == set()
        by_it = predictor_of_run(first.folder, "last")
        for case in cases:
            mask = by_it.segment(by_it.read(case))
            kept = nibabel.load(runs / "3d_lowres" / "masks" / f"{case.name}.nii.gz").dataobj
            assert (np.asarray(kept) == mask).all() or case.name not in first.held_out
    run = Run.read(runs / "fold_0")
    data = training_data(run.settings)
    data.open(run, Outputs(run.patch, 1), runs / "prepared", 1)
    samples = dict(data.held_out)
    samples |= dict(zip(run.train, data.batches(0).samples, strict=True))
    assert {*samples} == {case.name for case in cases}
    for case in cases:
        kept = nibabel.load(runs / "3d_lowres" / "masks" / f"{case.name}.nii.gz").dataobj
        grid = prepare(predictor_of_run(run.folder).read(case), run.preparation).grid
        seen = samples[case.name].image
        assert isinstance(seen, WithPrevious)
        np.testing.assert_array_equal(seen.mask, on_grid(np.asarray(kept), grid))


@pytest.mark.slow
def test_a_case_that_its_fold_saw_is_refused(place, tmp_path):
    runs = shutil.copytree(place / "runs" / "3d_lowres", tmp_path / "low")
    cases = find_dataset(str(place / "data")).cases
    masks_before(runs, cases)
    record = json.loads((runs / "fold_1" / "run.json").read_text())
    name = next(iter(record["held_out"]))
    record["train"][name] = record["held_out"][name]
    (runs / "fold_1" / "run.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=rf"masks of \['{name}'\] were trained on these cases"):
        masks_before(runs, cases)
    (runs / "masks" / f"{name}.nii.gz").unlink()
    with pytest.raises(ValueError, match=rf"no mask of 1 case \['{name}'\] by a fold that held"):
        masks_before(runs, cases)
    (runs / "best.json").unlink()
    with pytest.raises(ValueError, match="no folder of unetzoo cross-validate; expected one, bec"):
        masks_before(runs, cases)


@pytest.mark.slow
def test_other_masks_train_another_network(place, tmp_path):
    """And a run that was begun with some does not go on with others."""
    low = shutil.copytree(place / "runs" / "3d_lowres", tmp_path / "low")
    settings = Settings.from_plan(
        read_plan(place / "plan.json"), CASCADE, data=str(place / "data"), epochs=1, steps=2,
        folds=2, previous=str(place / "runs" / "3d_lowres"),
    )  # fmt: skip
    train(settings, tmp_path / "same")
    assert losses(tmp_path / "same") == losses(place / "runs" / "fold_0")
    for path in (low / "masks").glob("*.nii.gz"):
        file = nibabel.load(path)
        nothing = np.zeros(file.shape, "uint8")
        nibabel.save(nibabel.Nifti1Image(nothing, file.affine, file.header), path)
    other = replace(settings, previous=str(low))
    train(other, tmp_path / "other")
    assert losses(tmp_path / "other") != losses(tmp_path / "same")
    with pytest.raises(ValueError, match=r"are not those that the run in .* was begun with"):
        train(replace(other, epochs=2), tmp_path / "same")


# === Prediction ===


@pytest.mark.slow
def test_prediction_runs_the_stage_before_or_takes_its_masks(place, tmp_path):
    runs, image = place / "runs", place / "data" / "imagesTr" / "case_000_0000.nii.gz"
    done = unetzoo_command("predict", runs, image, "-o", tmp_path / "both")
    assert done.returncode == 0, done.stderr
    first, second = load_predictor(runs / "3d_lowres", postprocessing=()), load_predictor(runs)
    case = find_dataset(str(place / "data")).cases[0]
    scan = second.read(case)
    prepared = prepare(scan, second.run.preparation)
    mask = on_grid(first.segment(scan), prepared.grid)
    channels = [prepared.image, *(mask[..., None] == number for number in (1, 2))]
    stacked = np.concatenate(channels, -1).astype("float32")
    plain = load_predictor(runs, postprocessing=())
    expected = segment(second.model, stacked, second.run.patch)
    np.testing.assert_array_equal(plain.segment(scan), expected)
    np.testing.assert_array_equal(
        volumes(tmp_path / "both")["case_000.nii.gz"], second.segment(scan)
    )
    given = shutil.copytree(runs / "3d_lowres" / "masks", tmp_path / "given")
    taken = load_predictor(runs, previous=given)
    kept = nibabel.load(given / "case_000.nii.gz")
    by_hand = load_predictor(runs, previous=given).previous.segment(scan)
    np.testing.assert_array_equal(by_hand, np.asarray(kept.dataobj))
    before = taken.predict_probabilities(scan)
    scan = second.read(case)  # another one, whose mask is read anew
    nothing = np.zeros(kept.shape, "uint8")
    nibabel.save(nibabel.Nifti1Image(nothing, kept.affine, kept.header), given / "case_000.nii.gz")
    assert (taken.predict_probabilities(scan) != before).any()


@pytest.mark.slow
def test_held_out_cases_are_scored_with_masks_that_did_not_see_them(place, tmp_path):
    """Not with those of all folds of the first stage together, which saw them."""
    run = Run.read(place / "runs" / "fold_1")
    predictor = predictor_of_run(run.folder)
    evaluate(predictor, None, tmp_path / "scores")
    cases = {case.name: case for case in find_dataset(str(place / "data")).cases}
    masks = GivenMasks(place / "runs" / "3d_lowres" / "masks", run.scheme)
    for name, mask in volumes(tmp_path / "scores" / "masks").items():
        scan = predictor.read(cases[name.removesuffix(".nii.gz")])
        np.testing.assert_array_equal(replace(predictor, previous=masks).segment(scan), mask)
    held_out = volumes(place / "runs" / "masks")
    last = predictor_of_run(run.folder, "last", previous=place / "runs" / "3d_lowres" / "masks")
    for name in run.held_out:
        scan = last.read(cases[name])
        np.testing.assert_array_equal(last.segment(scan), held_out[f"{name}.nii.gz"])


@pytest.mark.slow
def test_held_out_cases_are_scored_with_the_stage_before_that_is_given(place, tmp_path):
    """Its folder, or its masks; not one network, which may have seen the cases."""
    first, run = place / "runs" / "3d_lowres", place / "runs" / "fold_1"
    moved = shutil.copytree(first, tmp_path / "moved")
    masks = shutil.copytree(first / "masks", tmp_path / "given")

    def scored(previous):
        folder = tmp_path / f"scores-{previous.name}"
        evaluate(predictor_of_run(run, previous=previous), None, folder, worst=0)
        return volumes(folder / "masks")

    for name, mask in scored(moved).items():
        np.testing.assert_array_equal(scored(masks)[name], mask)
        path = masks / name
        kept = nibabel.load(path)
        nibabel.save(nibabel.Nifti1Image(np.zeros(kept.shape, "uint8"), kept.affine), path)
        assert (scored(masks)[name] != mask).any()
        break
    with pytest.raises(ValueError, match=r"fold_0: no folder of unetzoo cross-validate"):
        scored(moved / "fold_0")
    done = unetzoo_command("evaluate", run, "--previous", moved / "fold_0", "-o", tmp_path / "no")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no folder of unetzoo cross-validate" in done.stderr


@pytest.mark.slow
def test_a_stage_before_that_was_moved_with_the_run_is_found(place, tmp_path):
    there = shutil.copytree(place / "runs", tmp_path / "moved")
    record = json.loads((there / "fold_0" / "run.json").read_text())
    record["settings"]["previous"] = "/gone/3d_lowres"
    (there / "fold_0" / "run.json").write_text(json.dumps(record))
    predictor = predictor_of_run(there / "fold_0")
    assert predictor.previous.folder == there / "3d_lowres"
    (there / "3d_lowres").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"/gone/3d_lowres: no folder; the run .* is a cascade"):
        predictor_of_run(there / "fold_0")
    predictor_of_run(there / "fold_0", previous=tmp_path / "elsewhere")


@pytest.mark.slow
def test_best_takes_a_cascade_as_any_other(place, tmp_path):
    runs = place / "runs"
    best = find_best([runs / "3d_lowres", runs], tmp_path / "best")
    assert len(best.dice) == 3
    members = Chosen(tmp_path / "best", members=tuple(map(Chosen.read, (runs, runs / "3d_lowres"))))
    members.write()
    image = place / "data" / "imagesTr" / "case_000_0000.nii.gz"
    done = unetzoo_command("predict", tmp_path / "best", image, "-o", tmp_path / "masks")
    assert done.returncode == 0, done.stderr
    scan = load_predictor(runs).read(find_dataset(str(place / "data")).cases[0])
    parts = [load_predictor(one).predict_probabilities(scan) for one in (runs, runs / "3d_lowres")]
    mean = load_predictor(tmp_path / "best").predict_probabilities(scan)
    np.testing.assert_allclose(mean, np.mean(parts, axis=0), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["train", "{data}", "--out", "{new}"], "expected --previous, the folder of unetzoo cross"),
        (["train", "{data}", "--out", "{new}", "--previous", "{new}"],
         "no folder of unetzoo cross-validate; expected one, because its masks"),
        (["predict", "{low}", "{image}", "-o", "{new}", "--previous", "{low}"],
         "no cascade, which has a stage before; give no --previous"),
        (["predict", "{low}/fold_0", "{image}", "-o", "{new}", "--previous", "{low}"],
         "the run has no stage before; give no --previous"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_told_before_keras_is_loaded(place, tmp_path, command, sentence):
    places = {
        "low": place / "runs" / "3d_lowres", "new": tmp_path / "new",
        "image": place / "data" / "imagesTr" / "case_000_0000.nii.gz",
    }  # fmt: skip
    given = []
    for word in command:
        more = words(place / "data", place / "plan.json")
        given += more if word == "{data}" else [word.format(**places)]
    done = unetzoo_command(*given)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "loading Keras" not in done.stderr


# === Export ===


@pytest.mark.slow
def test_both_stages_go_out_as_folders_of_nnu_net(place, tmp_path):
    """Read again, they give the same masks."""
    run = place / "runs" / "fold_0"
    export(run, tmp_path / "out", "nnunet", which="last")
    (dataset,) = (tmp_path / "out").glob("Dataset001_*/")
    names = [f"nnUNetTrainer__nnUNetPlans__{stage}" for stage in (CASCADE, "3d_lowres")]
    assert sorted(path.name for path in dataset.iterdir()) == names
    assert [(dataset / names[1] / f"fold_{n}").is_dir() for n in range(3)] == [True, True, False]
    plans = json.loads((dataset / names[0] / "plans.json").read_text())["configurations"]
    assert plans[CASCADE]["previous_stage"] == "3d_lowres"
    assert plans["3d_lowres"]["next_stage"] == CASCADE
    back, ours = load_predictor(dataset / names[0]), load_predictor(run, "last")
    for case in find_dataset(str(place / "data")).cases:
        scan = ours.read(case)
        np.testing.assert_array_equal(back.previous.segment(scan), ours.previous.segment(scan))
        np.testing.assert_array_equal(back.segment(scan), ours.segment(scan))
    with pytest.raises(ValueError, match="is a cascade, which sees masks of the stage before; exp"):
        export(run, tmp_path / "onnx", "onnx")
