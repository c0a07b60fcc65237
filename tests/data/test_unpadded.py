"""Networks that give fewer voxels than they take: their patches, and a run of one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_cases import case
from small_runs import losses

from unetzoo.data.datasets.inputs import cases_of
from unetzoo.data.patches import PatchDataset, mirrored
from unetzoo.data.synthetic import write_dataset
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.prediction import predict_cases
from unetzoo.pipeline.run import Settings
from unetzoo.pipeline.trainer import train
from unetzoo.training.history import read_history


@given(size=st.integers(2, 9), before=st.integers(0, 40), after=st.integers(0, 40))
def test_places_are_mirrored_as_numpy_pads(size, before, after):
    expected = np.pad(np.arange(size), (before, after), "reflect")
    np.testing.assert_array_equal(mirrored(np.arange(-before, size + after), size), expected)


def test_an_axis_of_one_voxel_is_that_voxel_everywhere():
    assert not mirrored(np.arange(-3, 4), 1).any()


SIZES = st.sampled_from([2, 3]).flatmap(
    lambda rank: st.lists(
        st.tuples(st.integers(6, 9), st.integers(1, 6), st.integers(0, 7)),
        min_size=rank,
        max_size=rank,
    )
)


@settings(max_examples=40, deadline=None)
@given(axes=SIZES, weighted=st.booleans())
def test_the_output_lies_in_the_volume_and_the_context_is_mirrored(axes, weighted):
    size, output, context = zip(*axes, strict=True)
    context = (max(context[0], 1), *context[1:])
    patch = tuple(o + 2 * c for o, c in zip(output, context, strict=True))
    sample = case(size)
    data = [sample if weighted else sample[:2]]
    x, y, *w = PatchDataset(data, patch=patch, output=output, batch_size=4)[3]
    assert (x.shape, y.shape) == ((4, *patch, 1), (4, *output))
    around = np.pad(sample.image[..., 0], [(c, c) for c in context], "reflect")
    for number, image in enumerate(x[..., 0]):
        centre = tuple(slice(c, c + o) for c, o in zip(context, output, strict=True))
        first = image[centre].flat[0]
        place = np.argwhere(sample.image[..., 0] == first)[0]
        window = tuple(slice(at, at + n) for at, n in zip(place, patch, strict=True))
        np.testing.assert_array_equal(image, around[window])
        inside = tuple(slice(at, at + n) for at, n in zip(place, output, strict=True))
        np.testing.assert_array_equal(y[number], sample.labels[inside])
        if weighted:
            np.testing.assert_allclose(w[0][number], sample.weight[inside])
    assert len(w) == weighted


def test_outputs_are_centred_on_foreground():
    labels = np.zeros((40, 40), int)
    labels[33, 7] = 1
    sample = (labels[..., None].astype("float32"), labels)
    data = PatchDataset([sample], patch=(25, 25), output=(5, 5), batch_size=8, foreground=1)
    x, y = data[0]
    assert (y[:, 2, 2] == 1).all()
    assert (x[:, 12, 12] == 1).all()


@pytest.mark.parametrize("output", [(4,), (9, 8), (7, 8), (10, 10)])
def test_an_output_that_is_not_the_patchs_centre_is_refused(output):
    with pytest.raises(ValueError, match=r"output .*, patch \(8, 8\): expected as many sizes"):
        PatchDataset([case((8, 8))], patch=(8, 8), output=output, batch_size=1)


@pytest.mark.slow
def test_the_network_of_2015_is_trained_validated_and_applied(tmp_path):
    write_dataset(tmp_path / "data", 5, (48, 41), layout="pictures")
    settings = Settings(
        str(tmp_path / "data"), "unet2d_original", (204, 204), epochs=2, steps=3, batch_size=1
    )
    train(settings, tmp_path / "run")
    assert [np.isfinite(loss) for loss in losses(tmp_path / "run")] == [True, True]
    assert 0 <= read_history(tmp_path / "run")[-1]["val_dice"] <= 1
    predictor = load_predictor(tmp_path / "run")
    cases = cases_of([next((tmp_path / "data" / "images").iterdir())], predictor.run.channels)
    done = predict_cases(predictor, cases, tmp_path / "masks")
    assert len(done.written) == 1
