"""Plain PyTorch twins of the nine documented U-Nets, written from the documents alone.

Numbers such as S1.3 are statements of the documents. `TWINS[id]()` gives the documented network;
every twin takes the keywords `in_channels` and `num_classes`. Maps are channels first, and a skip
stands first in every concatenation. The dropout rates are not documented (S1.4, S3.2).
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
UP_CONV = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
LINEAR = {2: "bilinear", 3: "trilinear"}
DROPOUT = 0.1


def pad_to(x, skip):
    """Zero pad x to the size of skip: diff // 2 before, the rest after (S1.3, S5.14)."""
    pads = []
    for axis in range(x.ndim - 1, 1, -1):  # F.pad starts at the last axis
        diff = skip.shape[axis] - x.shape[axis]
        pads += [diff // 2, diff - diff // 2]
    return F.pad(x, pads)


def crop_to(skip, x):
    """Crop the centre of skip to the size of x, from diff // 2 on (S5.3)."""
    for axis in range(2, x.ndim):
        size = x.shape[axis]
        skip = skip.narrow(axis, (skip.shape[axis] - size) // 2, size)
    return skip


def slice_to(skip, x):
    """Slice skip to the size of x, from the first voxel on (S3.2)."""
    return skip[..., : x.shape[2], : x.shape[3], : x.shape[4]]


class DoubleConv(nn.Module):
    """Twice: convolution of 3, batch norm (or none), ReLU (S5.1, S5.8, S5.17)."""

    def __init__(self, dims, inputs, middle, outputs, padding=1, bias=True, norm=True):
        super().__init__()
        for i, (before, after) in enumerate(pairwise([inputs, middle, outputs]), 1):
            self.add_module(f"conv{i}", CONV[dims](before, after, 3, padding=padding, bias=bias))
            if norm:
                self.add_module(f"norm{i}", NORM[dims](after))
            self.add_module(f"relu{i}", nn.ReLU())

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class Down(nn.Module):
    """Max-pool of 2 and a double convolution."""

    def __init__(self, dims, inputs, middle, outputs, **options):
        super().__init__()
        self.pool = POOL[dims](2)
        self.double_conv = DoubleConv(dims, inputs, middle, outputs, **options)

    def forward(self, x):
        return self.double_conv(self.pool(x))


class Up(nn.Module):
    """Upsampling by 2, concatenation with the skip, and a double convolution.

    `upsampling`: "transposed" halves the channels (with bias), "same" keeps them (transposed,
    no bias: S5.17), "linear" interpolates with aligned corners (S5.8). The skip is cropped to the
    decoder's map, or that map is padded to the skip.
    """

    def __init__(self, dims, below, skip, outputs, upsampling, crop, **options):
        super().__init__()
        self.mode, self.crop = LINEAR[dims], crop
        width = below // 2 if upsampling == "transposed" else below
        self.up = None
        if upsampling != "linear":
            self.up = UP_CONV[dims](below, width, 2, stride=2, bias=upsampling == "transposed")
        self.double_conv = DoubleConv(dims, skip + width, outputs, outputs, **options)

    def forward(self, x, skip):
        if self.up is None:
            x = F.interpolate(x, scale_factor=2, mode=self.mode, align_corners=True)
        else:
            x = self.up(x)
        pair = [crop_to(skip, x), x] if self.crop else [skip, pad_to(x, skip)]
        return self.double_conv(torch.cat(pair, 1))


class Out(nn.Module):
    """The last convolution, of size 1."""

    def __init__(self, dims, inputs, outputs):
        super().__init__()
        self.conv = CONV[dims](inputs, outputs, 1)

    def forward(self, x):
        return self.conv(x)


class UNet(nn.Module):
    """What the 90.3M network and the textbook chapter's four share.

    `encoder` holds the output widths from the first level to the bottleneck, `decoder` those on
    the way up. With `half_first` an encoder level's first convolution has half its output width.
    `dropout_after` names the levels that end in channel dropout; a skip is taken after it.
    """

    def __init__(
        self, dims, in_channels, num_classes, encoder, decoder, *,
        upsampling="transposed", crop=False, half_first=False, dropout_after=(), **options,
    ):  # fmt: skip
        super().__init__()
        first = [width // 2 if half_first else width for width in encoder]
        self.depth = len(decoder)
        self.double_conv = DoubleConv(dims, in_channels, first[0], encoder[0], **options)
        for i in range(1, self.depth + 1):
            down = Down(dims, encoder[i - 1], first[i], encoder[i], **options)
            self.add_module(f"down{i}", down)
        for i, (below, width) in enumerate(pairwise([encoder[-1], *decoder]), 1):
            up = Up(dims, below, encoder[-1 - i], width, upsampling, crop, **options)
            self.add_module(f"up{i}", up)
        self.out = Out(dims, decoder[-1], num_classes)
        self.dropout_of = {level: f"dropout{i}" for i, level in enumerate(dropout_after, 1)}
        for name in self.dropout_of.values():
            self.add_module(name, nn.Dropout3d(DROPOUT))

    def level(self, name, *maps):
        """Run a level, and its dropout where it has one."""
        x = self.get_submodule(name)(*maps)
        return self.get_submodule(self.dropout_of[name])(x) if name in self.dropout_of else x

    def forward(self, x):
        maps = [self.double_conv(x)]
        for i in range(1, self.depth + 1):
            maps.append(self.level(f"down{i}", maps[-1]))
        x = maps.pop()
        for i in range(1, self.depth + 1):
            x = self.level(f"up{i}", x, maps.pop())
        return self.out(x)


class UNet3d90M(UNet):
    """The 90.3M 3D U-Net (S1.1 to S1.4)."""

    def __init__(self, in_channels=4, num_classes=3):
        encoder, decoder = [64, 128, 256, 512, 1024], [512, 256, 128, 64]
        dropped = ("down1", "down3", "up1", "up3")
        super().__init__(3, in_channels, num_classes, encoder, decoder, dropout_after=dropped)


class UNet2dOriginal(UNet):
    """The U-Net of 2015: unpadded, no batch norm, skips cropped (S5.1 to S5.4)."""

    def __init__(self, in_channels=1, num_classes=2):
        encoder, decoder = [64, 128, 256, 512, 1024], [512, 256, 128, 64]
        options = {"crop": True, "padding": 0, "norm": False}
        super().__init__(2, in_channels, num_classes, encoder, decoder, **options)


class UNet3dOriginal(UNet):
    """The 3D U-Net of 2016: unpadded, channels doubled before each pooling (S5.17, S5.18)."""

    def __init__(self, in_channels=3, num_classes=3):
        encoder, decoder = [64, 128, 256, 512], [256, 128, 64]
        options = {"upsampling": "same", "crop": True, "half_first": True, "padding": 0}
        super().__init__(3, in_channels, num_classes, encoder, decoder, **options)


class TextbookUNet(UNet):
    """Padded convolutions without bias (S5.8); linear upsampling halves the bottleneck.

    With "transposed" the up-convolution takes the map from below, of `in` channels, to in / 2:
    the evident intention behind S5.11.
    """

    def __init__(self, dims, in_channels, num_classes, base, upsampling):
        encoder = [base * 2**i for i in range(5)]
        decoder = encoder[-2::-1]
        if upsampling == "linear":
            encoder[-1] //= 2
            decoder = [width // 2 for width in decoder[:-1]] + [base]
        options = {"upsampling": upsampling, "bias": False}
        super().__init__(dims, in_channels, num_classes, encoder, decoder, **options)


class UNet2dTextbook(TextbookUNet):
    """The textbook 2D U-Net (S5.8 to S5.14)."""

    def __init__(self, in_channels=1, num_classes=1, upsampling="linear"):
        super().__init__(2, in_channels, num_classes, 64, upsampling)


class UNet3dTextbook(TextbookUNet):
    """The textbook 3D U-Net (S5.23 to S5.29)."""

    def __init__(self, in_channels=1, num_classes=3, upsampling="linear"):
        super().__init__(3, in_channels, num_classes, 32, upsampling)


def conv_norm_relu(dims, *widths, pool=False, inplace=False):
    """A Sequential of convolution, batch norm and ReLU for each step of the widths."""
    layers = [POOL[dims](2)] if pool else []
    for before, after in pairwise(widths):
        layers.append(CONV[dims](before, after, 3, padding=1))
        layers += [NORM[dims](after), nn.ReLU(inplace)]
    return nn.Sequential(*layers)


class UNet3d2M5(nn.Module):
    """The 2.5M 3D U-Net (S2.1 to S2.3); upsampling is a function, "nearest" or "linear"."""

    def __init__(self, in_channels=1, num_classes=1, interpolation="nearest"):
        super().__init__()
        self.mode = {"nearest": "nearest", "linear": "trilinear"}[interpolation]
        for i, (before, width) in enumerate(pairwise([in_channels, 16, 32, 64, 128]), 1):
            self.add_module(f"enc{i}", conv_norm_relu(3, before, width, width))
            self.add_module(f"pool{i}", nn.MaxPool3d(2))
        self.bottleneck = conv_norm_relu(3, 128, 128, 128)
        for i, both, width in (4, 256, 64), (3, 128, 32), (2, 64, 16), (1, 32, 16):
            self.add_module(f"dec{i}", conv_norm_relu(3, both, width, width))
        self.conv = nn.Conv3d(16, num_classes, 1)

    def forward(self, x):
        skips = []
        for i in 1, 2, 3, 4:
            skips.append(self.get_submodule(f"enc{i}")(x))
            x = self.get_submodule(f"pool{i}")(skips[-1])
        x = self.bottleneck(x)
        for i in 4, 3, 2, 1:
            skip = skips.pop()
            x = F.interpolate(x, scale_factor=2, mode=self.mode)  # corners are not aligned
            x = self.get_submodule(f"dec{i}")(torch.cat([skip, pad_to(x, skip)], 1))
        return self.conv(x)


class UNet3d19M(nn.Module):
    """The 19.1M Keras 3D U-Net (S3.1, S3.2), with the layer names of its table."""

    CONVS = (  # name, input channels (None: the network's), output channels
        ("conv_0_1", None, 32), ("conv_0_2", 32, 64), ("conv_1_1", 64, 64), ("conv_1_2", 64, 128),
        ("conv_2_1", 128, 128), ("conv_2_2", 128, 256), ("conv_3_1", 256, 256),
        ("conv_3_2", 256, 512), ("conv_2_3", 768, 256), ("conv_2_4", 256, 256),
        ("conv_1_3", 384, 128), ("conv_1_4", 128, 128), ("conv_0_3", 192, 64), ("conv_0_4", 64, 64),
    )  # fmt: skip
    UPS = (("up_conv_3_2", 512, 2), ("up_conv_2_1", 256, 1), ("conv_1_0", 128, 0))

    def __init__(self, in_channels=1, num_classes=4):
        super().__init__()
        self.norm_of = {}
        for i, (name, inputs, outputs) in enumerate(self.CONVS):
            self.norm_of[name] = f"batch_normalization_{i}" if i else "batch_normalization"
            self.add_module(name, nn.Conv3d(inputs or in_channels, outputs, 3, padding=1))
            # Keras's constants; its momentum of 0.99 is 0.01 here
            norm = nn.BatchNorm3d(outputs, eps=1e-3, momentum=0.01)
            self.add_module(self.norm_of[name], norm)
            if name[-1] in "24" and name != "conv_0_2":
                self.add_module(f"{name}_dropout", nn.Dropout(DROPOUT))
        for name, width, _ in self.UPS:
            self.add_module(name, nn.ConvTranspose3d(width, width, 2, stride=2, bias=False))
        self.conv_out = nn.Conv3d(64, num_classes, 1)

    def block(self, x, *names):
        """The named convolutions, each with its batch norm, ReLU and, if it has one, dropout."""
        for name in names:
            x = F.relu(self.get_submodule(self.norm_of[name])(self.get_submodule(name)(x)))
            if hasattr(self, f"{name}_dropout"):
                x = self.get_submodule(f"{name}_dropout")(x)
        return x

    def forward(self, x):
        maps = [self.block(x, "conv_0_1", "conv_0_2")]
        for i in 1, 2, 3:
            maps.append(self.block(F.max_pool3d(maps[-1], 2), f"conv_{i}_1", f"conv_{i}_2"))
        x = maps.pop()
        for name, _, i in self.UPS:
            x = self.get_submodule(name)(x)
            x = torch.cat([slice_to(maps.pop(), x), x], 1)
            x = self.block(x, f"conv_{i}_3", f"conv_{i}_4")
        return self.conv_out(x)


def up_conv(inputs, outputs):
    """The up-convolution of UNetSmall: it doubles the size (S4.1)."""
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


class UNetSmall(nn.Module):
    """UNetSmall (S4.1); its modules are registered in the order of the published structure."""

    def __init__(self, in_channels=3, num_classes=32, widths=(4, 8, 32, 64), last=16):
        super().__init__()
        a, b, c, d = widths
        self.enc1 = conv_norm_relu(2, in_channels, a, inplace=True)
        self.enc2 = conv_norm_relu(2, a, b, pool=True, inplace=True)
        self.enc3 = conv_norm_relu(2, b, c, pool=True, inplace=True)
        self.bneck = conv_norm_relu(2, c, d, pool=True, inplace=True)
        for i, below, width, outputs in (3, d, c, c), (2, c, b, b), (1, b, a, last):
            self.add_module(f"upconv{i}", up_conv(below, width))
            self.add_module(f"dec{i}", conv_norm_relu(2, 2 * width, outputs, inplace=True))
        self.conv = nn.Conv2d(last, num_classes, 1)

    def body(self, x):
        """From enc1 to dec1."""
        skips = [self.enc1(x)]
        skips += [self.enc2(skips[0])]
        skips += [self.enc3(skips[1])]
        x = self.bneck(skips[2])
        for i in 3, 2, 1:
            skip = skips.pop()
            x = pad_to(self.get_submodule(f"upconv{i}")(x), skip)
            x = self.get_submodule(f"dec{i}")(torch.cat([skip, x], 1))
        return x

    def forward(self, x):
        return self.conv(self.body(x))


class UNet2dLarge(UNetSmall):
    """UNetLarge (S4.2), in UNetSmall's manner where the document is silent (S4.3)."""

    def __init__(self, in_channels=3, num_classes=256):
        super().__init__(32, num_classes, widths=(8, 28, 56, 112), last=48)
        for i, (before, after) in enumerate(pairwise([in_channels, 64, 64, 32])):
            self.add_module(f"prep{i}", conv_norm_relu(2, before, after, inplace=True))
        self.dec0 = conv_norm_relu(2, 48, 64, inplace=True)
        for i in 1, 2, 3:
            self.add_module(f"conv_p{i}", conv_norm_relu(2, 64, 64, inplace=True))
        self.conv = nn.Conv2d(64, num_classes, 1)

    def forward(self, x):
        x = self.body(self.prep2(self.prep1(self.prep0(x))))
        return self.conv(self.conv_p3(self.conv_p2(self.conv_p1(self.dec0(x)))))


TWINS = {
    "unet3d_90m": UNet3d90M,
    "unet3d_2_5m": UNet3d2M5,
    "unet3d_19m": UNet3d19M,
    "unet2d_small": UNetSmall,
    "unet2d_large": UNet2dLarge,
    "unet2d_original": UNet2dOriginal,
    "unet2d_textbook": UNet2dTextbook,
    "unet3d_original": UNet3dOriginal,
    "unet3d_textbook": UNet3dTextbook,
}

# Two small sizes for each network, one of them odd where the network allows it.
SIZES = {
    "unet2d_large": [(16, 24), (19, 13)],
    "unet2d_original": [(188, 188), (204, 188)],
    "unet2d_small": [(32, 16), (19, 29)],
    "unet2d_textbook": [(32, 16), (19, 29)],
    "unet3d_19m": [(16, 16, 8), (17, 19, 23)],
    "unet3d_2_5m": [(16, 32, 16), (17, 23, 31)],
    "unet3d_90m": [(16, 32, 16), (17, 19, 25)],
    "unet3d_original": [(92, 92, 92), (100, 92, 92)],
    "unet3d_textbook": [(16, 32, 16), (17, 23, 19)],
}
