"""A training's measures as files for TensorBoard, written by its own package."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import keras
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from unetzoo.utils.files import explained_writing

VERSION = "brain.Event:2"  # what each file begins with


class LogToTensorBoard(keras.callbacks.Callback):
    """Write the measures of each epoch, and its learning rate, for TensorBoard.

    Folders and names are those of ``keras.callbacks.TensorBoard``, which loads TensorFlow on every
    backend.

    Args:
        folder: for the folders "train" and "validation".

    Raises: WriteError for a file that cannot be written.
    """

    def __init__(self, folder: Path | str):
        super().__init__()
        self.folder = Path(folder)
        self.name = f"events.out.tfevents.{int(time.time())}.{os.getpid()}"

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        measures: dict[str, dict[str, float]] = {"train": {"learning_rate": rate}, "validation": {}}
        for name, value in (logs or {}).items():
            part = "validation" if name.startswith("val_") else "train"
            measures[part][name.removeprefix("val_")] = float(value)
        for part, found in measures.items():
            if found:
                self._write(self.folder / part / self.name, epoch, found)

    def _write(self, path: Path, epoch: int, measures: Mapping[str, float]) -> None:
        values = [
            Summary.Value(tag=f"epoch_{name}", simple_value=value)
            for name, value in measures.items()
        ]
        events = [Event(wall_time=time.time(), step=epoch, summary=Summary(value=values))]
        with explained_writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                if file.tell() == 0:
                    events.insert(0, Event(wall_time=time.time(), file_version=VERSION))
                for event in events:
                    RecordWriter(file).write(event.SerializeToString())
