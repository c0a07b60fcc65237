"""What happens to the masks of a cascade's stage before, against nnU-Net's own transforms.

Its numbers are of ``tests/scripts/nnunet_cascade.py``.
"""

import nnunet_cascade as script
import numpy as np
import pytest
from places import GOLDEN

from unetzoo.data.augmentation import Augmentation, MaskDraw
from unetzoo.data.augmentation.masks import OPERATORS, draw_operators, draw_removed

NNUNET = np.load(GOLDEN / "nnunet_cascade.npz", allow_pickle=False)
MASKS = np.moveaxis(script.channels(script.mask()), 0, -1)


def bits(masks):
    """As the script packs them."""
    return np.packbits(np.moveaxis(masks, -1, 0))


@pytest.mark.parametrize("name", script.NAMES)
@pytest.mark.parametrize("radius", script.RADII)
def test_operators_give_nnu_nets_masks_to_the_voxel(name, radius):
    """Of all channels: where one grows, the others give way."""
    found = MaskDraw(operators=((1, name, radius),)).apply(MASKS)
    np.testing.assert_array_equal(bits(found), NNUNET[f"{name} {radius}"])


def test_the_components_that_may_be_missing_are_nnu_nets():
    places = np.linspace(0, 1, 200, endpoint=False)
    found = {bits(MaskDraw(removed=((1, place),)).apply(MASKS)).tobytes() for place in places}
    assert found == {row.tobytes() for row in NNUNET["removed"]}


def test_a_component_of_most_of_the_patch_stays():
    masks = np.zeros((10, 10, 10, 1), bool)
    masks[:, :, :2] = True
    np.testing.assert_array_equal(MaskDraw(removed=((0, 0.5),)).apply(masks), masks)
    masks[:, :, 1] = False
    assert not MaskDraw(removed=((0, 0.5),)).apply(masks).any()


def test_draws_are_distributed_as_nnu_nets():
    count, random = 20_000, np.random.default_rng(0)
    draws = [draw_operators(random, 3) for _ in range(count)]
    channels = np.bincount([len(draw) for draw in draws], minlength=4) / count
    np.testing.assert_allclose(channels, NNUNET["channels"], atol=0.02)
    radii = [radius for draw in draws for _, _, radius in draw]
    deciles = np.quantile(radii, np.linspace(0, 1, 11))
    np.testing.assert_allclose(deciles, NNUNET["radii"], atol=0.15)
    names = [name for draw in draws for _, name, _ in draw]
    shares = [np.mean([each == name for each in names]) for name in script.NAMES]
    np.testing.assert_allclose(shares, NNUNET["operators"], atol=0.02)
    removed = [len(draw_removed(random, 3)) for _ in range(count)]
    shares = np.bincount(removed, minlength=4) / count
    np.testing.assert_allclose(shares, NNUNET["removed channels"], atol=0.02)
    assert {draw[0][0] for draw in draws if draw} == {0, 1, 2}, "in random order"
    default = Augmentation()
    assert [default.mask_operator, default.mask_component] == NNUNET["probabilities"].tolist()


def test_how_often_either_is_drawn():
    random, augmentation = np.random.default_rng(0), Augmentation()
    draws = [augmentation.draw_masks(random, 6) for _ in range(4000)]
    some = 1 - 0.5**6
    assert np.mean([bool(draw.operators) for draw in draws]) == pytest.approx(0.4 * some, abs=0.03)
    assert np.mean([bool(draw.removed) for draw in draws]) == pytest.approx(0.2 * some, abs=0.03)


def test_a_draw_replays_from_json_and_leaves_its_argument():
    augmentation = Augmentation(mask_operator=1, mask_component=1)
    draw = augmentation.draw_masks(np.random.default_rng(2), 3)
    assert draw.operators
    assert draw.removed
    again, before = MaskDraw.from_json(draw.to_json()), MASKS.copy()
    assert again == draw
    np.testing.assert_array_equal(again.apply(MASKS), draw.apply(MASKS))
    np.testing.assert_array_equal(MASKS, before)
    assert (draw.apply(MASKS) != MASKS).any()
    with pytest.raises(ValueError, match="not a draw of masks; expected a JSON object"):
        MaskDraw.from_json("[]")


def test_every_operator_takes_empty_and_full_masks():
    for value in (False, True):
        masks = np.full((6, 5, 4, 2), value)
        for name in OPERATORS:
            found = MaskDraw(operators=((0, name, 2.0),)).apply(masks)
            assert (found[..., 0] == value).all()
