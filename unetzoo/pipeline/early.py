"""What is decided before Keras is loaded: which data, which plan, and whether a run goes on."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from unetzoo.interop.nnunet_folder import (
    FINAL,
    channel_count,
    check_folds,
    is_trained_folder,
)
from unetzoo.interop.nnunet_zip import trained_place
from unetzoo.interop.processing import Processing, is_exported
from unetzoo.model_files import check_saved
from unetzoo.pipeline.chosen import Chosen, is_chosen
from unetzoo.pipeline.from_files import Files
from unetzoo.pipeline.from_tfds import Tfds
from unetzoo.pipeline.previous import held_out_masks, place_before
from unetzoo.pipeline.run import PLAN, RUN, Run
from unetzoo.pipeline.settings import Settings
from unetzoo.pipeline.training_data import TrainingData
from unetzoo.planning.dataset import plan_dataset
from unetzoo.planning.plans import Plan
from unetzoo.planning.serialization import read_plan
from unetzoo.training.checkpoints import checkpoints
from unetzoo.utils.choices import TFDS
from unetzoo.utils.files import check_folder, missing

NNUNET = ("folds", "checkpoint", "canonical")  # options of its folders alone


def training_data(
    settings: Settings, place: str | None = None, *, test: bool = False
) -> TrainingData:
    """The data of settings; or others, to score a network that was trained with them.

    Args:
        settings: of the run.
        place: other data; None for the run's own.
        test: whether the test cases of the data are wanted: imagesTs and labelsTs, or TFDS's split.

    >>> training_data(Settings("tfds:cells", "unet2d_small", (32, 32))).place
    'tfds:cells'
    """
    source = Tfds if (place or settings.data).startswith(TFDS) else Files
    return source(settings, place, test)


def run_to_resume(settings: Settings, folder: Path, cache: Path | None = None) -> Run | None:
    """The run that was begun in a folder and goes on with these settings, or None.

    Raises: ValueError for a run of other settings, or a folder or cache that cannot be written to.
    """
    done = checkpoints(folder)
    begun = Run.read(folder) if done else None
    if begun is not None:
        begun.check_same(settings)
    if max(done, default=0) < settings.epochs:
        for place in filter(None, (folder, cache)):
            check_folder(place)
    return begun


def check_init(init: str | None, folder: Path) -> None:
    """Check what a run starts from, unless the run in the folder was begun: it is not needed then.

    Raises: ValueError where there is no such run, file or folder, or it is damaged.
    """
    if init is None or checkpoints(folder):
        return
    try:
        check_trained(init)
    except ValueError as error:
        if not _was_begun_from(init, folder):
            raise
        raise ValueError(
            f"{folder}: the run there was stopped in its first epoch and needs its initial weights "
            f"once more, but {error}"
        ) from error


def _was_begun_from(init: str, folder: Path) -> bool:
    try:
        return Run.read(folder).settings.init == init
    except ValueError:
        return False


def check_trained(path: Path | str) -> None:
    """Check that a trained network lies at a path; does not import Keras.

    Args:
        path: the folder of a run, a ``.keras`` file, or a folder or zip of nnU-Net, or
            a fold in one.

    Raises: ValueError where there is none, or it is damaged.
    """
    path = Path(path)
    with trained_place(path, weights=False) as place:
        if is_trained_folder(place):
            check_folds(place)
            return
        if is_trained_folder(place.parent) and place.name.startswith("fold_"):
            check_folds(place.parent, [place.name.removeprefix("fold_")])
            return
    if (path / RUN).exists():
        check_saved(Run.read(path).model_file())
    elif path.is_file() and path.suffix == ".keras":
        check_saved(path)
    else:
        there = f"it has neither {RUN} nor plans.json and dataset.json"
        reason = there if path.is_dir() else missing(path) or "it is another file"
        raise ValueError(
            f"{path}: {reason}; expected a .keras file, the folder of a run of unetzoo train, or "
            "a folder or zip of nnU-Net."
        )


def plan_of_run(folder: Path, data: str, **options: Any) -> Plan:
    """The plan of the run that was begun in a folder, or a new one.

    Args:
        folder: of the run.
        data, options: as in ``unetzoo.plan``.

    Raises: ValueError for a file that is not a plan, or data that cannot be planned for.
    """
    if checkpoints(folder) and (folder / PLAN).exists():
        return read_plan(folder / PLAN)
    return plan_dataset(data, **options)


def check_demo() -> None:
    """Raises: ValueError where a package that the demo needs is not installed."""
    for name in ("nilearn", "matplotlib"):
        if find_spec(name) is None:
            raise ValueError(
                f"{name} is not installed: the demo needs it; run pip install 'unetzoo[demo]'."
            )


def channels_of(folder: Path, which: str, options: dict[str, Any]) -> tuple[int, bool]:
    """The number of channels that a run's network takes, or that of a folder of nnU-Net.

    Args:
        folder: of either.
        which: "best" or "last", of a run.
        options: of the command; ``folds`` of nnU-Net become a list.

    Returns: the number, and whether the data's file names end in the channel's number.
    Raises: ValueError for a folder without either, a damaged model, and folds that are not there.
    """
    with trained_place(folder, weights=False) as place:
        if is_trained_folder(place):
            if "folds" in options:
                options["folds"] = options["folds"].split(",")
            check_folds(place, options.get("folds"), options.get("checkpoint", FINAL))
            return channel_count(place), True
    if given := [f"--{name}" for name in NNUNET if name in options]:
        raise ValueError(
            f"{folder}: {given[0]} is for a folder that nnU-Net has trained; give --model best or "
            "last for a run."
        )
    if is_exported(folder):
        processing = Processing.read(folder)
        processing.check_files()
        check_no_stage(folder, options)
        return processing.channels, processing.layout == "nnunet"
    if is_chosen(folder):
        chosen = Chosen.read(folder)
        cascades = [run for run in chosen.firsts if run.settings.previous is not None]
        for run in cascades:
            place_before(run, options.get("previous"))
        if not cascades:
            check_no_stage(folder, options)
        return chosen.first.channels, chosen.first.layout == "nnunet"
    run = Run.read(folder)
    check_saved(run.model_file(which))
    place_before(run, options.get("previous"))
    return run.channels, run.layout == "nnunet"


def check_scored(run: Run, data: TrainingData, previous: Path | None) -> None:
    """Check what a run is to be scored on, and the stage before it, before Keras is loaded.

    Raises: ValueError for data without cases to score, and a stage before that cannot be.
    """
    cases = data.to_score(run)
    if data.own and isinstance(cases, list):
        held_out_masks(run, cases, previous)
    else:
        place_before(run, previous)


def check_no_stage(folder: Path, options: dict[str, Any]) -> None:
    """Raises: ValueError for a stage before networks that are no cascade."""
    if "previous" in options:
        raise ValueError(f"{folder}: no cascade, which has a stage before; give no --previous.")
