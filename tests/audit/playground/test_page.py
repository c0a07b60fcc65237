"""The skip playground's page: of arrays, of runs, of nnU-Net's folders, and what it says."""

import base64
import io
import re
import subprocess
import sys

import commands
import keras
import numpy as np
import pytest
from PIL import Image
from places import ROOT, TESTS

import audit
import unetzoo
from audit.playground.measuring import measured, which
from audit.playground.page import page_of
from audit.playground.scenes import Switches, scene_of
from audit.playground.switches import skips_of, with_switches
from unetzoo.evaluation import evaluate_files
from unetzoo.inference.slices import SliceNetwork
from unetzoo.interop.nnunet import Ensemble
from unetzoo.pipeline.run import Run

NNUNET = TESTS / "golden" / "nnunet"


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(2)
    return unetzoo.build("unet2d_small", input_shape=(None, None, 1), num_classes=2)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).standard_normal((40, 52, 1)).astype("float32")


def rows(page):
    """Which skips are on, and the cells, of each row of the page's table."""
    found = re.findall(r'<tr data-on="([01]+)".*?</th>(.*?)</tr>', page, re.DOTALL)
    return {bits: re.findall(r'class="n">(.*?)<', cells) for bits, cells in found}


def test_every_combination_is_there_and_scored_against_the_mask_of_all(model, image, tmp_path):
    page = audit.skips(model, image, tmp_path / "page.html").read_text()
    found = rows(page)
    assert len(found) == 8
    assert found["111"][0] == "1.00"
    assert "Compared with the mask with every skip on, as there are no labels." in page
    assert page.count('role="switch"') == 3
    assert "All 8 combinations, measured" in page
    assert "://" not in page


def test_the_mask_with_all_skips_on_is_the_networks_own(model, image):
    scene = scene_of(model, image)
    everything = measured(scene)
    assert everything.combinations[0].on == (True, True, True)
    own = scene.segment()
    assert own.shape == image.shape[:-1]
    padded = np.pad(image, ((0, 0), (2, 2), (0, 0)))[None]  # as the sliding window does
    np.testing.assert_array_equal(own, model.predict_on_batch(padded)[0, :, 2:-2].argmax(-1))
    np.testing.assert_array_equal(everything.combinations[0].mask, own)


def test_the_masks_on_the_page_are_those_measured(model, image):
    everything = measured(scene_of(model, image, labels=(image[..., 0] > 0).astype(int)))
    page = page_of(everything)
    for each in everything.combinations:
        bits = "".join("1" if on else "0" for on in each.on)
        (source,) = re.findall(f'data-on="{bits}" data-mask="data:image/png;base64,(.*?)"', page)
        drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))).convert("RGBA"))
        np.testing.assert_array_equal(drawn[..., 3] > 0, each.mask > 0)
        assert rows(page)[bits][0] == f"{each.dice:.2f}"


def test_the_command_scores_a_run_as_evaluate_does(small_run, small_data, tmp_path):
    name = sorted(Run.read(small_run).held_out)[0]
    picture, mask = (small_data / kind / f"{name}.png" for kind in ("images", "masks"))
    out = tmp_path / "page.html"
    result = commands.command("unetzoo-audit", "skips", small_run, picture, "--labels", mask,
                              "-o", out)  # fmt: skip
    assert (result.returncode, result.stdout) == (0, f"{out}\n"), result.stderr
    unetzoo.load_predictor(small_run).write(unetzoo.data.Case(name, (picture,)), tmp_path)
    run = Run.read(small_run)
    scores = evaluate_files([(name, mask, tmp_path / f"{name}.png")], run.scheme, run.class_names)
    page = out.read_text()
    whole = rows(page)["111"]
    assert float(whole[0]) == pytest.approx(scores.case_means[0], abs=0.006)
    assert len(page.encode()) < 500_000
    for class_name in run.class_names[1:]:
        assert f"<th scope=row>{class_name}</th>" in page


@pytest.mark.slow
def test_a_folder_of_nnunet_gives_its_golden_mask(tmp_path):
    folder = next((NNUNET / "mr").glob("nnUNetTrainer__*"))
    case = sorted((NNUNET / "mr" / "masks").glob("*.nii.gz"))[0]
    images = sorted((NNUNET / "mr" / "images").glob(case.name.replace(".nii.gz", "_*")))
    scene = scene_of(folder, images, case)
    scene.turn([True] * len(scene.skips))
    assert np.mean(scene.segment() != scene.reference) < 1e-4
    assert scene.unit == "mm"
    scene.turn([False] * len(scene.skips))
    assert np.mean(scene.segment() != scene.reference) > 1e-3


