"""Training and inference on a GPU: volumes a second, share of the chip's bf16 rate, peak memory.

    python benchmarks/gpu.py [--backend jax|torch] [--network NAME] [--nnunet PYTHON] [--cpu]
        [--tiny]

It needs jax or torch for the GPU, keras (with optree and namex), nibabel and scipy, not TensorFlow.

``fit`` with the real loader, on each backend that is there: nnU-Net's plain U-Net with deep
supervision, its SGD, 2 patches of 128 cubed a batch, mixed_bfloat16, each backend's own choice of
XLA (jax: yes; torch: eager). One thing at a time is then another: XLA (jax: none; torch:
``torch.compile``), float32, channels first, batches of 1 and of 4. Inference is ``predict`` of the
same batch. Beside it nnU-Net's own trainer takes its steps (``nnUNetTrainer.train_step``) with the
same network, batch and card, as it is set up there, where PYTHON has nnunetv2; it has no loader
here. Each row is a process of its own.

The chip's rate is that of a large bf16 matrix product, measured in the same process. Operations are
the auditor's multiplications and additions of a forward pass, ``audit``'s MACs times 2, and three
times as many in a training step. Peak memory is what the backend's allocator held.

Without a GPU each row says "not measured". --cpu measures on the processor, whose figures mean
nothing about a GPU; --tiny takes a network and patches so small that every part is walked through
in a minute, and one process a backend.
"""

import argparse
import importlib.util
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import HERE, child, heading

CLASSES = 4
USUAL = {"half": True, "first": False, "batch": 2}
CHANGES = {
    "": {},
    "XLA the other way": {"other": True},
    "float32": {"half": False},
    "channels first": {"first": True},
    "batch 1": {"batch": 1},
    "batch 4": {"batch": 4},
}
TOGETHER = {  # each of them once, for a walk through every part
    "": {},
    "XLA the other way": {"other": True},
    "float32, channels first, batch 1": {"half": False, "first": True, "batch": 1},
}
WHOLE = {"size": 128, "warm": 5, "steps": 20, "side": 8192, "image": 160}
TINY = {"size": 8, "warm": 1, "steps": 2, "side": 128, "image": 12}
SMALL = {"features": (2, 3, 4), "kernels": (3, 3, 3), "strides": (1, 2, 2)}
GOLDEN = HERE.parent / "tests/golden/nnunet/ct/nnUNetTrainer__nnUNetPlans__3d_fullres"
HEAD = "| network, backend | training, volumes/s | share | inference, volumes/s | share | GiB |"


# === The chip ===


def has_gpu(backend):
    try:
        if backend == "torch":
            import torch

            return torch.cuda.is_available()
        import jax

        return any(device.platform == "gpu" for device in jax.devices())
    except (ImportError, RuntimeError):
        return False


def rate(backend, side):
    """Floating point operations a second of a bf16 matrix product, the best of 20."""
    if backend == "torch":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        a = torch.randn(side, side, device=device, dtype=torch.bfloat16)

        def work():
            _ = a @ a
            if device == "cuda":
                torch.cuda.synchronize()
    else:
        import jax

        a = jax.random.normal(jax.random.key(0), (side, side)).astype(jax.numpy.bfloat16)
        product = jax.jit(lambda a: a @ a)

        def work():
            product(a).block_until_ready()

    seconds = []
    for _ in range(25):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return 2 * side**3 / min(seconds[5:])


def peak_bytes(backend):
    """Of the GPU; on a CPU, of the process."""
    if not has_gpu(backend):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if backend == "torch":
        import torch

        return torch.cuda.max_memory_allocated()
    import jax

    return jax.devices()[0].memory_stats()["peak_bytes_in_use"]


# === One measurement ===


def arguments(network, tiny):
    more = {"deep_supervision": True} if network in ("plain_unet", "residual_unet") else {}
    return {"num_classes": CLASSES, **more, **(SMALL if tiny else {})}


def forward_operations(network, shape, tiny):
    """Of one volume."""
    import audit
    import unetzoo
    from audit.analysis.cost import cost

    model = unetzoo.skeleton(network, input_shape=shape, **arguments(network, tiny))
    return 2 * cost(audit.table(model)).macs


def channels_first(model):
    """The same network with channels first inside; it takes and gives channels last."""
    import keras

    rank = len(model.inputs[0].shape) - 2
    to_first, to_last = (rank + 1, *range(1, rank + 1)), (*range(2, rank + 2), 1)

    def turned(layer):
        config = layer.get_config()
        if "data_format" in config:
            config["data_format"] = "channels_first"
        if config.get("axis") in (-1, rank + 1):
            config["axis"] = 1
        kind = type(layer)
        if kind.__module__.startswith("unetzoo") and kind.__name__ in ("Conv2D", "Conv3D"):
            kind = getattr(keras.layers, kind.__name__)  # ours is of channels last
        return kind.from_config(config)

    first = keras.Input(tuple(model.inputs[0].shape[axis] for axis in to_first))
    inner = keras.models.clone_model(model, input_tensors=first, clone_function=turned)
    inner.set_weights(model.get_weights())
    outer = keras.Input(model.inputs[0].shape[1:])
    logits = inner(keras.layers.Permute(to_first)(outer))
    logits = [keras.layers.Permute(to_last, dtype="float32")(each) for each in as_list(logits)]
    return keras.Model(outer, logits if len(logits) > 1 else logits[0])


