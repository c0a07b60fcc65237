"""Which processor a command computes on; chosen before Keras is loaded."""

import os
import re
import sys

from unetzoo.utils.kernels import keras_backend

VISIBLE = "CUDA_VISIBLE_DEVICES"


def slurm_task() -> tuple[int, int]:
    """The number of this process, and of those that SLURM's srun has started together with it.

    >>> slurm_task()
    (0, 1)
    """
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))  # a batch script has none
    return (int(os.environ.get("SLURM_PROCID", 0)) if tasks > 1 else 0), tasks


def choose_device(device: str) -> None:
    """Let Keras see one kind of device. The backends read these variables as they are imported.

    Args:
        device: "cpu", "gpu", or "gpu:1" for the second of those that are visible.

    Raises: ValueError for another device, a number that is not there, or where Keras was imported.
    """
    found = re.fullmatch(r"cpu|gpu(?::(\d+))?", device, re.ASCII)
    if found is None:
        raise ValueError(f"--device {device!r}: expected cpu, gpu, or gpu:1 for the second.")
    if "keras" in sys.modules:
        raise ValueError(f"--device {device}: expected before Keras is imported.")
    if device == "cpu":
        os.environ |= {VISIBLE: "-1", "JAX_PLATFORMS": "cpu", "KERAS_TORCH_DEVICE": "cpu"}
    elif found[1] is not None:
        names = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
        number = int(found[1])
        if names and number >= len(names):
            raise ValueError(f"--device {device}: {VISIBLE} is {','.join(names)}; expected fewer.")
        os.environ[VISIBLE] = names[number] if names else found[1]


def check_device(device: str) -> None:
    """Raises: ValueError where a GPU is wanted, and the backend that was loaded has none."""
    if device.startswith("gpu") and not _has_gpu():
        raise ValueError(
            f"--device {device}: {keras_backend()} sees no such GPU; expected its build for "
            "the GPU and a driver, or --device cpu."
        )


def _has_gpu() -> bool:
    backend = keras_backend()
    if backend == "torch":
        import torch

        return bool(torch.cuda.is_available() or torch.backends.mps.is_available())
    import keras

    try:
        return bool(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # of jax, which knows no such platform
        return False
