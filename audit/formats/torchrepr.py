"""PyTorch's ``print(module)``: the modules as a tree."""

import re
from collections.abc import Callable
from math import prod
from typing import Any

from audit.formats.pytorch import class_name, container_name, is_module, keras_kind, sequentials
from audit.table import Row, Table

Tree = dict[str, Any]
ROOT = re.compile(r"([A-Za-z_]\w*)\($")
CHILD = re.compile(r"( +)\((\w+)\): ([A-Za-z_]\w*)\((.*?)(\)?)$")


def render(table: Table) -> str:
    """The modules under the network's name, each with the arguments that PyTorch shows."""
    tree: Tree = {}
    for row in table.first_calls:
        if is_module(row):
            branch = tree
            for segment in row.path:
                branch = branch.setdefault(segment, {})
            branch[row.place] = row
    return "\n".join(_block(table.name, tree, (), sequentials(table.rows)))


def _block(
    name: str, tree: Tree, path: tuple[str, ...], numbered: set[tuple[str, ...]]
) -> list[str]:
    lines = [f"{name}("]
    for key, child in tree.items():
        if isinstance(child, Row):
            inner = [f"{class_name(child)}({_arguments(child)})"]
        else:
            place = (*path, key)
            inner_name = "Sequential" if place in numbered else container_name(key)
            inner = _block(inner_name, child, place, numbered)
        inner[0] = f"({key}): {inner[0]}"
        lines += [f"  {line}" for line in inner]
    return [*lines, ")"]


def _arguments(row: Row) -> str:
    name = class_name(row)
    for start, template in TEMPLATES.items():
        if name.startswith(start):
            return template(row)
    return ""


def _conv(row: Row) -> str:
    at = row.settings
    strides, kernel, dilation = at["strides"], at["kernel_size"], at["dilation_rate"]
    text = f"{at['in_channels']}, {row.shape[-1]}, kernel_size={kernel}, stride={strides}"
    groups = at["in_channels"] if row.kind.startswith("Depthwise") else at.get("groups", 1)
    padding = _padding(row)
    if any(padding):
        text += f", padding={padding}"
    if any(d != 1 for d in dilation):
        text += f", dilation={tuple(dilation)}"
    if "torch_output_padding" in at:
        text += f", output_padding={(at['torch_output_padding'],) * len(kernel)}"
    if groups != 1:
        text += f", groups={groups}"
    return text if at["use_bias"] else f"{text}, bias=False"


