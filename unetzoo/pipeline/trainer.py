"""``unetzoo train``: from a folder of scans to a trained network, with a plain ``model.fit``."""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import keras

from unetzoo import registry
from unetzoo.callbacks import (
    DrawCurves,
    LogToTensorBoard,
    SaveRun,
    StopEarly,
    Together,
    WholeCases,
    resume,
)
from unetzoo.data.preprocessing.survey import Survey
from unetzoo.inference.shapes import output_shape
from unetzoo.pipeline.early import check_init, run_to_resume, training_data
from unetzoo.pipeline.initial import INIT, check_fits, init_from
from unetzoo.pipeline.run import PLAN, PREPARED, Run
from unetzoo.pipeline.settings import Settings
from unetzoo.pipeline.training_data import Outputs, TrainingData
from unetzoo.planning.plans import Plan
from unetzoo.planning.serialization import write_plan
from unetzoo.training.checkpoints import BEST, checkpoints
from unetzoo.training.compile import compile_model, make_optimizer
from unetzoo.training.distribution import ALONE, Team, share_statistics
from unetzoo.training.epochs import ShowEpochs
from unetzoo.training.freezing import freeze
from unetzoo.training.history import read_history, waited_in_vain
from unetzoo.training.remat import keep_few, rematerialize
from unetzoo.utils.files import make_folder
from unetzoo.utils.lock import owned
from unetzoo.utils.text import write_text

MONITOR = "val_dice"


def train(
    settings: Settings,
    folder: Path | str,
    *,
    cache: Path | str | None = None,
    workers: int = 1,
    plan: Plan | None = None,
    survey: Survey | None = None,
    team: Team = ALONE,
) -> keras.Model:
    """Train a network on a data set; a run that was stopped is resumed after its last epoch.

    A run that was stopped in its first epoch starts over. With more epochs a run goes on, finished
    or not: a learning rate that falls over the run then falls over all of them.

    The folder holds ``run.json`` (all that is needed to repeat the run), ``history.csv``,
    ``curves.png``, ``overlay-1.png`` to ``-3.png``, ``tensorboard/``, ``best.keras`` and the newest
    checkpoint. The same settings, data, seed, backend and machine give the same losses.

    Args:
        settings: of the run.
        folder: for the run.
        cache: where prepared cases are kept; None for ``prepared`` in the run's folder.
        workers: number of processes that prepare, and of threads that cut patches.
        plan: the plan that the settings come from; kept as ``plan.json``.
        survey: a survey for this cache that has looked at the data before; it is closed once the
            run has begun.
        team: from ``unetzoo.training.distribute``, which this is called inside, for several
            devices; the first process alone writes into the folder, which all of them see.

    Returns: the model after the last epoch.
    Raises: ValueError for data or settings that cannot work, or a folder that another process is
        using; RunStopped for a run that cannot continue.
    """
    folder, data = Path(folder), training_data(settings)
    team.check(settings.batch_size, settings.accumulate)
    if end := end_of(settings, folder):
        model = _finished(data, folder)
        print(
            f"{folder}: the run there is finished, {end}: nothing was done; give its folder to "
            "unetzoo predict or evaluate, or give another --out to train again.",
            file=sys.stderr,
        )
        return model
    if team.process > 0:
        return follow(folder, cache=cache, workers=workers, team=team)
    with owned(folder):
        run = _begun(data, folder, Path(cache or folder / PREPARED), workers, plan, survey)
        team.wait("begun")
        model = _fit(run, data, team)
    run.tell_unlearned()
    return model


