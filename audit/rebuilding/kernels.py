"""Convolutions of PyTorch, as layers of Keras: kernels, strides and padding that give a row."""

from itertools import product
from typing import Any

from audit.comparison.forms import UNLIKELY, forms_reading
from audit.rebuilding.module import Fit, Module, Sizes, one

LIKELY_TAPS = {3: 0.0, 1: 0.3, 5: 0.6, 7: 0.6, 2: 0.8, 4: 0.8}


def kernels(taps: int, rank: int) -> list[Sizes]:
    """The kernels of so many taps: cubes, and those that are one voxel thick."""
    side = round(taps ** (1 / rank))
    cubes = [(side,) * rank] if side**rank == taps else []
    flat = round(taps**0.5)
    thin = [(1, flat, flat)] if rank == 3 and flat**2 == taps and flat > 1 else []
    deep = [(taps, 1, 1)] if rank == 3 and taps in (3, 5, 7) else []
    return cubes + thin + deep


def side_cost(kernel: Sizes) -> float:
    return LIKELY_TAPS.get(max(kernel), 1.0) + 0.2 * (len(set(kernel)) > 1)


def _kernel_forms(module: Module, width: int) -> list[tuple[Sizes, bool, float]]:
    """Kernels with which the row's count comes from so many channels; whether with a bias."""
    if "kernel_size" in module.given:
        kernel = module.numbers("kernel_size", 1)
        return [(kernel, "bias" in module.row.parameters, 0.0)]
    forms = [form for form in forms_reading(module.row, width) if form.fit < UNLIKELY]
    return [
        (kernel, form.bias, side_cost(kernel))
        for form in forms if form.inputs == width
        for kernel in kernels(form.taps, module.rank)
    ]  # fmt: skip


def grouped(module: Module, width: int) -> list[tuple[Sizes, bool, int]]:
    """The kernels, whether with a bias, and the groups of channels convolved by themselves.

    They are those that keep the number of channels, as in depthwise convolutions and in ResNeXt.
    """
    if not module.each or width < 2 or width != module.width or module.row.total % width:
        return []
    found = []
    for side, bias in product((3, 5, 7), (False, True)):
        reads, rest = divmod(module.row.total // width - bias, side**module.rank)
        if not rest and 0 < reads < width and width % reads == 0:
            found.append(((side,) * module.rank, bias, width // reads))
    return found


def convolutions(module: Module, sizes: Sizes, width: int) -> list[Fit]:
    found = []
    forms: list[tuple[Sizes, bool, float, dict[str, int]]] = [
        (*form, {}) for form in _kernel_forms(module, width)
    ]
    forms += [(kernel, bias, 0.4, {"groups": n}) for kernel, bias, n in grouped(module, width)]
    for kernel, bias, cost, groups in forms:
        for strides, padding, more in _steps(module, sizes, kernel):
            given = zip(sizes, kernel, strides, padding, strict=True)
            out = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in given)
            if min(out) < 1 or not module.width:
                continue
            arguments: dict[str, Any] = {"filters": module.width, "kernel_size": one(kernel)}
            same = all(s == 1 for s in strides) and any(padding)
            same = same and all(2 * p == k - 1 for p, k in zip(padding, kernel, strict=True))
            if max(strides) > 1:
                arguments["strides"] = one(strides)
            arguments |= {"padding": "same"} if same else {}
            arguments |= {} if bias else {"use_bias": False}
            arguments |= groups | _printed_settings(module)
            before = () if same or not any(padding) else padding
            said = tuple(f"{n} groups of channels (or another kernel)" for n in groups.values())
            found.append(Fit(module.kind, arguments, out, module.width, cost + more, before, said))
    return found


def _printed_settings(module: Module) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if max(dilation := module.numbers("dilation", 1)) > 1:
        found["dilation_rate"] = one(dilation)
    if (groups := module.numbers("groups", 1)[0]) > 1:
        found["groups"] = groups
    return found


def _steps(module: Module, sizes: Sizes, kernel: Sizes) -> list[tuple[Sizes, Sizes, float]]:
    """Strides and paddings, with how unlikely they are."""
    if "kernel_size" in module.given:
        spread = module.numbers("dilation", 1)
        padding = tuple(  # of a dilated kernel, as if the kernel were not
            p - (d - 1) * (k - 1) // 2
            for p, d, k in zip(module.numbers("padding", 0), spread, kernel, strict=True)
        )
        return [(module.numbers("stride", 1), padding, 0.0)]
    if module.sizes is None:
        return []
    found = []
    for cost, padding in enumerate(
        dict.fromkeys((tuple((k - 1) // 2 for k in kernel), (0,) * len(kernel)))
    ):
        strides = []
        for n, k, p, out in zip(sizes, kernel, padding, module.sizes, strict=True):
            strides.append(next((s for s in (1, 2, 3, 4) if (n + 2 * p - k) // s + 1 == out), 0))
        if all(strides):
            found.append((tuple(strides), padding, 0.2 * cost + 0.3 * (max(strides) > 1)))
    return found


def transposed(module: Module, sizes: Sizes, width: int) -> list[Fit]:
    found = []
    for kernel, bias, cost in _kernel_forms(module, width):
        for strides, padding, extra in _growths(module, sizes, kernel):
            terms = zip(sizes, kernel, strides, padding, extra, strict=True)
            out = tuple((n - 1) * s - 2 * p + k + e for n, k, s, p, e in terms)
            if not module.width:
                continue
            same = all(o == n * s for o, n, s in zip(out, sizes, strides, strict=True))
            plain = not any(padding) and not any(extra)
            arguments: dict[str, Any] = {"filters": module.width, "kernel_size": one(kernel),
                         "strides": one(strides)}  # fmt: skip
            arguments |= {"padding": "same"} if same else {}
            arguments |= {} if bias else {"use_bias": False}
            arguments |= _printed_settings(module)
            even = all((k - s) % 2 == 0 for k, s in zip(kernel, strides, strict=True))
            word = ("kernels that begin as Keras's do (PyTorch's begin one voxel earlier)",)
            if same or plain:
                cost += 0.2 * (not same)
                found.append(
                    Fit(
                        module.kind,
                        arguments,
                        out,
                        module.width,
                        cost,
                        (),
                        word * (not even and same),
                    )
                )
    return found


def _growths(module: Module, sizes: Sizes, kernel: Sizes) -> list[tuple[Sizes, Sizes, Sizes]]:
    """Strides, paddings and further zeros at the end."""
    if "kernel_size" in module.given:
        extra = module.numbers("output_padding", 0)
        return [(module.numbers("stride", 1), module.numbers("padding", 0), extra)]
    if module.sizes is None:
        return []
    axes = []
    for n, k, out in zip(sizes, kernel, module.sizes, strict=True):
        options = [
            (s, p, e)
            for s, e, p in product((2, 1, 3, 4), (0, 1), range(k))
            if (n - 1) * s - 2 * p + k + e == out and e < s
        ]
        axes.append(options[:1])
    return [tuple(zip(*choice, strict=True)) for choice in product(*axes)]  # type: ignore[misc]
