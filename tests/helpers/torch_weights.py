"""Random weights for a PyTorch twin, copied layer by layer into a Keras model, and the logits."""

import math

import keras
import numpy as np
import torch
from torch import nn


def randomise(twin, seed):
    """Random weights that keep the activations near 1, and random batch norm statistics."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor, low, high):
        tensor.data.uniform_(low, high, generator=generator)

    for module in twin.modules():
        if isinstance(module, nn.modules.conv._ConvNd):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            if module.bias is not None:
                uniform(module.bias, -0.2, 0.2)
        elif isinstance(module, nn.modules.batchnorm._NormBase):  # batch or instance
            uniform(module.weight, 0.5, 1.5)
            uniform(module.bias, -0.3, 0.3)
            if module.track_running_stats:
                uniform(module.running_mean, -0.3, 0.3)
                uniform(module.running_var, 0.5, 2.0)
    return twin.eval()


def copy_as_run(network, x, layers):
    """Give Keras's layers the weights of a 2D network's modules, both in the order in which they
    run; return the network's output, channels last."""
    modules = []
    for module in network.modules():
        if list(module.parameters(recurse=False)):
            module.register_forward_hook(lambda module, *rest: modules.append(module))
    with torch.no_grad():
        output = network(x).movedim(1, -1).numpy()
    for layer, module in zip(layers, modules, strict=True):
        kernel = module.weight.detach().numpy()
        kernel = kernel.transpose(2, 3, 1, 0) if kernel.ndim > 1 else kernel
        state = [kernel, *([] if module.bias is None else [module.bias.detach().numpy()])]
        if isinstance(module, torch.nn.BatchNorm2d):
            state += [module.running_mean.numpy(), module.running_var.numpy()]
        layer.set_weights(state)
    return output


def copy_weights(twin, model, rename=lambda key: key):
    """Give every layer of the model the weights of the twin's module of the same name.

    ``rename`` gives a key of the twin's state as the model calls it, or None for a repetition.
    Raises KeyError where a name has no counterpart, on either side.
    """
    state = {rename(key): value.numpy() for key, value in twin.state_dict().items()}
    state.pop(None, None)
    for layer in model.layers:
        if not layer.weights:
            continue
        prefix = layer.name.replace("-", ".")
        keys = ["weight", "bias", "running_mean", "running_var"][: len(layer.weights)]
        values = [state.pop(f"{prefix}.{key}") for key in keys]
        if values[0].ndim > 1:  # (out, in, *k) or, transposed, (in, out, *k), to (*k, in, out)
            values[0] = np.moveaxis(values[0], (0, 1), (-1, -2))
        layer.set_weights(values)
    left = [key for key in state if not key.endswith("num_batches_tracked")]
    if left:
        raise KeyError(f"the model has no layers for {left}")


def count(weights):
    """The numbers that weights hold, PyTorch's or Keras's."""
    return sum(math.prod(weight.shape) for weight in weights)


def noise(*shape, seed=2):
    return np.random.default_rng(seed).standard_normal(shape, dtype="float32")


def assert_same_logits(twin, model, sizes, batch=1):
    """Each output of the model equals the twin's at each size, up to 1e-4 of the largest logit."""
    for size in sizes:
        x = noise(batch, *size, model.input_shape[-1])
        with torch.no_grad():
            expected, found = twin(channels_first(x)), model(x)
        if len(model.outputs) == 1:
            expected, found = [expected], [found]
        for theirs, ours in zip(map(channels_last, expected), found, strict=True):
            assert ours.shape == theirs.shape
            assert theirs.std() > 0.1
            difference = np.abs(keras.ops.convert_to_numpy(ours) - theirs)
            assert difference.max() < 1e-4 * np.abs(theirs).max()


def channels_first(x):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def channels_last(x):
    return np.moveaxis(x.detach().numpy(), 1, -1)
