"""Windows that are predicted at the same time, where one alone leaves processors idle.

On a CPU, XLA keeps a second core busy for less than half of the time that a network takes.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

AT_ONCE = 2  # each needs the memory of a window


def in_order(work: Callable[[Any], Any], items: Iterable[Any], at_once: int) -> Iterator[Any]:
    """What a function gives of each item, in their order, with a few in threads at the same time.

    The first item is alone, since a network is compiled for it.

    >>> list(in_order(lambda n: n * n, range(4), 2))
    [0, 1, 4, 9]
    """
    items = iter(items)
    if at_once == 1:
        yield from map(work, items)
        return
    for first in items:
        yield work(first)
        break
    with ThreadPoolExecutor(at_once) as pool:
        begun: deque = deque()
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) == at_once:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


def allow_threads(model: Any) -> Any:
    """Let several threads predict with a network on jax's CPU; elsewhere nothing changes.

    Keras's own ``predict_on_batch`` gives its weights away while it computes.

    Returns: the model itself.

    >>> import unetzoo
    >>> model = allow_threads(unetzoo.build("unet2d_small", input_shape=(16, 16, 1)))
    >>> model.predict_on_batch(np.ones((3, 16, 16, 1))).shape[:-1]
    (3, 16, 16)
    """
    from unetzoo.layers.slices import on_jax_cpu

    if not on_jax_cpu():
        return model
    import jax

    @jax.jit
    def forward(trainable: Any, others: Any, x: Any) -> Any:
        return model.stateless_call(trainable, others, x, training=False)[0]

    def predict(x: Any) -> Any:
        groups = model.trainable_variables, model.non_trainable_variables
        outputs = forward(*([v.value for v in group] for group in groups), np.asarray(x))
        return jax.tree.map(np.asarray, outputs)

    model.predict_on_batch, model.at_once = predict, AT_ONCE
    return model
