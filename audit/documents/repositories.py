"""The statements of the four repositories' documents, S1 to S4."""

import re
from pathlib import Path

from audit.documents.statement import Finding, Network, by_convention, judged, statement, untestable
from audit.formats.pytorch import is_module
from audit.tables import Row, Table

HERE = Path(__file__).parent


def published(file: str) -> str:
    """A published table's text, to compare with."""
    return (HERE / file).read_text().rstrip("\n")


def sizes_in_mb(text: str) -> list[str]:
    """The four figures in the last block of a torchsummary table."""
    return re.findall(r"\(MB\): ([\d.]+)", text)


def torch_rows(text: str) -> list[str]:
    """The rows of a torchsummary table, without the totals."""
    return re.findall(r"^ *\S+-\d+ +\[.*\] +[\d,]+", text, re.MULTILINE)


def rows_of(table: Table, part: str) -> list[Row]:
    return [row for row in table if part in row.name]


# === S1: unet3d_90m ===


@statement("S1.1", "unet3d_90m", "85 rows; 90,309,763 parameters, all trainable")
def rows_and_total_of_90m(net: Network) -> Finding:
    table = net.table()
    text = table.to_text("torchsummary")
    rows = len(torch_rows(text))
    holds = text == published("unet3d_90m.torchsummary.txt")
    return judged(
        holds and (rows, table.without_moving) == (85, 90_309_763),
        f"{rows} rows; {table.without_moving:,} parameters",
        "the built network's table is the published one, byte for byte"
        if holds
        else "the built network prints another table",
    )


@statement("S1.2", "unet3d_90m", "1.91, 1355.38, 344.50 and 1701.79 MB")
def sizes_of_90m(net: Network) -> Finding:
    sizes = sizes_in_mb(net.table().to_text("torchsummary"))
    return judged(
        sizes == ["1.91", "1355.38", "344.50", "1701.79"],
        ", ".join(sizes),
        "as torchsummary counts: MiB, and blocks counted again in the forward/backward size",
    )


@statement(
    "S1.3", "unet3d_90m", "50, 25, 12, 6, 3 down; the third up-convolution gives 24, its block 25"
)
def odd_sizes_of_90m(net: Network) -> Finding:
    table = net.table()
    down = [row.shape[1] for row in table if row.layer_class.startswith("MaxPooling")]
    (up,) = [row.shape[1] for row in rows_of(table, "up3-up")]
    block = rows_of(table, "up3-double_conv-conv1")[0].shape[1]
    return judged(
        [50, *down, up, block] == [50, 25, 12, 6, 3, 24, 25],
        f"50, {', '.join(map(str, down))}; {up}, {block}",
        "pooling drops a voxel of an odd size, and the decoder's map is padded back",
    )


@statement("S1.4", "unet3d_90m", "channel dropout in rows 17, 36, 55 and 73", "contradicted")
def dropouts_of_90m(net: Network) -> Finding:
    rows = torch_rows(net.table().to_text("torchsummary"))
    numbers = [int(match[1]) for row in rows if (match := re.search(r"Dropout3d-(\d+)", row))]
    return judged(
        numbers == [17, 36, 55, 73],
        ", ".join(map(str, numbers)),
        "row 73 is the Up block itself; its dropout is row 74, in the published table too",
    )


# === S2: unet3d_2_5m ===


@statement("S2.1", "unet3d_2_5m", "59 rows; 2,512,481 parameters, all trainable")
def rows_and_total_of_2_5m(net: Network) -> Finding:
    table = net.table()
    rows = torch_rows(table.to_text("torchsummary"))
    same = rows == torch_rows(published("unet3d_2_5m.torchsummary.md"))
    return judged(
        same and (len(rows), table.without_moving) == (59, 2_512_481),
        f"{len(rows)} rows; {table.without_moving:,} parameters",
        "every row is the published one" if same else "the rows differ from the published ones",
    )


@statement("S2.2", "unet3d_2_5m", "5.36, 2605.66, 9.58 and 2620.60 MB")
def sizes_of_2_5m(net: Network) -> Finding:
    sizes = sizes_in_mb(net.table().to_text("torchsummary"))
    return judged(
        sizes == ["5.36", "2605.66", "9.58", "2620.60"], ", ".join(sizes), "as torchsummary counts"
    )


