"""Training on a GPU: volumes a second, share of the chip's bf16 rate, peak memory.

    python benchmarks/gpu.py

``fit`` with the real loader and mixed_bfloat16, on jax and torch, 2 patches of 128 cubed a batch,
one run a process. The chip's rate is that of a large bf16 matrix product, measured in the same
process; a training step counts as three forward passes. Without a GPU it says "not measured".
"""

import json
import sys
import time

import numpy as np
from machine import child, heading

NETWORKS = ("unet3d_19m", "unet3d_2_5m", "unet3d_textbook")
SIZE, BATCH, STEPS, WARM, CLASSES = 128, 2, 20, 5, 4
SIDE = 8192  # of the matrices


def has_gpu(backend):
    try:
        if backend == "torch":
            import torch

            return torch.cuda.is_available()
        import jax

        return any(device.platform == "gpu" for device in jax.devices())
    except (ImportError, RuntimeError):
        return False


def torch_rate():
    import torch

    a = torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16)

    def work():
        _ = a @ a
        torch.cuda.synchronize()

    return rate(work)


def jax_rate():
    import jax
    import jax.numpy as jnp

    a = jax.random.normal(jax.random.key(0), (SIDE, SIDE)).astype(jnp.bfloat16)
    product = jax.jit(lambda a: a @ a)
    return rate(lambda: product(a).block_until_ready())


def rate(work):
    """Floating point operations a second, the best of 20."""
    seconds = []
    for _ in range(25):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return 2 * SIDE**3 / min(seconds[5:])


def peak_bytes(backend):
    if backend == "torch":
        import torch

        return torch.cuda.max_memory_allocated()
    import jax

    return jax.devices()[0].memory_stats()["peak_bytes_in_use"]


def forward_operations(name):
    import audit
    import unetzoo
    from audit.analysis.cost import cost

    shape = (SIZE, SIZE, SIZE, 1)
    table = audit.table(unetzoo.skeleton(name, input_shape=shape, num_classes=CLASSES))
    return 2 * cost(table).macs


def measure(backend, name):
    if not has_gpu(backend):
        print(json.dumps(None))
        return
    import keras

    import unetzoo
    from unetzoo.data.patches import PatchDataset
    from unetzoo.training.compile import compile_model

    peak_rate = torch_rate() if backend == "torch" else jax_rate()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    shape = (SIZE, SIZE, SIZE, 1)
    model = compile_model(unetzoo.build(name, input_shape=shape, num_classes=CLASSES))
    rng = np.random.default_rng(0)
    image = rng.standard_normal((160, 160, 160, 1), dtype="float32")
    labels = rng.integers(0, CLASSES, (160, 160, 160))
    patches = PatchDataset(
        [(image, labels)], patch=shape[:-1], batch_size=BATCH, workers=8, max_queue_size=16
    )
    model.fit(patches, shuffle=False, steps_per_epoch=WARM, epochs=1, verbose=0)
    start = time.perf_counter()
    model.fit(patches, shuffle=False, steps_per_epoch=STEPS, epochs=1, verbose=0)
    volumes = BATCH * STEPS / (time.perf_counter() - start)
    share = volumes * 3 * forward_operations(name) / peak_rate
    print(json.dumps([volumes, peak_rate / 1e12, share, peak_bytes(backend) / 2**30]))


def main():
    print(heading("keras"), end="\n\n")
    print("| network, backend | volumes/s | measured bf16 TFLOP/s | share | peak memory, GiB |")
    print("|---|---:|---:|---:|---:|")
    for name in NETWORKS:
        for backend in ("jax", "torch"):
            found = child("gpu.py", backend, name, KERAS_BACKEND=backend)
            if found is None:
                print(f"| `{name}`, {backend} | not measured | | | |")
                continue
            volumes, tflops, share, gib = found
            print(
                f"| `{name}`, {backend} | {volumes:.2f} | {tflops:.0f} | {share:.0%} | {gib:.1f} |"
            )


if __name__ == "__main__":
    measure(*sys.argv[1:]) if len(sys.argv) > 1 else main()
