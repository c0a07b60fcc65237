"""What is decided before Keras is loaded: which data, which plan, and whether a run goes on."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from unetzoo.pipeline.files import Files
from unetzoo.pipeline.run import PLAN, Run
from unetzoo.pipeline.settings import Settings
from unetzoo.pipeline.tfds import Tfds
from unetzoo.pipeline.training_data import TrainingData
from unetzoo.planning.dataset import plan_dataset
from unetzoo.planning.plans import Plan
from unetzoo.planning.serialization import read_plan
from unetzoo.training.checkpoints import checkpoints
from unetzoo.utils.choices import TFDS
from unetzoo.utils.files import check_folder


def training_data(settings: Settings, place: str | None = None) -> TrainingData:
    """The data of settings; or of another place, to score a network that was trained with them.

    >>> training_data(Settings("tfds:cells", "unet2d_small", (32, 32))).place
    'tfds:cells'
    """
    source = Tfds if (place or settings.data).startswith(TFDS) else Files
    return source(settings, place)


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