@pytest.mark.parametrize("white", [1, 255])
def test_a_saved_network_and_a_picture(model, tmp_path, white):
    model.save(tmp_path / "net.keras")
    pixels = np.random.default_rng(1).integers(0, 255, (33, 47), dtype="uint8")
    Image.fromarray(pixels).save(tmp_path / "cell.png")
    mask = np.where(pixels > 99, white, 0).astype("uint8")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    page = audit.skips(
        tmp_path / "net.keras", tmp_path / "cell.png", tmp_path / "page.html",
        labels=tmp_path / "mask.png",
    )  # fmt: skip
    text = page.read_text()
    image = ((pixels - pixels.mean()) / pixels.std()).astype("float32")[..., None]
    own = audit.skips(model, image, tmp_path / "own.html", labels=mask > 0).read_text()
    assert rows(text) == rows(own)
    assert "<h1>What each skip does: net.keras</h1>" in text
    assert "cell" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((np.zeros((8, 8, 8, 1), "float32"),), "image of 3 axes: 'UNetSmall' takes 2"),
        ((np.zeros((8, 8, 3), "float32"),), "image of 3 channels: 'UNetSmall' takes 1"),
        ((np.zeros((32, 32, 1), "float32"), np.zeros((32, 31), int)), "expected the same spatial"),
    ],
)
def test_what_does_not_fit_is_refused(model, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        scene_of(model, *arguments)


def test_a_network_without_skips_is_refused():
    inputs = keras.Input((16, 16, 1))
    plain = keras.Model(inputs, keras.layers.Conv2D(2, 3, padding="same")(inputs))
    with pytest.raises(ValueError, match="it has no skip to switch off; expected a U-Net"):
        scene_of(plain, np.zeros((16, 16, 1), "float32"))


def test_the_command_refuses_what_is_no_network(tmp_path):
    (tmp_path / "image.png").write_bytes(b"")
    result = commands.command("unetzoo-audit", "skips", tmp_path, tmp_path / "image.png",
                              "-o", tmp_path / "page.html")  # fmt: skip
    assert result.returncode == 2
    assert "expected a .keras file, the folder of a run" in result.stderr


@pytest.mark.parametrize("kind", ["slices", "folds"])
def test_slices_and_folds_are_switched_together(model, kind):
    image = np.random.default_rng(3).standard_normal((1, 32, 32, 1)).astype("float32")
    skips = skips_of(audit.table(unetzoo.skeleton("unet2d_small", input_shape=(32, 32, 1))))
    alone = with_switches(model, skips)
    if kind == "slices":
        network, batch, patch = SliceNetwork(model, 1), image[:, :, None], (32, 1, 32)
    else:
        network, batch, patch = Ensemble([model, model]), image, (32, 32)
    switched = Switches(network, [patch])
    for on in ((True, True, True), (False, True, False)):
        alone.turn(on)
        switched.turn(on)
        found = switched.network.predict_on_batch(batch).reshape(1, 32, 32, 2)
        np.testing.assert_allclose(found, alone.network.predict_on_batch(image), atol=1e-6)


def test_a_network_that_is_no_graph_of_keras_is_refused():
    with pytest.raises(ValueError, match="expected a functional Keras network"):
        Switches(object(), [(32, 32)])


def test_which_skips_are_on_in_words():
    assert which((True, False, False, True)) == "Skips 1 and 4 are on; skips 2 and 3 are off"
    assert which((True, True, False, True)) == "Skips 1, 2 and 4 are on; skip 3 is off"


def test_the_page_in_the_docs_is_small_and_as_one_is_written_now():
    text = (ROOT / "docs" / "playground" / "rings.html").read_text()
    assert len(text.encode()) < 500_000
    assert len(rows(text)) == 16
    assert float(rows(text)["1111"][0]) > 0.9
    for name in ("page.css", "page.js"):
        assert (ROOT / "audit" / "playground" / name).read_text() in text


@pytest.mark.slow
def test_the_page_in_the_docs_can_be_written_again(tmp_path):
    words = [
        sys.executable,
        ROOT / "examples" / "rings.py",
        "--short",
        "-o",
        tmp_path / "page.html",
    ]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert len(rows((tmp_path / "page.html").read_text())) == 16
