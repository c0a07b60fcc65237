"""The textbook chapter's statements S5.1 to S5.16: in 2D, and padding and up-blocks."""

from typing import Any

from audit.analysis.cost import cost
from audit.analysis.receptive_field import receptive_field
from audit.documents.statement import Finding, Network, about, judged, statement, untestable
from audit.tables import Table


def sizes_of(table: Table, classes: tuple[str, ...]) -> list[int | None]:
    """The first spatial size after each layer of these classes."""
    return [row.shape[1] for row in table if row.layer_class.startswith(classes)]


def stage_channels(below: int, skip: int, declared: int) -> Finding:
    """The verdict on a published decoder stage with linear upsampling, by its channels."""
    received = below + skip
    return judged(
        received == declared,
        f"the convolution is declared for {declared} channels and receives {received}",
        f"linear upsampling keeps {below} channels and the skip adds {skip}, so it cannot run as "
        "published",
    )


# === The original, 2015 ===


@statement(
    "S5.1", "unet2d_original", "1 x 572 x 572 to 2 x 388 x 388; 64 to 1024; 3x3 unpadded, 2x2 up"
)
def structure_of_original(net: Network) -> Finding:
    table = net.table()
    convolutions = [row for row in table if row.layer_class == "Conv2D"]
    widths = [row.shape[-1] for row in convolutions][:10:2]
    shapes = (table.rows[0].shape, table.rows[-1].shape)
    plain = all(row.settings["padding"] == "valid" for row in convolutions[:-1])
    norms = [row for row in table if "Normalization" in row.layer_class]
    holds = shapes == ((None, 572, 572, 1), (None, 388, 388, 2)) and plain and not norms
    return judged(
        holds and widths == [64, 128, 256, 512, 1024],
        f"{shapes[0][1:]} to {shapes[1][1:]}; {widths}",
        "read off the built network's rows",
    )


@statement(
    "S5.2", "unet2d_original",
    "568, 284, 280, 140, 136, 68, 64, 32; bottleneck 28; 52, 100, 196, 388",
)  # fmt: skip
def sizes_of_original(net: Network) -> Finding:
    rows = {row.name: row.shape[1] for row in net.table()}
    levels = ["double_conv", "down1-double_conv", "down2-double_conv", "down3-double_conv"]
    down = [
        rows[name]
        for n, level in enumerate(levels, 1)
        for name in (f"{level}-relu2", f"down{n}-pool")
    ]
    bottleneck = rows["down4-double_conv-relu2"]
    up = [rows[f"up{n}-double_conv-relu2"] for n in (1, 2, 3, 4)]
    sizes = [*down, bottleneck, *up]
    return judged(
        sizes == [568, 284, 280, 140, 136, 68, 64, 32, 28, 52, 100, 196, 388],
        ", ".join(map(str, sizes)),
        "each pair of unpadded 3x3 convolutions removes 4 pixels, and each pooling halves the size",
    )


@statement(
    "S5.3", "unet2d_original", "crops 64 to 52, 136 to 100, 280 to 196, 568 to 388", "contradicted"
)
def crops_of_original(net: Network) -> Finding:
    rows = {f"{row.name}[0][0]": row for row in net.table()}
    crops = [row for row in rows.values() if row.layer_class == "CropToMatch"]
    sizes = [(rows[row.inputs[0]].shape[1], row.shape[1]) for row in crops]
    outputs = ", ".join(str((size or 0) - 4) for _, size in sizes)
    return judged(
        sizes == [(64, 52), (136, 100), (280, 196), (568, 388)],
        ", ".join(f"{before} to {after}" for before, after in sizes),
        f"a skip is cropped to the up-convolution's size; {outputs} are the levels' outputs",
    )


@statement("S5.4", "unet2d_original", "about 31 million parameters")
def count_of_original(net: Network) -> Finding:
    count = net.table().without_moving
    return judged(about(count, 31e6), f"{count:,}", "with 1 channel in, 2 classes and all biases")


@statement(
    "S5.5", "unet2d_original", "the decoder costs roughly half of the encoder", "contradicted"
)
def decoder_of_original(net: Network) -> Finding:
    parts = cost(net.table()).by_part()
    macs = [parts[part][0] for part in ("encoder", "bottleneck", "decoder")]
    ratios = macs[2] / macs[0], macs[2] / (macs[0] + macs[1])
    return judged(
        any(about(ratio, 0.5) for ratio in ratios),
        f"{ratios[0]:.2f} times the encoder, {ratios[1]:.2f} with the bottleneck (MACs)",
        "after concatenation the decoder's convolutions are twice as wide as the encoder's",
    )


@statement("S5.6", "unet2d_original", "a bottleneck neuron sees about 140 pixels")
def field_of_original(net: Network) -> Finding:
    size = receptive_field(net.table(), of="down4-double_conv-relu2").axes[0].largest
    return judged(about(size, 140), f"{size} pixels", "by interval arithmetic on the built network")


@statement("S5.7", "unet2d_original", "Adam 1e-4, batch 4 to 16, flips, elastic, IoU", "untestable")
def training_of_original(net: Network) -> Finding:
    return untestable("this is advice on training, not a property of the network")


# === The textbook 2D U-Net ===


