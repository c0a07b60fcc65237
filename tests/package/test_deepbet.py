"""The example of a published network: with deepbet's weights it gives deepbet's result."""

import subprocess
import sys
from importlib import metadata

import deepbet as example  # of examples/; the package of that name is never imported
import keras
import nibabel
import numpy as np
import pytest
import torch
from commands import command
from torch import nn
from torch_weights import assert_same_logits, channels_first, channels_last, noise

import audit
import unetzoo
from unetzoo.interop import read_state_dict


def installed():
    try:
        return metadata.version("deepbet") == "1.0.2"
    except metadata.PackageNotFoundError:
        return False


needs_deepbet = pytest.mark.skipif(not installed(), reason="deepbet 1.0.2 is not installed")


# === A network of the same modules, in PyTorch ===


def unit(inputs, width, size, stride=1, *, transposed=False, bias=False):
    """Convolution, instance norm without weights, ReLU."""
    step = {"stride": stride, "padding": size // 2, "bias": bias}
    if transposed:
        conv = nn.ConvTranspose3d(inputs, width, size, output_padding=stride - 1, **step)
    else:
        conv = nn.Conv3d(inputs, width, size, **step)
    return [conv, nn.InstanceNorm3d(width), nn.ReLU()]


class Block(nn.Module):
    def __init__(self, inputs, width, stride=1):
        super().__init__()
        self.double_conv = nn.Sequential(
            *unit(inputs, width, 3, stride), *unit(width, width, 3)[:2]
        )
        if stride > 1:
            self.downsample = nn.Sequential(*unit(inputs, width, 1, stride)[:2])

    def forward(self, x):
        shortcut = self.downsample(x) if hasattr(self, "downsample") else x
        return torch.relu(self.double_conv(x) + shortcut)


class Down(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.block1, self.block2 = Block(inputs, width, stride), Block(width, width)

    def forward(self, x):
        return self.block2(self.block1(x))


class Up(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        quarter = inputs // 4
        self.conv1 = nn.Sequential(*unit(inputs, quarter, 1))
        self.tp_conv = nn.Sequential(*unit(quarter, quarter, 3, stride, transposed=True))
        self.conv2 = nn.Sequential(*unit(quarter, width, 1))

    def forward(self, x):
        return self.conv2(self.tp_conv(self.conv1(x)))


class LinkNet3d(nn.Module):
    """Its modules and its operations are those of the code in deepbet's archives."""

    def __init__(self):
        super().__init__()
        self.init = nn.Sequential(*unit(1, 16, 7, 2), nn.MaxPool3d(3, 2, 1))
        widths = (16, 16, 32, 64, 128)
        for n in range(4):
            self.add_module(f"down{n}", Down(widths[n], widths[n + 1], 1 if n == 0 else 2))
            self.add_module(f"up{n}", Up(widths[4 - n], widths[3 - n], 1 if n == 3 else 2))
        self.tp_conv1 = nn.Sequential(*unit(16, 8, 3, 2, transposed=True, bias=True))
        self.conv = nn.Sequential(*unit(8, 8, 3, bias=True))
        self.tp_conv2 = nn.ConvTranspose3d(8, 2, 2, 2)

    def logits(self, x):
        skips = [self.init(x)]
        for n in range(4):
            skips.append(self.get_submodule(f"down{n}")(skips[-1]))
        x = skips.pop()
        for n in range(4):
            x = self.get_submodule(f"up{n}")(x) + skips.pop()
        return self.tp_conv2(self.conv(self.tp_conv1(x)))

    def forward(self, x):
        return torch.softmax(self.logits(x), 1)


@pytest.fixture(scope="module")
def twin():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return LinkNet3d().eval()


def logits_of(model):
    """The same network up to its head."""
    return keras.Model(model.input, model.get_layer("head").output)


def test_the_network_is_the_torchscript_archives(twin, tmp_path):
    """Traced and saved as deepbet has saved its own."""
    torch.jit.save(torch.jit.trace(twin, torch.zeros(1, 1, 64, 64, 64)), tmp_path / "net.pt")
    model = example.network((None, None, None, 1))
    unetzoo.load_weights(model, tmp_path / "net.pt", names=example.NAMES)
    assert_same_logits(twin.logits, logits_of(model), [(64, 96, 32)])
    x = noise(1, 32, 64, 64, 1)
    with torch.no_grad():
        expected = channels_last(twin(channels_first(x)))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(x)), expected, atol=1e-4)


def test_the_card_is_the_audits_and_the_twins_counts(twin):
    table = audit.table(example.network())
    held = sum(value.numel() for value in twin.state_dict().values())
    assert table.total == table.trainable == held == example.CARD.trainable_params
    assert table.rows[-1].shape == (None, 128, 128, 128, 2)
    assert "2,126,258" in str(example.CARD)


def test_voxels_are_chosen_as_pytorch_does():
    x = noise(37, 50, 256)
    for sizes in ((128, 128, 128), (256, 21, 300), (37, 50, 256)):
        expected = nn.functional.interpolate(
            torch.tensor(x)[None, None], sizes, mode="nearest-exact"
        )
        np.testing.assert_array_equal(example.nearest(x, sizes), expected[0, 0].numpy())


def test_the_largest_part_and_its_box():
    mask = np.zeros((20, 20, 20), bool)
    mask[2:12, 4:14, 6:16] = True
    mask[12, 14, 16] = True  # touches by a corner
    scattered = mask.copy()
    scattered[17:19, 17:19, 17:19] = True
    np.testing.assert_array_equal(example.largest(scattered), mask)
    assert example.box_around(mask, (40, 20, 10)) == (slice(2, 26), slice(3, 15), slice(3, 9))


def test_without_deepbet_it_says_what_to_install(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    with pytest.raises(ValueError, match=r"deepbet is not installed; run: pip install --no-deps"):
        example.weights_file("box")


# === deepbet's own files ===


def logits_in_torch(net, x):
    """What the archive's ``forward`` does before its softmax; it hands one ReLU to every module."""
    relu = getattr(net.conv, "2")
    skips = [net.init.forward(relu, x)]
    for down in (net.down0, net.down1, net.down2, net.down3):
        skips.append(down.forward(relu, skips[-1]))
    x = skips.pop()
    for up in (net.up0, net.up1, net.up2, net.up3):
        x = up.forward(relu, x) + skips.pop()
    return net.tp_conv2(net.conv.forward(net.tp_conv1.forward(relu, x)))


@pytest.mark.slow
@needs_deepbet
@pytest.mark.parametrize("which", ["box", "mask"])
def test_published_weights_give_the_published_logits(which):
    """On nilearn's template, at 128 x 128 x 128."""
    model = example.trained(which)
    held = read_state_dict(example.weights_file(which))
    assert sum(array.size for array in held.values()) == model.count_params() == 2_126_258
    if which == "mask":
        model = example.network()
        unetzoo.load_weights(model, example.weights_file(which), names=example.NAMES)
    scan = example.nearest(example.template().get_fdata(dtype="float32"), (128, 128, 128))
    x = (0.226 * (scan - scan.mean()) / scan.std() + 0.449)[None, ..., None]
    net = torch.jit.load(example.weights_file(which)).eval()
    with torch.no_grad():
        theirs = logits_in_torch(net, channels_first(x))
        probabilities = net(channels_first(x))
    torch.testing.assert_close(torch.softmax(theirs, 1), probabilities)
    expected = channels_last(theirs)
    found = keras.ops.convert_to_numpy(logits_of(model)(x))
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    alike = (found[..., 1] > found[..., 0]) == (expected[..., 1] > expected[..., 0])
    assert alike.mean() > 0.99999


@pytest.mark.slow
@needs_deepbet
def test_the_saved_network_is_audited(tmp_path):
    path = tmp_path / "box.keras"
    done = subprocess.run([sys.executable, example.__file__, "--save", path], capture_output=True)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    last = command("unetzoo-audit", "table", path).stdout.splitlines()[-1]
    assert last.startswith("linknet3d: 2,126,258 parameters, 2,126,258 trainable")


@pytest.mark.slow
@needs_deepbet
def test_the_template_gives_its_brain(tmp_path):
    """The box's network alone, and the program."""
    scan, mask = example.template().get_fdata(dtype="float32"), example.template_mask()
    whole = example.nearest(scan, (128, 128, 128))
    low, high = np.quantile(whole, (0.005, 0.995))
    found = example.probability(example.trained("box"), whole, low, high) > 0.5
    assert example.dice(found, example.nearest(mask, found.shape)) == pytest.approx(0.98, abs=0.005)
    words = [sys.executable, example.__file__, "-o", str(tmp_path / "mask.nii.gz")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Dice with nilearn's mask: 0.979"
    written = nibabel.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(written.affine, example.template().affine)
    assert example.dice(written.get_fdata() > 0, mask) == pytest.approx(0.979, abs=0.001)