def as_list(outputs):
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def built(network, shape, tiny, case):
    """The network of a case; channels first give its logits."""
    import keras

    import unetzoo

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("mixed_bfloat16" if case["half"] else "float32")
    model = unetzoo.build(network, input_shape=shape, **arguments(network, tiny))
    if not case["first"]:
        return model
    turned = channels_first(model)
    x = np.random.default_rng(0).standard_normal((1, *shape), dtype="float32")
    before, after = (np.asarray(as_list(each.predict_on_batch(x))[0]) for each in (model, turned))
    worst = np.abs(before - after).max() / np.abs(before).max()
    if not worst < 0.05:  # bfloat16 has 8 bits
        raise ValueError(f"channels first give other logits, by {worst:.2g} of the largest")
    return turned


def measured(backend, network, tiny, case):
    """Volumes a second in training and in inference, and the peak memory."""
    import keras

    from unetzoo.data.patches import PatchDataset
    from unetzoo.inference.shapes import output_shape
    from unetzoo.training.compile import compile_model, make_optimizer

    sizes, batch = TINY if tiny else WHOLE, case["batch"]
    shape = (*[sizes["size"]] * 3, 1)
    model = built(network, shape, tiny, case)
    xla = (backend == "jax") != case.get("other", False)
    compile_model(model, optimizer=make_optimizer("sgd"), jit_compile=xla)
    rng = np.random.default_rng(0)
    image = rng.standard_normal((*[sizes["image"]] * 3, 1), dtype="float32")
    labels = rng.integers(0, CLASSES, image.shape[:-1])
    patches = PatchDataset(
        [(image, labels)], patch=shape[:-1], batch_size=batch, workers=8, max_queue_size=16,
        output=output_shape(model, shape[:-1])[:-1],
    )  # fmt: skip
    x = rng.standard_normal((batch, *shape), dtype="float32")

    def train(steps):
        model.fit(patches, shuffle=False, steps_per_epoch=steps, epochs=1, verbose=0)

    def infer(steps):
        for _ in range(steps):
            keras.tree.map_structure(np.asarray, model.predict_on_batch(x))

    trained, inferred = (batch / seconds_of(work, sizes) for work in (train, infer))
    return trained, inferred, peak_bytes(backend)


def seconds_of(work, sizes):
    """Of a step, once it is warm."""
    work(sizes["warm"])
    start = time.perf_counter()
    work(sizes["steps"])
    return (time.perf_counter() - start) / sizes["steps"]


def measure(backend, network, tiny, cpu, cases):
    """For each case its figures, or why there are none; None without a GPU."""
    if not (has_gpu(backend) or cpu):
        return None
    sizes, found = TINY if tiny else WHOLE, []
    if tiny and backend == "torch":
        import torch

        torch.compiler.set_stance("force_eager")  # its compiler takes longer than all the rest
    try:
        peak_rate = rate(backend, sizes["side"])
        operations = forward_operations(network, (*[sizes["size"]] * 3, 1), tiny)
    except ImportError as error:
        return [str(error)] * len(cases)
    for case in cases:
        try:
            trained, inferred, peak = measured(backend, network, tiny, {**USUAL, **case})
        except Exception as error:  # a compiler's, or no memory: the other rows stay
            found.append(f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120]}")
            continue
        shares = 3 * trained * operations / peak_rate, inferred * operations / peak_rate
        found.append([trained, shares[0], inferred, shares[1], peak / 2**30, peak_rate / 1e12])
    return found


# === nnU-Net's own trainer ===


def measure_nnunet(tiny, cpu):
    """Volumes a second of nnU-Net's training step and forward pass; None where it is not."""
    if importlib.util.find_spec("nnunetv2") is None:
        return None
    import torch

    gpu = torch.cuda.is_available()
    if not (gpu or cpu):
        return None
    sizes, batch = TINY if tiny else WHOLE, USUAL["batch"]
    peak_rate = rate("torch", sizes["side"])
    with tempfile.TemporaryDirectory() as folder:
        for name in ("raw", "preprocessed", "results"):
            os.environ[f"nnUNet_{name}"] = f"{folder}/{name}"
        trainer = nnunet_trainer(sizes["size"], batch, tiny, torch.device("cuda" if gpu else "cpu"))
        shape = [sizes["size"]] * 3
        data = torch.randn(batch, 1, *shape)
        scales = trainer._get_deep_supervision_scales()
        targets = [
            torch.randint(
                0, CLASSES, (batch, 1, *(round(n * s) for n, s in zip(shape, scale, strict=True)))
            )
            for scale in scales
        ]

        def train(steps):
            for _ in range(steps):
                trainer.train_step({"data": data, "target": targets})

        def infer(steps):
            with torch.no_grad(), torch.autocast(trainer.device.type, enabled=gpu):
                for _ in range(steps):
                    trainer.network(data.to(trainer.device))[0].float().cpu()

        trained, inferred = (batch / seconds_of(work, sizes) for work in (train, infer))
        return [trained, None, inferred, None, peak_bytes("torch") / 2**30, peak_rate / 1e12]


