"""The textbook chapter's statements in 3D and on losses, S5.17 to S5.35."""

from math import prod

from audit.analysis.cost import positions
from audit.analysis.receptive_field import receptive_field
from audit.documents.statement import (
    Finding,
    Network,
    about,
    by_convention,
    judged,
    statement,
    untestable,
)
from audit.documents.textbook_2d import stage_channels

VOXEL = (1.76, 1.76, 2.04)  # micrometres
MIB = 2**20

# === The original, 2016 ===


@statement(
    "S5.17",
    "unet3d_original",
    "3 x 132 x 132 x 116 to 3 x 44 x 44 x 28; 32 to 512; 256 + 512 joined",
)
def structure_of_original(net: Network) -> Finding:
    table = net.table()
    widths = [row.shape[-1] for row in table if row.layer_class == "Conv3D"]
    joined = [row.shape[-1] for row in table if row.layer_class == "Concatenate"]
    shapes = table.rows[0].shape[1:], table.rows[-1].shape[1:]
    expected = [32, 64, 64, 128, 128, 256, 256, 512, 256, 256, 128, 128, 64, 64, 3]
    return judged(
        widths == expected
        and joined == [768, 384, 192]
        and shapes == ((132, 132, 116, 3), (44, 44, 28, 3)),
        f"{shapes[0]} to {shapes[1]}; {widths}; joined {joined}",
        "read off the built network's rows",
    )


@statement("S5.18", "unet3d_original", "19,069,955 parameters", "confirmed_under_convention")
def count_of_original(net: Network) -> Finding:
    table = net.table()
    bare = sum(row.total for row in table if "Normalization" not in row.layer_class)
    up_biases = sum(row.shape[-1] or 0 for row in table if row.layer_class == "Conv3DTranspose")
    return by_convention(
        bare == 19_069_955,
        f"{table.without_moving:,}, {bare:,} without batch norms",
        f"batch norms not counted, and no biases in the up-convolutions ({up_biases:,} more)",
    )


@statement("S5.19", "unet3d_original", "the first level takes 132 to 124", "contradicted")
def first_level_of_original(net: Network) -> Finding:
    size = {row.name: row.shape[1] for row in net.table()}["double_conv-relu2"]
    return judged(
        size == 124, f"132 to {size}", "two unpadded 3x3x3 convolutions remove 2 voxels each"
    )


@statement(
    "S5.20", "unet3d_original", "the output sees 155 x 155 x 180 micrometres", "contradicted"
)
def field_of_original(net: Network) -> Finding:
    axes = receptive_field(net.table()).axes
    ranges = [
        f"{axis.smallest * size:.0f} to {axis.largest * size:.0f}"
        for axis, size in zip(axes, VOXEL, strict=True)
    ]
    holds = all(
        axis.smallest * size - 0.5 <= stated <= axis.largest * size + 0.5
        for axis, size, stated in zip(axes, VOXEL, (155, 155, 180), strict=True)
    )
    voxels = f"{axes[0].smallest} to {axes[0].largest}"
    return judged(
        holds,
        f"{' x '.join(ranges)} micrometres",
        f"{voxels} voxels, by position; the stated figure is 88 voxels, which the network cuts off",
    )


@statement("S5.21", "unet3d_original", "each encoder level shrinks by 4 voxels")
def levels_of_original(net: Network) -> Finding:
    rows = {row.name: row.shape[1] or 0 for row in net.table()}
    pairs = [("input", "double_conv-relu2")]
    pairs += [(f"down{n}-pool", f"down{n}-double_conv-relu2") for n in (1, 2, 3)]
    removed = [rows[before] - rows[after] for before, after in pairs]
    return judged(
        removed == [4] * 4, ", ".join(map(str, removed)), "two unpadded convolutions a level"
    )


@statement("S5.22", "unet3d_original", "trained from a few annotated slices", "untestable")
def training_of_original(net: Network) -> Finding:
    return untestable("the annotated volumes are not published")


# === The textbook 3D U-Net ===


@statement("S5.23", "unet3d_textbook", "32 to 512, linear or transposed, four poolings")
def structure_of_textbook(net: Network) -> Finding:
    linear, transposed = net.table(), net.table(upsampling="transposed")
    widest = [
        max(row.shape[-1] or 0 for row in table if row.layer_class == "Conv3D")
        for table in (linear, transposed)
    ]
    pools = sum(row.layer_class == "MaxPooling3D" for row in linear)
    return judged(
        widest == [256, 512] and pools == 4,
        f"{pools} poolings; widest {widest[0]} (linear, halved), {widest[1]} (transposed)",
        "read off the built network's rows",
    )


@statement("S5.24", "unet3d_textbook", "roughly 19 million parameters (linear)", "contradicted")
def count_of_textbook(net: Network) -> Finding:
    linear = net.table().without_moving
    transposed = net.table(upsampling="transposed").without_moving
    return judged(
        about(linear, 19e6),
        f"{linear:,}",
        f"{transposed:,} with transposed upsampling; 19 million is the original 3D U-Net's count",
    )