def _begun(
    data: TrainingData,
    folder: Path,
    cache: Path,
    workers: int,
    plan: Plan | None,
    survey: Survey | None,
) -> Run:
    """Resume or begin the run in a folder, and open its data."""
    resumed = run_to_resume(data.settings, folder, cache)
    outputs = _outputs(data.settings, folder)  # before the data are looked at
    data.check()
    with survey or Survey(cache) as looking:
        run = resumed or data.begin(folder, workers, looking)
        if plan is not None:
            plan = _of_these_classes(plan, run)
        run = data.open(run, outputs, cache, workers)
    if resumed is None:
        make_folder(folder)
        (folder / BEST).unlink(missing_ok=True)  # of a run that did not finish an epoch
        if plan is not None:
            write_plan(plan, folder / PLAN)
        run.write()
    elif resumed.settings.epochs < data.settings.epochs:
        run = _longer(run, data.settings)
        run.write()
    return run


def follow(
    folder: Path | str, *, cache: Path | str | None = None, workers: int = 1, team: Team
) -> keras.Model:
    """Take part in the training that the first process of a team begins in a folder.

    Args:
        folder: of the run, the same as the first process's.
        cache: where that one keeps prepared cases; None for ``prepared`` in the run's folder.
        workers: threads that cut patches.
        team: of which this process is another than the first.

    Returns: the model after the last epoch.
    """
    team.wait("begun")
    run = Run.read(folder)
    data = training_data(run.settings)
    cache = Path(cache or run.folder / PREPARED)
    run = data.open(run, _outputs(run.settings, run.folder), cache, workers)
    return _fit(run, data, team)


def _outputs(settings: Settings, folder: Path) -> Outputs:
    """Raises: ValueError for a patch, initial weights or frozen blocks that do not fit."""
    patch = settings.network_patch
    model = registry.skeleton(
        settings.network,
        input_shape=(*patch, 1),  # the sizes do not depend on the channels
        **{"name": settings.network, **(settings.build or {})},
    )
    freeze(model, *settings.freeze)
    check_init(settings.init, folder)
    if settings.init is not None and not checkpoints(folder):
        check_fits(model, settings.init)
    sizes = list(output_shape(model, patch)[:-1])
    if settings.slicing is not None:
        sizes.insert(settings.slicing, 1)
    return Outputs(tuple(sizes), len(model.outputs))


def build(run: Run) -> keras.Model:
    """The run's network with its first weights, compiled; its input may have any size."""
    settings = run.settings
    keras.utils.set_random_seed(settings.seed)
    with _precision(settings.precision):
        model = registry.build(
            settings.network,
            input_shape=(*[None] * len(settings.network_patch), run.network_channels),
            num_classes=len(run.class_names),
            **(settings.build or {}),
        )
        if settings.init is not None:
            report = f"weights from {settings.init}\n{init_from(model, settings.init)}"
            print(report, file=sys.stderr)
            write_text(run.folder / INIT, f"{report}\n")
        freeze(model, *settings.freeze)
        regions = run.scheme.regions  # their batches have weights where a label is ignored
        return compile_model(
            model,
            optimizer=_optimizer(settings),
            loss=settings.loss,
            ignore_label=None if regions else run.scheme.ignore,
            activation="sigmoid" if regions else None,
            batch_dice=settings.batch_dice,
        )


def _schedule(settings: Settings) -> str:
    return settings.schedule or ("poly" if settings.optimizer == "sgd" else "constant")


def _optimizer(settings: Settings) -> keras.optimizers.Optimizer:
    return make_optimizer(
        settings.optimizer,
        learning_rate=settings.learning_rate,
        schedule=_schedule(settings),
        steps=settings.epochs * settings.steps,
        clip=settings.clip,
        accumulate=settings.accumulate,
    )


def _reschedule(model: keras.Model, settings: Settings) -> None:
    """Let the learning rate fall over all of the run's epochs, which may have become more."""
    optimizer = model.optimizer
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of half precision
    schedule = _optimizer(settings)._learning_rate
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        optimizer.learning_rate = schedule


