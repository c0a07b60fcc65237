"""The planner's rules against nnU-Net's own planners, and against what these gave."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import GOLDEN

from unetzoo.pipeline.settings import Settings
from unetzoo.planning import Fingerprint, plan
from unetzoo.planning.rules import budget
from unetzoo.planning.topology import estimate, topology

PRINTED = json.loads((GOLDEN / "nnunet_plans.json").read_text())
PICTURES = 999.0  # mm, what nnU-Net calls the spacing between pictures


def fingerprint_of(data):
    """Of a data set of tests/scripts/nnunet_plans.py; pictures have two axes here."""
    cases = range(data["cases"])
    rows = [[data[kind][n % len(data[kind])] for n in cases] for kind in ("spacings", "shapes")]
    if rows[0][0][0] == PICTURES:
        rows = [[row[1:] for row in kind] for kind in rows]
    return Fingerprint(*rows, data["num_channels"], data["num_classes"])


def numbers(one, order):
    """A configuration as nnU-Net prints it, with the axes in its order."""

    def sorted_axes(row):
        return [row[axis] for axis in order]

    return {
        "spacing": sorted_axes(one.spacing),
        "median_shape": sorted_axes(one.median_shape),
        "patch": sorted_axes(one.patch),
        "batch_size": one.batch_size,
        "batch_dice": one.batch_dice,
        "estimate": one.estimate,
        "features": list(one.features),
        "kernels": [sorted_axes(row) for row in one.kernels],
        "strides": [sorted_axes(row) for row in one.strides],
    }


def id_of(case):
    return f"{case['dataset']}-{case['planner']}-{case['memory_gb']}"


@pytest.mark.parametrize("case", PRINTED["plans"], ids=id_of)
def test_a_plan_equals_nnunets_own(case):
    network = "plain_unet" if case["planner"] == "ExperimentPlanner" else "residual_unet"
    fingerprint = fingerprint_of(PRINTED["datasets"][case["dataset"]])
    found = plan(fingerprint, case["memory_gb"], network).configurations
    order = case["transpose_forward"]
    expected = case["configurations"]
    assert {
        name: numbers(one, (0, 1) if name == "2d" else order) for name, one in found.items()
    } == expected
    assert found["2d"].perpendicular == (order[0] if fingerprint.rank == 3 else None)


def test_the_printed_plans_cover_the_rules():
    """Or the test above says little."""
    plans = PRINTED["plans"]
    names = [name for case in plans for name in case["configurations"]]
    assert (len(PRINTED["datasets"]), len(plans)) == (46, 214)
    assert {name: names.count(name) for name in set(names)} == {
        "2d": 214, "3d_fullres": 184, "3d_lowres": 40,
    }  # fmt: skip
    first = {case["transpose_forward"][0] for case in plans}
    budgets = {(case["planner"], case["memory_gb"]) for case in plans}
    assert (first, len(budgets)) == ({0, 1, 2}, 12)
    full = [case["configurations"].get("3d_fullres", {}) for case in plans]
    assert {len(one["strides"]) for one in full if one} == {1, 2, 4, 5, 6, 7}
    halves = [one for one in full if any(size % 1 for size in one.get("median_shape", []))]
    assert halves  # medians of an even number of cases


# === Measured on nnU-Net 2.8.1 ===

MEASURED = [
    ((1, 1, 1), (36, 50, 35), 260, 1, 3, (40, 56, 40), 9, (3, 3, 3), (56, 40), 366),
    ((1, 1, 1), (138, 169, 138), 484, 4, 4, (128, 128, 128), 2, (5, 5, 5), (192, 160), 105),
    ((1.37, 1.25, 1.25), (115, 320, 232), 20, 1, 2, (80, 192, 160), 2, (4, 5, 5), (320, 256), 40),
]  # fmt: skip


@pytest.mark.parametrize("row", MEASURED, ids=["hippocampus", "brats", "heart"])
def test_the_plans_that_pipeline_md_gives(row):
    spacing, shape, cases, channels, classes, patch, batch, pools, flat, flat_batch = row
    found = plan(Fingerprint([spacing] * cases, [shape] * cases, channels, classes)).configurations
    assert set(found) == {"2d", "3d_fullres"}
    full, plane = found["3d_fullres"], found["2d"]
    assert (full.patch, full.batch_size, full.pools) == (patch, batch, pools)
    assert (plane.patch, plane.batch_size) == (flat, flat_batch)


def test_the_estimates_that_pipeline_md_gives():
    cube = topology((1.0, 1.0, 1.0), (128, 128, 128))
    assert (len(cube.features), estimate("plain_unet", cube, 2)) == (6, 450_699_264)
    small = topology((1.0, 1.0, 1.0), (40, 56, 40))
    assert (len(small.features), estimate("plain_unet", small, 3)) == (4, 19_174_400)
    heads = sum(3 * (128 // 2**stage) ** 3 for stage in (1, 2, 3, 4))  # of deep supervision
    assert estimate("residual_unet", cube, 3) + heads == 558_319_104  # nnU-Net's, in its planners


def test_between_the_residual_sizes_the_reference_grows_with_the_memory():
    """As nnU-Net's planner of the size below does, given that memory."""
    at = {gb: budget("residual_unet", gb).reference[3] for gb in (4, 8, 16, 23.9, 24, 32, 40, 80)}
    assert at == {
        4: 340e6, 8: 680e6, 16: 1360e6, 23.9: pytest.approx(2031.5e6), 24: 2100e6, 32: 2800e6,
        40: 3600e6, 80: 7200e6,
    }  # fmt: skip


