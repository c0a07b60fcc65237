"""Every layer class of the zoo is known to each of the auditor's tables."""

import inspect
from itertools import cycle

import keras
import pytest
import torch
from small_networks import VARIANTS, arguments

import audit
import unetzoo
from audit.analysis.formulas import FORMULAS
from audit.analysis.receptive_field import RULES
from audit.analysis.saved_tensors import SAVED
from audit.formats.pytorch import class_name, keras_class
from audit.kinds import FUNCTIONS, KINDS, POINTWISE
from unetzoo.utils.arguments import NONLINEARITIES, NORMS, UPSAMPLINGS

OURS = {name for name in unetzoo.layers.__all__ if inspect.isclass(getattr(unetzoo.layers, name))}
PARAMETERS = {"PositionEmbeddings"}  # in PyTorch a bare Parameter, no module
CHOICES = [  # each norm, nonlinearity and upsampling, with any of the others
    {"norm": norm, "nonlinearity": nonlinearity, "upsampling": upsampling}
    for norm, nonlinearity, upsampling in zip(
        NORMS, cycle(NONLINEARITIES), cycle(UPSAMPLINGS), strict=False
    )
] + [{"dropout": 0.2, "activation": "softmax", "deep_supervision": True}]


@pytest.fixture(scope="module")
def rows():
    """All rows of the networks as they are, and of the small ones with every choice."""
    tables = [audit.table(name) for name in unetzoo.list_models()]
    for name in VARIANTS:
        for rank in unetzoo.card(name).ranks:
            for choice in CHOICES:
                network = unetzoo.skeleton(name, **{**arguments(name, rank), **choice})
                tables.append(audit.table(network))
    open_sizes = unetzoo.skeleton("unet2d_small", input_shape=(None, None, 3))
    return [row for table in (*tables, audit.table(open_sizes)) for row in table]


TABLES = {"cost": FORMULAS, "memory": SAVED, "receptive field": {*RULES, *POINTWISE}}


@pytest.mark.parametrize("table", TABLES)
def test_each_class_has_a_rule(table, rows):
    assert {row.layer_class for row in rows} - set(TABLES[table]) == set()


def test_each_class_is_keras_own_or_ours(rows):
    assert {row.layer_class for row in rows} <= {*KINDS, *OURS}
    missing = {name for name in KINDS if not hasattr(keras.layers, name)}
    assert not missing & {row.layer_class for row in rows}


def test_each_class_is_a_module_or_a_function_of_pytorch(rows):
    modules = [row for row in rows if row.layer_class not in FUNCTIONS | PARAMETERS]
    assert {name for row in modules if not hasattr(torch.nn, name := class_name(row))} == set()
    kinds = {row.layer_class for row in modules if row.layer_class != "Activation"}
    back = {keras_class(class_name(row)) for row in modules}
    assert {kind for kind in kinds if not kind.startswith("SpatialDropout")} <= back


def test_the_networks_have_every_layer_of_ours(rows):
    seen = {row.layer_class for row in rows} | {row.settings.get("class") for row in rows}
    assert OURS - seen == set()
