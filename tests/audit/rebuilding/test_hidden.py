"""Blocks that torchinfo hides by its own depth of three come back as the blocks that it shows."""

import pytest

import audit

torch = pytest.importorskip("torch")
torchinfo = pytest.importorskip("torchinfo")
nn = torch.nn


class Twice(nn.Module):
    """Two convolutions, each with a norm."""

    def __init__(self, inputs, inner, width):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(),
            nn.Conv2d(inner, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)


class Down(nn.Module):
    def __init__(self, inputs, width):
        super().__init__()
        self.layers = nn.Sequential(nn.MaxPool2d(2), Twice(inputs, width, width))

    def forward(self, x):
        return self.layers(x)


class Up(nn.Module):
    """With an upsampling the first convolution has half of the channels that it reads."""

    def __init__(self, inputs, width, grown):
        super().__init__()
        half = inputs // 2
        self.up = nn.ConvTranspose2d(inputs, half, 2, 2) if grown else nn.Upsample(scale_factor=2)
        self.twice = Twice(inputs, width if grown else half, width)

    def forward(self, x, skip):
        return self.twice(torch.cat([skip, self.up(x)], 1))


class UNet(nn.Module):
    def __init__(self, grown):
        super().__init__()
        less = 1 if grown else 2
        self.first = Twice(3, 8, 8)
        self.down1, self.down2 = Down(8, 16), Down(16, 32 // less)
        self.up1, self.up2 = Up(32, 16 // less, grown), Up(16, 8, grown)
        self.last = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        one = self.first(x)
        two = self.down1(one)
        return self.last(self.up2(self.up1(self.down2(two), two), one))


def table_of(network, **depth):
    return audit.read(str(torchinfo.summary(network, (1, 3, 64, 64), verbose=0, **depth)))


@pytest.mark.parametrize("grown", [True, False])
def test_blocks_beyond_the_third_level_are_those_of_their_class(grown):
    network = UNet(grown)
    shown, whole = table_of(network), table_of(network, depth=9)
    assert len(shown) < len(whole)
    rebuilt = audit.rebuild(shown)
    assert rebuilt.diff.same, str(rebuilt)
    assert "assumed: the layers of Twice_1_1, which give its count: Down_1_2" in str(rebuilt)
    same = audit.rebuild(whole)
    assert [(row.layer_class, row.shape, row.total) for row in audit.table(rebuilt.model)] == [
        (row.layer_class, row.shape, row.total) for row in audit.table(same.model)
    ]
    theirs = sum(each.numel() for each in network.parameters())
    assert sum(row.without_moving for row in audit.table(rebuilt.model)) == theirs


class Listed(UNet):
    """With its ways down and up in lists, which hide the pools, too."""

    def __init__(self):
        super().__init__(grown=False)
        self.down = nn.ModuleList([self.down1, self.down2])
        self.up = nn.ModuleList([self.up1, self.up2])


class Other(nn.Module):
    """The class that is shown has other layers here."""

    def __init__(self):
        super().__init__()
        self.first = Twice(3, 8, 8)
        self.deep = nn.Sequential(nn.Sequential(Twice(8, 8, 8)))
        self.deep[0][0].layers = nn.Sequential(nn.Conv2d(8, 8, 5, padding=2), nn.ReLU())

    def forward(self, x):
        return self.deep(self.first(x))


def test_blocks_that_are_not_those_that_are_shown_are_said_to_be_hidden():
    for network, count in ((Other(), "1,608"), (Listed(), "3,520")):
        with pytest.raises(ValueError, match=f"a block of {count} numbers whose layers the table"):
            audit.rebuild(table_of(network))
