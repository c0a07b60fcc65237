"""A training step and a prediction of unet3d_19m at 48 cubed, against PyTorch and Keras's choices.

    python benchmarks/step.py

Each runs in a fresh process with as many threads as there are cores; batch 1, float32, Adam,
Dice + cross-entropy (MONAI's on PyTorch). Medians after two steps to warm up.
"""

import json
import statistics
import sys
import time

import numpy as np
from machine import child, heading

SIZE = 48
RUNS = 7


def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, SIZE, SIZE, SIZE, 1), dtype="float32")
    return x, rng.integers(0, 4, (1, SIZE, SIZE, SIZE))


def keras_model(**choice):
    import unetzoo
    from unetzoo.training import compile_model

    model = unetzoo.build("unet3d_19m", input_shape=(SIZE, SIZE, SIZE, 1))
    compile_model(model, **choice)
    x, y = data()
    return lambda: model.train_on_batch(x, y), lambda: model.predict_on_batch(x)


def pytorch_twin():
    import torch
    from monai.losses import DiceCELoss
    from twins import TWINS

    twin = TWINS["unet3d_19m"]()
    loss = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False)
    optimizer = torch.optim.Adam(twin.parameters(), 1e-4)
    x, y = data()
    x, y = torch.from_numpy(np.moveaxis(x, -1, 1).copy()), torch.from_numpy(y)[:, None]

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


def measure(who):
    step, predict = {
        "unetzoo": keras_model,
        "xla": lambda: keras_model(jit_compile=True),
        "pytorch": pytorch_twin,
    }[who]()
    print(json.dumps([median(step), median(predict)]))


def median(work):
    seconds = []
    for _ in range(RUNS + 2):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[2:])


def main():
    print(heading("keras", "tensorflow", "torch", "monai"), end="\n\n")
    print("| unet3d_19m at 48 cubed, batch 1 | training step, s | ratio | prediction, s | ratio |")
    print("|---|---:|---:|---:|---:|")
    base = None
    for who, name in (
        ("unetzoo", "unetzoo (`compile_model`)"),
        ("pytorch", "the PyTorch twin"),
        ("xla", "XLA, `jit_compile=True`"),
    ):
        step, predict = child("step.py", who)
        base = base or (step, predict)
        print(
            f"| {name} | {step:.2f} | {step / base[0]:.2f} "
            f"| {predict:.2f} | {predict / base[1]:.2f} |"
        )


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
