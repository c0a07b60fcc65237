"""Bytes that a PyTorch network keeps alive, seen operation by operation."""

import weakref

import torch
from torch.fx import Interpreter
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Alive(TorchDispatchMode):
    """``peak``: the most bytes alive at once, of the tensors given and of all made within it."""

    def __init__(self, *held):
        super().__init__()
        self.now = self.peak = 0
        self.known = set()
        for tensor in held:
            self.add(tensor)

    def add(self, tensor):
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self.known:
            self.known.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.drop, key, size)

    def drop(self, key, size):
        self.known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.add(tensor)
        return result


class Loss(torch.autograd.Function):
    """A mean whose backward pass makes the output's gradient and nothing else."""

    @staticmethod
    def forward(ctx, y):
        ctx.size = y.shape
        return y.mean()

    @staticmethod
    def backward(ctx, gradient):
        return torch.full(ctx.size, gradient.item())


def saved(network, *inputs):
    """What the forward pass keeps for the backward pass, each storage once, weights not."""
    weights = [*network.parameters(), *network.buffers()]
    ours = {tensor.untyped_storage()._cdata for tensor in weights}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in ours:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network.train()(*inputs)
    size = sum(storage.nbytes() for storage in kept.values())
    del output
    return size


def prediction(network, x):
    """The peak of the maps in a prediction: with each freed after its last use, and as called.

    The first runs the recorded operations one by one; in the second the network's own variables
    hold maps for as long as they are in scope.
    """
    with torch.no_grad():
        recorded = make_fx(network.eval())(x)
        recorded.graph.eliminate_dead_code()
        recorded.recompile()
        with Alive(x) as freed:
            Interpreter(recorded).run(x)
        with Alive(x) as called:
            network(x)
    return freed.peak, called.peak


def training(network, x):
    """The peak of the second step with Adam, weights and moments included."""
    optimizer = torch.optim.Adam(network.train().parameters())

    def step():
        output = network(x)
        Loss.apply(output).backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    moments = [tensor for state in optimizer.state.values() for tensor in state.values()]
    with Alive(x, *network.parameters(), *network.buffers(), *moments) as alive:
        step()
    return alive.peak


class Trained(torch.nn.Module):
    """A network of Keras on torch, in training; its first output."""

    def __init__(self, model):
        super().__init__()
        self.inner = model

    def forward(self, x):
        return tree_leaves(self.inner(x, training=True))[0]
