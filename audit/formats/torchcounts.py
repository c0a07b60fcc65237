"""The parameters of PyTorch's layers, from the arguments that a print shows."""

import re
from math import prod

KERNEL = re.compile(r"kernel_size=\(([\d, ]+)\)")
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
NOTHING = re.compile(
    r".*(ReLU|Pool|Dropout|Pad|Identity|latten|Upsampl|oftmax|oftplus|igmoid|anh|ELU|SiLU|wish|"
    r"Mish|Shuffle|Shrink|Threshold|Loss|ModuleList|Rearrange)"
)


def named(arguments: str, name: str, default: int = 0) -> int:
    """A printed argument that is a number.

    >>> named("groups=8, bias=False", "groups")
    8
    """
    match = re.search(rf"\b{name}=(\d{{1,18}})", arguments)
    return int(match[1]) if match else default


def counted(name: str, numbers: list[int], arguments: str) -> dict[str, int] | None:
    """Parameters by role, from a module's printed arguments; None if those do not tell.

    >>> counted("Linear", [], "in_features=3, out_features=4, bias=True")
    {'kernel': 12, 'bias': 4}
    """
    kernel = KERNEL.search(arguments) if "Conv" in name else None
    if kernel and len(numbers) >= 2:
        size = prod(map(int, re.findall(r"\d{1,9}", kernel[1])))
        weights = size * numbers[0] * numbers[1] // (named(arguments, "groups", 1) or 1)
        return {"kernel": weights} | ({} if "bias=False" in arguments else {"bias": numbers[1]})
    if name in ("Linear", "Bilinear"):
        outputs = named(arguments, "out_features")
        inputs = [named(arguments, f"in{which}_features", 1) for which in ("", "1", "2")]
        return {"kernel": prod(inputs) * outputs} | (
            {} if "bias=False" in arguments else {"bias": outputs}
        )
    if name == "MultiheadAttention" and "out_features" in arguments:  # its last projection's
        width = named(arguments, "out_features")
        biases = {} if "bias=False" in arguments else {"bias": 4 * width}
        return {"kernel": 4 * width * width} | biases
    if name == "Parameter" or (name == "PositionEmbeddings" and "grid=(" in arguments):
        role = "all" if name == "Parameter" else "embeddings"
        return {role: prod(map(int, re.findall(r"\d{1,9}", arguments)))}
    if "Norm" in name:
        return _norm(name, numbers, arguments)
    if name == "Embedding" and len(numbers) >= 2:
        return {"kernel": numbers[0] * numbers[1]}
    if name == "PReLU":
        return {"slope": named(arguments, "num_parameters", 1)}
    if name in GATES and len(numbers) >= 2:
        return _recurrent(GATES[name], numbers[0], numbers[1], arguments)
    return {} if NOTHING.match(name) else None


def _norm(name: str, numbers: list[int], arguments: str) -> dict[str, int]:
    """Batch norm has parameters unless it says not, instance norm only if it says so."""
    if "affine=False" in arguments or ("Instance" in name and "affine=True" not in arguments):
        return {}
    shape = re.match(r"\(([\d, ]+)\)", arguments)
    if shape:
        size = prod(map(int, re.findall(r"\d{1,9}", shape[1])))
    else:
        size = numbers[1 if name == "GroupNorm" and len(numbers) > 1 else 0] if numbers else 0
    bias = "bias=False" not in arguments and name != "RMSNorm"
    return {"scale": size} | ({"shift": size} if bias else {})


def _recurrent(gates: int, inputs: int, hidden: int, arguments: str) -> dict[str, int]:
    """For each layer and direction: gates x hidden x (inputs + hidden), and two biases."""
    directions = 2 if "bidirectional=True" in arguments else 1
    layers = named(arguments, "num_layers", 1)
    inner = gates * hidden * (directions * hidden + hidden) * directions * (layers - 1)
    kernel = gates * hidden * (inputs + hidden) * directions + inner
    bias = 0 if "bias=False" in arguments else 2 * gates * hidden * directions * layers
    return {"kernel": kernel, "bias": bias}
