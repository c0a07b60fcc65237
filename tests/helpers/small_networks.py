"""The variants of the U-Net as small networks, on which the tests of all networks are quick."""

from contextlib import contextmanager, nullcontext
from unittest import mock

from torch_weights import noise
from twins import SIZES

import unetzoo
from unetzoo.blocks import basic

STAGES = {"features": (4, 6, 8), "kernels": (3, 3, 3), "strides": (1, 2, 2)}
LEVELS = {"features": (2, 3, 4, 5, 6)}
TRANSFORMER = {
    "width": 32, "units": (1, 1, 1), "hidden": 8, "layers": 2, "heads": 2, "mlp": 12,
    "features": (8, 8, 6, 4, 4),
}  # fmt: skip

# Arguments, and a size on every axis at which no map has a single voxel.
VARIANTS = {
    "attention_unet": (LEVELS, 32),
    "plain_unet": (STAGES, 8),
    "residual_unet": ({**STAGES, "residuals": (1, 1, 2)}, 8),
    "transunet": (TRANSFORMER, 32),
    "unet_plus_plus": (LEVELS, 32),
    "vnet": ({**LEVELS, "features": (3, 4, 4, 5, 6)}, 32),
}


def arguments(name, rank, size=None):
    """Of a small network with as many axes of space."""
    choice, smallest = VARIANTS[name]
    channels = 3
    return {"input_shape": (*[size or smallest] * rank, channels), "num_classes": 3, **choice}


NAMES = sorted([*SIZES, *VARIANTS])  # a variant's own twin is in its own test


def build_small(network, /, rank=2, **more):
    """A network at its smaller test size; a variant small, with as many axes of space."""
    if network in VARIANTS:
        return unetzoo.build(network, **{**arguments(network, rank), **more})
    channels = unetzoo.card(network).input_shape[-1]
    return unetzoo.build(network, input_shape=(*SIZES[network][0], channels), **more)


@contextmanager
def narrow(network):
    """Within it a network of millions of weights is built with an eighth of its channels.

    For what its width does not change: the kinds of layers, sizes, how it is trained and saved.
    """
    layer = basic._layer

    def narrowed(kind, x, **arguments):
        if arguments.get("filters", 0) >= 16:  # no such network has as many classes
            arguments["filters"] //= 8
        return layer(kind, x, **arguments)

    wide = unetzoo.card(network).trainable_params > 2_000_000 and network not in VARIANTS
    with mock.patch.object(basic, "_layer", narrowed) if wide else nullcontext():
        yield


def build_narrow(network, /, rank=2, **more):
    with narrow(network):
        return build_small(network, rank, **more)


def batch_for(model, batch=1):
    return noise(batch, *model.input_shape[1:], seed=0)


TINY = {
    "width": 8, "units": (1, 2, 1), "hidden": 16, "layers": 2, "heads": 2, "mlp": 24,
    "features": (16, 16, 8, 8, 4),
}  # fmt: skip
