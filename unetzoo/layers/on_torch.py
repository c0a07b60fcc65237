"""Layers on PyTorch: without copies, and with no more maps for back-propagation than they need.

Keras 3.15 copies a map before each pooling and transposed convolution to put its channels first,
and PyTorch copies each kernel, which Keras keeps in another order. Keras's batch norm and PReLU
keep more maps than the one that came in. PyTorch's own norms add voxel by voxel in float32 where
channels lie last on a CPU: of 128 x 128 x 128 voxels with deviation 1 some came out wrong by 0.004.
Here a norm goes through a map slab by slab, adds few numbers at a time, and keeps the map that came
in, and its means and scales.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import keras

AT_A_TIME = 2**19  # numbers of a map that are processed at a time on a CPU: 2 MiB


def keep_in_order(layer: Any) -> None:
    """Lay a convolution's kernel out in memory as PyTorch's own layers do; its shape stays.

    In Keras's order PyTorch copies it in every call, and in every gradient.
    """
    if getattr(layer, "lora_enabled", False):  # which computes its kernel in every call
        return
    kernel, rank = layer.kernel.value, layer.rank
    ordered = kernel.data.permute(rank + 1, rank, *range(rank)).contiguous()
    kernel.data = ordered.permute(*range(2, rank + 2), 1, 0)


def is_small(x: Any, kernel: Any) -> bool:
    """Whether on a CPU a map is to be copied, channels first, so that its kernel is not.

    With channels last in the one, PyTorch copies the other into that order.
    """
    return x.device.type == "cpu" and x.numel() < kernel.numel()


def pooled(layer: Any, x: Any) -> Any:
    """The output of a maximum pooling that pads nothing."""
    import torch

    pool = {1: torch.nn.functional.max_pool2d, 2: torch.nn.functional.max_pool3d}[x.ndim - 3]
    return pool(x.movedim(-1, 1), layer.pool_size, layer.strides).movedim(1, -1)


def enlarged(layer: Any, x: Any, padding: int = 0, output_padding: int = 0) -> Any:
    """The output of a transposed convolution, padded in PyTorch's sense."""
    import torch

    rank = layer.rank
    enlarge = {2: torch.nn.functional.conv_transpose2d, 3: torch.nn.functional.conv_transpose3d}
    kernel = keras.ops.convert_to_tensor(layer.kernel).permute(rank + 1, rank, *range(rank))
    bias = keras.ops.convert_to_tensor(layer.bias) if layer.use_bias else None
    x = x.movedim(-1, 1)
    x = x.contiguous() if is_small(x, kernel) else x
    y = enlarge[rank](x, kernel, bias, layer.strides, padding, output_padding).movedim(1, -1)
    return y if layer.activation is None else layer.activation(y)


def prelu(layer: Any, x: Any) -> Any:
    """The output of a PReLU with a slope for each channel."""
    import torch

    slopes = keras.ops.convert_to_tensor(layer.alpha).flatten().to(x.dtype)
    return torch.nn.functional.prelu(x.movedim(-1, 1), slopes).movedim(1, -1)


def leaky_relu(slope: float, x: Any) -> Any:
    """The larger of ``x`` and ``slope * x``; its gradient needs the result alone."""
    import torch

    copied = x.clone() if torch.is_grad_enabled() else x  # which is overwritten
    return torch.nn.functional.leaky_relu(copied, slope, inplace=torch.is_grad_enabled())


def instance_norm(epsilon: float, x: Any, gamma: Any, beta: Any) -> Any:
    """A map ``(B, *spatial, C)`` with mean ``beta`` and deviation ``gamma`` in each channel.

    Computed in float32 at least.
    """
    return _norm(False, epsilon, x, gamma, beta)[0]


def batch_norm(epsilon: float, x: Any, gamma: Any, beta: Any) -> tuple[Any, Any, Any]:
    """The same over the whole batch; and the mean and the variance."""
    y, mean, variance = _norm(True, epsilon, x, gamma, beta)
    return y, mean.flatten(), variance.flatten()


def _norm(together: bool, epsilon: float, x: Any, gamma: Any, beta: Any) -> tuple[Any, Any, Any]:
    import torch

    gamma, beta = (keras.ops.convert_to_tensor(each) for each in (gamma, beta))
    needed = torch.is_grad_enabled() and any(each.requires_grad for each in (x, gamma, beta))
    if needed and not torch.compiler.is_compiling():
        return _function().apply(together, epsilon, x, gamma, beta)
    mean, variance = _moments(together, x)
    return _scaled(x, mean, torch.rsqrt(variance + epsilon), gamma, beta), mean, variance


@cache
def _function() -> Any:
    import torch

    class Norm(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any, together: bool, epsilon: float, x: Any, gamma: Any, beta: Any
        ) -> tuple[Any, Any, Any]:
            mean, variance = _moments(together, x)
            scale = torch.rsqrt(variance + epsilon)
            ctx.together = together
            ctx.save_for_backward(x, gamma, mean, scale)
            ctx.mark_non_differentiable(mean, variance)
            return _scaled(x, mean, scale, gamma, beta), mean, variance

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, dy: Any, *_: Any) -> tuple[Any, ...]:
            return None, None, *_gradients(ctx.together, dy, *ctx.saved_tensors)

    return Norm


def _slabs(*maps: Any) -> Iterator[tuple[Any, ...]]:
    """Parts of maps ``(B, *spatial, C)`` along their first axis in space, in float32 at least."""
    first = maps[0]
    rows = first.shape[1]
    if first.device.type == "cpu":
        rows = max(1, AT_A_TIME * rows // max(1, first.numel()))
    for start in range(0, first.shape[1], rows):
        yield tuple(each[:, start : start + rows] for each in maps)


def _raised(x: Any) -> Any:
    import torch

    return x.to(torch.promote_types(x.dtype, torch.float32))


def _mean(together: bool, of: Callable[..., Any], *maps: Any) -> Any:
    """The mean of ``of`` a map's voxels: each channel's of a sample, or of all samples."""
    x = maps[0]
    axes = tuple(range(0 if together else 1, x.ndim - 1))
    rows = (of(*map(_raised, slab)).sum(-2, keepdim=True) for slab in _slabs(*maps))  # quick
    total = sum(row.sum(axes, keepdim=True) for row in rows)
    return total * (total.numel() / x.numel())


def _moments(together: bool, x: Any) -> tuple[Any, Any]:
    mean = _mean(together, lambda x: x, x)
    return mean, _mean(together, lambda x: (x - mean).square_(), x)


def _scaled(x: Any, mean: Any, scale: Any, gamma: Any, beta: Any) -> Any:
    import torch

    y = torch.empty_like(x)
    for part, out in _slabs(x, y):
        out.copy_((_raised(part) - mean).mul_(scale * _raised(gamma)).add_(_raised(beta)))
    return y


def _gradients(together: bool, dy: Any, x: Any, gamma: Any, mean: Any, scale: Any) -> tuple:
    """Of the map, gamma and beta."""
    import torch

    shift = _mean(together, lambda dy: dy, dy)
    along = _mean(together, lambda dy, x: (x - mean).mul_(dy), dy, x) * scale
    by = scale * _raised(gamma)
    dx = torch.empty_like(x)
    for slope, part, out in _slabs(dy, x, dx):
        back = (_raised(part) - mean).mul_(-along * scale)
        out.copy_(back.add_(slope).sub_(shift).mul_(by))
    count = x.numel() / shift.numel()
    dgamma, dbeta = ((each * count).flatten(0, -2).sum(0) for each in (along, shift))
    return dx, dgamma.to(gamma.dtype), dbeta.to(gamma.dtype)
