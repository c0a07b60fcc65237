"""Which calls of a network are computed again together."""

from unetzoo.utils.units import Call, is_heavy, part_kept, units


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


def test_convolutions_of_an_image_and_large_maps_are_cheap():
    cheap = {
        "image": ("Conv3D", 27 * 4 * 32, 4, 32, (1, 1, 1)),
        "up": ("Conv3DTranspose", 8 * 64 * 32, 64, 32, (2, 2, 2)),
        "norm": ("BatchNormalization", 0, 64, 64, None),
    }
    dear = {
        "map": ("Conv3D", 27 * 32 * 64, 32, 64, (1, 1, 1)),
        "narrow": ("Conv2D", 9 * 8 * 8, 8, 8, (1, 1)),  # or such a network would be one unit
        "halving": ("Conv3D", 27 * 4 * 16, 4, 16, (2, 2, 2)),
        "head": ("Conv3D", 32 * 2, 32, 2, (1, 1, 1)),
        "deep up": ("Conv3DTranspose", 8 * 320 * 256, 320, 256, (2, 2, 2)),
        "dense": ("Dense", 64 * 64, 64, 64, None),
    }
    assert [name for name, layer in (cheap | dear).items() if is_heavy(*layer)] == [*dear]


def test_part_of_the_maps_that_is_kept():
    """By hand: of ten maps the first three convolutions', and those of the last unit."""
    calls = [Call("conv1", (), 8, True)]
    for number in (1, 2, 3):
        calls += [
            Call(f"norm{number}", (calls[-1].key,), 8, False),
            Call(f"relu{number}", (f"norm{number}",), 8, False),
            Call(f"conv{number + 1}", (f"relu{number}",), 8, True),
        ]
    assert part_kept(calls) == (3 * 8 + 3 * 8) / (10 * 8)


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
