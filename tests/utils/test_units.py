"""Which calls of a network are computed again together."""

from unetzoo.utils.units import Call, units


def test_a_unit_ends_with_a_convolution_or_a_skip():
    calls = [
        Call("conv1", (), 8, True),
        Call("norm1", ("conv1",), 8, False),
        Call("relu1", ("norm1",), 8, False),  # read by the join as well
        Call("pool", ("relu1",), 2, False),
        Call("conv2", ("pool",), 2, True),
        Call("relu2", ("conv2",), 2, False),
        Call("up", ("relu2",), 8, True),
        Call("join", ("relu1", "up"), 16, False),
        Call("conv3", ("join",), 8, True),
        Call("relu3", ("conv3",), 8, False),
    ]
    expected = [["norm1", "relu1"], ["pool", "conv2"], ["relu2", "up"], ["join", "conv3"]]
    assert units(calls, "activations") == expected


def test_an_activation_before_a_skip_keeps_its_map_alone():
    calls = [
        Call("conv1", (), 8, True),
        Call("relu1", ("conv1",), 8, False),
        Call("conv2", ("relu1",), 8, True),
        Call("join", ("relu1", "conv2"), 16, False),
        Call("conv3", ("join",), 8, True),
    ]
    assert units(calls, "activations") == [["join", "conv3"]]


def test_a_skip_that_others_wait_for_ends_no_unit():
    """Or the map of relu2 would be kept for the convolution after it."""
    calls = [
        Call("conv1", (), 8, True),
        Call("relu1", ("conv1",), 8, False),
        Call("conv2", ("relu1",), 8, True),
        Call("relu2", ("conv2",), 8, False),
        Call("crop", ("relu1",), 8, False),
        Call("up", ("relu2",), 8, True),
        Call("join", ("crop", "up"), 16, False),
        Call("head", ("join",), 2, True),
    ]
    assert units(calls, "activations") == [["relu2", "crop", "up"], ["join", "head"]]
