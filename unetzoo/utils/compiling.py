"""What is computed once on jax, which compiles each operation anew for each size."""

from collections.abc import Iterator
from contextlib import contextmanager

from unetzoo.utils.kernels import keras_backend

SWITCH = "jax_disable_most_optimizations"


@contextmanager
def compiled_quickly() -> Iterator[None]:
    """Within it jax compiles without optimizing, for initial weights and the state of a training.

    The code that draws a kernel runs once; to optimize it takes half a second for each.
    """
    if keras_backend() != "jax":
        yield
        return
    import jax

    before = jax.config.read(SWITCH)
    jax.config.update(SWITCH, True)
    try:
        yield
    finally:
        jax.config.update(SWITCH, before)