@statement(
    "S5.8", "unet2d_textbook", "padded, no bias, batch norm, ReLU; 64 to 1024, linear halved"
)
def structure_of_textbook(net: Network) -> Finding:
    table, transposed = net.table(), net.table(upsampling="transposed")
    bare = all(
        "bias" not in row.parameters for row in table if row.name.endswith(("conv1", "conv2"))
    )
    widths = [
        max(row.shape[-1] or 0 for row in built if row.layer_class == "Conv2D")
        for built in (table, transposed)
    ]
    ups = [row.layer_class for row in table if row.name.endswith("-up")]
    return judged(
        bare and widths == [512, 1024] and ups == ["LinearUpsampling"] * 4,
        f"widest {widths[0]} (linear), {widths[1]} (transposed)",
        "read off the built network's rows",
    )


@statement(
    "S5.9", "unet2d_textbook", "about 7.7 million parameters (linear, 1 in, 1 out)", "contradicted"
)
def count_of_textbook(net: Network) -> Finding:
    linear = net.table().without_moving
    transposed = net.table(upsampling="transposed").without_moving
    return judged(
        about(linear, 7.7e6),
        f"{linear:,}",
        f"the described widths give more, and {transposed:,} with transposed upsampling",
    )


@statement("S5.10", "unet2d_textbook", "2 x 1 x 256 x 256 gives 2 x 1 x 256 x 256")
def shape_of_textbook(net: Network) -> Finding:
    shape = net.table(input_shape=(256, 256, 1)).rows[-1].shape
    return judged(shape == (None, 256, 256, 1), f"{shape[1:]}, channels last", "for any batch")


@statement(
    "S5.11",
    "unet2d_textbook",
    "up-convolution of in/2 channels on the map from below",
    "contradicted",
)
def up_convolution_of_textbook(net: Network) -> Finding:
    rows = {f"{row.name}[0][0]": row for row in net.table(upsampling="transposed")}
    (up,) = [row for row in rows.values() if row.name == "up1-up"]
    below = rows[up.inputs[0]].shape[-1] or 0
    joined = rows["up1-concat[0][0]"].shape[-1] or 0
    return judged(
        joined // 2 == below,
        f"declared for {joined // 2} channels, the map from below has {below}",
        "it cannot run as published; built is what was evidently meant, from all channels to half",
    )


@statement(
    "S5.12", "unet2d_textbook", "stage (256 to 128, linear): 256 and 128 give 128", "contradicted"
)
def stage_of_textbook(net: Network) -> Finding:
    return stage_channels(below=256, skip=128, declared=256)


@statement("S5.13", "unet2d_textbook", "64 x 32 x 32 to 128 x 32 x 32; a stage to 128 x 16 x 16")
def encoder_stage_of_textbook(net: Network) -> Finding:
    rows = {row.name: row.shape for row in net.table(input_shape=(64, 64, 1))}
    entry, stage = rows["down1-pool"], rows["down1-double_conv-relu2"]
    below = rows["down2-pool"]
    holds = (entry, stage, below) == ((None, 32, 32, 64), (None, 32, 32, 128), (None, 16, 16, 128))
    return judged(
        holds,
        f"{entry[1:]} to {stage[1:]}, pooled {below[1:]}",
        "on the second level of the network at 64 x 64, channels last",
    )


@statement("S5.14", "unet2d_textbook", "an odd size is padded to the skip's")
def odd_size_of_textbook(net: Network) -> Finding:
    table = net.table(input_shape=(17, 19, 1))
    padded = [row for row in table if row.layer_class == "PadToMatch"]
    shape = table.rows[-1].shape
    return judged(shape == (None, 17, 19, 1) and len(padded) == 4, shape[1:], "17 x 19 in and out")


# === The up-block by hand ===


@statement("S5.15", "unet2d_original", "[[17.25, 16.25], [16.25, 17.25]]")
def up_block_in_2d(net: Network) -> Finding:
    import numpy as np

    below = np.stack([np.indices((4, 4)).sum(0) % 2 == 0, np.full((4, 4), 0.5)], -1)
    skip = np.zeros((6, 6, 1))
    skip[1:5, 1:5] = 1
    skip[2:4, 2:4] = 0
    result = up_block(below, skip)
    return judged(
        np.array_equal(result, [[17.25, 16.25], [16.25, 17.25]]),
        result.tolist(),
        "crop the skip, concatenate the decoder's map, then the skip, and apply one convolution",
    )


def up_block(below: Any, skip: Any) -> Any:
    """The chapter's up-block: crop, concatenate, a convolution of constant weights 1, 0.5, 2."""
    import keras
    import numpy as np

    from unetzoo.layers import CropToMatch

    below, skip = (np.asarray(x, "float32")[None] for x in (below, skip))
    rank = below.ndim - 2
    joined = keras.ops.concatenate([below, CropToMatch()(skip, below)], axis=-1)
    kernel = np.broadcast_to(np.array([1, 0.5, 2], "float32")[:, None], (*[3] * rank, 3, 1))
    result = keras.ops.conv(joined, kernel, padding="valid", data_format="channels_last")
    return keras.ops.convert_to_numpy(result)[0, ..., 0]


@statement("S5.16", "unet3d_original", "slice 0 all 87.75, slice 1 all 114.75")
def up_block_in_3d(net: Network) -> Finding:
    import numpy as np

    below = np.stack([np.indices((4, 4, 4))[0], np.full((4, 4, 4), 0.5)], -1)
    result = up_block(below, np.ones((4, 4, 4, 1)))
    values = [sorted({float(v) for v in result[depth].ravel()}) for depth in (0, 1)]
    return judged(values == [[87.75], [114.75]], values, "concatenate, apply one convolution")
