"""Which model of a run is taken, and more classes than a byte holds."""

import keras
import nibabel
import numpy as np
import pytest
from commands import command

from unetzoo.callbacks import WholeCases
from unetzoo.data.datasets.inputs import cases_of
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.preparation import Preparation, ZScore
from unetzoo.data.sample import Sample
from unetzoo.inference.windows import segment
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.prediction import predict_cases
from unetzoo.pipeline.predictor import Predictor
from unetzoo.pipeline.run import Run, Settings


@pytest.mark.parametrize("words", [["predict", "RUN", "x.png", "-o", "OUT"], ["evaluate", "RUN"]])
def test_another_model_than_best_or_last_is_refused(small_run, words):
    done = command("unetzoo", *words, "--model", "bset")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'--model': 'bset' is not one of 'best', 'last'" in done.stderr
    with pytest.raises(ValueError, match="which 'bset': expected one of best, last"):
        load_predictor(small_run, "bset")


@pytest.mark.parametrize("overlap", [-1, 1, float("nan")])
def test_an_overlap_that_is_no_share_is_refused_before_any_case(overlap):
    with pytest.raises(ValueError, match=f"overlap {overlap}: expected a fraction in \\[0, 1\\)"):
        Predictor(None, None, overlap=overlap)


def always_299():
    """A network whose voxels are all of the last of 300 classes."""
    model = keras.Sequential([keras.Input((None, None, None, 1)), keras.layers.Conv3D(300, 1)])
    model.set_weights([np.zeros((1, 1, 1, 1, 300)), np.eye(300)[299]])
    return model


def test_300_classes_are_told_apart(tmp_path):
    """As uint8, class 299 would be 43."""
    model, image = always_299(), np.arange(60, dtype="float32").reshape(5, 4, 3, 1)
    found = segment(model, image, (8, 8, 8))
    assert (found.shape, found.dtype) == ((5, 4, 3), "int16")
    assert (found == 299).all()
    validation = WholeCases({"a": Sample(image, found)}, (8, 8, 8))
    validation.set_model(model)
    assert validation.validate()["val_dice"] == 1
    run = Run(
        folder=tmp_path, settings=Settings(data="none", network="unet3d_19m", patch=(8, 8, 8)),
        scheme=LabelScheme(classes=300), class_names=tuple(map(str, range(300))), channels=1,
        preparation=Preparation(None, (ZScore(),)), train={}, held_out={}, versions={},
        backend=keras.backend.backend(),
    )  # fmt: skip
    nibabel.save(nibabel.Nifti1Image(image[..., 0], np.eye(4)), tmp_path / "a.nii")
    for probabilities in (False, True):
        predictor = Predictor(run, model, probabilities=probabilities)
        assert (predictor.segment_prepared(image) == 299).all()
        outcome = predict_cases(
            predictor, cases_of([tmp_path / "a.nii"], 1), tmp_path / "masks", overwrite=True
        )
        assert outcome.failed == {}
        assert (np.asarray(nibabel.load(outcome.written["a"]).dataobj) == 299).all()
