"""A network's first step, training step, prediction and memory against its PyTorch twin.

    python benchmarks/step.py [avx2] [activations | full] [NETWORK ...]

Each runs in a fresh process with as many threads as there are cores; float32, Adam, Dice +
cross-entropy (MONAI's on PyTorch). The first step is all that comes after the imports: the network
built, compiled and trained on a batch. Medians of seven after two more to warm up; the processor's
seconds are those of all threads. Memory is the process's at its peak when it has trained, libraries
included, and what comes on top of the imports. unetzoo predicts as ``unetzoo predict`` does
(window.py measures the memory of that). With "avx2" neither side uses wider vector units, which
stands in for a processor without them. With "activations" or "full" unetzoo computes maps again,
as with ``unetzoo train --remat``.
"""

import json
import os
import resource
import statistics
import sys
import time
from functools import cache

import numpy as np
from machine import NARROW, child, heading

RUNS, WARM = 7, 2
NETWORKS = {  # sizes, of the output, batch, channels, classes
    "unet3d_2_5m": ((48, 48, 48), (48, 48, 48), 2, 1, 1),
    "unet3d_19m": ((48, 48, 48), (48, 48, 48), 1, 1, 4),
    "plain_unet": ((64, 64, 64), (64, 64, 64), 1, 1, 2),  # its twin is nnU-Net's own class
    "unet2d_original": ((572, 572), (388, 388), 1, 1, 2),
    "unet3d_90m": ((48, 48, 48), (48, 48, 48), 1, 4, 3),
}
SIDES = {"unetzoo": "tensorflow", "unetzoo on torch": "torch", "PyTorch": "torch"}


def data(name):
    """Images and labels, channels last."""
    sizes, output, batch, channels, classes = NETWORKS[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *sizes, channels), "float32")
    return x, rng.integers(0, max(classes, 2), (batch, *output))


def keras_model(name, x, y, remat=None):
    import unetzoo
    from unetzoo.inference.fusing import for_prediction
    from unetzoo.training import compile_model, rematerialize

    model = compile_model(unetzoo.build(name, input_shape=x.shape[1:]))
    model = rematerialize(model, remat) if remat else model
    faster = cache(lambda: for_prediction(model, x.shape[1:-1]))
    return lambda: model.train_on_batch(x, y), lambda: faster().predict_on_batch(x)


def twin_of(name):
    if name != "plain_unet":
        from twins import TWINS

        return TWINS[name]()
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from torch import nn

    return PlainConvUNet(
        1, 6, (32, 64, 128, 256, 320, 320), nn.Conv3d, 3, (1, 2, 2, 2, 2, 2), 2, 2, 2,
        conv_bias=True, norm_op=nn.InstanceNorm3d, norm_op_kwargs={"affine": True},
        nonlin=nn.LeakyReLU, nonlin_kwargs={"inplace": True},
    )  # fmt: skip


def pytorch_twin(name, x, y, _):
    import torch
    from monai.losses import DiceCELoss

    twin = twin_of(name)
    x, y = torch.from_numpy(np.moveaxis(x, -1, 1).copy()), torch.from_numpy(y)[:, None]
    one = NETWORKS[name][-1] == 1
    loss = DiceCELoss(
        softmax=not one, sigmoid=one, to_onehot_y=not one, include_background=one
    )  # fmt: skip
    y = y.float() if one else y
    optimizer = torch.optim.Adam(twin.parameters(), 1e-4)

    def step():
        twin.train()
        optimizer.zero_grad()
        value = loss(twin(x), y)
        value.backward()
        optimizer.step()
        return value.item()

    def predict():
        twin.eval()
        with torch.inference_mode():
            return twin(x).numpy()

    return step, predict


def measure(side, name, remat=None):
    """First step, step, its processor seconds, prediction; GiB in all, and beyond the imports."""
    x, y = data(name)
    if side == "PyTorch":
        sys.modules["tensorflow"] = None  # tensorboard, which MONAI imports, would load it
        import monai.losses  # noqa: F401
        import torch
        import twins  # noqa: F401

        torch.zeros(1)
        make = pytorch_twin
    else:
        import keras

        keras.ops.zeros(1)
        make = keras_model
    imports = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    begun = time.perf_counter()
    step, predict = make(name, x, y, remat)
    step()
    first = time.perf_counter() - begun
    train, busy = medians(step)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    predicted, _ = medians(predict)
    print(json.dumps([first, train, busy, predicted, peak, peak - imports]))


def medians(work):
    """Seconds on the wall, and of the processor, of one piece of work."""
    wall, busy = [], []
    for _ in range(RUNS + WARM):
        began, used = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - began)
        busy.append(time.process_time() - used)
    return statistics.median(wall[WARM:]), statistics.median(busy[WARM:])


def main(*words):
    narrow = NARROW if "avx2" in words else {}
    os.environ.update(narrow)
    from unetzoo.utils.choices import REMAT

    remat = [word for word in words if word in REMAT]
    print(heading("keras", "tensorflow", "torch", "monai"), end="\n\n")
    print(
        "| network | side | first step, s | step, s | ratio | processor, s | ratio "
        "| prediction, s | ratio | GiB | ratio | beyond imports | ratio |"
    )
    print(f"|---|---|{'---:|' * 11}")
    for name in [word for word in words if word in NETWORKS] or NETWORKS:
        found = {
            side: child("step.py", side, name, *remat, KERAS_BACKEND=of)
            for side, of in SIDES.items()
        }
        for side, figures in found.items():
            first, *others = figures
            pairs = zip(others, found["PyTorch"][1:], strict=True)
            cells = " | ".join(f"{ours:.2f} | {ours / peer:.2f}" for ours, peer in pairs)
            print(f"| `{name}` | {side} | {first:.1f} | {cells} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in SIDES:
        measure(*sys.argv[1:])
    else:
        main(*sys.argv[1:])
