"""Augmentation: where voxels come from, against scipy, numpy and MONAI; draws and their replay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.interpolate import BSpline
from scipy.spatial.transform import Rotation

from unetzoo.data.augmentation import Augmentation, Draw
from unetzoo.data.augmentation.spatial import UNFOLDED, draw_elastic

OFF = dict.fromkeys(
    (
        "mirror", "rotation", "scaling", "noise", "blur", "brightness", "contrast",
        "low_resolution", "inverted_gamma", "gamma",
    ),
    0.0,
)  # fmt: skip
sizes = st.one_of(*(st.tuples(*[st.integers(1, 9)] * rank) for rank in (2, 3)))
seeds = st.integers(0, 2**32)


def region(draw, seed=0, channels=1):
    """Numbers for the voxels that a draw reads: image, labels, weights."""
    shape = draw.source
    random = np.random.default_rng(seed)
    image = random.standard_normal((*shape, channels), "float32")
    return image, random.integers(0, 4, shape), random.random(shape, "float32")


def matrix(draw):
    """The way from the patch to the region, of scipy's rotations."""
    rank = len(draw.patch)
    angles = draw.angles or (0,) * (3 if rank == 3 else 1)
    if rank == 3:
        turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    else:
        turn = Rotation.from_euler("z", angles[0], degrees=True).as_matrix()[:2, :2]
    return turn @ np.diag(draw.scales or (1,) * rank)


def splines(patch, points, derivative=False, finer=1):
    """For each axis, scipy's cubic B-splines of the control points, a row for each voxel.

    ``finer`` takes more places between voxels; the derivative is by voxel.
    """
    found = []
    for size, count in zip(patch, points, strict=True):
        if count == 1:
            found.append(np.full((1 + (size - 1) * finer, 1), 0.0 if derivative else 1.0))
            continue
        cells = count - 3
        at = np.linspace(0, cells, 1 + (size - 1) * finer)
        basis = BSpline(np.arange(-3, cells + 4), np.eye(count), 3, extrapolate=False)
        values = (basis.derivative() if derivative else basis)(at)
        found.append(values * (cells / (size - 1) if derivative else 1))
    return found


def spread(control, weights):
    """``(rank, *points)`` at the control points as ``(rank, *places)``."""
    letters = "abc"[: len(weights)]
    terms = ",".join(f"{letter.upper()}{letter}" for letter in letters)
    return np.einsum(f"r{letters},{terms}->r{letters.upper()}", control, *weights, optimize=True)


def positions(draw):
    """Where each voxel of the patch lies in the region, ``(rank, *patch)``."""
    patch, way = draw.patch, matrix(draw)
    grid = np.indices(patch, float)
    for axis, size in enumerate(patch):
        grid[axis] -= (size - 1) / 2
    if draw.elastic:
        control = np.array(draw.elastic)
        grid += spread(control, splines(patch, control.shape[1:]))
    found = np.tensordot(way, grid, 1)
    for axis, size in enumerate(draw.source):
        found[axis] += (size - 1) / 2
    return found


def resampled_by_scipy(draw, image, labels, weight):
    at = positions(draw)
    seen = [
        ndimage.map_coordinates(image[..., c].astype(float), at, order=1, mode="nearest")
        for c in range(image.shape[-1])
    ]
    nearest = [ndimage.map_coordinates(a, at, order=0, mode="nearest") for a in (labels, weight)]
    between = (np.abs(at % 1 - 0.5) < 1e-4).any(axis=0)  # of two voxels, either will do
    return np.stack(seen, -1), *nearest, between


# === The resampling ===


@settings(max_examples=60, deadline=None)
@given(patch=sizes, seed=seeds, channels=st.integers(1, 3), choice=st.integers(1, 7))
def test_rotation_scaling_and_elastic_are_scipys_in_one_resampling(patch, seed, channels, choice):
    some = {
        name: float(bool(choice & bit))
        for name, bit in {"rotation": 1, "scaling": 2, "elastic": 4}.items()
    }
    augmentation = Augmentation(**{**OFF, **some, "degrees": 180})
    draw = augmentation.draw(np.random.default_rng(seed), patch, channels)
    given_ = region(draw, seed, channels)
    x, y, w = draw.apply(*given_)
    image, labels, weight, between = resampled_by_scipy(draw, *given_)
    np.testing.assert_allclose(x, image, atol=2e-4)
    assert (x.dtype, y.dtype, w.dtype) == ("float32", given_[1].dtype, "float32")
    assert ((y == labels) | between).all()
    assert ((w == weight) | between).all()


@pytest.mark.parametrize("patch", [(96, 80), (40, 36, 44), (6, 40, 40)])
def test_patches_of_many_slabs_are_scipys_too(patch, monkeypatch):
    monkeypatch.setattr("unetzoo.data.augmentation.warp.SLAB", 3000)
    augmentation = Augmentation(**{**OFF, "rotation": 1, "scaling": 1, "elastic": 1})
    draw = augmentation.draw(np.random.default_rng(2), patch, 2)
    given_ = region(draw, channels=2)
    x, y, _ = draw.apply(*given_)
    image, labels, _, between = resampled_by_scipy(draw, *given_)
    np.testing.assert_allclose(x, image, atol=1e-3)
    assert ((y == labels) | between).all()
    assert between.mean() < 0.01


