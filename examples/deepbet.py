"""A published network with its published weights: deepbet, which finds the brain in an MR scan.

    pip install --no-deps deepbet==1.0.2
    python examples/deepbet.py                                nilearn's template, and its Dice
    python examples/deepbet.py HEAD.nii.gz -o MASK.nii.gz     a scan of your own
    python examples/deepbet.py --save box.keras               then: python -m audit table box.keras

deepbet (MIT) carries two trained networks as TorchScript. The first finds the brain's box in the
whole scan, the second its mask in the box. Here both are built in Keras and given the weights of
its files; PyTorch and deepbet's own code are not used.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import keras
import nibabel
import numpy as np
from scipy import ndimage

import unetzoo
from unetzoo import blocks
from unetzoo.utils.sizes import Sizes

SIZES = Sizes(smallest=32, step=32)
CARD = unetzoo.Card(
    name="linknet3d",
    source="deepbet 1.0.2, data/models/bbox_model.pt and model.pt: LinkNet3d, as TorchScript",
    input_shape=(128, 128, 128, 1),
    ranks=(3,),
    num_classes=2,
    sizes=SIZES,
    trainable_params=2_126_258,
    total_params=2_126_258,
    stated="all of it: the archives hold each operation with its numbers, and 2,126,258 parameters "
    "in 38 tensors; the two networks are the same, with other weights",
    assumed=(),
)
NAMES = {  # our layers, and deepbet's modules
    "init-conv": "init.0",
    "down{n}-block{m}-conv1": "down{n}.block{m}.double_conv.0",
    "down{n}-block{m}-conv2": "down{n}.block{m}.double_conv.3",
    "down{n}-block{m}-shortcut": "down{n}.block{m}.downsample.0",
    "up{n}-conv1": "up{n}.conv1.0",
    "up{n}-up": "up{n}.tp_conv.0",
    "up{n}-conv2": "up{n}.conv2.0",
    "last-up": "tp_conv1.0",
    "last-conv": "conv.0",
    "head": "tp_conv2",
}
FILES = {"box": "bbox_model.pt", "mask": "model.pt"}
GRIDS = {"box": (128, 128, 128), "mask": (256, 256, 256)}  # voxels that each network sees
MARGIN = 0.1  # around the brain's box, of its size, on each side


# === The network ===


def network(
    input_shape: Sequence[int | None] = CARD.input_shape, name: str = CARD.name
) -> keras.Model:
    """LinkNet in 3D: residual stages down, narrow ones up, skips that are added.

    Args:
        input_shape: ``(D, H, W, 1)``; sizes are multiples of 32, or None.

    Returns: a ``keras.Model`` from ``(B, D, H, W, 1)`` to ``(B, D, H, W, 2)``, the probabilities of
        background and brain.
    """
    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder: half the size by a convolution, a quarter by pooling, then three stages
    x = blocks.strided_conv(x, 16, 7, 2, bias=False, name="init-conv")
    x = norm_relu(x, name="init")
    x = blocks.zero_pad(x, 1, name="init-pad")  # as good as PyTorch's -inf: nothing is below 0
    x = blocks.max_pool(x, size=3, name="init-pool")
    skips = []
    for number, filters in enumerate((16, 32, 64, 128)):
        skips.append(x)
        x = residual(x, filters, 1 if number == 0 else 2, name=f"down{number}-block1")
        x = residual(x, filters, 1, name=f"down{number}-block2")

    # Decoder: the skip of a level is what its stage down was given
    for number, filters in enumerate((64, 32, 16, 16)):
        x = narrow(x, filters, 1 if number == 3 else 2, name=f"up{number}")
        x = keras.layers.Add(name=f"up{number}-add")([x, skips.pop()])

    # From a quarter of the size to the whole
    x = norm_relu(larger(x, 8, 2, bias=True, name="last-up"), name="last-up")
    x = norm_relu(blocks.conv(x, 8, name="last-conv"), name="last-conv")
    x = blocks.up_conv(x, CARD.num_classes, name="head")
    outputs = keras.layers.Softmax(name="probabilities")(x)
    return keras.Model(inputs, outputs, name=name)


def norm_relu(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    return blocks.relu(norm(x, name=name), name=f"{name}-relu")


def norm(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """Instance norm without weights."""
    return keras.layers.GroupNormalization(
        -1, epsilon=1e-5, center=False, scale=False, name=f"{name}-norm"
    )(x)


def residual(x: keras.KerasTensor, filters: int, stride: int, *, name: str) -> keras.KerasTensor:
    """Two convolutions, to which x is added; with a stride, x by a convolution of size 1."""
    shortcut = x
    if stride > 1:
        shortcut = blocks.strided_conv(x, filters, 1, stride, bias=False, name=f"{name}-shortcut")
        shortcut = norm(shortcut, name=f"{name}-shortcut")
    x = blocks.strided_conv(x, filters, 3, stride, bias=False, name=f"{name}-conv1")
    x = norm_relu(x, name=f"{name}-conv1")
    x = norm(blocks.conv(x, filters, bias=False, name=f"{name}-conv2"), name=f"{name}-conv2")
    return blocks.relu(keras.layers.Add(name=f"{name}-add")([x, shortcut]), name=f"{name}-relu")


def narrow(x: keras.KerasTensor, filters: int, stride: int, *, name: str) -> keras.KerasTensor:
    """A quarter of the channels, enlarged, then the level's."""
    quarter = x.shape[-1] // 4
    x = blocks.conv(x, quarter, 1, bias=False, name=f"{name}-conv1")
    x = norm_relu(x, name=f"{name}-conv1")
    x = larger(x, quarter, stride, bias=False, name=f"{name}-up")
    x = norm_relu(x, name=f"{name}-up")
    x = blocks.conv(x, filters, 1, bias=False, name=f"{name}-conv2")
    return norm_relu(x, name=f"{name}-conv2")


