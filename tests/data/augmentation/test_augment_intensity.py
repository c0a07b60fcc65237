"""Intensity transforms against scipy, PyTorch and MONAI, each of whole images and by themselves."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from unetzoo.data.augmentation import Draw

sizes = st.one_of(*(st.tuples(*[st.integers(1, 9)] * rank) for rank in (2, 3)))
seeds = st.integers(0, 2**32)


def image(patch=(9, 8, 7), seed=0, channels=1):
    return np.random.default_rng(seed).gamma(2, 1, (*patch, channels)).astype("float32")


def changed(values, **parameters):
    """The image, with one draw applied."""
    draw = Draw(values.shape[:-1], **parameters)
    x, _, _ = draw.apply(values, np.zeros(draw.patch, int))
    return x


def by_monai(transform, values):
    return np.moveaxis(np.asarray(transform(np.moveaxis(values, -1, 0))), 0, -1)


@settings(max_examples=60, deadline=None)
@given(patch=sizes, seed=seeds, sigma=st.floats(0.3, 3))
def test_blur_is_scipys(patch, seed, sigma):
    values = image(patch, seed)
    expected = ndimage.gaussian_filter(values[..., 0].astype(float), sigma, mode="nearest")
    np.testing.assert_allclose(changed(values, blur=(sigma,))[..., 0], expected, atol=1e-4)


def test_blur_is_monais_within_the_border():
    """Beyond it MONAI has zeros."""
    from monai.transforms import GaussianSmooth

    values, inner = image((20, 20, 20)), (slice(5, -5),) * 3
    there = by_monai(GaussianSmooth(0.9, approx="sampled"), values)
    np.testing.assert_allclose(changed(values, blur=(0.9,))[inner], there[inner], rtol=2e-3)


@settings(max_examples=60, deadline=None)
@given(patch=sizes, seed=seeds, share=st.floats(0.05, 0.99))
def test_low_resolution_is_pytorchs_nearest_and_linear(patch, seed, share):
    """As batchgeneratorsv2 and MONAI do it; an axis keeps one voxel at least."""
    values = image(patch, seed)
    tensor = torch.from_numpy(values[..., 0].copy())[None, None]
    few = [max(round(size * share), 1) for size in patch]
    coarse = torch.nn.functional.interpolate(tensor, few, mode="nearest-exact")
    mode = {2: "bilinear", 3: "trilinear"}[len(patch)]
    expected = torch.nn.functional.interpolate(coarse, patch, mode=mode, align_corners=False)
    seen = changed(values, low_resolution=((share,) * len(patch),))
    np.testing.assert_allclose(seen[..., 0], expected[0, 0].numpy(), atol=1e-4)


def test_low_resolution_leaves_an_axis_alone():
    values = image((6, 9, 8))
    seen = changed(values, low_resolution=((1.0, 0.5, 0.5),))
    plane = changed(values[2], low_resolution=((0.5, 0.5),))
    np.testing.assert_array_equal(seen[2], plane)


@settings(max_examples=30, deadline=None)
@given(patch=sizes, seed=seeds, factor=st.floats(0.75, 1.25))
def test_brightness_and_contrast_are_monais(patch, seed, factor):
    from monai.transforms import ScaleIntensity, ScaleIntensityFixedMean

    values = image(patch, seed)
    brighter = by_monai(ScaleIntensity(minv=None, maxv=None, factor=factor - 1), values)
    np.testing.assert_allclose(changed(values, brightness=(factor,)), brighter, rtol=1e-5)
    stretched = by_monai(ScaleIntensityFixedMean(factor - 1, preserve_range=True), values)
    seen = changed(values, contrast=(factor,))
    np.testing.assert_allclose(seen, stretched, atol=1e-4)
    assert seen.min() >= values.min()
    assert seen.max() <= values.max()


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("exponent", [0.7, 1.0, 1.5])
def test_gamma_is_monais_and_keeps_mean_and_deviation(exponent, inverted):
    from monai.transforms import AdjustContrast

    values = image()
    name = "inverted_gamma" if inverted else "gamma"
    seen = changed(values, **{name: (exponent,)})
    there = AdjustContrast(exponent, invert_image=inverted, retain_stats=True)
    np.testing.assert_allclose(seen, by_monai(there, values), atol=1e-4)
    assert seen.mean() == pytest.approx(values.mean(), rel=1e-4)
    assert seen.std() == pytest.approx(values.std(), rel=1e-4)
    assert (exponent == 1) == np.allclose(seen, values, atol=1e-4)


def test_each_channel_has_its_own():
    values = image(channels=3)
    parameters = {
        "blur": (0.5, 0.8, 1.0),
        "brightness": (0.8, 1.0, 1.2),
        "contrast": (1.2, 0.9, 0.8),
        "low_resolution": ((0.5,) * 3, (0.7,) * 3, (0.9,) * 3),
        "inverted_gamma": (1.4, 0.9, 0.8),
        "gamma": (0.8, 1.1, 1.3),
    }
    together = changed(values, **parameters)
    for channel in range(3):
        alone = values[..., channel : channel + 1]
        for name, own in parameters.items():  # in nnU-Net's order, one after the other
            alone = changed(alone, **{name: (own[channel],)})
        np.testing.assert_allclose(together[..., channel], alone[..., 0], rtol=1e-4, atol=1e-4)
