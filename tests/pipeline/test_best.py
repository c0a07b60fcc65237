"""``find_best`` against nnU-Net's own decisions (``scripts/nnunet_cross_validation.py``)."""

import io
import json
import shutil
import zipfile

import drawn_folds
import keras
import nibabel
import numpy as np
import pytest
from commands import command
from places import GOLDEN

import unetzoo
from unetzoo.data.datasets import find_dataset
from unetzoo.data.preprocessing.preparation import Preparation, ZScore
from unetzoo.pipeline.best import find_best
from unetzoo.pipeline.chosen import Chosen
from unetzoo.pipeline.early import training_data
from unetzoo.pipeline.out_of_fold import MASKS, SEGMENTED, kept, probabilities_in, stamp
from unetzoo.pipeline.predictor import classes_in
from unetzoo.pipeline.run import Run, Settings
from unetzoo.training.checkpoints import CHECKPOINT

FROZEN = json.loads((GOLDEN / "nnunet_cross_validation.json").read_text())
MADE = {"model": "last", "mirror": False, "overlap": None}


def write_volume(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), path)


def write_data(folder, scene):
    """The scene's cases, as nnU-Net has them."""
    labels = {f"class {n}" if n else "background": n for n in range(scene.classes)}
    if scene.ignore:
        labels["ignore"] = scene.classes
    if scene.regions:
        labels = {"background": 0, **{k: list(v) for k, v in drawn_folds.REGIONS.items()}}
    about = {"channel_names": {"0": "MR"}, "labels": labels, "file_ending": ".nii.gz",
             "numTraining": drawn_folds.CASES}  # fmt: skip
    if scene.regions:
        about["regions_class_order"] = [1, 2]
    for case in range(drawn_folds.CASES):
        write_volume(folder / f"labelsTr/case_{case}.nii.gz", drawn_folds.truth(scene, case))
        image = np.random.default_rng(case).normal(size=drawn_folds.SHAPE).astype("float32")
        write_volume(folder / f"imagesTr/case_{case}_0000.nii.gz", image)
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


def write_runs(folder, data, scene, which):
    """A cross-validation whose networks gave the scene's probabilities; each is one convolution."""
    dataset = find_dataset(str(data))
    scheme = dataset.scheme.with_classes(scene.classes)
    channels = len(dataset.class_names)
    for fold in range(drawn_folds.FOLDS):
        place = folder / f"fold_{fold}"
        place.mkdir(parents=True)
        model = keras.Sequential(
            [keras.Input((None, None, None, 1)), keras.layers.Conv3D(channels, 1)]
        )
        draw = np.random.default_rng((which, fold))
        model.set_weights([draw.normal(size=weight.shape) for weight in model.get_weights()])
        model.save(place / CHECKPOINT.format(1))
        held_out = [f"case_{n}" for n in range(drawn_folds.CASES) if n % drawn_folds.FOLDS == fold]
        run = Run(
            folder=place,
            settings=Settings(data=str(data), network="unet3d_19m", patch=(16, 16, 16), folds=2),
            scheme=scheme, class_names=dataset.class_names, channels=1,
            preparation=Preparation(None, (ZScore(),)), train={},
            held_out=dict.fromkeys(held_out, ""), versions={}, backend=keras.backend.backend(),
            layout=dataset.layout,
        )  # fmt: skip
        run.write()
        (place / SEGMENTED).write_text(json.dumps(stamp(run, **MADE)))
    for case in range(drawn_folds.CASES):
        values = drawn_folds.probabilities(scene, case, which)
        path = kept(folder, f"case_{case}")
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, probabilities=np.moveaxis(values, 0, -1))
        classes = classes_in(np.moveaxis(values, 0, -1).astype("float32"), scheme)
        write_volume(folder / MASKS / f"case_{case}.nii.gz", classes)
    Chosen(folder, tuple(range(drawn_folds.FOLDS)), **MADE).write()
    return folder


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """The data and the cross-validations of a scene, made once."""
    made = {}

    def of(name):
        if name not in made:
            place, one = tmp_path_factory.mktemp("scene"), drawn_folds.SCENES[name]
            data = write_data(place / "data", one)
            made[name] = place, [write_runs(place / n, data, one, k) for k, n in enumerate("ab")]
        return made[name]

    return of


@pytest.mark.parametrize("name", drawn_folds.SCENES)
def test_decisions_are_nnu_nets(name, scene, tmp_path):
    _, runs = scene(name)
    best, frozen = find_best(runs, tmp_path), FROZEN[name]
    assert list(best.dice.values()) == pytest.approx(frozen["dice"], abs=1e-12)
    chosen = Chosen.read(tmp_path)
    folders = {"2d": runs[0], "3d_fullres": runs[1]}
    found = [member.folder.resolve() for member in chosen.members]
    assert found == [folders[one].resolve() for one in frozen["best"]]
    assert [list(step) for step in chosen.postprocessing] == frozen["postprocessing"]
    assert best.postprocessing.mean_after == pytest.approx(frozen["after"], abs=1e-12)


def test_the_frozen_decisions_differ():
    """Or the test above would see too little."""
    assert len({tuple(each["best"]) for each in FROZEN.values()}) == 3
    first = {bool(e["postprocessing"]) and len(e["postprocessing"][0]) for e in FROZEN.values()}
    assert first >= {0, 1, 2}