def _longer(run: Run, settings: Settings) -> Run:
    """The run with the epochs of these settings, in its record as well; says what changes."""
    done, before, schedule = max(checkpoints(run.folder)), run.settings.epochs, _schedule(settings)
    change = "the learning rate stays as it is"
    if schedule != "constant":
        step = done * settings.steps
        rates = (_optimizer(each)._learning_rate(step) for each in (run.settings, settings))
        old, new = map(float, rates)
        change = f"{schedule} is recomputed: the learning rate goes on at {new:.2g}, not {old:.2g}"
    print(
        f"{run.folder}: {settings.epochs} epochs instead of {before}, of which {done} are done; "
        f"{change}",
        file=sys.stderr,
    )
    return run.longer(settings.epochs, done)


@contextlib.contextmanager
def _precision(policy: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def end_of(settings: Settings, folder: Path) -> str:
    """Why a run is finished; empty if it is not."""
    done = max(checkpoints(folder), default=0)
    if done >= settings.epochs:
        return f"epoch {done} of {settings.epochs}"
    rows = [row for row in read_history(folder) if row["epoch"] <= done]
    if settings.patience and rows and waited_in_vain(rows, MONITOR, settings.patience):
        return f"epoch {done}, after {settings.patience} without a better Dice"
    return ""


def _finished(data: TrainingData, folder: Path) -> keras.Model:
    """The model of a run that is finished: nothing is left to do, and nothing is written."""
    run = Run.read(folder)
    run.check_same(data.settings)
    model, _ = resume(folder)
    data.check_same(run)
    return model


def _of_these_classes(plan: Plan, run: Run) -> Plan:
    """The plan; one of trained weights may have been made for other classes."""
    classes = len(run.class_names) + bool(run.scheme.regions)  # of which the background is none
    if plan.num_classes != classes and run.settings.init is None:
        raise ValueError(
            f"num_classes {plan.num_classes} of the plan: expected {classes}, as the data have; "
            "make a plan for these data, or correct it."
        )
    return dataclasses.replace(plan, num_classes=classes)


def _fit(run: Run, data: TrainingData, team: Team) -> keras.Model:
    settings = run.settings
    with _precision(settings.precision):  # or Keras leaves out the loss scale of float16
        model, done = resume(run.folder)
    if model is None:
        model = build(run)
    else:
        _reschedule(share_statistics(model), settings)
        print(f"resuming after epoch {done} of {settings.epochs}", file=sys.stderr)
    if settings.remat is None:
        keep_few(model, settings.network_patch)
    else:
        rematerialize(model, settings.remat, settings.network_patch)
    validated = None if data.held_out is None else settings.validate_every
    with contextlib.closing(ShowEpochs(settings.network, validated)) as shown:
        callbacks = _callbacks(run, data, done, team)
        callbacks += [shown] if team.process == 0 else []
        model.fit(
            data.batches(done * settings.steps, team.share),
            shuffle=False,
            steps_per_epoch=settings.steps,
            epochs=settings.epochs,
            initial_epoch=done,
            verbose=0,
            callbacks=callbacks,
        )
    return model


def _callbacks(
    run: Run, data: TrainingData, done: int, team: Team
) -> list[keras.callbacks.Callback]:
    settings, folder = run.settings, run.folder
    together = [Together(team, settings.seed)] if team.processes > 1 else []
    if team.process > 0:
        return together
    callbacks: list[keras.callbacks.Callback] = []
    if data.held_out is not None:
        callbacks.append(
            WholeCases(
                data.held_out,
                settings.patch,
                every=settings.validate_every,
                ignore_label=run.scheme.ignore,
                folder=folder,
                class_names=run.scheme.drawn_names(run.class_names),
                scheme=run.scheme,
                slicing=settings.slicing,
                distributed=team.devices > 1,
            )
        )
    callbacks += [
        SaveRun(folder, first_epoch=done, seed=settings.seed, monitor=MONITOR),
        DrawCurves(folder),
    ]
    if settings.patience:
        callbacks.append(StopEarly(folder, MONITOR, settings.patience))
    return [*callbacks, LogToTensorBoard(folder / "tensorboard"), *together]