def _padding(row: Row) -> tuple[int, ...]:
    """PyTorch's symmetric padding: given, or what "same" comes to at stride 1."""
    at = row.settings
    if "torch_padding" in at:
        return (at["torch_padding"],) * len(at["kernel_size"])
    if at["padding"] != "same":
        return (0,) * len(at["kernel_size"])
    pairs = list(zip(at["kernel_size"], at["dilation_rate"], strict=True))
    strided = any(stride != 1 for stride in at["strides"])
    if strided or any(d * (k - 1) % 2 for k, d in pairs):
        raise ValueError(
            f"layer {row.name!r}: Keras's padding 'same' is uneven at stride {at['strides']} and "
            f"kernel {at['kernel_size']}; PyTorch's print cannot show it."
        )
    return tuple(d * (k - 1) // 2 for k, d in pairs)


def _one(value: Any) -> Any:
    """A size as PyTorch's user writes it: one number where all axes agree."""
    return value[0] if len(set(value)) == 1 else tuple(value)


def _max_pool(row: Row) -> str:
    if row.settings["padding"] == "same":
        raise ValueError(f"layer {row.name!r}: PyTorch's print cannot show padding 'same'.")
    kernel, stride = _one(row.settings["pool_size"]), _one(row.settings["strides"])
    return f"kernel_size={kernel}, stride={stride}, padding=0, dilation=1, ceil_mode=False"


def _average_pool(row: Row) -> str:
    kernel, stride = _one(row.settings["pool_size"]), _one(row.settings["strides"])
    return f"kernel_size={kernel}, stride={stride}, padding=0"


def _batch_norm(row: Row) -> str:
    momentum = round(1 - row.settings["momentum"], 10)
    return (
        f"{row.shape[-1]}, eps={row.settings['epsilon']}, momentum={momentum}, "
        f"affine={'scale' in row.parameters}, track_running_stats=True"
    )


def _group_norm(row: Row) -> str:
    return f"{row.settings['groups']}, {row.shape[-1]}, eps={row.settings['epsilon']}, affine=True"


def _instance_norm(row: Row) -> str:
    return (
        f"{row.shape[-1]}, eps={row.settings['epsilon']}, momentum=0.1, "
        "affine=True, track_running_stats=False"
    )


def _linear(row: Row) -> str:
    bias = row.settings["use_bias"]
    return f"in_features={row.settings['in_channels']}, out_features={row.shape[-1]}, bias={bias}"


TEMPLATES: dict[str, Callable[[Row], str]] = {
    "ConvTranspose": _conv,
    "Conv": _conv,
    "BatchNorm": _batch_norm,
    "InstanceNorm": _instance_norm,
    "GroupNorm": _group_norm,
    "ReLU": lambda row: "inplace=True",
    "LeakyReLU": lambda row: f"negative_slope={row.settings.get('negative_slope', 0.2)}",
    "MaxPool": _max_pool,
    "AvgPool": _average_pool,
    "Dropout": lambda row: f"p={row.settings['rate']}, inplace=False",
    "Softmax": lambda row: "dim=1",
    "Linear": _linear,
}


def parse(lines: list[str], repairs: tuple[str, ...]) -> list[tuple[int, Table]]:
    """The printed modules in a text, each with the number of its first line.

    Parameters are computed from the arguments that PyTorch prints; shapes are not known but for
    their channels, which are the last number.
    """
    tables = []
    number = 0
    while number < len(lines):
        root = ROOT.match(lines[number].rstrip())
        start, number = number, number + 1
        if not root:
            continue
        rows: list[Row] = []
        path: list[str] = []
        while number < len(lines) and lines[number].rstrip() != ")":
            child = CHILD.match(lines[number].rstrip())
            if child:
                path = [*path[: (len(child[1]) - 2) // 2], child[2]]
                if child[5]:
                    rows.append(_parsed(path, child[3], child[4]))
            elif lines[number].strip() != ")":
                break
            number += 1
        if rows:
            tables.append((start, Table(root[1], tuple(rows), "torchrepr", {}, repairs)))
    return tables


def _parsed(path: list[str], name: str, arguments: str) -> Row:
    numbers = [int(n) for n in re.findall(r"(?:^|, )(\d+)(?=,|$)", arguments)]
    parameters = _counted(name, numbers, arguments)
    channels = numbers[1:2] if "Conv" in name else numbers[:1]
    return Row(
        name="-".join(path),
        kind=keras_kind(name),
        shape=(None, *channels),
        parameters=parameters,
        trainable=sum(parameters.values()),
        path=tuple(path[:-1]),
    )


def _counted(name: str, numbers: list[int], arguments: str) -> dict[str, int]:
    """Parameters by role, from a convolution's or a batch norm's printed arguments."""
    kernel = re.search(r"kernel_size=\(([\d, ]+)\)", arguments)
    if "Conv" in name and kernel and len(numbers) >= 2:
        groups = re.search(r"groups=(\d+)", arguments)
        size = prod(int(k) for k in kernel[1].split(",") if k.strip())
        weights = size * numbers[0] * numbers[1] // (int(groups[1]) if groups else 1)
        return {"kernel": weights} | ({} if "bias=False" in arguments else {"bias": numbers[1]})
    if name.startswith("BatchNorm") and numbers and "affine=False" not in arguments:
        return {"scale": numbers[0], "shift": numbers[0]}
    return {}
