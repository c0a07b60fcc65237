"""``unetzoo evaluate RUNS --calibration``: one temperature for all folds of a cross-validation."""

from pathlib import Path

from unetzoo.data.datasets.reading import read_case_labels
from unetzoo.evaluation.calibration import Calibration, Sampler, write_temperature
from unetzoo.pipeline.best import compared
from unetzoo.pipeline.chosen import Chosen
from unetzoo.pipeline.from_files import Files
from unetzoo.pipeline.out_of_fold import OutOfFold, predictor_of_fold
from unetzoo.utils.files import make_folder
from unetzoo.utils.progress import EVERY, bar_or_lines
from unetzoo.utils.text import write_text


def out_of_fold(chosen: Chosen) -> OutOfFold:
    """The held-out cases by which the folds are calibrated.

    Raises: ValueError for a choice of several cross-validations, folds or masks that are missing,
        and data that have changed.
    """
    if chosen.members:
        raise ValueError(
            f"{chosen.folder}: a choice of unetzoo best; expected one of unetzoo cross-validate, "
            f"such as {chosen.members[0].folder}."
        )
    (cases,) = compared([chosen]).values()
    for run in cases.runs.values():
        Files(run.settings).check_same(run, held_out_only=True)
    return cases


def calibrate_folds(folder: Path | str, out: Path | str) -> Calibration:
    """Say whether the probabilities of a cross-validation can be trusted, and fit a temperature.

    Each case is segmented by the fold that did not see it. The temperature is kept in the folder,
    and ``load_predictor`` uses it for all folds as one. The mean of several networks is a little
    less sure than each of them, so the temperature is rather too warm than too cold for it.

    Args:
        folder: of ``cross_validate``.
        out: where ``calibration.txt`` and ``reliability.png`` are written.

    Raises: ValueError for a choice of several cross-validations, folds or masks that are missing,
        and data that have changed.
    Source: Guo et al. 2017.
    """
    from unetzoo.visualization.reliability import reliability_figure

    chosen, out = Chosen.read(folder), Path(out)
    cases = out_of_fold(chosen)
    sampler = Sampler(len(cases), cases.run.scheme)
    for number, run in cases.runs.items():
        held_out = [cases.cases[name] for name in sorted(run.held_out) if name in cases.masks]
        predictor = predictor_of_fold(run, held_out, **cases.made)
        progress = bar_or_lines(f"segmenting what fold {number} held out", every=EVERY)
        for case in progress(held_out):
            probabilities = predictor.predict_probabilities(predictor.read(case))
            sampler.add(probabilities, read_case_labels(case, run.scheme).data)
    calibration = sampler.calibration(cases.run.class_names)
    write_temperature(chosen.folder, calibration.temperature, chosen.digest())
    make_folder(out)
    write_text(out / "calibration.txt", f"{calibration}\n")
    reliability_figure(out / "reliability.png", calibration)
    return calibration