# === What no planner is made for ===


def test_single_slices_are_planned_in_2d_whichever_axis_is_across():
    for axis in range(3):
        spacing, shape = [1.0] * 3, [200] * 3
        shape[axis] = 1
        found = plan(Fingerprint([spacing] * 4, [shape] * 4, 1, 2)).configurations
        assert list(found) == ["2d"]
        assert (found["2d"].perpendicular, found["2d"].patch) == (axis, (224, 224))


def test_axes_keep_their_places():
    """Three data sets that differ in the order of their axes have plans that do too."""
    spacing, shape = (5.0, 0.7, 0.8), (30, 400, 300)
    results = []
    for order in [(0, 1, 2), (1, 0, 2), (1, 2, 0)]:
        turned = [tuple(row[axis] for axis in order) for row in (spacing, shape)]
        found = plan(Fingerprint([turned[0]] * 9, [turned[1]] * 9, 1, 2)).configurations
        assert found["2d"].perpendicular == order.index(0)
        back = [order.index(axis) for axis in range(3)]
        results.append((found["2d"].patch, numbers(found["3d_fullres"], back)))
    assert results[0] == results[1] == results[2]


def test_spacings_that_differ_by_fifty_times_have_a_plan():
    found = plan(Fingerprint([(1, 1, 1), (50, 50, 50)], [(100, 100, 100)] * 2, 1, 2))
    assert found.configurations["3d_fullres"].spacing == (25.5, 25.5, 25.5)
    with pytest.raises(ValueError, match=r"spacing 1 x 1 x 5000 mm: expected no axis more than"):
        plan(Fingerprint([(1, 1, 5000)], [(100, 100, 100)], 1, 2))


def test_pictures_are_not_slices():
    """The finer spacing of few thick slices is for volumes."""
    found = plan(Fingerprint([(2, 0.5), (6, 0.5), (8, 0.5)], [(20, 200)] * 3, 1, 2))
    assert found.configurations["2d"].spacing == (6, 0.5)


def test_a_fingerprint_checks_itself():
    good = {"spacings": [(1, 1, 2)], "shapes": [(9, 9, 9)], "num_channels": 1, "num_classes": 2}
    nan = float("nan")
    for key, value, expected in [
        ("spacings", [], "0 spacings and 1 shape: expected one of each for every case"),
        ("spacings", [(1, 1, 1)] * 2, "2 spacings and 1 shape: expected"),
        ("spacings", [(1, 1, 0)], r"spacings\[0\] \(1, 1, 0\): expected 2 or 3 numbers, mm"),
        ("spacings", [(1, nan, 1)], r"spacings\[0\] \(1, nan, 1\): expected"),
        ("spacings", [(1, 1, float("inf"))], r"spacings\[0\] .*inf"),
        ("spacings", [(True, 1, 1)], r"spacings\[0\] \(True, 1, 1\): expected"),
        ("spacings", [("1", 1, 1)], r"spacings\[0\] "),
        ("spacings", [(1,)], r"spacings\[0\] \(1,\): expected 2 or 3"),
        ("spacings", [(1, 1)], "cases of 2 axes and of 3: expected"),
        ("spacings", 3, "spacings 3: expected one row of numbers for each case"),
        ("shapes", [(9, 0, 9)], r"shapes\[0\] \(9, 0, 9\): expected 2 or 3 whole numbers"),
        ("shapes", [(9, 1.5, 9)], r"shapes\[0\] "),
        ("shapes", [(9, 9, 9, 9)], r"shapes\[0\] \(9, 9, 9, 9\): expected 2 or 3"),
        ("num_channels", 0, "num_channels 0: expected a whole number of at least 1"),
        ("num_channels", True, "num_channels True: expected"),
        ("num_classes", 1, "num_classes 1: expected a whole number of at least 2"),
    ]:
        with pytest.raises(ValueError, match=f"^{expected}"):
            Fingerprint(**{**good, key: value})
    with pytest.raises(ValueError, match=r"0 spacings and 0 shapes: .* at least one case"):
        Fingerprint([], [], 1, 2)
    one = Fingerprint(**good)
    with pytest.raises(ValueError, match="network 'unet': expected plain_unet or residual_unet"):
        plan(one, 8, "unet")
    for memory in (0, -1, nan, float("inf"), True, "8"):
        with pytest.raises(ValueError, match=r"memory_gb .*: expected a positive number"):
            plan(one, memory)
    with pytest.raises(ValueError, match="memory_gb 1e-09: too little for any patch"):
        plan(one, 1e-9)


