"""The kept tables of the zoo are those of the networks as they are."""

import pytest

import audit
import unetzoo
from audit.sources.resolve import zoo_table
from audit.styles import STYLES
from audit.zoo import FOLDER, stored_table, stored_text

WHAT_TO_DO = "the network has changed; write the kept tables anew: python -m audit.zoo"


@pytest.mark.parametrize("name", unetzoo.list_models())
def test_a_kept_table_is_that_of_the_network(name):
    built = audit.table(unetzoo.skeleton(name))
    found = stored_table(name)
    assert found is not None, WHAT_TO_DO
    for mine, theirs in zip(found.rows, built.rows, strict=True):
        assert mine == theirs, WHAT_TO_DO
    assert found == built, WHAT_TO_DO
    assert (FOLDER / f"{name}.json").read_text() == stored_text(built), WHAT_TO_DO
    for style in STYLES:
        assert found.to_text(style) == built.to_text(style), style


def test_nothing_else_is_kept():
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == unetzoo.list_models(), WHAT_TO_DO


def test_a_table_with_arguments_is_built():
    assert zoo_table("unet2d-small", {"num_classes": 2}).total == 63_790
    assert zoo_table("unet2d-small", {}) == stored_table("unet2d_small")
    assert stored_table("unet2d_smal") is None
