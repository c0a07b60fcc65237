"""Which operations a function computes in half precision, asked of the backend itself."""

import contextlib

import keras
import numpy as np

BACKEND = keras.backend.backend()
HALF = ("float16", "bfloat16")


@contextlib.contextmanager
def precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def computed_in_half(function, labels, logits, policy):
    """Of a function of labels and of logits in half precision; a cast computes nothing."""
    half = policy.removeprefix("mixed_")
    found = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[BACKEND]
    return sorted(set(found(function, labels, logits, half)))


def _tensorflow(function, labels, logits, half):
    import tensorflow as tf

    specs = [tf.TensorSpec(labels.shape, labels.dtype), tf.TensorSpec(logits.shape, half)]
    graph = tf.function(function).get_concrete_function(*specs).graph
    graphs = [graph, *(each.graph for each in graph._functions.values() if hasattr(each, "graph"))]
    for operation in [each for graph in graphs for each in graph.get_operations()]:
        half = any(output.dtype.name in HALF for output in operation.outputs)
        if half and operation.type not in ("Placeholder", "Cast", "Identity"):
            yield operation.type


def _jax(function, labels, logits, half):
    import jax

    def equations(jaxpr):
        for equation in jaxpr.eqns:
            inner = [each for each in equation.params.values() if hasattr(each, "jaxpr")]
            yield from (e for each in inner for e in equations(each.jaxpr))
            if not inner:
                yield equation

    traced = jax.make_jaxpr(function)(np.asarray(labels), jax.numpy.asarray(logits, half))
    for equation in equations(traced.jaxpr):
        kinds = [str(output.aval.dtype) for output in equation.outvars]
        if set(kinds) & set(HALF) and equation.primitive.name != "convert_element_type":
            yield equation.primitive.name


def _torch(function, labels, logits, half):
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            result = operation(*args, **(kwargs or {}))
            results = result if isinstance(result, tuple | list) else [result]
            if any(getattr(each, "dtype", None) in (torch.float16, torch.bfloat16)
                   for each in results):  # fmt: skip
                seen.append(str(operation))
            return result

    given = torch.tensor(labels), torch.tensor(logits).to(getattr(torch, half))
    with Watch():
        function(*given)
    return [name for name in seen if "_to_copy" not in name and "detach" not in name]
