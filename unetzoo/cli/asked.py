"""What the options of ``train`` ask for: settings, the plan that they come from, and a survey."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetzoo.cli.options import DATA, check_choice, chosen_settings, given, overridden
from unetzoo.utils.lock import check_free
from unetzoo.utils.shards import ALONE
from unetzoo.utils.text import counted

if TYPE_CHECKING:
    from unetzoo.data.preprocessing.survey import Survey
    from unetzoo.pipeline.settings import Settings
    from unetzoo.planning.plans import Plan


def asked_for(
    folder: Path,
    cache: Path | None,
    workers: int,
    path: Path | None,
    configuration: str | None,
    memory_gb: float | None,
    base: Path | None,
    *,
    planner: "Callable[..., Plan]",
    lock: Callable[[Path], AbstractContextManager | None],
    share: tuple[int, int] | None = None,
    **options: Any,
) -> "tuple[Settings, Plan | None, Survey]":
    """The settings of a run, before Keras is loaded.

    Args:
        folder, cache, workers, path, configuration, memory_gb, base, options: of the command.
        planner: makes or reads the plan of ``--network planned``.
        lock: what is held while data are measured for a plan, if anything.
        share: of several jobs that measure the data together, as those with one cache do; as in
            ``Survey``.
    """
    from unetzoo.data.preprocessing.survey import Survey
    from unetzoo.pipeline.early import check_init
    from unetzoo.pipeline.nnunet_plan import plan_at
    from unetzoo.pipeline.run import PREPARED, settings_at
    from unetzoo.pipeline.settings import Settings

    context = click.get_current_context()
    planned, chosen = options["network"] == "planned", chosen_settings(**options)
    if base is not None:
        if planned or path is not None:
            raise ValueError(f"--settings {base}: they name a network; expected no plan with them.")
        chosen = overridden(vars(settings_at(base)), chosen, given(context))
    Settings.check(**chosen)  # before a plan is made
    if "folds" in given(context) and chosen.get("splits") is not None:
        _check_count(str(context.params["folds"]), chosen["splits"])
    check_choice(path, planned, chosen, configuration, memory_gb)
    check_init(options["init"], folder)
    network_plan = None if path is None else plan_at(path)
    check_free(folder)
    survey = Survey(cache or folder / PREPARED, share or (ALONE if cache else None))
    if planned:
        if (held := lock(folder)) is not None:
            context.with_resource(held)
        context.with_resource(survey)
        data = {name: options[name] for name in ("data", *DATA)}
        if memory_gb is not None:
            data["memory_gb"] = memory_gb
        network_plan = planner(folder, workers=workers, survey=survey, **data)
    if network_plan is None:
        return Settings(**chosen), None, survey
    return Settings.from_plan(network_plan, configuration, **chosen), network_plan, survey


def _check_count(folds: str, splits: str) -> None:
    """Raises: ValueError for a number of folds that is not that of a file of folds."""
    from unetzoo.utils.json_values import read_json

    listed = read_json(Path(splits), "a list of folds")
    if folds.isdecimal() and isinstance(listed, list) and len(listed) != int(folds):
        raise ValueError(
            f"--folds {folds}: {splits} lists {counted(len(listed), 'fold')}; leave --folds out, "
            "or give another file."
        )
