"""Ways to a published number: real ones are found, numbers that mean nothing have none."""

import random

import pytest
import torch
from torch import nn

import audit
import unetzoo
from audit.comparison import conventions

WIDTHS = (64, 128, 256, 512, 1024)


def block(inputs, outputs, middle=None, norm=True, bias=False):
    middle = middle or outputs
    for reads, width in ((inputs, middle), (middle, outputs)):
        yield nn.Conv2d(reads, width, 3, bias=bias)
        if norm:
            yield nn.BatchNorm2d(width)


def people_s(channels=3, classes=1, widths=WIDTHS, up="transposed", up_norm=False, head=1, **how):
    """A U-Net as people write it; only its layers matter here."""
    with torch.device("meta"):
        layers, reads = [], channels
        narrow = up in ("first", "second")
        for width in (*widths[:-1], widths[-1] // 2 if narrow else widths[-1]):
            layers += block(reads, width, **how)
            reads = width
        for width in widths[-2::-1]:
            below = max(width // 2, widths[0])
            if up == "transposed":
                layers.append(nn.ConvTranspose2d(2 * width, width, 2))
            elif not narrow:
                layers.append(nn.Conv2d(2 * width, width, up))
                layers += [nn.BatchNorm2d(width)] * up_norm
            out = below if narrow else width
            layers += block(2 * width, out, width if up == "second" else out, **how)
        layers += (
            [nn.Conv2d(widths[0], 2, 3), nn.Conv2d(2, classes, 1)]
            if head == "before"
            else [nn.Conv2d(widths[0], classes, head)]
        )
    return sum(parameter.numel() for layer in layers for parameter in layer.parameters())


PLAIN = {"norm": False, "bias": True}
HALF = tuple(width // 2 for width in WIDTHS)
NARROWING = "interpolation, and blocks that narrow in their {} convolution"


@pytest.mark.parametrize(
    ("how", "count", "ways"),
    [
        ({}, 31_037_633, ("norms in place of the biases of the convolutions",)),
        ({"bias": True}, 31_043_521, ("norms after the convolutions",)),
        ({"widths": HALF, **PLAIN}, 7_760_097, ("half the widths",)),
        ({"widths": HALF}, 7_763_041,
         ("half the widths", "norms in place of the biases of the convolutions")),
        ({"up": "second"}, 17_262_977,
         (NARROWING.format("second"), "norms in place of the biases of the convolutions")),
        ({"up": "first", "bias": True}, 13_395_329,
         (NARROWING.format("first"), "norms after the convolutions")),
        ({"up": 3, "up_norm": True, "bias": True}, 34_527_041,
         ("up-convolutions of 3 x 3, or interpolation and such convolutions",
          "norms after the convolutions, the up-convolutions' too")),
        ({"up": 3, "bias": True}, 34_525_121,
         ("up-convolutions of 3 x 3, or interpolation and such convolutions",
          "norms after the convolutions")),
    ],
)  # fmt: skip
def test_what_people_publish_is_found(how, count, ways):
    """Counted by PyTorch; three channels in and one class, where the zoo's has one and two."""
    assert people_s(**how) == count
    (match,) = audit.explain("unet2d_original", count=count).matches
    assert sorted(match.ways) == sorted((*ways, "3 channels in", "1 class"))


def test_other_heads_are_found():
    wide = people_s(1, 2, head=3, **PLAIN)
    assert wide == 31_031_682
    assert audit.explain("unet2d_original", count=wide).matches[0].ways == ("a 3 x 3 head",)
    before = people_s(1, 1, head="before", **PLAIN)
    assert before == 31_031_685
    (match,) = audit.explain("unet2d_original", count=before).matches
    assert match.ways == ("1 class", "a 3 x 3 convolution of 2 channels before the head")


@pytest.mark.parametrize("name", ["unet2d_textbook", "unet2d_small", "unet3d_90m", "vnet"])
def test_numbers_that_mean_nothing_are_not_explained(name):
    """At most one in a hundred, by the rule; `python benchmarks/chance.py` measures it."""
    rng = random.Random(1)
    total = audit.table(name).total
    numbers = [rng.randrange(total // 2, 2 * total) for _ in range(200)]
    assert sum(bool(audit.explain(name, count=number).matches) for number in numbers) <= 2


def test_a_way_that_chance_gives_too_easily_is_left_out():
    """Five changes to a small network give many of the numbers around."""
    ways, totals = conventions._every_way("unet2d_small")
    simpler = set(totals[4])
    count = next(n for words, n in ways if n not in simpler and n > 50_000)
    search = audit.explain("unet2d_small", count=count)
    assert search.matches == ()
    assert search.doubtful > 0
    assert "with so many changes that chance may" in str(search)


def test_heads_at_every_level_are_tried():
    found = audit.explain("plain_unet", count=31_195_594)
    assert [match.ways for match in found.matches] == [("a head at every level",)]


@pytest.mark.parametrize(
    ("name", "count", "simplest"),
    [
        ("unet3d_original", 19_069_955, ("norms not counted",)),
        ("unet3d_90m", 90_309_763, ()),
        ("unet3d_19m", 19_077_636, ("moving statistics counted",)),
        ("unet2d_original", 31_030_593, ("1 class",)),
    ],
)
def test_the_simplest_way_to_a_number(name, count, simplest):
    search = audit.explain(name, count=count)
    assert search.matches[0].ways == simplest
    lengths = [len(match.ways) for match in search.matches]
    assert lengths == sorted(lengths)


def test_a_number_of_what_is_no_network_of_the_zoo():
    for first in (unetzoo.skeleton("unet2d_small"), audit.table("unet2d_small"), 5):
        with pytest.raises(
            ValueError, match=r"first network .*: expected an id of the zoo, because"
        ) as error:
            audit.explain(first, count=63_972)
        assert len(str(error.value)) < 200
    with pytest.raises(ValueError, match="network 'unet': expected a name of the zoo"):
        audit.explain("unet", count=5)


def test_a_number_that_nothing_gives():
    search = audit.explain("unet2d_textbook", count=7_700_000)
    assert search.matches == ()
    assert search.tried > 100
    assert str(search).endswith("  none")


def test_an_optimizer_in_keras_3s_total():
    trainable = unetzoo.card("unet2d_small").trainable_params
    search = audit.explain("unet2d_small", count=3 * trainable + 328 + 2)
    assert search.matches[0].ways == ("moving statistics counted", "Adam's variables counted")
