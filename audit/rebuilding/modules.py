"""A module of PyTorch, as a layer of Keras: what it may read, and what it then gives.

Sizes are PyTorch's own formulas. What a print shows is taken from it, the rest is solved from the
row's shape and count.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from audit.comparison.forms import forms_reading, is_conv, is_transposed
from audit.kinds import KINDS
from audit.rebuilding.kernels import convolutions, grouped, kernels, side_cost, transposed
from audit.rebuilding.module import Fit, Module, Sizes, one

EPSILON = {"epsilon": 1e-5}  # PyTorch's; Keras's is 1e-3
BATCH = {**EPSILON, "momentum": 0.9}
PADS = re.compile(r"\b\d{1,6}\b")
ACTIVATIONS = {
    "Sigmoid": "sigmoid", "Tanh": "tanh", "GELU": "gelu", "SiLU": "silu", "Mish": "mish",
    "Softplus": "softplus", "Hardswish": "hard_silu", "LogSoftmax": "log_softmax",
    "Softmax2d": "softmax", "Softmax": "softmax", "SELU": "selu", "CELU": "celu", "ELU": "elu",
    "Hardsigmoid": "hard_sigmoid", "ReLU6": "relu6", "Swish": "silu",
}  # fmt: skip


def widths_read(module: Module) -> list[int]:
    """The channels that it may read, the likeliest first; empty if any."""
    if channels := module.row.settings.get("in_channels"):
        return [channels]
    if is_conv(module.row):
        forms = sorted(forms_reading(module.row, None), key=_unlikely(module))
        width = module.width or 0
        own = [width] if module.kind.startswith("Conv") and grouped(module, width) else []
        return list(dict.fromkeys([*(form.inputs for form in forms), *own]))
    return [module.width] if module.width else []


def _unlikely(module: Module) -> Callable[[Any], float]:
    return lambda form: min(side_cost(kernel) for kernel in kernels(form.taps, module.rank))


def fits(module: Module, sizes: Sizes, width: int) -> list[Fit]:
    """The layers that give the row from a map of these sizes and channels."""
    found = list(_fits(module, sizes, width))
    shown = module.sizes
    return [
        fit for fit in found
        if shown in (None, fit.sizes) and module.width in (None, fit.width) and fit.kind in KINDS
        and min(fit.sizes) > 0
    ]  # fmt: skip


def _fits(module: Module, sizes: Sizes, width: int) -> Sequence[Fit]:
    kind = module.kind
    if is_conv(module.row) and kind != "Dense":
        solve = transposed if is_transposed(module.row) else convolutions
        return solve(module, sizes, width)
    if "Pool" in kind:
        return _pools(module, sizes, width)
    if kind.startswith("Upsampl"):
        return _upsampled(module, sizes, width)
    if kind.startswith("ZeroPadding"):
        return _pads(module, sizes, width)
    simple = _simple(module, width)
    if not simple and not module.row.total and kind not in KINDS:
        if module.sizes and min(module.sizes) > max(sizes):
            return _upsampled(module, sizes, width)
        word = f"{kind} passes its input on (or computes something without numbers)"
        return [Fit("Identity", {}, sizes, width, 0.0, (), (word,))]
    return [Fit(*simple, sizes=sizes, width=_outputs(module, width))] if simple else []


def _outputs(module: Module, width: int) -> int:
    return (module.width or width) if module.kind == "Dense" else width


def _pools(module: Module, sizes: Sizes, width: int) -> list[Fit]:
    kind = module.kind
    if kind.startswith(("Global", "Adaptive")):
        rank = module.rank
        name = f"Global{'Average' if 'Average' in kind or 'Avg' in kind else 'Max'}Pooling{rank}D"
        return [Fit(name, {"keepdims": True}, (1,) * rank, width)]
    if "kernel_size" in module.given:
        pool = module.numbers("kernel_size", 2)
        strides = module.numbers("stride", 0)
        strides = strides if all(strides) else pool
        word: tuple[str, ...] = ()
        choices = [(pool, strides, module.numbers("padding", 0), word)]
    else:
        choices = list(_pool_choices(module, sizes))
    found = []
    for pool, strides, padding, word in choices:
        terms = zip(sizes, pool, strides, padding, strict=True)
        out = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in terms)
        arguments = {"pool_size": one(pool)}
        arguments |= {} if strides == pool else {"strides": one(strides)}
        found.append(Fit(kind, arguments, out, width, 0.0, padding if any(padding) else (), word))
    return found


def _pool_choices(
    module: Module, sizes: Sizes
) -> Sequence[tuple[Sizes, Sizes, Sizes, tuple[str, ...]]]:
    """Pools without overlap; else three voxels with a step of two, as in a ResNet."""
    if module.sizes is None:
        return []
    steps = tuple(n // max(out, 1) for n, out in zip(sizes, module.sizes, strict=True))
    none = (0,) * module.rank
    if any(step < 1 for step in steps) or max(steps) < 2:
        return []
    word = "pools that do not overlap (or that do)"
    three, two, one = ((n,) * module.rank for n in (3, 2, 1))
    return [(steps, steps, none, (word,)), (three, two, one, ()), (three, two, none, ())]


def _pads(module: Module, sizes: Sizes, width: int) -> list[Fit]:
    """Zeros around a map: as printed, last axis first; else what its sizes tell."""
    numbers = [int(n) for n in PADS.findall(str(module.row.settings.get("printed", "")))]
    if len(numbers) == 2 * module.rank:
        pads = tuple(zip(numbers[::2], numbers[1::2], strict=True))[::-1]
    elif module.sizes and all(m >= n for n, m in zip(sizes, module.sizes, strict=True)):
        more = [m - n for n, m in zip(sizes, module.sizes, strict=True)]
        pads = tuple((n // 2, n - n // 2) for n in more)
    else:
        return []
    out = tuple(n + sum(pad) for n, pad in zip(sizes, pads, strict=True))
    word = () if numbers else ("a pad in the middle (or elsewhere)",)
    return [Fit(module.kind, {"padding": pads}, out, width, 0.0, (), word)]


def _upsampled(module: Module, sizes: Sizes, width: int) -> list[Fit]:
    given = module.given.get("scale_factor")
    if given:
        steps = module.numbers("scale_factor", 2)
    elif module.sizes:
        steps = tuple(max(out // n, 1) for n, out in zip(sizes, module.sizes, strict=True))
    else:
        steps = (2,) * module.rank
    out = tuple(n * step for n, step in zip(sizes, steps, strict=True))
    linear = "linear" in module.given.get("mode", "")
    arguments: dict[str, Any] = {"size": one(steps)}
    word = () if "mode" in module.given else ("nearest neighbors (or linear interpolation)",)
    if linear and module.rank == 2:
        arguments["interpolation"] = "bilinear"
        word = ("bilinear with half-pixel centers (or aligned corners)",)
    elif linear:
        word = ("nearest neighbors (the table's is linear, which Keras lacks in 3D)",)
    return [Fit(f"UpSampling{module.rank}D", arguments, out, width, 0.0, (), word)]


def _simple(module: Module, width: int) -> tuple[str, dict[str, Any]] | None:
    """A layer that keeps the sizes: its class and its arguments."""
    kind, row = module.kind, module.row
    named = str(row.settings.get("torch_class", row.name))
    if kind == "Dense" and module.width:
        return kind, {
            "units": module.width,
            **({} if _biased(module, width) else {"use_bias": False}),
        }
    if kind == "BatchNormalization" and row.total in (0, 2 * width):
        return kind, {**BATCH, **({} if row.total else {"scale": False, "center": False})}
    if kind == "GroupNormalization" and row.total in (0, 2 * width):
        groups = -1 if "Instance" in named else module.numbers("groups", -1)[0]
        printed = re.match(r"(\d{1,6}), ", str(row.settings.get("printed", "")))
        groups = int(printed[1]) if printed and "Instance" not in named else groups
        return kind, {"groups": groups, **EPSILON,
                      **({} if row.total else {"scale": False, "center": False})}  # fmt: skip
    if kind == "LayerNormalization" and row.total in (0, 2 * width):
        return kind, {**EPSILON}
    if kind == "PReLU" and row.total in (1, width):
        axes = module.rank + (row.total == 1)
        return kind, {"shared_axes": list(range(1, axes + 1))}
    return None if row.total else _without_numbers(module)


def _biased(module: Module, width: int) -> bool:
    return module.row.total == (width + 1) * (module.width or 0)


def _without_numbers(module: Module) -> tuple[str, dict[str, Any]] | None:
    kind = module.kind
    if kind == "ReLU":
        return kind, {}
    if kind == "LeakyReLU":
        return kind, {"negative_slope": float(module.given.get("negative_slope", 0.01))}
    if kind in ACTIVATIONS:
        return "Activation", {"activation": ACTIVATIONS[kind]}
    if "Dropout" in kind:
        rate = float(module.given.get("p", 0.5))
        return (f"SpatialDropout{module.rank}D" if kind.endswith("D") else "Dropout"), {
            "rate": rate
        }
    return ("Identity", {}) if kind in ("Identity", "Sequential") else None
