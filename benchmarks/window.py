"""The sliding window on a 256 cubed volume, from image to classes, against MONAI's.

    python benchmarks/window.py [avx2] [SIZE]

unet3d_2_5m with four classes and the same random weights on both sides, float32, patches of 128
cubed, overlap 0.5, Gaussian, one patch at a time. Each in a fresh process, without warming up,
with as many threads as there are cores. MONAI runs the network's PyTorch twin of the tests in
inference mode, with the same Gaussian, so that what differs in the logits is rounding; its twin
also with PyTorch's channels_last_3d. "CPU" is the time of all threads, which other work on the
machine stretches less. "window" is the process's largest resident memory above what
it was with libraries, network and image, "process" the largest in all. unetzoo's network is
fused, as in ``unetzoo predict``. With "avx2" no side uses wider vector units.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import NARROW, child, heading

PATCH = (128, 128, 128)
CLASSES = 4
EVERY = 16  # planes of logits that are kept to be compared


def write_weights(folder):
    import torch
    from torch_weights import copy_weights, randomise
    from twins import TWINS

    from unetzoo.inference.windows import importance

    twin = randomise(TWINS["unet3d_2_5m"](num_classes=CLASSES), seed=0)
    torch.save(twin.state_dict(), folder / "twin.pt")
    model = keras_model()
    copy_weights(twin, model)
    model.save_weights(folder / "model.weights.h5")
    np.save(folder / "importance.npy", importance(PATCH))
    print("null")


def keras_model():
    import unetzoo

    return unetzoo.build("unet3d_2_5m", input_shape=(*PATCH, 1), num_classes=CLASSES)


def with_unetzoo(folder, image):
    from unetzoo.inference.fusing import for_prediction
    from unetzoo.inference.windows import sliding_window_slabs

    model = keras_model()
    model.load_weights(folder / "model.weights.h5")
    model = for_prediction(model, PATCH)

    def work():
        classes, planes, done = np.empty(image.shape, "uint8"), [], 0
        for slab in sliding_window_slabs(model, image[..., None], PATCH):
            classes[done : done + len(slab)] = slab.argmax(-1)
            planes.append(slab[-done % EVERY :: EVERY].copy())
            done += len(slab)
        return classes, np.concatenate(planes)

    return work


def with_monai(folder, image, channels_last=False):
    sys.modules["tensorflow"] = None  # tensorboard, which MONAI imports, would load it
    import torch
    from monai.inferers import sliding_window_inference
    from twins import TWINS

    twin = TWINS["unet3d_2_5m"](num_classes=CLASSES).eval()
    twin.load_state_dict(torch.load(folder / "twin.pt"))
    layout = torch.channels_last_3d if channels_last else torch.contiguous_format
    twin.to(memory_format=layout)
    x = torch.from_numpy(image)[None, None]
    weight = torch.from_numpy(np.load(folder / "importance.npy"))

    def work():
        with torch.inference_mode():
            logits = sliding_window_inference(
                x, PATCH, 1, lambda patch: twin(patch.to(memory_format=layout)),
                overlap=0.5, mode="gaussian", roi_weight_map=weight,
            )  # fmt: skip
            classes = logits.argmax(1)[0].to(torch.uint8).numpy()
        return classes, np.moveaxis(logits[0, :, ::EVERY].numpy(), 0, -1)

    return work


def measure(who, folder, size):
    import psutil

    image = np.random.default_rng(0).standard_normal((size,) * 3, dtype="float32")
    kinds = {"monai": with_monai, "unetzoo": with_unetzoo}
    if who == "monai-last":
        work = with_monai(folder, image, channels_last=True)
    else:
        work = kinds[who](folder, image)
    before = psutil.Process().memory_info().rss
    start, busy = time.perf_counter(), time.process_time()
    classes, planes = work()
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    np.savez(folder / "result.npz", classes=classes, planes=planes)
    print(json.dumps([seconds, busy, (peak - before) / 2**20, peak / 2**20]))


def result(folder):
    with np.load(folder / "result.npz") as file:
        return file["classes"], file["planes"]


def main():
    size = next((word for word in sys.argv[1:] if word.isdecimal()), "256")
    os.environ.update(NARROW if "avx2" in sys.argv[1:] else {})
    print(heading("keras", "tensorflow", "torch", "monai"), end="\n\n")
    print(
        f"| {size} cubed | s | ratio | CPU, s | ratio | window, MiB | ratio | process, MiB |",
        end="",
    )
    print(f" ratio | logits differ by | other class |\n|---|{'---:|' * 10}")
    with tempfile.TemporaryDirectory() as name:
        child("window.py", "weights", name, KERAS_BACKEND="torch")
        base = None
        for who, backend, title in (
            ("monai", "torch", "MONAI, the PyTorch twin"),
            ("monai-last", "torch", "the same, channels_last_3d"),
            ("unetzoo", "tensorflow", "unetzoo, TensorFlow"),
            ("unetzoo", "torch", "unetzoo, torch backend"),
            ("unetzoo", "jax", "unetzoo, jax"),
        ):
            figures = child("window.py", who, name, size, KERAS_BACKEND=backend)
            classes, planes = result(Path(name))
            base = base or (figures, classes, planes)
            cells = (f"{a:,.0f} | {a / b:.2f}" for a, b in zip(figures, base[0], strict=True))
            print(
                f"| {title} | {' | '.join(cells)} | {np.abs(planes - base[2]).max():.1e} of "
                f"{np.abs(planes).max():.1f} | {(classes != base[1]).mean():.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["weights"]:
        write_weights(Path(sys.argv[2]))
    elif len(sys.argv) > 3:
        measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
