"""Cases that are made, and prepared in a folder."""

import numpy as np
from brains import SCHEME, brain, save_case

from unetzoo.data.preprocessing import cache
from unetzoo.data.preprocessing.normalization import ZScore
from unetzoo.data.preprocessing.preparation import Preparation

PREPARATION = Preparation((1.0, 2.0, 1.0), (ZScore(),))


def made(folder, name="case", seed=0, weighted=False):
    """A case with an ignored voxel, in files of its own."""
    image, labels = brain(seed=seed)
    labels[5, 4, 4] = 9
    weight = labels / 2 + 1.0 if weighted else None
    folder.mkdir(exist_ok=True)
    return save_case(folder, name, image, labels, weight=weight)


def prepared(cases, folder, preparation=PREPARATION, scheme=SCHEME, **options):
    return cache.prepare_cases(cases, scheme, preparation, folder, **options)


def assert_same(found, expected):
    for one, other in zip(found.sample[:3], expected.sample[:3], strict=True):
        np.testing.assert_array_equal(one, other)
    assert found.key == expected.key
    assert found.grid == expected.grid
