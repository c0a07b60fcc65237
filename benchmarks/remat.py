"""The memory of a training step that computes maps again: Keras's own step, on each backend.

    python benchmarks/remat.py [NETWORK ...]

Each in a fresh process, batch 2, float32, Adam. "live" are the bytes of tensors alive at the peak
of a step of Keras on torch, weights and moments among them, and "predicted" is `audit.memory`'s
figure; "resident" is what three steps add to the process, libraries' room to work included.
"""

import json
import sys

from machine import child, heading

SIZES = {2: (256, 256, 1), 3: (64, 64, 64, 1)}
MODES = (None, "activations", "full")
BACKENDS = ("tensorflow", "torch", "jax")
NETWORKS = ("plain_unet", "attention_unet", "unet2d_large", "unet3d_2_5m", "unet2d_small", "vnet")


def network(name, mode):
    import unetzoo
    from unetzoo.training import compile_model, rematerialize

    rank = 3 if "3d" in name else 2
    channels = unetzoo.card(name).input_shape[-1]
    model = unetzoo.build(name, input_shape=(*SIZES[rank][:-1], channels))
    return rematerialize(compile_model(model), mode)


def live(name, mode):
    """The bytes alive at the peak of a step on torch, and those predicted."""
    import alive
    import torch

    import audit

    model = network(name, mode)
    predicted = audit.memory(audit.table(model), batch=2, remat=mode).training
    return predicted, alive.training(alive.Trained(model), torch.ones(2, *model.input_shape[1:]))


def resident(name, mode):
    """The bytes that three steps add to the process at its peak."""
    import resource

    import numpy as np
    import psutil

    model = network(name, mode)
    outputs = model.outputs[0].shape
    x = np.ones((2, *model.input_shape[1:]), "float32")
    y = np.zeros((2, *outputs[1:-1]), "int32")
    before = psutil.Process().memory_info().rss
    for _ in range(3):
        model.train_on_batch(x, y)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def main():
    print(heading("keras", "tensorflow", "torch", "jax"), end="\n\n")
    titles = ["predicted", "live on torch", "ratio", *(f"resident on {b}" for b in BACKENDS)]
    print(f"| network | maps kept | {' | '.join(titles)} |")
    print(f"|---|---|{'---:|' * len(titles)}")
    for name in sys.argv[1:] or NETWORKS:
        for mode in MODES:
            words = [name, mode or ""]
            predicted, held = child("remat.py", "live", *words, KERAS_BACKEND="torch")
            added = [child("remat.py", "resident", *words, KERAS_BACKEND=b) for b in BACKENDS]
            sizes = [f"{size / 2**20:,.0f}" for size in (predicted, held, *added)]
            sizes.insert(2, f"{predicted / held:.2f}")
            print(f"| `{name}` | {mode or 'all'} | {' | '.join(sizes)} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] in (["live"], ["resident"]):
        what, name, mode = sys.argv[1:]
        print(json.dumps(globals()[what](name, mode or None)))
    else:
        main()
