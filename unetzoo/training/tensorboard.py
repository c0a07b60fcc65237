"""Measures of an epoch in a file for TensorBoard, written by its own package."""

import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from unetzoo.utils.files import explained_writing

VERSION = "brain.Event:2"  # what each file begins with


def log_epoch(path: Path, epoch: int, measures: Mapping[str, float]) -> None:
    """Append an epoch's measures to a file, under the names that Keras's callback gives them.

    Raises: WriteError for a file that cannot be written.
    """
    values = [
        Summary.Value(tag=f"epoch_{name}", simple_value=value) for name, value in measures.items()
    ]
    now = time.time()
    event = Event(wall_time=now, step=epoch, summary=Summary(value=values))
    with explained_writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            records = RecordWriter(file)
            if file.tell() == 0:
                records.write(Event(wall_time=now, file_version=VERSION).SerializeToString())
            records.write(event.SerializeToString())
