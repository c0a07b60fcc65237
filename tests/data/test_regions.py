"""Regions against nnU-Net's own: ``tests/scripts/nnunet_regions.py`` froze what it gives."""

import json
import sys

import keras
import numpy as np
import pytest
from places import GOLDEN, SCRIPTS

from unetzoo.data.labels import LabelScheme
from unetzoo.data.patches import PatchDataset
from unetzoo.data.preprocessing.inverse import restore_regions
from unetzoo.data.preprocessing.preparation import Grid
from unetzoo.data.regions import Regions
from unetzoo.data.sample import Sample
from unetzoo.evaluation.regions import region_overlaps, score_regions
from unetzoo.inference.postprocessing import largest_of_regions
from unetzoo.losses import DiceCrossentropy

sys.path.insert(0, str(SCRIPTS))

from nnunet_regions import ORDER, example, pieces

FROZEN = json.loads((GOLDEN / "nnunet_regions.json").read_text())
REGIONS = Regions(tuple(map(tuple, FROZEN["regions"])), tuple(ORDER))
SCHEME = LabelScheme(labels={0: 0, 1: 1, 2: 2, 4: 3}, ignore=5, regions=REGIONS)


def classes():
    return SCHEME.to_classes(example()[0])


@pytest.mark.parametrize("batch_dice", [False, True])
@pytest.mark.parametrize("ignore", [False, True])
def test_the_loss_is_nnunets(batch_dice, ignore):
    """With ignored voxels nnU-Net adds the cross-entropies of the regions, and takes no mean."""
    _, logits = example()
    targets = SCHEME.in_regions(classes()).astype("float32")
    weight = (classes() != 5).astype("float32") if ignore else None
    loss = DiceCrossentropy(
        activation="sigmoid", batch_dice=batch_dice, crossentropy_weight=3 if ignore else 1
    )
    found = float(loss(targets, logits, weight))
    assert found == pytest.approx(1 + FROZEN["losses"][f"{batch_dice},{ignore}"], abs=1e-5)


def test_masks_are_painted_as_nnunet_paints_them():
    _, logits = example()
    expected = np.array(FROZEN["masks"])
    masks = SCHEME.painted(logits > 0)
    np.testing.assert_array_equal(SCHEME.to_numbers(masks, "masks"), expected)
    for case, each in enumerate(logits):
        shape = each.shape[:-1]
        grid = Grid(shape, tuple((0, n) for n in shape), (1.0,) * 3, shape)
        np.testing.assert_array_equal(restore_regions([each], grid, SCHEME.painting), masks[case])
        np.testing.assert_array_equal(restore_regions([each], grid, ORDER), expected[case])


def test_the_largest_components_of_regions_are_nnunets():
    """Its neighbors share a face, an edge or a corner, as here."""
    expected = np.array(FROZEN["largest"])
    np.testing.assert_array_equal(largest_of_regions(pieces(), REGIONS.members), expected)
    assert 0 < (expected > 0).sum() < (pieces() > 0).sum()


def test_counts_are_nnunets():
    predicted = SCHEME.to_classes(np.array(FROZEN["masks"]))
    found = region_overlaps(classes(), SCHEME.in_regions(predicted), SCHEME)
    for number, (counts, (tp, fp, fn, _)) in enumerate(zip(found, FROZEN["counts"], strict=True)):
        assert counts.label == number + 1
        assert (counts.both, counts.prediction, counts.reference) == (tp, tp + fp, tp + fn)
    scores = score_regions(classes()[0], predicted[0], SCHEME, (1.0, 1.0, 1.0))
    (one,) = region_overlaps(classes()[0], SCHEME.in_regions(predicted[0]), SCHEME)[1:2]
    assert scores[1].dice == one.dice


def test_batches_have_a_channel_for_each_region_and_no_weight_where_ignored():
    labels = classes()[0]
    image = np.ones((*labels.shape, 1), "float32")
    more = {"patch": labels.shape, "batch_size": 1, "regions": SCHEME.table}
    x, y, w = PatchDataset([(image, labels)], ignore_label=5, **more)[0]
    assert (x.shape, y.shape, y.dtype) == ((1, *labels.shape, 1), (1, *labels.shape, 3), "uint8")
    np.testing.assert_array_equal(y[0] > 0, SCHEME.in_regions(labels))
    np.testing.assert_array_equal(w[0], labels != 5)
    half = np.full(labels.shape, 0.5, "float32")
    *_, w = PatchDataset([(image, labels, half)], ignore_label=5, **more)[0]
    np.testing.assert_array_equal(w[0], 0.5 * (labels != 5))
    labels = np.where(labels == 5, 0, labels)
    assert len(PatchDataset([(image, labels)], **more)[0]) == 2
    _, several = PatchDataset([(image, labels)], outputs=2, **more)[0]
    assert len(several) == 2


def test_patches_are_centered_on_every_region_alike():
    """A region's number begins at 1, as ``Sample.voxels`` has it."""
    labels = np.zeros((9, 9), int)
    labels[4, 4] = 2
    scheme = LabelScheme(3, regions=Regions(((1, 2), (2,)), (1, 2)))
    voxels = {1: np.array([40]), 2: np.array([40])}
    sample = Sample(np.zeros((9, 9, 1)), labels, None, voxels)
    batches = PatchDataset(
        [sample], patch=(1, 1), batch_size=4, foreground=1.0, regions=scheme.table
    )
    assert batches[0][1].min() == 1


def test_a_network_of_regions_learns_them():
    """Class 2 is in both regions: softmax could not say so."""
    from unetzoo.training import compile_model

    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 1)])
    compile_model(model, activation="sigmoid", optimizer=keras.optimizers.Adam(0.3))
    labels = np.random.default_rng(0).integers(0, 3, (1, 16, 16))
    scheme = LabelScheme(3, regions=Regions(((1, 2), (2,)), (1, 2)))
    targets = scheme.in_regions(labels).astype("uint8")
    history = model.fit(labels[..., None] - 1.0, targets, epochs=60, verbose=0).history
    assert {"dice", "dice_1", "dice_2"} <= set(history)
    assert history["dice"][-1] == 1
    found = scheme.painted(np.array(model(labels[..., None] - 1.0)) > 0)
    np.testing.assert_array_equal(found, labels)


def test_a_region_of_unknown_labels_is_refused():
    for members, order in (((1, 5),), (1,)), (((1, 2),), (5,)):
        with pytest.raises(ValueError, match=r"labels \[5\]: expected numbers of the label files"):
            LabelScheme(3, regions=Regions(members, order))