@st.composite
def any_fingerprint(draw):
    rank = draw(st.sampled_from([2, 3]))
    cases = draw(st.integers(1, 4))
    spacing = st.tuples(*[st.floats(0.02, 20)] * rank)
    shape = st.tuples(*[st.integers(1, 2000)] * rank)
    rows = [draw(st.lists(of, min_size=cases, max_size=cases)) for of in (spacing, shape)]
    return Fingerprint(*rows, draw(st.integers(1, 4)), draw(st.integers(2, 30)))


@settings(max_examples=60, deadline=None)
@given(any_fingerprint(), st.floats(0.05, 100), st.sampled_from(["plain_unet", "residual_unet"]))
def test_whatever_is_planned_can_be_built(fingerprint, memory, network):
    """Configurations check themselves: what is left to look at is what they are for."""
    allowed = budget(network, memory)
    for name, one in plan(fingerprint, memory, network).configurations.items():
        rank = len(one.patch)
        fits = allowed.reference[rank] * allowed.batch[rank] / allowed.at_batch[rank]
        assert one.estimate <= fits
        deepest = [n // 2**pools for n, pools in zip(one.patch, one.pools, strict=True)]
        assert all(n >= 4 or not pools for n, pools in zip(deepest, one.pools, strict=True))
        assert one.batch_size >= 2
        assert rank == int(name[0])
        stages = topology(one.spacing, one.patch)
        assert (stages.patch, stages.strides) == (one.patch, one.strides)


def test_numbers_of_numpy_are_numbers():
    shapes = np.array([(64, 60, 40)] * 3)
    found = plan(Fingerprint(np.ones((3, 3)), shapes, np.int64(2), np.int64(4)))
    assert (found.num_channels, found.num_classes) == (2, 4)
    assert type(found.num_classes) is int


def test_a_plan_of_one_stage_cannot_be_trained():
    found = plan(Fingerprint([(1.0, 1.0, 1.0)] * 3, [(7, 6, 5)] * 3, 1, 2))
    with pytest.raises(ValueError, match=r"\(7, 6, 5\) of 3d_fullres: too small to be halved"):
        Settings.from_plan(found, data="d")


def test_a_configuration_that_cannot_be_trained_is_marked_and_not_chosen():
    found = plan(Fingerprint([(5, 1, 1)] * 9, [(20, 7, 7)] * 9, 1, 2))
    (line,) = [line for line in str(found).splitlines() if line.startswith("cannot be trained")]
    assert line.split(None, 3)[3] == "too small to be halved"
    assert Settings.from_plan(found, data="d").patch == (20, 7, 7)
    fine = plan(Fingerprint([(1, 1, 5)] * 9, [(64, 64, 12)] * 9, 1, 2))
    assert "cannot be trained" not in str(fine)
    one = fine.configurations["3d_fullres"]
    flat = dataclasses.replace(
        one, features=one.features[:1], kernels=one.kernels[:1], strides=one.strides[:1]
    )
    mixed = dataclasses.replace(fine, configurations={**fine.configurations, "3d_fullres": flat})
    assert Settings.from_plan(mixed, data="d") == Settings.from_plan(fine, "2d", data="d")
    with pytest.raises(ValueError, match="of 3d_fullres: too small to be halved"):
        Settings.from_plan(mixed, "3d_fullres", data="d")