@settings(max_examples=100, deadline=None)
@given(patch=sizes, seed=seeds, elastic=st.booleans(), points=st.integers(5, 9), far=st.booleans())
def test_the_source_holds_every_voxel_and_no_layer_too_many(patch, seed, elastic, points, far):
    augmentation = Augmentation(
        **{**OFF, "rotation": 1, "scaling": 1, "elastic": elastic}, degrees=180,
        control_points=points, displacement=1e9 if far else 0.5,
    )  # fmt: skip
    draw = augmentation.draw(np.random.default_rng(seed), patch, 1)
    shape = draw.source
    for axis, (size, inner) in enumerate(zip(shape, patch, strict=True)):
        at = positions(draw)[axis]
        assert at.min() > -1e-5
        assert at.max() < size - 1 + 1e-5
        margin = (size - inner) // 2
        assert size == inner + 2 * margin
        if margin and not elastic:
            assert at.min() < 1 or at.max() > size - 2


@pytest.mark.parametrize(("scale", "expected"), [(1.4, (15, 13)), (0.7, (11, 9)), (1, (11, 9))])
def test_scaling_reads_more_than_the_patch_and_never_less(scale, expected):
    draw = Draw((11, 9), scales=(scale, scale))  # 5 and 4 voxels from the centre to the last
    assert draw.source == expected


@settings(max_examples=100, deadline=None)
@given(patch=sizes, seed=seeds, points=st.integers(5, 8), most=st.booleans())
def test_elastic_deformation_never_folds(patch, seed, points, most):
    """The determinant of the Jacobian, of scipy's derivatives, between the voxels too."""
    control = np.array(draw_elastic(np.random.default_rng(seed), patch, points, 1e9))
    if most:  # every control point as far as it may go
        for axis in range(len(patch)):
            control[axis] = np.sign(control[axis]) * np.abs(control[axis]).max()
    assert determinants(patch, control).min() > 0


def test_without_the_bound_it_would_fold():
    patch = (9, 9, 9)
    control = np.array(draw_elastic(np.random.default_rng(0), patch, 7, 1e9))
    assert np.abs(control).max() > 0.9 * UNFOLDED[3] * 8 / 4  # the bound is used to the full
    assert determinants(patch, 4 * control).min() < 0


def determinants(patch, control):
    rank, points = len(patch), control.shape[1:]
    plain = splines(patch, points, finer=4)
    slopes = splines(patch, points, derivative=True, finer=4)
    jacobian = np.stack(
        [
            spread(control, [*plain[:axis], slopes[axis], *plain[axis + 1 :]])
            for axis in range(rank)
        ],
        axis=-1,
    )
    return np.linalg.det(np.moveaxis(jacobian, 0, -2) + np.eye(rank))


def test_elastic_deformation_moves_as_far_as_asked():
    control = np.array(draw_elastic(np.random.default_rng(0), (64, 64), 7, 3.0))
    assert control.shape == (2, 7, 7)
    assert 2.5 < np.abs(control).max() <= 3
    assert not control[:, :2].any()
    assert not control[:, -2:].any()
    assert control[:, 2:-2, 2:-2].all()


# === Mirroring and quarter turns ===


@settings(max_examples=60, deadline=None)
@given(patch=sizes, seed=seeds)
def test_mirroring_and_quarter_turns_are_views_of_what_was_given(patch, seed):
    augmentation = Augmentation(**{**OFF, "mirror": 0.5, "quarter_turns": 1})
    draw = augmentation.draw(np.random.default_rng(seed), patch, 1)
    assert draw.source == patch
    given_ = region(draw)
    for seen, array in zip(draw.apply(*given_), given_, strict=True):
        if draw.turn:
            first, second, count = draw.turn
            assert patch[first] == patch[second]
            assert first != second
            assert count in (1, 2, 3)
            array = np.rot90(array, count, (first, second))
        np.testing.assert_array_equal(seen, np.flip(array, draw.mirrored))
        assert np.shares_memory(seen, array)


def test_axes_of_other_sizes_are_not_swapped_and_others_not_mirrored():
    random = np.random.default_rng(0)
    augmentation = Augmentation(quarter_turns=1, mirror_axes=(0, 2))
    draws = [augmentation.draw(random, (4, 5, 4), 1) for _ in range(50)]
    assert {draw.turn[:2] for draw in draws} == {(0, 2)}
    assert {draw.turn[2] for draw in draws} == {1, 2, 3}
    assert {axis for draw in draws for axis in draw.mirrored} == {0, 2}
    assert augmentation.draw(random, (3, 4, 5), 1).turn == ()


def test_flips_and_turns_are_monais():
    from monai.transforms import Flip, Rotate90

    image, labels, _ = region(Draw((6, 6, 5)))
    x, _, _ = Draw((6, 6, 5), turn=(0, 1, 3), mirrored=(0, 2)).apply(image, labels)
    there = Rotate90(k=3, spatial_axes=(0, 1))(np.moveaxis(image, -1, 0))
    there = Flip(spatial_axis=(0, 2))(there)
    np.testing.assert_array_equal(x, np.moveaxis(np.asarray(there), 0, -1))


@pytest.mark.parametrize(
    ("patch", "angles"),
    [
        ((13, 10), (25.0,)),
        ((9, 11, 8), (25.0, 0.0, 0.0)),
        ((9, 11, 8), (0.0, -20.0, 0.0)),
        ((9, 11, 8), (0.0, 0.0, 15.0)),
    ],
)
def test_rotation_and_scaling_are_monais(patch, angles):
    """About one axis: where there are more, MONAI begins with the last."""
    from monai.transforms import Affine

    rank = len(patch)
    image, labels, _ = region(draw := Draw(patch, angles=angles, scales=(1.2,) * rank))
    x, _, _ = draw.apply(image, labels)
    affine = Affine(
        rotate_params=[np.radians(angle) for angle in angles], scale_params=(1.2,) * rank,
        spatial_size=patch, padding_mode="border", image_only=True,
    )  # fmt: skip
    there = np.asarray(affine(np.moveaxis(image, -1, 0)))
    np.testing.assert_allclose(x, np.moveaxis(there, 0, -1), atol=1e-4)
