"""What papers and code state about the variants that S5.35 names, P1 to P12."""

from math import prod

from audit.analysis.receptive_field import receptive_field
from audit.documents.statement import Finding, Network, by_convention, judged, statement

SMALL_PLAN = {
    "input_shape": (40, 56, 40, 1),
    "num_classes": 3,
    "features": (32, 64, 128, 256),
    "kernels": (3, 3, 3, 3),
    "strides": (1, 2, 2, 2),
}

# === nnU-Net ===


@statement("P1", "plain_unet", "31,195,594 parameters at 128 cubed, 6 stages, 2 classes")
def count_of_plain(net: Network) -> Finding:
    count = net.table(deep_supervision=True).without_moving
    return judged(count == 31_195_594, f"{count:,}", "the heads at all levels of the decoder count")


@statement("P2", "plain_unet", "5,603,177 parameters at 40 x 56 x 40, 4 stages, 3 classes")
def count_of_small_plain(net: Network) -> Finding:
    count = net.table(**SMALL_PLAN, deep_supervision=True).without_moving
    return judged(count == 5_603_177, f"{count:,}", "the heads at all levels of the decoder count")


@statement("P3", "plain_unet", "a memory estimate of 450,699,264 and 19,174,400 for these two")
def estimates_of_plain(net: Network) -> Finding:
    tables = [net.table(), net.table(**SMALL_PLAN)]
    estimates = [
        sum(prod(row.shape[1:]) for row in table if row.layer_class.startswith("Conv3D"))
        for table in tables
    ]
    return judged(
        estimates == [450_699_264, 19_174_400],
        " and ".join(f"{estimate:,}" for estimate in estimates),
        "channels times voxels, summed over the outputs of all convolutions, with the full-size "
        "head only, for one sample",
    )


@statement(
    "P4", "residual_unet", "1, 3, 4, 6, 6, 6 residual blocks down, one convolution a level up"
)
def blocks_of_residual(net: Network) -> Finding:
    table = net.table()
    adds = [row.name.split("-")[0] for row in table if row.layer_class == "Add"]
    down = [adds.count(f"encoder{level}") for level in range(1, 7)]
    names = [row.name for row in table if row.layer_class == "Conv3D"]
    up = [sum(name.startswith(f"decoder{level}-") for name in names) for level in range(1, 6)]
    return judged(
        down == [1, 3, 4, 6, 6, 6] and up == [1] * 5,
        f"{down} down, {up} up",
        "the additions and convolutions among the built network's rows",
    )


# === Attention U-Net, 2018 ===


@statement("P5", "attention_unet", "6.40 million parameters", "confirmed_under_convention")
def count_of_attention(net: Network) -> Finding:
    count = net.table().without_moving
    return by_convention(
        6_400_000 <= count < 6_410_000,
        f"{count:,}",
        "cut off, not rounded; with two gates for each skip, as in the published settings, and no "
        "convolution between the lowest level and its gate",
    )


@statement(
    "P6", "attention_unet", "5.88 million parameters without gates", "confirmed_under_convention"
)
def count_without_gates(net: Network) -> Finding:
    table = net.table()
    count = sum(row.without_moving for row in table if not row.name.startswith("gate"))
    return by_convention(
        5_880_000 <= count < 5_890_000, f"{count:,}", "cut off, not rounded; batch norms counted"
    )


# === UNet++, 2018 ===


@statement("P7", "unet_plus_plus", "9.04 million parameters")
def count_of_plus_plus(net: Network) -> Finding:
    count = net.table().without_moving
    return judged(round(count / 1e6, 2) == 9.04, f"{count:,}", "without norms, with biases")


# === V-Net, 2016 ===


def fields(net: Network, names: list[str]) -> list[int]:
    """The largest receptive field after each of these layers, in voxels on the first axis."""
    table = net.table()
    return [receptive_field(table, of=name).axes[0].largest for name in names]


@statement("P8", "vnet", "5, 22, 72, 172 and 372 voxels seen after the stages down (table 1)")
def fields_down(net: Network) -> Finding:
    sizes = fields(net, [f"encoder{level}-add" for level in range(1, 6)])
    return judged(sizes == [5, 22, 72, 172, 372], sizes, "followed back from every position")


@statement(
    "P9", "vnet", "476, 528, 546 and 551 voxels seen after the stages up (table 1)", "contradicted"
)
def fields_up(net: Network) -> Finding:
    sizes = fields(net, [f"decoder{level}-add" for level in (4, 3, 2, 1)])
    return judged(
        sizes == [476, 528, 546, 551],
        sizes,
        "a transposed convolution of kernel 2 and stride 2 sees one voxel of the map below; the "
        "stated figures assume two",
    )


# === TransUNet, 2021 ===


@statement("P10", "transunet", "105,277,081 parameters at 224 x 224 with 9 classes (its code)")
def count_of_transunet(net: Network) -> Finding:
    count = net.table().without_moving
    return judged(count == 105_277_081, f"{count:,}", "with positions for 14 x 14 tokens")


@statement("P11", "transunet", "105.32 million parameters at 256 x 256 with 1 class (EMCAD 2024)")
def count_of_larger_transunet(net: Network) -> Finding:
    count = net.table(input_shape=(256, 256, 3), num_classes=1).without_moving
    return judged(
        round(count / 1e6, 2) == 105.32, f"{count:,}", "with positions for 16 x 16 tokens"
    )


@statement("P12", "transunet", "93.23 million parameters", "confirmed_under_convention")
def count_by_thop(net: Network) -> Finding:
    table = net.table()
    known = [
        row
        for row in table
        if row.layer_class not in ("GroupNormalization", "PositionEmbeddings")
        and "Standardized" not in row.settings.get("class", "")
    ]
    count = sum(row.without_moving for row in known)
    return by_convention(
        round(count / 1e6, 2) == 93.23,
        f"{count:,}",
        "without what the profiler thop does not know: standardized convolutions, group norms and "
        "position embeddings",
    )