def test_two_configurations_are_the_mean_of_their_probabilities(scene, tmp_path):
    place, runs = scene("both")
    said = command("unetzoo", "best", *runs, "-o", tmp_path / "best")
    assert said.returncode == 0, said.stderr
    assert "best" in said.stdout
    assert (tmp_path / "best/best.txt").read_text() == said.stdout
    images = place / "data/imagesTr"
    out = tmp_path / "masks"
    result = command("unetzoo", "predict", tmp_path / "best", images, "-o", out)
    assert result.returncode == 0, result.stderr
    together = unetzoo.load_predictor(tmp_path / "best")
    singles = [unetzoo.load_predictor(one) for one in runs]
    case = find_dataset(str(place / "data")).cases[0]
    image = together.read(case)
    mean = sum(single.predict_probabilities(image) for single in singles) / 2
    np.testing.assert_allclose(together.predict_probabilities(image), mean, atol=1e-6)
    raw = unetzoo.load_predictor(tmp_path / "best", postprocessing=()).segment(image)
    np.testing.assert_array_equal(raw, mean.argmax(-1))
    mask = np.asanyarray(nibabel.load(out / "case_0.nii.gz").dataobj)
    np.testing.assert_array_equal(mask, together.segment(image))
    assert together.spread(image).count == 4


def test_probabilities_that_were_not_kept_are_computed(scene, tmp_path):
    place, _ = scene("both")
    one = drawn_folds.SCENES["both"]
    runs = [write_runs(tmp_path / name, place / "data", one, k) for k, name in enumerate("ab")]
    for run in runs:
        for path in (run / "probabilities").iterdir():
            path.unlink()
    best = find_best(runs, tmp_path / "best")
    for run in runs:
        for fold in range(2):
            record = Run.read(run / f"fold_{fold}")
            predictor = unetzoo.load_predictor(record.folder, "last")
            for case in training_data(record.settings).to_score(record):
                with np.load(kept(run, case.name)) as file:
                    expected = predictor.predict_probabilities(predictor.read(case))
                    np.testing.assert_allclose(file["probabilities"], expected, atol=1e-3)
    assert len(best.dice) == 3
    assert len(find_best(runs, tmp_path / "single", ensembles=False).dice) == 2


def test_what_cannot_be_compared_is_told(scene, tmp_path):
    _, (first, _) = scene("both")
    _, (other, _) = scene("one class")
    nothing = tmp_path / "none"
    for folders, sentence in {
        (first, first): f"{first}: expected folders of unetzoo cross-validate, each once",
        (first, other): f"{other}: classes ('background', 'class 1'), but {first} has",
        (first, nothing): f"{nothing / 'best.json'}: there is no such file; expected the folder of",
    }.items():
        said = command("unetzoo", "best", *folders, "-o", tmp_path / "best")
        assert (said.returncode, said.stdout) == (2, "")
        assert sentence in said.stderr
    assert not (tmp_path / "best").exists()
    before = (first / "best.json").read_bytes()
    said = command("unetzoo", "best", first, "-o", first / "fold_0" / "..")
    assert said.returncode == 2
    assert "it is one of the cross-validations, whose best.json would be replaced" in said.stderr
    assert (first / "best.json").read_bytes() == before


def test_masks_that_are_gone_are_told_and_a_copy_of_a_fold_is_none(scene, tmp_path):
    _, (first, _) = scene("both")
    runs = tmp_path / "runs"
    shutil.copytree(first, runs)
    shutil.copytree(runs / "fold_1", runs / "fold_1_before")
    assert command("unetzoo", "best", runs, "-o", tmp_path / "best").returncode == 0
    shutil.rmtree(runs / "masks")
    said = command("unetzoo", "best", runs, "-o", tmp_path / "none")
    assert said.returncode == 2
    assert f"{runs}: no mask of a held-out case is there; run unetzoo cross-val" in said.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("members", [["."], ["../other"], ["../other"] * 1000])
def test_choices_that_name_each_other_are_one_sentence(tmp_path, monkeypatch, members):
    """Each would be read once more for every other one, without end."""
    record = {"format": "unetzoo best", "version": 1, "postprocessing": [], "dice": {}}
    for name, places in (("one", members), ("other", ["../one"] * len(members))):
        (tmp_path / name).mkdir()
        content = json.dumps({**record, "members": places})
        (tmp_path / name / "best.json").write_text(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"members .*: expected cross-validations\); run it"
    ) as told:
        Chosen.read("one")
    assert len(str(told.value)) < 250


def test_a_value_of_any_length_is_cut_in_the_sentence(tmp_path):
    record = {"format": "unetzoo best", "version": 1, "members": [], "postprocessing": []}
    record["dice"] = {"without postprocessing": "x" * 5000}
    (tmp_path / "best.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"best.json: not what .*run it again") as told:
        Chosen.read(tmp_path)
    assert len(str(told.value)) < 350


def test_a_file_of_probabilities_that_is_another_array_is_not_unpacked(tmp_path):
    """Six gigabytes of zeros that would come out of a file of some kilobytes."""
    path = tmp_path / "case.npz"
    np.savez_compressed(path, probabilities=np.zeros((2, 3, 4, 5), "float16"))
    np.testing.assert_array_equal(probabilities_in(path, (2, 3, 4, 5)), np.zeros((2, 3, 4, 5)))
    header = io.BytesIO()
    about = {"descr": "<f2", "fortran_order": False, "shape": (1000, 1000, 1000, 3)}
    np.lib.format.write_array_header_1_0(header, about)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("probabilities.npy", header.getvalue() + bytes(10**7))
    with pytest.raises(ValueError, match=r"of shape \(1000, 1000, 1000, 3\); expected the case's"):
        probabilities_in(path, (2, 3, 4, 5))
    path.write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"case.npz: .*; expected the case's probabilities"):
        probabilities_in(path, (2, 3, 4, 5))