def larger(
    x: keras.KerasTensor, filters: int, stride: int, *, bias: bool, name: str
) -> keras.KerasTensor:
    """A transposed convolution of 3 x 3 x 3 as PyTorch aligns it: padding 1, output padding 1.

    All of it is computed, and cut at its beginning; with stride 1 at its end, too.
    """
    x = keras.layers.Conv3DTranspose(
        filters, 3, stride, data_format="channels_last", use_bias=bias, name=name
    )(x)
    cut = (1, 0) if stride > 1 else (1, 1)
    return keras.layers.Cropping3D((cut,) * 3, data_format="channels_last", name=f"{name}-cut")(x)


# === Its weights ===


def weights_file(which: str) -> Path:
    """The file of the network of the "box" or of the "mask".

    Raises: ValueError where deepbet is not installed.
    """
    try:
        found = metadata.distribution("deepbet").locate_file(f"data/models/{FILES[which]}")
    except metadata.PackageNotFoundError as error:
        raise ValueError(
            "deepbet is not installed; run: pip install --no-deps deepbet==1.0.2"
        ) from error
    return Path(str(found))


def trained(which: str) -> keras.Model:
    """The network of the "box" or of the "mask" with deepbet's weights."""
    model = network((*GRIDS[which], 1))
    return unetzoo.load_weights(model, weights_file(which), names=NAMES)


# === A scan ===


def brain(scan: np.ndarray, box: keras.Model, mask: keras.Model) -> np.ndarray:
    """Where the brain is: deepbet's ``BrainExtraction``, at its threshold of 0.5.

    Args:
        scan: ``(X, Y, Z)``, in the order right, anterior, superior.
        box: network that sees the whole scan.
        mask: network that sees what is in the brain's box.

    Returns: bool, of the scan's shape.
    """
    scan = np.nan_to_num(scan).astype("float32")
    whole = nearest(scan, GRIDS["box"])
    low, high = np.quantile(whole, (0.005, 0.995))
    rough = largest(probability(box, whole, low, high) > 0.5)
    inside = box_around(rough, scan.shape)
    close = probability(mask, nearest(scan[inside], GRIDS["mask"]), low, high)
    found = nearest(close, scan[inside].shape) > 0.5
    result = np.zeros(scan.shape, bool)
    result[inside] = ndimage.binary_fill_holes(largest(found))
    return result


def probability(model: keras.Model, x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Of brain, where the network is given a scan whose values are spread from low to high."""
    x = np.clip((x - low) / (high - low), 0, 1)
    x = 0.226 * (x - x.mean()) / x.std(ddof=1) + 0.449
    return keras.ops.convert_to_numpy(model(x[None, ..., None]))[0, ..., 1]


def nearest(x: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """PyTorch's ``interpolate(mode="nearest-exact")``: the voxel at each new one's center."""
    at = [
        ((np.arange(after, dtype="float32") + 0.5) * np.float32(before / after)).astype(int)
        for before, after in zip(x.shape, sizes, strict=True)
    ]
    return x[np.ix_(*(np.minimum(a, before - 1) for a, before in zip(at, x.shape, strict=True)))]


def largest(mask: np.ndarray) -> np.ndarray:
    """The largest part of a mask whose voxels touch, be it by a corner."""
    parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    return parts == np.bincount(parts[parts > 0], minlength=2).argmax()


def box_around(mask: np.ndarray, shape: Sequence[int]) -> tuple[slice, ...]:
    """The mask's box with a margin, in the voxels of a scan of that shape."""
    box = []
    for axis, (before, after) in enumerate(zip(mask.shape, shape, strict=True)):
        others = tuple({0, 1, 2} - {axis})
        inside = np.flatnonzero(mask.mean(others) > 0.02)
        first, end = inside.min(), inside.max() + 1
        center = np.round((first + end) / 2 * after / before)
        size = np.round((1 + 2 * MARGIN) * (end - first) * after / before)
        box.append(slice(max(0, int(center - size / 2)), min(after, int(center + size / 2))))
    return tuple(box)


# === The program ===


def main() -> None:
    words = argparse.ArgumentParser(description="Find the brain with deepbet's networks, in Keras.")
    words.add_argument("scan", nargs="?", help="NIfTI; without one, nilearn's template")
    words.add_argument("-o", "--out", help="where the mask is written, NIfTI")
    words.add_argument("--save", metavar="FILE", help="only save the network of the box, as .keras")
    given = words.parse_args()
    box = trained("box")
    if given.save:
        box.save(given.save)
        return
    print(CARD)
    image = nibabel.as_closest_canonical(nibabel.load(given.scan) if given.scan else template())
    found = brain(image.get_fdata(dtype="float32"), box, trained("mask"))
    print(f"brain: {found.sum() * np.prod(image.header.get_zooms()[:3]) / 1000:.0f} ml")
    if not given.scan:
        print(f"Dice with nilearn's mask: {dice(found, template_mask()):.3f}")
    if given.out:
        nibabel.save(nibabel.Nifti1Image(found.astype("uint8"), image.affine), given.out)


def template() -> nibabel.Nifti1Image:
    """nilearn's MNI152 template at 2 mm, without its skull."""
    from nilearn import datasets

    return datasets.load_mni152_template(resolution=2)


def template_mask() -> np.ndarray:
    """nilearn's mask of the template's brain."""
    from nilearn import datasets

    return datasets.load_mni152_brain_mask(resolution=2).get_fdata() > 0


def dice(left: np.ndarray, right: np.ndarray) -> float:
    return 2 * float((left & right).sum()) / float(left.sum() + right.sum())


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
