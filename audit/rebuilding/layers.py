"""The arguments of each layer class, solved from a row's shape and count and from what it reads."""

from collections.abc import Callable
from itertools import cycle, permutations
from typing import Any

from audit.comparison.forms import CERTAIN, Form, groups_of
from audit.rebuilding.module import one
from audit.rebuilding.pools import pool
from audit.rebuilding.site import Site
from audit.tables import Row
from unetzoo.utils.text import printable

Arguments = dict[str, Any]
STRIDES = (1, 2, 3, 4)


def _rank(row: Row) -> int:
    return int(next(letter for letter in row.layer_class if letter.isdigit()))


def _side(site: Site, form: Form) -> int:
    rank = _rank(site.row)
    side = round(form.taps ** (1 / rank))
    if side**rank != form.taps:
        raise ValueError(f"row {site.row.name!r}: its kernel is no square or cube.")
    return side


def _form(site: Site) -> Form:
    if not site.forms:
        raise ValueError(f"row {site.row.name!r}: no kernel gives its {site.row.total:,} numbers.")
    certain = [form for form in site.forms if form.fit == CERTAIN]
    if len(certain) > 1:
        others = ", ".join(str(form.taps) for form in certain[1:])
        site.assumed.append(f"{certain[0].taps} taps in a kernel (or {others})")
    return site.forms[0]


def _activation(site: Site, plain: bool) -> Arguments:
    """An activation that the table may not show."""
    if plain or (site.activated and not site.last):
        return {}
    if site.last:
        kind = "sigmoid" if site.width == 1 else "softmax"
        site.assumed.append(f"{kind} within the output (or logits)")
    else:
        kind = "relu"
        site.assumed.append("relu within it (or another activation, or none)")
    return {"activation": kind}