@statement("S2.3", "unet3d_2_5m", "upsampling and concatenation have no rows")
def functions_of_2_5m(net: Network) -> Finding:
    table = net.table()
    calls = [row for row in table if row.layer_class.startswith(("UpSampling", "Concatenate"))]
    rows = torch_rows(table.to_text("torchsummary"))
    return judged(
        len(calls) == 8 and not any("Up" in row for row in rows),
        f"{len(calls)} calls, {sum('Up' in row for row in rows)} rows",
        "torchsummary sees modules, not functions such as interpolate and cat",
    )


@statement("S2.4", "unet3d_2_5m", "Dice 0.8 on prostates, 0.2946 s a volume", "untestable")
def use_of_2_5m(net: Network) -> Finding:
    return untestable("the data, the weights and the machine are not published")


# === S3: unet3d_19m ===


@statement(
    "S3.1", "unet3d_19m",
    "61 rows; 19,077,636 parameters, 19,072,964 trainable, 4,672 not",
    "confirmed_under_convention",
)  # fmt: skip
def rows_and_total_of_19m(net: Network) -> Finding:
    table = net.table()
    same = table.to_text("keras2") == published("unet3d_19m.keras2.txt")
    counts = (table.total, table.trainable, table.total - table.trainable)
    layers = [row for row in table if row.layer_class != "InputLayer"]
    return by_convention(
        same and len(layers) == 61 and counts == (19_077_636, 19_072_964, 4_672),
        f"{len(table)} rows; {counts[0]:,}, {counts[1]:,} and {counts[2]:,}",
        "the table is the published one, byte for byte; it has 61 rows without the input's",
    )


@statement("S3.2", "unet3d_19m", "up-convolutions without bias, skips sliced, dropout on 6 levels")
def parts_of_19m(net: Network) -> Finding:
    table = net.table()
    ups = [row for row in table if row.layer_class == "Conv3DTranspose"]
    sliced = rows_of(table, "Slice")
    dropouts = [row.name for row in table if row.layer_class == "Dropout"]
    expected = ["1_2", "2_2", "3_2", "2_4", "1_4", "0_4"]
    holds = [f"conv_{level}_dropout" for level in expected] == dropouts
    return judged(
        holds and len(ups) == len(sliced) == 3 and not any("bias" in row.parameters for row in ups),
        f"{len(ups)} up-convolutions, {len(sliced)} slices, {len(dropouts)} dropouts",
        "read off the built network's rows",
    )


@statement("S3.3", "unet3d_19m", "it follows the original 3D U-Net", "confirmed_under_convention")
def original_of_19m(net: Network) -> Finding:
    def widths(table: Table) -> list[int | None]:
        return [row.shape[-1] for row in table if row.layer_class.startswith("Conv3D")][:-1]

    ours, original = widths(net.table()), widths(Network("unet3d_original").table())
    return by_convention(
        ours == original,
        f"{len(ours)} layers of the same widths" if ours == original else "other widths",
        "it does in every width and kernel, but its convolutions are padded, and it adds dropout",
    )


# === S4: unet2d_small, unet2d_large ===


@statement("S4.1", "unet2d_small", "structure and 28 rows as in the files; no total")
def rows_of_small(net: Network) -> Finding:
    table = net.table()
    structure = table.to_text("torchrepr") == published("unet2d_small.torchrepr.txt")
    rows = torch_rows(table.to_text("torchsummary"))
    same = rows == torch_rows(published("unet2d_small.torchsummary.txt"))
    return judged(
        structure and same,
        f"{len(rows)} rows; {table.without_moving:,} parameters",
        "both files are reproduced; the total is measured, because the file ends before it",
    )


@statement("S4.2", "unet2d_large", "3 to 64, 64, 32 | 8, 28, 56, 112 | 56, 28, 48, 64 | 64 to 256")
def widths_of_large(net: Network) -> Finding:
    table = net.table()
    widths = [row.shape[-1] for row in table if row.layer_class.startswith("Conv2D")]
    expected = [64, 64, 32, 8, 28, 56, 112, 56, 56, 28, 28, 8, 48, 64, 64, 64, 64, 256]
    joined = [row.shape[-1] for row in table if row.layer_class == "Concatenate"]
    return judged(
        widths == expected and joined == [112, 56, 16],
        ", ".join(map(str, widths)),
        "the described channels fit together; dec1 receives 8 + 8 = 16, as described",
    )


@statement("S4.3", "unet2d_large", "kernel sizes and the tail's norms are not given", "untestable")
def gaps_of_large(net: Network) -> Finding:
    modules = sum(is_module(row) for row in net.table())
    return untestable(
        f"nothing is stated; the card lists what is assumed for the {modules} modules"
    )
