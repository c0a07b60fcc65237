"""Training on several devices at once, by the engines that the backends have for it."""

import atexit
import contextlib
import functools
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from unetzoo.utils.checks import whole
from unetzoo.utils.devices import slurm_task
from unetzoo.utils.errors import RunStopped
from unetzoo.utils.text import shortened

PATIENCE = 3600  # seconds in which all processes must have been started
GONE = re.compile("gloo|nccl|heartbeat|coordination|connection", re.IGNORECASE)
ONE_OF = "expected jax, which trains on several devices and machines, or tensorflow on one machine"


def check_accumulation(accumulate: int, devices: int | None = None) -> None:
    """Raises: ValueError for an update by several batches, where the devices cannot do that.

    Args:
        accumulate: batches of an update.
        devices: that share them; None for those of ``distribute``, within it.
    """
    if accumulate == 1 or keras.backend.backend() != "tensorflow":
        return
    if devices is None:
        import tensorflow as tf

        devices = tf.distribute.get_strategy().num_replicas_in_sync
    if devices > 1:
        raise ValueError(
            f"accumulate {accumulate} with {devices} devices: expected 1 on tensorflow, whose "
            "devices cannot gather gradients over batches; set KERAS_BACKEND=jax, or make the "
            f"batch {accumulate} times as large."
        )


@dataclass(frozen=True)
class Team:
    """The devices that share each batch, and this process's place among the processes.

    Every process has the same network and computes its own part of each batch. The first one alone
    writes files.
    """

    devices: int = 1  # in all
    process: int = 0
    processes: int = 1

    @property
    def share(self) -> tuple[int, int]:
        """Which part of a batch this process makes, and of how many, for a ``PatchDataset``."""
        return self.process, self.processes

    def check(self, batch_size: int, accumulate: int = 1) -> None:
        """Raises: ValueError for a batch that the devices cannot share equally, or gather."""
        if batch_size % self.devices:
            raise ValueError(
                f"batch_size {batch_size}: expected a multiple of {self.devices}, the number of "
                "devices that share it."
            )
        check_accumulation(accumulate, self.devices)

    def wait(self, what: str) -> None:
        """Wait until all processes have come to the same place."""
        if self.processes > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices(what)

    def agreed(self, answer: bool) -> bool:
        """What the first process says."""
        if self.processes == 1:
            return answer
        from jax.experimental import multihost_utils

        return bool(multihost_utils.broadcast_one_to_all(np.asarray(answer)))


ALONE = Team()


@contextlib.contextmanager
def distribute(
    devices: int | str = "all",
    *,
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
) -> Iterator[Team]:
    """Build, compile and fit a network inside, and the devices share each of its batches.

    The batch is the global one, and loss, metrics and the statistics of batch norm are those of
    all of it: training ends with the numbers of a single device, up to rounding and dropout. On
    jax this is ``keras.distribution.DataParallel``, on TensorFlow ``tf.distribute``'s
    ``MirroredStrategy``. Several processes need jax: each runs the same program, and
    ``jax.distributed`` joins them. Keras's torch backend trains on one device.

    Args:
        devices: number of devices of this process, or "all" that it sees: GPUs, or else what the
            backend takes for CPUs.
        coordinator: address and port of the first process, such as "10.0.0.1:1234", the same for
            every process; None: none, or what SLURM's variables say.
        processes: number of processes; with ``coordinator``.
        process: this one's number, from 0; with ``coordinator``.

    Gives a ``Team``.
    Raises: ValueError for a backend that cannot, and for more devices than there are.
    Source: Keras's guide to distributed training with jax, and TensorFlow's with Keras.

    >>> with distribute(1) as team:
    ...     team
    Team(devices=1, process=0, processes=1)
    """
    if devices != "all":
        whole("devices", devices)
    backend = keras.backend.backend()
    joined = backend == "jax" and _joined(coordinator, processes, process)
    if not joined and (coordinator is not None or (backend != "jax" and slurm_task()[1] > 1)):
        raise ValueError(f"keras {keras.__version__} on {backend}, several processes: {ONE_OF}.")
    if devices == 1 and not joined:
        yield ALONE
        return
    if backend not in ("jax", "tensorflow"):
        raise ValueError(
            f"keras {keras.__version__} on {backend}, devices {devices!r}: {ONE_OF}; with "
            f"{backend}, give 1."
        )
    chosen = _chosen(devices, backend)
    with _jax(chosen) if backend == "jax" else _tensorflow(chosen) as team:
        yield team