def _stepped(site: Site, *kernel: int) -> Arguments:
    """Strides and padding of a convolution."""
    for step in STRIDES:
        if all(b == -(-a // step) for a, b in site.sizes):
            return {"strides": step, "padding": "same"}
        if all(b == (a - k) // step + 1 for k, (a, b) in zip(cycle(kernel), site.sizes)):
            return {"strides": step}
    raise ValueError(f"row {site.row.name!r}: no stride gives its shape.")


def _tidy(arguments: Arguments) -> Arguments:
    defaults = {"strides": 1, "use_bias": True, "groups": 1, "dilation_rate": 1}
    return {key: value for key, value in arguments.items() if defaults.get(key) != value}


def _conv(site: Site) -> Arguments:
    form = _form(site)
    kernel = site.row.settings.get("kernel_size") or (_side(site, form),) * _rank(site.row)
    spread = max(site.row.settings.get("dilation_rate", (1,)))
    steps = _stepped(site, *(spread * (k - 1) + 1 for k in kernel))
    return _tidy({
        "filters": form.outputs, "kernel_size": one(kernel), **steps,
        "use_bias": form.bias, "groups": groups_of(site.row), "dilation_rate": spread,
        **_activation(site, plain=False),
    })  # fmt: skip


def _transposed(site: Site) -> Arguments:
    side = _side(site, form := _form(site))
    for step in (2, 1, 3, 4):
        if all(b == a * step for a, b in site.sizes):
            grown: Arguments = {"strides": step, "padding": "same"}
            break
        if all(b == (a - 1) * step + max(side, step) for a, b in site.sizes):
            grown = {"strides": step}
            break
    else:
        raise ValueError(f"row {site.row.name!r}: no stride gives its shape.")
    found = {"filters": form.outputs, "kernel_size": side, **grown, "use_bias": form.bias}
    return {key: value for key, value in found.items() if (key, value) != ("use_bias", True)}


def _separable(site: Site) -> Arguments:
    """Its kernel for each channel, then the one that mixes them."""
    inputs, width = site.reads[0][-1] or 0, site.width
    side, bias = _each(site, site.row.total - inputs * width, inputs)
    return _tidy({"filters": width, "kernel_size": side, **_stepped(site, side),
                  "use_bias": bias, **_activation(site, plain=False)})  # fmt: skip


def _depthwise(site: Site) -> Arguments:
    """A kernel for each channel, or several for each."""
    side, bias = _each(site, site.row.total, site.width)
    times = site.width // (site.reads[0][-1] or site.width)
    found = {"kernel_size": side, **_stepped(site, side), "use_bias": bias}
    return _tidy({**found, **({"depth_multiplier": times} if times > 1 else {})})


def _each(site: Site, count: int, kernels: int) -> tuple[int, bool]:
    """The side of so many kernels, and whether each output has a bias. Raises: ValueError."""
    for side in (3, 5, 7, 2, 1):
        for bias in (True, False):
            if count == side ** _rank(site.row) * kernels + bias * site.width:
                return side, bias
    raise ValueError(f"row {site.row.name!r}: no kernel gives its {site.row.total:,} numbers.")


def _dense(site: Site) -> Arguments:
    form = _form(site)
    return _tidy({"units": form.outputs, "use_bias": form.bias, **_activation(site, plain=False)})


def _norm(site: Site) -> Arguments:
    if "scale" in site.row.parameters and "shift" in site.row.parameters:
        epsilon = site.row.settings.get("epsilon", 1e-3)
        return {} if epsilon == 1e-3 else {"epsilon": epsilon}
    each, rest = divmod(site.row.total, site.width)
    if rest or not 2 <= each <= 4:
        raise ValueError(f"row {site.row.name!r}: {site.row.total:,} numbers are no batch norm's.")
    if each == 3:
        site.assumed.append("no scale (or no shift)")
    return {**({} if each == 4 else {"scale": False}), **({"center": False} if each == 2 else {})}


def _groups(site: Site) -> Arguments:
    groups = site.row.settings.get("groups")
    if groups is None:
        site.assumed.append("each channel a group, as in instance norm (or any groups)")
    found = {"groups": groups or -1}
    found |= {key: site.row.settings[key] for key in ("epsilon",) if key in site.row.settings}
    return found if site.row.total else {**found, "scale": False, "center": False}


def _zeros(site: Site) -> Arguments:
    """The zeros around a map, as the file says or as its sizes tell."""
    mode = site.row.settings.get("mode", "constant")
    if mode != "constant" and any(a != b for a, b in site.sizes):
        site.assumed.append(f"zeros (the file pads in the mode {printable(mode)})")
    return {"padding": site.row.settings.get("pads") or _margins(site)}


def _upsampling(site: Site) -> Arguments:
    steps = [b // a for a, b in site.sizes] or [2] * _rank(site.row)
    size = steps[0] if len(set(steps)) == 1 else tuple(steps)
    known = site.row.settings.get("interpolation")
    if known == "bilinear" and len(steps) == 2:
        return {"size": size, "interpolation": known}
    if known != "nearest":
        site.assumed.append("nearest neighbors (or linear interpolation)")
    return {"size": size}


def _margins(site: Site) -> tuple[tuple[int, int], ...]:
    """What is cut or added at both ends of each axis, as evenly as it goes."""
    if not site.sizes:
        raise ValueError(f"row {site.row.name!r}: its sizes are not known.")
    changes = [abs(b - a) for a, b in site.sizes]
    if any(change % 2 for change in changes):
        site.assumed.append("the odd voxel at the end (or at the beginning)")
    return tuple((change // 2, change - change // 2) for change in changes)


def _assumed(word: str, **arguments: Any) -> "Solver":
    """The solver of a class whose arguments have no trace in a table."""

    def solve(site: Site) -> Arguments:
        site.assumed.append(word)
        return arguments

    return solve


def _attention(site: Site) -> Arguments:
    """Query, key, value and output, each with a bias or none."""
    width = site.width
    for bias in (1, 0):
        inner, rest = divmod(site.row.total - bias * width, 4 * width + 3 * bias)
        if not rest:
            heads = next(n for n in (inner // 64, 12, 8, 4, 2, 1) if n and inner % n == 0)
            site.assumed.append(f"{heads} heads (any number has the same table)")
            found = {"num_heads": heads, "key_dim": inner // heads}
            return found if bias else {**found, "use_bias": False}
    raise ValueError(f"row {site.row.name!r}: no attention has {site.row.total:,} numbers.")


def _reshape(site: Site) -> Arguments:
    return {"target_shape": tuple(site.row.shape[1:])}


def _permute(site: Site) -> Arguments:
    before, after = site.reads[0], site.row.shape[1:]
    for order in permutations(range(1, len(before)) if len(before) < 7 else ()):
        if tuple(before[axis] for axis in order) == after:
            return {"dims": order}
    raise ValueError(f"row {site.row.name!r}: no order of its input's axes gives its shape.")


def _resizing(site: Site) -> Arguments:
    if len(site.row.shape) != 4 or None in site.row.shape[1:3]:
        raise ValueError(f"row {site.row.name!r}: its sizes are not known.")
    site.assumed.append("bilinear (or another interpolation)")
    return {"height": site.row.shape[1], "width": site.row.shape[2]}


def _global(site: Site) -> Arguments:
    return {"keepdims": True} if len(site.row.shape) > 2 else {}


def _grid(site: Site) -> Arguments:
    return {"grid": tuple(site.row.shape[1:-1])}


def _kind(site: Site) -> Arguments:
    if known := site.row.settings.get("activation"):
        return {"activation": known}
    words = f"{site.row.name} {site.row.layer_class}".lower()
    named = [word for word in ("sigmoid", "softmax", "tanh", "gelu", "relu") if word in words]
    kind = ("sigmoid" if site.width == 1 else "softmax") if site.last else "relu"
    kind = "sigmoid" if site.width == 1 else kind
    kind = named[0] if named else kind
    site.assumed.append(f"{kind} (or another activation)")
    return {"activation": kind}


def _prelu(site: Site) -> Arguments:
    axes = list(range(1, len(site.row.shape)))
    if site.row.total == 1 < site.width:
        return {"shared_axes": axes}
    return {"shared_axes": axes[:-1]} if site.row.total == site.width else {}


def _nothing(site: Site) -> Arguments:
    return {}


Solver = Callable[[Site], Arguments]
_rate = _assumed("a rate of 0.5 (any rate has the same table)", rate=0.5)
_noise = _assumed("noise of 0.1 (any has the same table)", stddev=0.1)
_rescaling = _assumed("a scale of 1/255 (or another)", scale=1 / 255)
SOLVERS: dict[str, Solver] = {
    **{f"Conv{n}D": _conv for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": _transposed for n in (1, 2, 3)},
    **{f"{kind}Pooling{n}D": pool for kind in ("Max", "Average") for n in (1, 2, 3)},
    **{f"Global{kind}Pooling{n}D": _global for kind in ("Max", "Average") for n in (1, 2, 3)},
    **{f"DepthwiseConv{n}D": _depthwise for n in (1, 2)},
    **{f"SeparableConv{n}D": _separable for n in (1, 2)},
    **{f"UpSampling{n}D": _upsampling for n in (1, 2, 3)},
    **{f"Cropping{n}D": lambda site: {"cropping": _margins(site)} for n in (2, 3)},
    **{f"ZeroPadding{n}D": _zeros for n in (2, 3)},
    **{f"SpatialDropout{n}D": _rate for n in (1, 2, 3)},
    **dict.fromkeys(
        ("Add", "Average", "Concatenate", "Flatten", "Maximum", "Minimum", "Multiply", "Subtract",
         "ELU", "Identity", "LayerNormalization", "LeakyReLU", "ReLU", "Softmax"), _nothing
    ),
    "Activation": _kind, "GroupNormalization": _groups,
    "BatchNormalization": _norm, "Dense": _dense, "Dropout": _rate,
    "MultiHeadAttention": _attention, "Normalization": _nothing, "PositionEmbeddings": _grid,
    "PReLU": _prelu, "Reshape": _reshape, "AlphaDropout": _rate, "GaussianDropout": _rate,
    "GaussianNoise": _noise, "Permute": _permute, "Rescaling": _rescaling, "Resizing": _resizing,
}  # fmt: skip
