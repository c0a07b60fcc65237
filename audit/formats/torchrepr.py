"""PyTorch's ``print(module)``: written here, read in ``torchtree``."""

from collections.abc import Callable
from typing import Any

from audit.formats.pytorch import as_printed, class_name, containers, some_module
from audit.formats.torchtree import parse
from audit.styles import Style, register
from audit.tables import Row, Table

Tree = dict[str, Any]


def render(table: Table) -> str:
    """The modules under the network's name, each with the arguments that PyTorch shows."""
    some_module(table)
    tree: Tree = {}
    for row in as_printed(table.rows):
        if row.call == 0:
            branch = tree
            for segment in row.path:
                branch = branch.setdefault(segment, {})
            branch[row.place] = row
    return "\n".join(_block(table.name, tree, (), containers(table.rows)))


def _block(
    name: str, tree: Tree, path: tuple[str, ...], names: dict[tuple[str, ...], str]
) -> list[str]:
    lines = [f"{name}("]
    for key, child in tree.items():
        if isinstance(child, Row):
            inner = _module(child)
        else:
            place = (*path, key)
            inner = _block(names[place], child, place, names)
        inner[0] = f"({key}): {inner[0]}"
        lines += [f"  {line}" for line in inner]
    return [*lines, ")"]


def _module(row: Row) -> list[str]:
    """Its lines; of an attention's projections PyTorch shows only the last."""
    if row.layer_class != "MultiHeadAttention":
        return [f"{class_name(row)}({_arguments(row)})"]
    try:
        mixed = row.settings["num_heads"] * row.settings["value_dim"]
        line = f"in_features={mixed}, out_features={row.shape[-1]}, bias={row.settings['use_bias']}"
    except KeyError as error:
        raise _unknown(row, error) from error
    return [f"{class_name(row)}(", f"  (out_proj): NonDynamicallyQuantizableLinear({line})", ")"]


def _unknown(row: Row, error: KeyError) -> ValueError:
    return ValueError(
        f"layer {row.name!r}: PyTorch's print shows its {error.args[0]}, which this table does not "
        "hold; use the table of a Keras model, or its JSON."
    )


def _arguments(row: Row) -> str:
    name = class_name(row)
    for start, template in TEMPLATES.items():
        if name.startswith(start):
            try:
                return template(row)
            except KeyError as error:
                raise _unknown(row, error) from error
    return ""


def _conv(row: Row) -> str:
    at = row.settings
    strides, kernel, dilation = at["strides"], at["kernel_size"], at["dilation_rate"]
    text = f"{at['in_channels']}, {row.shape[-1]}, kernel_size={kernel}, stride={strides}"
    groups = at["in_channels"] if row.layer_class.startswith("Depthwise") else at.get("groups", 1)
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
    """PyTorch's symmetric padding: its own, or that of "same" at stride 1."""
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
    """A size as PyTorch's users write it: one number if all axes agree."""
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


def _layer_norm(row: Row) -> str:
    """One over the channels alone."""
    epsilon = row.settings["epsilon"]
    return f"({row.shape[-1]},), eps={epsilon}, elementwise_affine=True, bias=True"


def _zero_pad(row: Row) -> str:
    """PyTorch begins with the last axis."""
    pairs = row.settings["padding"][::-1]
    return f"({', '.join(str(size) for pair in pairs for size in pair)})"


def _prelu(row: Row) -> str:
    return f"num_parameters={row.parameters['slope']}"


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
    "PReLU": _prelu,
    "PositionEmbeddings": lambda row: f"{row.shape[-1]}, grid={row.settings['grid']}",
    "LayerNorm": _layer_norm,
    "ZeroPad": _zero_pad,
    "GELU": lambda row: "approximate='none'",
    "LeakyReLU": lambda row: f"negative_slope={row.settings.get('negative_slope', 0.2)}",
    "MaxPool": _max_pool,
    "AvgPool": _average_pool,
    "Dropout": lambda row: f"p={row.settings['rate']}, inplace=False",
    "Softmax": lambda row: "dim=1",
    "Linear": _linear,
}


register(
    Style(
        "torchrepr", "PyTorch's print", render,
        ("sizes", "inputs", "functions such as cat", "moving statistics", "calls"), parse,
        pytorch=True, once_a_layer=True,
    )
)  # fmt: skip