@statement("S5.25", "unet3d_textbook", "1 x 128 cubed in gives 3 x 128 cubed out")
def shape_of_textbook(net: Network) -> Finding:
    shape = net.table(input_shape=(128, 128, 128, 1)).rows[-1].shape
    return judged(shape == (None, 128, 128, 128, 3), shape[1:], "channels last, for any batch")


@statement(
    "S5.26", "unet3d_textbook", "roughly 1.4 GB of activations kept", "confirmed_under_convention"
)
def memory_of_textbook(net: Network) -> Finding:
    table = net.table()
    convolutions = sum(positions(row.shape) for row in table if row.layer_class == "Conv3D") * 4
    everything = sum(positions(row.shape) for row in table) * 4
    return by_convention(
        about(convolutions, 1.4e9),
        f"{convolutions / 1e9:.2f} GB",
        f"the convolutions' outputs alone; all layers' outputs are {everything / 1e9:.2f} GB",
    )


@statement("S5.27", "unet3d_textbook", "256 MB, 32 MB and 0.5 MB of float32 maps")
def maps_of_textbook(net: Network) -> Finding:
    first = net.table().rows[1].shape
    sizes = [4 * n / MIB for n in (positions(first), 4 * 128**3, 32 * 16**3)]
    return judged(
        sizes == [256, 32, 0.5], f"{sizes} MiB", "the first is the built network's first map"
    )


@statement("S5.28", "unet3d_textbook", "a padded axis of 132 goes 132, 66, 33, 16, 8")
def axis_of_textbook(net: Network) -> Finding:
    table = net.table(input_shape=(132, 132, 132, 1))
    sizes = [row.shape[1] for row in table if row.layer_class == "MaxPooling3D"]
    return judged(
        sizes == [66, 33, 16, 8],
        f"132, {str(sizes)[1:-1]}",
        "pooling drops the last voxel of an odd size",
    )


@statement(
    "S5.29", "unet3d_textbook", "stage (128 to 64, linear): 128 and 64 give 64", "contradicted"
)
def stage_of_textbook(net: Network) -> Finding:
    return stage_channels(below=128, skip=64, declared=128)


@statement("S5.30", "unet3d_textbook", "55,296 weights from 32 to 64; three times the 2D filter's")
def weights_of_textbook(net: Network) -> Finding:
    (row,) = [row for row in net.table() if row.name == "down1-double_conv-conv1"]
    ratio = prod(row.settings["kernel_size"]) / 3**2
    return judged(
        row.total == 55_296 and ratio == 3,
        f"{row.total:,}; {ratio:.0f} times",
        "27 taps against 9, without bias",
    )


@statement("S5.31", "unet3d_textbook", "an encoder stage cuts activation memory by 4")
def stage_memory_of_textbook(net: Network) -> Finding:
    rows = {row.name: positions(row.shape) for row in net.table(input_shape=(16, 16, 16, 1))}
    ratio = rows["double_conv-relu2"] / rows["down1-double_conv-relu2"]
    return judged(ratio == 4, f"{ratio:g}", "it has an eighth of the voxels and twice the channels")


# === Losses, inference, variants ===


@statement("S5.32", "unet3d_textbook", "soft Dice with eps = 1; Dice + cross-entropy as a sum")
def losses_of_textbook(net: Network) -> Finding:
    import keras
    import numpy as np

    from unetzoo.losses import DiceCrossentropy

    random = np.random.default_rng(0)
    logits = random.normal(size=(1, 4, 4, 4, 1)).astype("float32")
    labels = random.integers(0, 2, (1, 4, 4, 4))
    p, g = 1 / (1 + np.exp(-logits[..., 0])), labels
    dice = 1 - (2 * (p * g).sum() + 1) / (p.sum() + g.sum() + 1)
    crossentropy = -(g * np.log(p) + (1 - g) * np.log(1 - p)).mean()
    loss = DiceCrossentropy(activation="sigmoid", smooth=1.0)(labels, logits)
    computed = float(keras.ops.convert_to_numpy(loss))
    return judged(
        abs(computed - dice - crossentropy) < 1e-5,
        f"{computed:.4f}, by the formula {dice + crossentropy:.4f}",
        "DiceCrossentropy on random volumes against the formula written out",
    )


@statement("S5.33", "unet3d_textbook", "sliding window, 50 % overlap, Gaussian", "untestable")
def inference_of_textbook(net: Network) -> Finding:
    return untestable("this is advice on a pipeline, not a property of the network")


@statement(
    "S5.34", "unet2d_textbook", "which skip blurs borders, which loses objects", "untestable"
)
def skips_of_textbook(net: Network) -> Finding:
    return untestable("it takes a training with one skip switched off, which no table shows")


@statement("S5.35", "unet2d_textbook", "variants of the U-Net", "untestable")
def variants_of_textbook(net: Network) -> Finding:
    return untestable("it names other networks, without a figure")
