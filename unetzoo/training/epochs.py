"""Progress of a training and the time left: a bar in a terminal, a line per epoch in a log."""

import re
import sys
import time
from collections.abc import Mapping
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from unetzoo.utils.progress import SCREEN, on_terminal
from unetzoo.utils.text import counted, duration

OF_PART = re.compile(r"_\d+$|^(?!val_loss$).+_loss$")  # measures of a class, losses of an output
TRIED = 3  # steps after which the time left is told; the first, which makes the graph, is not one


class ShowEpochs(keras.callbacks.Callback):
    """Show the progress of ``fit`` on stderr, with an estimate of the time left.

    Give ``fit`` ``verbose=0`` and this callback as the last one, and call ``close`` after it. After
    the first steps it estimates how long the training takes on this machine, then it writes a line
    per epoch with the measures and the time left, and in a terminal it also shows a bar. Validation
    and saving are part of the estimate once they have been timed; until then it says "without".

    Args:
        name: of what is trained.
        validated: epochs from one validation to the next, as in ``WholeCases``; None for none.
    """

    def __init__(self, name: str, validated: int | None = None):
        super().__init__()
        self.name = name
        self.validated = validated
        self.bar: Progress | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.done = -1  # steps after the first
        self.first = -1  # epoch
        self.began = 0.0  # when the first step ended
        self.stepped = 0.0  # when the last step ended
        self.ends: dict[bool, list[float]] = {}  # seconds after an epoch's steps, by validation
        if on_terminal() and SCREEN.acquire(blocking=False):
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[left]}"),
            )
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task(f"{self.name}: the first step", total=None, left="")
            self.bar.start()

    def close(self) -> None:
        """Remove the bar: Keras does not tell a callback about errors in ``fit``."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
            SCREEN.release()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.first = epoch if self.first < 0 else self.first
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.done += 1
        self.stepped = time.perf_counter()
        if self.done == 0:
            self.began = self.stepped
        epochs, steps = self.params["epochs"], self.params["steps"]
        if self.done == TRIED and steps is not None:
            work = f"{counted(epochs - self.first, 'epoch')} of {counted(steps, 'step')}"
            left = self._left("on this machine", self.epoch)
            self._say(f"{self.name}: {work}, about {left}")
        if self.bar is not None and steps is not None:
            self.bar.update(
                self.task,
                total=(epochs - self.first) * steps,
                completed=self.done + 1,
                description=f"epoch {self.epoch + 1}/{epochs}, step {batch + 1}/{steps}",
                left=self._left("left", self.epoch) if self.done > 0 else "",
            )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        means = {k: v for k, v in (logs or {}).items() if not OF_PART.search(k)}
        measures = ", ".join(f"{name} {float(value):.4f}" for name, value in means.items())
        self.ends.setdefault(self._validates(epoch), []).append(time.perf_counter() - self.stepped)
        known = self.params["steps"] is not None and self.done > 0
        more = known and epoch + 1 < self.params["epochs"]
        left = f"; {self._left('left', epoch + 1)}" if more else ""
        self._say(f"epoch {epoch + 1}/{self.params['epochs']}: {measures}{left}")

    def _validates(self, epoch: int) -> bool:
        last = epoch + 1 == self.params["epochs"]
        return self.validated is not None and (last or (epoch + 1) % self.validated == 0)

    def _left(self, words: str, epoch: int) -> str:
        """The time left, from the mean times of steps, without the first, and of epochs' ends.

        ``epoch`` is the first that has not ended.
        """
        steps = (self.params["epochs"] - self.first) * self.params["steps"] - self.done - 1
        between = sum(map(sum, self.ends.values()))
        step = (time.perf_counter() - self.began - between) / max(self.done, 1)
        means = {kind: sum(ends) / len(ends) for kind, ends in self.ends.items()}
        coming = [self._validates(number) for number in range(epoch, self.params["epochs"])]
        after = sum(means.get(kind, means.get(False, 0.0)) for kind in coming)
        unseen = ["validation"] if True in coming and True not in means else []
        if not means or (False in coming and False not in means):
            unseen.append("saving")
        without = f", without {' and '.join(unseen)}" if unseen else ""
        return f"{duration(step * steps + after)} {words}{without}"

    def _say(self, line: str) -> None:
        if self.bar is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self.bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