def _joined(coordinator: str | None, processes: int | None, process: int | None) -> bool:
    """Join the other processes, if there are any."""
    import jax

    several = coordinator is not None or slurm_task()[1] > 1
    if several and not jax.distributed.is_initialized():
        if coordinator is not None:
            whole("processes", processes)
            number = whole("process", process, least=0)
            if number >= (processes or 0):
                raise ValueError(
                    f"process {process}: expected less than {processes}, the number of processes."
                )
        try:
            jax.distributed.initialize(
                coordinator, processes, process, initialization_timeout=PATIENCE
            )
        except RuntimeError as error:
            raise ValueError(
                f"coordinator {coordinator}: {shortened(str(error), 200)}; expected an address of "
                "the first process, and all processes started within an hour."
            ) from error
    return several


def _chosen(devices: int | str, backend: str) -> list[str]:
    """The names of this process's devices."""
    if backend == "jax":
        import jax

        names = [f"{device.platform}:{device.id}" for device in jax.local_devices()]
    else:
        import tensorflow as tf

        kinds = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        names = [device.name for device in kinds]
    if devices == "all":
        return names
    if int(devices) > len(names):
        raise ValueError(
            f"devices {devices}: {backend} sees {len(names)} here ({', '.join(names)}); expected "
            "no more."
        )
    return names[: int(devices)]


@contextlib.contextmanager
def _jax(chosen: list[str]) -> Iterator[Team]:
    import jax

    per_process, processes = len(chosen), jax.process_count()
    together = [
        device
        for number in range(processes)
        for device in [d for d in jax.devices() if d.process_index == number][:per_process]
    ]
    team = Team(len(together), jax.process_index(), processes)
    if len(together) == 1:
        yield team
        return
    with keras.distribution.DataParallel(devices=together, auto_shard_dataset=False).scope():
        try:
            yield team
        except Exception as error:
            if processes == 1 or not GONE.search(str(error)):
                raise
            atexit.register(_end_at_once)
            raise RunStopped(
                f"one of the {processes} processes has ended, and so does number {team.process} "
                f"({shortened(str(error), 100)}); start all of them again to go on after the last "
                "epoch that was saved."
            ) from error


def _end_at_once() -> None:
    """End without jax's own end, which would wait for the process that has died, and then abort."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


@contextlib.contextmanager
def _tensorflow(chosen: list[str]) -> Iterator[Team]:
    if len(chosen) == 1:
        yield ALONE
        return
    with _mirrored(tuple(chosen)).scope():
        yield Team(len(chosen))


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> Any:
    """One for the whole process: what a second one numbers anew is mixed up with the first's."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)


def share_statistics(model: keras.Model) -> keras.Model:
    """Let batch norm take the statistics of the whole batch where TensorFlow's devices share it.

    Elsewhere nothing changes; saved files stay the same everywhere.

    Returns: the model itself.
    """
    if (
        keras.backend.backend() != "tensorflow"
        or model.distribute_strategy.num_replicas_in_sync < 2
    ):
        return model
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized:
            layer.get_config = _unchanged(layer.get_config)
            layer.synchronized = True
    return model


def _unchanged(get_config: Callable[[], dict]) -> Callable[[], dict]:
    """The configuration as it was: a network with Keras's ``synchronized`` loads nowhere else."""
    return lambda: {**get_config(), "synchronized": False}