def nnunet_trainer(size, batch, tiny, device):
    """With the network of this zoo's ``plain_unet``, and no data."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    plans, described = (
        json.loads((GOLDEN / name).read_text()) for name in ("plans.json", "dataset.json")
    )
    described["labels"] = {"background": 0} | {f"class {n}": n for n in range(1, CLASSES)}
    described["channel_names"] = {"0": "CT"}
    features = SMALL["features"] if tiny else (32, 64, 128, 256, 320, 320)
    stages = len(features)
    configuration = plans["configurations"]["3d_fullres"]
    configuration["architecture"]["arch_kwargs"] |= {
        "n_stages": stages, "features_per_stage": list(features),
        "kernel_sizes": [[3] * 3] * stages, "strides": [[1] * 3, *[[2] * 3] * (stages - 1)],
        "n_conv_per_stage": [2] * stages, "n_conv_per_stage_decoder": [2] * (stages - 1),
    }  # fmt: skip
    configuration |= {"patch_size": [size] * 3, "batch_size": batch}
    plans["continue_training"] = False
    trainer = nnUNetTrainer(plans, "3d_fullres", "all", described, device)
    prepared = Path(trainer.preprocessed_dataset_folder)
    prepared.mkdir(parents=True)
    (prepared / "case.npz").touch()  # it looks at the names of cases, and opens none
    trainer.initialize()
    trainer.network.train()
    return trainer


# === The table ===


def row(name, found, empty="not measured"):
    if not isinstance(found, list):
        print(f"| {name} | {found or empty} | | | | |", flush=True)
        return
    trained, share, inferred, other, gib, _ = found
    shares = ["" if part is None else f"{part:.1%}" for part in (share, other)]
    print(
        f"| {name} | {trained:.2f} | {shares[0]} | {inferred:.2f} | {shares[1]} | {gib:.2f} |",
        flush=True,
    )


def what(backend, change):
    if change == "XLA the other way":
        change = "no XLA" if backend == "jax" else "torch.compile"
    return f", {change}" if change else ""


def rows_of(backend, given):
    """Measure and print one backend's rows; the chip's rate, if it has been measured."""
    words = ["row", backend, given.network, str(int(given.tiny)), str(int(given.cpu))]
    changes = TOGETHER if given.tiny else CHANGES
    if given.tiny and backend == "jax":  # without XLA it compiles each operation, for minutes
        changes = {name: change for name, change in changes.items() if "other" not in change}
    groups = [list(changes)] if given.tiny else [[change] for change in changes]
    quick = {"XLA_FLAGS": "--xla_backend_optimization_level=0"} if given.tiny else {}
    rates = []
    for group in groups:
        cases = json.dumps([changes[change] for change in group])
        found = child("gpu.py", *words, cases, KERAS_BACKEND=backend, **quick)
        if found is None:  # no GPU, for none of the rows
            row(f"`{given.network}`, {backend}", found)
            return None
        for change, figures in zip(group, found, strict=True):
            row(f"`{given.network}`, {backend}{what(backend, change)}", figures)
            rates += figures[-1:] if isinstance(figures, list) else []
    return max(rates, default=None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", choices=("jax", "torch"))
    parser.add_argument("--network", default="plain_unet")
    parser.add_argument("--nnunet", default=sys.executable)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    backends = [name for name in ("jax", "torch") if importlib.util.find_spec(name)]
    backends = [given.backend] if given.backend else backends
    os.environ.setdefault("KERAS_BACKEND", backends[0])
    print(heading("keras", *backends), end="\n\n", flush=True)
    if given.cpu:
        print("On a CPU: these figures mean nothing about a GPU.", end="\n\n")
    print(HEAD, "|---|---:|---:|---:|---:|---:|", sep="\n")
    rates = {backend: rows_of(backend, given) for backend in backends}
    if given.network == "plain_unet":
        words = ["nnunet", str(int(given.tiny)), str(int(given.cpu))]
        found = child("gpu.py", *words, python=given.nnunet)
        there = importlib.util.find_spec("nnunetv2") or given.nnunet != sys.executable
        row("the same, nnU-Net's trainer", found, "not measured" if there else "not carried")
    for backend, measured_rate in rates.items():
        if measured_rate is not None:
            print(f"\nbf16 matrix product in {backend}: {measured_rate:.3g} TFLOP/s")


def called(kind, *words):
    if kind == "nnunet":
        found = measure_nnunet(*(word == "1" for word in words))
    else:
        backend, network, tiny, cpu, cases = words
        found = measure(backend, network, tiny == "1", cpu == "1", json.loads(cases))
    print(json.dumps(found))


if __name__ == "__main__":
    called(*sys.argv[1:]) if sys.argv[1:2] in (["row"], ["nnunet"]) else main()
