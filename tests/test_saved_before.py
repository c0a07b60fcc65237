"""Networks, runs and plans that were saved before the modules moved are read as ever.

``printed/saved_before/`` was written by ``printed/saved_before/save.py`` at commit 295f17b.
"""

import keras
import numpy as np
import pytest
from places import GOLDEN

import unetzoo

SAVED = GOLDEN / "saved_before"


@pytest.mark.parametrize("path", sorted(SAVED.glob("*.keras")), ids=lambda path: path.stem)
@pytest.mark.parametrize("load", [unetzoo.load_model, keras.models.load_model])
def test_a_network_has_its_logits_and_its_loss(path, load):
    model, kept = load(path), np.load(path.with_suffix(".npz"))
    logits = model.predict(kept["image"], verbose=0)
    np.testing.assert_allclose(logits, kept["logits"], atol=1e-5)
    loss = model.evaluate(kept["image"], kept["labels"], verbose=0)[0]
    np.testing.assert_allclose(loss, kept["loss"], rtol=1e-4)
    model.train_on_batch(kept["image"], kept["labels"])
